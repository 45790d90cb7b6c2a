"""Profile `robust`: few alarms, each with its reason, and incidents that end."""

from datetime import timedelta
from random import Random

import pytest

from stream_detector.detect import Baseline, Config, robust, step
from stream_detector.detect.robust import ALERT_THRESHOLD
from stream_detector.detect.rules import performance_degradation, timing, unusual_execution_time
from stream_detector.detect.statistics.failures import upper_tail, z_of
from stream_detector.detect.statistics.level import WARM, AnomalyScore, Assessment, Level
from stream_detector.detect.statistics.series import Series
from tests.unit.detect.events_of import CLASSIC, START, feed, found, kinds, outcomes, run, workflow
from tests.unit.detect.test_actions import action

ROBUST = Config(profile="robust")


def usual(count: int = 200, spread: float = 0.05, seed: int = 1, hours: float = 6.0):
    """Executions of about 100 s, six hours apart."""
    random = Random(seed)
    return [
        run(number, 100.0 * random.lognormvariate(0.0, spread), at=START + timedelta(hours=hours * number))
        for number in range(count)
    ]


def later(number: int, duration_s: float, status: str = "success", **more):
    return run(number, duration_s, status, at=START + timedelta(hours=6.0 * number), **more)


def ready(count: int = 200):
    baseline = workflow()
    feed(baseline, usual(count), ROBUST)
    return baseline


def test_robust_is_the_default():
    assert Config().profile == "robust"


def test_nothing_but_streaks_before_30_executions():
    baseline = workflow()
    assert found(feed(baseline, usual(WARM), ROBUST)) == []
    gates: list[str] = []
    fresh = workflow()
    step(fresh, later(0, 1.0), ROBUST, explain=gates)
    assert gates == ["learning: 0 recorded durations, 30 are learned before one is evaluated"]
    assert fresh.status == "learning"
    assert baseline.status == "normal"
    assert len(found(feed(workflow(), outcomes("FFF"), ROBUST))) == 1


def test_a_usual_execution_is_no_anomaly_and_says_why():
    gates: list[str] = []
    assert step(ready(), later(200, 101.0), ROBUST, explain=gates).anomalies == ()
    assert gates[0].startswith("usually 1 m 4")
    assert gates[0].endswith("neither this execution nor the mean of the last 12 is anomalous")


def test_a_steady_workflow_alarms_twice_in_a_thousand_executions_at_most():
    told = [one for seed in range(6) for one in found(feed(workflow(), usual(1000, seed=seed), ROBUST))]
    sent = [one for one in told if one.severity != "info"]
    assert len(sent) <= 12
    assert {one.state for one in sent} <= {"opened"}
    assert len([one for one in sent if one.detector == "performance_degradation"]) <= 2


def test_a_lone_slow_execution_is_unusual():
    (one,) = step(ready(), later(200, 160.0, workflow_name="Nightly"), ROBUST).anomalies
    assert kinds([one])[0][::2] == ("UnusualExecutionTime", "opened")
    assert one.severity in ("warning", "critical")
    assert one.description.startswith("Nightly took 2 m 40 s; usually 1 m ")
    assert one.metrics.direction == "up"
    assert one.metrics.current_value - one.metrics.baseline_value == one.metrics.deviation
    assert one.metrics.threshold == ALERT_THRESHOLD
    assert one.profile == "robust"
    assert any(gate.startswith("surprise ") for gate in one.gates)


def test_a_lone_faster_execution_is_info_unless_it_took_less_than_a_tenth():
    (faster,) = step(ready(), later(200, 55.0), ROBUST).anomalies
    assert kinds([faster]) == [("UnusualExecutionTime", "info", "opened")]
    assert faster.incident_id == faster.id
    far = step(ready(), later(200, 5.0), ROBUST).anomalies[0]
    assert far.detector == "unusual_execution_time"
    (nearly,) = [one for one in step(ready(), later(200, 12.0), ROBUST).anomalies if one.detector == far.detector]
    assert nearly.severity == "info"
    assert nearly.gates[-1].endswith("off is above 0.5 % of the usual")
    assert nearly.gates[-1].startswith("1 m ")
    assert far.severity in ("warning", "critical")
    assert far.metrics.direction == "down"


def test_a_difference_below_half_a_percent_is_never_told():
    baseline = workflow()
    feed(baseline, [later(number, 100.0) for number in range(100)], ROBUST)
    assert found(feed(baseline, [later(100, 100.4)], ROBUST)) == []
    assert found(feed(baseline, [later(101, 101.0)], ROBUST)) != []


@pytest.mark.parametrize("stays", [99.6, 100.4])
def test_a_level_that_stays_below_half_a_percent_off_is_never_told(stays):
    baseline = workflow()
    feed(baseline, [later(number, 100.0) for number in range(100)], ROBUST)
    assert found(feed(baseline, [later(100 + number, stays) for number in range(40)], ROBUST)) == []


def test_a_lasting_shift_is_a_degradation_and_ends():
    baseline = ready()
    random = Random(7)
    slow = [later(200 + n, 130.0 * random.lognormvariate(0.0, 0.05)) for n in range(20)]
    back = [later(220 + n, 100.0 * random.lognormvariate(0.0, 0.02)) for n in range(60)]
    told = [one for one in found(feed(baseline, slow + back, ROBUST)) if one.anomaly_type == "PerformanceDegradation"]
    assert told[0].anomaly_type == "PerformanceDegradation"
    assert (told[0].state, told[-1].state, told[-1].severity) == ("opened", "resolved", "info")
    assert {one.incident_id for one in told} == {told[0].id}
    assert told[-1].duration_s is not None and told[-1].duration_s > 0
    assert "has become slower" in told[0].description
    assert "takes its usual time again" in told[-1].description
    assert baseline.incidents == {}


def test_an_unusual_execution_ends_after_three_calm_ones():
    baseline = ready()
    told = found(feed(baseline, [later(200, 160.0), *(later(201 + n, 100.0) for n in range(6))], ROBUST))
    assert [one.state for one in told] == ["opened", "resolved"]
    assert told[1].description.startswith("nightly takes its usual time again")
    assert told[1].duration_s == 3 * 6 * 3600.0


def test_a_lasting_faster_level_is_info_and_half_the_time_more():
    baseline = ready()
    told = found(feed(baseline, [later(200 + n, 88.0) for n in range(15)], ROBUST))
    assert {one.severity for one in told if one.detector == "performance_degradation"} == {"info"}
    assert {one.anomaly_type for one in told if one.metrics.direction == "down"} == {"UnusualExecutionTime"}


def judged_as(
    point: AnomalyScore | None = None, shift: AnomalyScore | None = None, *, z: float = 5.0, sigma: float = 0.05
):
    return Assessment(point, shift, z, sigma, 100.0, 90.0, 110.0, 200)


@pytest.mark.parametrize(("z", "direction"), [(0.5, "up"), (-0.5, "down")])
def test_an_end_says_on_which_side_the_last_reading_lay(z, direction):
    which = timing.End("unusual_execution_time", "UnusualExecutionTime", "", "nightly")
    end = timing.recovered(which, 100.0, 100.0, z, 200)
    assert (end.direction, end.z, end.opens_incident) == (direction, z, True)


@pytest.mark.parametrize(("more", "severity"), [(0.1, "info"), (1.39, "info"), (1.4, "warning")])
def test_a_lasting_faster_level_is_sent_where_it_is_very_seldom(more, severity):
    score = AnomalyScore(ALERT_THRESHOLD + more, -9.0, 12, 0, 64)
    one = performance_degradation.find_by_score(
        "nightly", 90.0, judged_as(shift=score, z=-5.0), score, ALERT_THRESHOLD, 100.0
    )
    assert one is not None
    assert (one.severity, one.anomaly_type, one.direction) == (severity, "UnusualExecutionTime", "down")
    assert "has become faster" in one.description
    assert one.opens_incident is (severity != "info")


@pytest.mark.parametrize(("more", "severity"), [(0.1, "warning"), (0.74, "warning"), (0.75, "critical")])
def test_severity_is_by_how_much_more_than_the_threshold(more, severity):
    point, shift = (
        AnomalyScore(ALERT_THRESHOLD + more, 5.0, 1, 0, 64),
        AnomalyScore(ALERT_THRESHOLD + more, 5.0, 12, 0, 64),
    )
    assessment = judged_as(point, shift)
    one = unusual_execution_time.find_by_score("nightly", 160.0, assessment, point, ALERT_THRESHOLD)
    other = performance_degradation.find_by_score("nightly", 160.0, assessment, shift, ALERT_THRESHOLD, 100.0)
    assert one is not None and other is not None
    assert one.severity == other.severity == severity


def test_a_shift_below_half_a_percent_is_never_told():
    point, shift = AnomalyScore(9.0, 5.0, 1, 0, 64), AnomalyScore(9.0, 5.0, 12, 0, 64)
    assessment = judged_as(point, shift, sigma=0.003)
    assert performance_degradation.find_by_score("nightly", 100.4, assessment, shift, ALERT_THRESHOLD, 100.0) is None
    assert unusual_execution_time.find_by_score("nightly", 100.4, assessment, point, ALERT_THRESHOLD) is None
    assert unusual_execution_time.find_by_score("nightly", 100.6, assessment, point, ALERT_THRESHOLD) is not None


def falling(factor: float, until: int, count: int):
    """From the 200th execution on, each takes `factor` of the one before, `until` times."""
    random = Random(5)
    return [
        later(200 + n, 100.0 * factor ** min(n + 1, until) * random.lognormvariate(0.0, 0.02)) for n in range(count)
    ]


def accepted_of(results):
    return [one for one in found(results) if one.anomaly_type == "PatternDeviation"]


def test_a_level_is_accepted_when_it_no_longer_moves_and_told_once():
    moving, whole = ready(), ready()
    assert accepted_of(feed(moving, falling(0.96, 60, 60), ROBUST)) == []
    gates: list[str] = []
    (accepted,) = accepted_of(feed(whole, falling(0.96, 60, 140), ROBUST, explain=gates))
    assert kinds([accepted]) == [("PatternDeviation", "info", "opened")]
    assert "has a new usual time" in accepted.description
    metrics = accepted.metrics
    assert metrics.current_value == pytest.approx(100.0 * 0.96**60, rel=0.2)
    assert metrics.direction == "down" and metrics.deviation == metrics.current_value - metrics.baseline_value < 0
    assert any(gate.startswith("25 executions in a row lay on one side") for gate in gates)


def test_readings_that_come_fast_move_the_level_slowly():
    slow, fast = Level(), Level()
    for number in range(400):
        slow.update(100.0 if number < 200 else 110.0, number * 21_600_000)
        fast.update(100.0 if number < 200 else 110.0, number * 1_000)
    assert slow.expected > 109.0
    assert fast.expected < 106.0


def test_feedback_raises_the_threshold():
    baseline = ready()
    before = step(Baseline.unpack(baseline.key, baseline.pack()), later(200, 160.0), ROBUST).anomalies
    for number in range(8):
        step(baseline, action("expected", number), ROBUST)
    gates: list[str] = []
    assert step(baseline, later(200, 128.0), ROBUST, explain=gates).anomalies == ()
    assert len(before) == 1
    assert f"alert above {3 * ALERT_THRESHOLD:.2f}" in gates[1]


def test_a_key_of_classic_goes_on_from_its_last_durations():
    baseline = workflow()
    feed(baseline, [*usual(59), later(59, None)], CLASSIC)
    feed(baseline, [later(60, 100.0), later(61, None)], ROBUST)
    assert baseline.level.n == 30
    assert baseline.status == "normal"


def test_late_durations_are_learned_without_alert():
    baseline = ready(40)
    before = baseline.level.n
    late = [run(900, 9000.0, at=START), run(901, None, at=START), run(902, 100.0, "failure", at=START)]
    assert [one.kind for one in feed(baseline, late, ROBUST, record_ms=baseline.newest_ms)] == ["late"] * 3
    assert baseline.level.n == before + 2


def test_late_surprises_are_learned_and_not_remembered_as_told():
    level = Level()
    for number in range(100):
        level.update(100.0 + number % 3, number * 3_600_000)
    assert level.update(5000.0, 0, late=True) is None
    assert level.last_score == 0.0


def test_a_lone_failure_is_no_spike_and_two_are():
    quiet = "S" * 100
    assert found(feed(workflow(), outcomes(quiet + "F"), ROBUST)) == []
    (spike,) = found(feed(workflow(), outcomes(quiet + "FSF"), ROBUST))
    assert kinds([spike])[0][0] == "SpikeInFailures"
    assert spike.description == "nightly failed 2 of its last 10 executions; none of those before failed"
    assert spike.metrics.baseline_value == 0.0
    some = "FSSSSSSSSSSSSSSSSSSS" * 3 + quiet
    (spike,) = [one for one in found(feed(workflow(), outcomes(some + "FSFF"), ROBUST)) if one.state == "opened"][:1]
    assert spike.description.startswith("nightly failed 2 of its last 10 executions; usually ")
    assert f"{100 * spike.metrics.baseline_value:.2g} %" in spike.description


def test_a_spike_of_failures_is_one_incident():
    life = found(feed(workflow(), outcomes("S" * 100 + "FSFSF" + "S" * 20), ROBUST))
    assert [one.state for one in life] == ["opened", "ongoing", "resolved"]
    assert (
        life[-1].description
        == "nightly is back to its usual failure rate: 0 of its last 10 failed; none of those before it began failed"
    )


def test_failures_in_a_row_are_told_as_in_classic():
    streak = [
        one
        for one in found(feed(workflow(), outcomes("S" * 40 + "FFFFFFS"), ROBUST))
        if one.detector == "consecutive_failures"
    ]
    assert [one.state for one in streak] == ["opened", "ongoing", "resolved"]


def test_a_workflow_that_often_fails_has_a_high_bar():
    often = ("SSF" * 60)[: 3 * 60]
    assert not [
        one for one in found(feed(workflow(), outcomes(often), ROBUST)) if one.anomaly_type == "SpikeInFailures"
    ]


def test_every_gate_of_failures_is_told():
    gates: list[str] = []
    feed(workflow(), outcomes("S" * 40 + "F"), ROBUST, explain=gates)
    assert gates[-2].startswith("1 of the last 10 failed, usually 0 %")
    assert gates[-1] == "1 failures in a row; 3 and 5 are reported"
    gates.clear()
    feed(workflow(), outcomes("F"), ROBUST, explain=gates)
    assert "learning: 0 executions, a failure rate needs 30" in gates


def test_the_tail_of_failures():
    assert upper_tail(10, 1.0, 1.0) == pytest.approx(1 / 11)
    assert z_of(upper_tail(0, 1.0, 1.0)) == -8.0
    assert z_of(upper_tail(10, 1e-9, 1e12)) == 8.0


def test_a_series_scores_what_is_off_in_either_direction():
    series, random = Series(), Random(3)
    quiet = [series.score(100 + random.gauss(0, 2), n * 300_000) for n in range(500)]
    assert max(quiet) < 3.5
    assert series.score(160.0, 500 * 300_000) > 3.0
    other = Series()
    for n in range(500):
        other.score(100 + random.gauss(0, 2), n * 300_000)
    assert other.score(-5.0, 500 * 300_000) > 3.0


def test_an_accepted_level_is_told_whatever_the_reading_is():
    baseline = ready()
    baseline.level.previous_level = 50.0
    (accepted,) = step(baseline, later(200, 100.0), ROBUST).anomalies
    assert accepted.description.startswith("nightly has a new usual time: 1 m ")
    assert accepted.description.endswith("instead of 50 s")


def test_a_level_survives_packing_in_the_middle_of_a_shift():
    whole, parted = ready(), ready()
    for number in range(60):
        event = later(200 + number, 100.0 * 1.1**number)
        parted = Baseline.unpack(parted.key, parted.pack())
        assert step(parted, event, ROBUST) == step(whole, event, ROBUST)
    assert parted.pack() == whole.pack()


def test_what_is_expected_lies_two_sigma_around_the_level():
    baseline = ready()
    low, usual_s, high = baseline.level.expected_range(baseline.newest_ms)
    assert usual_s == baseline.level.expected
    assert low < usual_s < high
    assert (high + 0.02) / (usual_s + 0.02) == pytest.approx((usual_s + 0.02) / (low + 0.02))
    assert Level().expected_range(0)[0] >= 0.0


def test_a_shift_within_one_day_is_counted_up_to_its_end():
    baseline = ready()
    level = baseline.level
    level.shifted, level.shifted_s = 30_000, level.newest_ms // 1000
    level.update(1e6, level.newest_ms)
    assert (level.shifted, level.previous_level) == (30_000, None)
    assert Baseline.unpack(baseline.key, baseline.pack()).level.shifted == 30_000


def test_a_lone_and_a_lasting_surprise_are_told_each():
    assessment = judged_as(AnomalyScore(9.0, 9.0, 1, 0, 64), AnomalyScore(8.0, 7.0, 80, 0, 64))
    point, shift = robust._judge_scores(ready(), "nightly", 110.0, 0, assessment)
    assert (point.detector, shift.detector) == ("unusual_execution_time", "performance_degradation")
    assert "last 80 executions" in shift.description
    at_threshold = judged_as(AnomalyScore(ALERT_THRESHOLD, 3.0, 1, 1, 64))
    assert robust._judge_scores(ready(), "nightly", 110.0, 0, at_threshold) == []

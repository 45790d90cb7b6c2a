"""Profile `classic` to the letter: W2, W3, W5 to W11, W14 to W16."""

import pytest

from stream_detector.detect import Baseline, Config, step
from stream_detector.events import Completion, Step
from tests.unit.detect.events_of import CLASSIC, HUNDRED_TEN, feed, found, kinds, outcomes, run, runs, workflow


def judged(duration_s: float) -> list[tuple[str, str, str]]:
    baseline = workflow()
    feed(baseline, runs(HUNDRED_TEN))
    return kinds(step(baseline, run(50, duration_s), CLASSIC).anomalies)


def test_w11_121_s_is_unusual_and_slower():
    assert judged(121.0) == [
        ("UnusualExecutionTime", "warning", "opened"),
        ("PerformanceDegradation", "warning", "opened"),
    ]


def test_w09_w10_79_s_is_unusual_alone():
    assert judged(79.0) == [("UnusualExecutionTime", "warning", "opened")]


@pytest.mark.parametrize("duration_s", [120.0, 80.0, 100.0])
def test_w11_two_deviations_exactly_are_nothing(duration_s):
    assert judged(duration_s) == []


@pytest.mark.parametrize("duration_s", [130.0, 70.0])
def test_w05_three_deviations_exactly_are_critical(duration_s):
    assert {severity for _, severity, _ in judged(duration_s)} == {"critical"}


def test_w02_a_value_is_not_in_the_baseline_that_judges_it():
    baseline = workflow()
    feed(baseline, runs(HUNDRED_TEN))
    (first, _) = step(baseline, run(50, 200.0), CLASSIC).anomalies
    assert (first.metrics.baseline_value, first.metrics.z_score) == (100.0, 10.0)


def test_w03_none_one_or_several():
    assert [len(judged(duration_s)) for duration_s in (100.0, 79.0, 121.0)] == [0, 1, 2]


def test_w06_nine_durations_give_no_z_and_ten_do():
    baseline = workflow()
    feed(baseline, runs([90.0, 110.0] * 4 + [100.0]))
    assert (baseline.status, step(baseline, run(20, 500.0), CLASSIC).anomalies) == ("learning", ())
    assert baseline.status == "normal"
    assert len(step(baseline, run(21, 5000.0), CLASSIC).anomalies) == 2


@pytest.mark.parametrize("value", [100.0, 0.1, 1e12])
def test_w06_one_value_a_thousand_times_gives_no_z(value):
    baseline = workflow()
    feed(baseline, runs([value] * 1000))
    gates: list[str] = []
    assert step(baseline, run(1000, value * 2 if value < 1e12 else 1.0), CLASSIC, explain=gates).anomalies == ()
    assert "no spread, so no z-score" in gates[0]


def test_w06_a_duration_that_was_not_recorded_is_neither_judged_nor_learned():
    baseline = workflow()
    feed(baseline, runs(HUNDRED_TEN))
    for number, absent in enumerate((None, 0.0, -1.0, float("nan"), float("inf")), 20):
        gates: list[str] = []
        assert step(baseline, run(number, absent), CLASSIC, explain=gates).anomalies == ()
        assert gates[0].startswith("no duration was recorded")
    named = baseline.named_baselines()
    assert (named["execution_time"].window_size, named["failure_rate"].window_size) == (11, 16)
    assert step(baseline, run(50, 121.0), CLASSIC).anomalies[0].metrics.z_score == 2.1


def test_w07_a_spike_needs_ten_outcomes_before_the_last_ten():
    assert found(feed(workflow(), outcomes("S" * 14 + "FSFSF"))) == []
    (spike,) = found(feed(workflow(), outcomes("S" * 15 + "FSFSF")))
    assert kinds([spike]) == [("SpikeInFailures", "warning", "opened")]
    assert spike.description == "nightly failed 3 of its last 10 executions; before, 0 of 10"
    assert (spike.metrics.current_value, spike.metrics.unit) == (0.3, "ratio")
    assert spike.metrics.baseline_value == 0.0, "the same as the text: 0 of 10"
    assert spike.metrics.z_score == pytest.approx((0.3 - 1 / 12) / (1 / 12 * 11 / 12 / 10) ** 0.5)


def test_w07_a_lone_failure_after_a_long_good_history_is_no_spike():
    assert found(feed(workflow(), outcomes("S" * 60 + "F"))) == []


def test_w07_a_spike_is_open_until_its_z_no_longer_passes():
    life = found(feed(workflow(), outcomes("S" * 40 + "FSFSF" + "S" * 20)))
    assert [one.state for one in life] == ["opened", "ongoing", "resolved"]
    assert {one.incident_id for one in life} == {life[0].id}
    assert life[-1].severity == "info"
    assert life[-1].duration_s is not None


def test_w08_third_failure_in_a_row_fires_and_two_do_not():
    assert found(feed(workflow(), outcomes("FF"))) == []
    assert kinds(found(feed(workflow(), outcomes("FFF")))) == [("ConsecutiveFailures", "warning", "opened")]


def test_w08_a_success_resets_to_0():
    assert found(feed(workflow(), outcomes("FFSFFSFF"))) == []


def test_w08_fifth_is_critical_and_ongoing_and_the_success_resolves():
    streak = [one for one in found(feed(workflow(), outcomes("FFFFFFFS"))) if one.detector == "consecutive_failures"]
    assert kinds(streak) == [
        ("ConsecutiveFailures", "warning", "opened"),
        ("ConsecutiveFailures", "critical", "ongoing"),
        ("ConsecutiveFailures", "info", "resolved"),
    ]
    assert [one.metrics.current_value for one in streak] == [3.0, 5.0, 0.0]
    assert {one.incident_id for one in streak} == {streak[0].id}
    assert streak[-1].duration_s == 5 * 600.0


@pytest.mark.parametrize("status", ["failure", "error", "timeout"])
def test_w08_failure_error_and_timeout_fail(status):
    assert len(found(feed(workflow(), [run(n, None, status) for n in range(3)]))) == 1


@pytest.mark.parametrize("status", ["cancellation", "skip"])
def test_w08_cancelled_and_skipped_count_in_nothing(status):
    baseline = workflow()
    between = [run(0, None, "failure"), run(1, 5.0, status), run(2, None, "failure"), run(3, None, "failure")]
    results = feed(baseline, between)
    assert [result.kind for result in results] == ["applied", "ignored", "applied", "applied"]
    assert len(found(results)) == 1
    assert baseline.named_baselines()["failure_rate"].window_size == 3


def test_w14_w15_w16_every_field_is_there():
    baseline = workflow()
    steps = [Step("build", "success", 40.0), Step("test", "success", 60.0)]
    good = [
        run(n, d, labels={"commit": "1a2b3c4d5e6f7a8b", "team": "core"}, steps=steps) for n, d in enumerate(HUNDRED_TEN)
    ]
    feed(baseline, good)
    slow = run(
        50,
        252.0,
        workflow_name="Nightly",
        labels={"commit": "9f8e7d6c5b4a3928", "team": "apps"},
        steps=[Step("build", "success", 41.0), Step("test", "success", 211.0)],
        url="https://ci.example/50",
    )
    unusual, slower = step(baseline, slow, CLASSIC).anomalies
    assert unusual.description == "Nightly took 4 m 12 s; usually 1 m 40 s ± 10 s"
    assert slower.description == "Nightly was 152 % slower than usual: 4 m 12 s against 1 m 40 s"
    assert (unusual.detected_at, unusual.schema_version, unusual.profile) == (slow.finished_at, 1, "classic")
    metrics = unusual.metrics
    assert (metrics.current_value, metrics.baseline_value, metrics.deviation) == (252.0, 100.0, 152.0)
    assert (metrics.z_score, metrics.unit, metrics.direction) == (15.2, "s", "up")
    assert metrics.confidence == pytest.approx(0.88, abs=1e-3)
    assert [(one.kind, one.id, one.name) for one in unusual.affected_entities] == [
        ("workflow", "nightly", "Nightly"),
        ("execution", "x50", None),
    ]
    assert unusual.investigation_steps == [
        "Look at step test, which grew most: 3 m 31 s, usually 1 m",
        "Compare with the last good execution x10 of 2026-01-01 01:40 UTC",
        "The commit changed since then, from 1a2b3c4d5e6f to 9f8e7d6c5b4a: read that difference",
        "New since then: team = apps",
        "Open execution x50: https://ci.example/50",
    ]
    assert unusual.gates == [
        "11 recorded durations are 10 or more",
        "their spread, 10 s around 1 m 40 s, is above 0",
        "|z| 15.20 is above 2.00",
    ]


def test_w16_a_streak_names_the_failed_steps():
    failing = [
        run(n, None, "failure", steps=[Step("lint", "success"), Step("unit", "failure"), Step("e2e", "error")])
        for n in range(3)
    ]
    (streak,) = found(feed(workflow(), failing))
    assert streak.investigation_steps[0] == "Read the log of the failed step unit and 1 more"
    assert streak.investigation_steps[1].startswith("There is no good execution to compare with yet")
    assert [one.id for one in streak.affected_entities if one.kind == "step"] == ["unit", "e2e"]


def test_w20_only_the_last_thirty_executions_judge():
    baseline = workflow()
    feed(baseline, runs([5000.0] * 40 + [90.0, 110.0] * 15))
    assert step(baseline, run(100, 130.0), CLASSIC).anomalies[0].metrics.baseline_value == 100.0


def test_gates_are_told_whether_they_passed_or_not():
    baseline = workflow()
    gates: list[str] = []
    step(baseline, run(0, 10.0, "failure"), CLASSIC, explain=gates)
    assert gates == [
        "learning: 0 recorded durations, a z-score needs 10",
        "learning: 0 executions before the last 10, a failure rate needs 10",
        "1 failures in a row; 3 and 5 are reported",
    ]
    feed(baseline, runs(HUNDRED_TEN * 2, 1))
    gates.clear()
    event: Completion = run(60, 101.0, "failure")
    step(baseline, event, CLASSIC, explain=gates)
    assert gates[0].startswith("z 0.23 of 1 m 41 s against 1 m 36 s ± 21 s of 23 executions")
    assert gates[1].startswith("1 of the last 10 failed, ")
    assert gates[1].endswith("the gate is 2.00")


@pytest.mark.parametrize(("duration_s", "direction"), [(121.0, "up"), (79.0, "down")])
def test_w10_says_which_way(duration_s, direction):
    baseline = workflow()
    feed(baseline, runs(HUNDRED_TEN))
    found_one = step(baseline, run(50, duration_s), CLASSIC).anomalies[0]
    assert found_one.metrics.direction == direction
    assert found_one.metrics.deviation == duration_s - 100.0


def test_w15_deviation_is_current_minus_baseline_for_every_type():
    history = [*runs(HUNDRED_TEN * 3), *outcomes("FSFSFFFFFFFS", 50), run(70, 300.0)]
    for config in (CLASSIC, Config(profile="robust")):
        told = found(feed(workflow(), history, config))
        assert told
        for one in told:
            assert one.metrics.deviation == pytest.approx(one.metrics.current_value - one.metrics.baseline_value)


def test_a_step_within_a_fifth_does_not_stand_out():
    baseline = workflow()
    steps = [run(n, d, steps=[Step("build", None, 100.0)]) for n, d in enumerate(HUNDRED_TEN)]
    feed(baseline, steps)
    for took, words in ((120.0, "No single step stands out"), (121.0, "Look at step build, which grew most")):
        copy = Baseline.unpack(baseline.key, baseline.pack())
        told = step(copy, run(50, 300.0, steps=[Step("build", None, took)]), CLASSIC).anomalies
        assert told[0].investigation_steps[0].startswith(words)


def test_an_id_of_40_characters_is_remembered_and_one_beyond_ascii_is_not():
    for execution_id, remembered in (("x" * 40, True), ("ä", False)):
        baseline = workflow()
        feed(baseline, [run(0, execution_id=execution_id)])
        assert bool(baseline.evidence.good_id) is remembered

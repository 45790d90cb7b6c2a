"""Late, duplicate and backfilled events; the 30-day window: W17 to W19, W21 to W23."""

from datetime import timedelta
from statistics import fmean, stdev

import pytest

from stream_detector.detect import Baseline, Config, step
from tests.unit.detect.events_of import (
    CLASSIC,
    HUNDRED_TEN,
    START,
    bytes_of,
    feed,
    found,
    outcomes,
    run,
    runs,
    workflow,
)


def test_w17_w18_three_named_baselines():
    baseline = workflow()
    feed(baseline, [*runs([10.0, 20.0, 30.0]), run(3, 40.0, "failure")])
    named = baseline.named_baselines()
    assert list(named) == ["failure_rate", "execution_time", "success_rate"]
    assert (named["failure_rate"].value, named["failure_rate"].window_size) == (0.25, 4)
    assert named["failure_rate"].std_dev == pytest.approx(stdev([0, 0, 0, 1]))
    assert named["success_rate"].value == 0.75
    assert named["execution_time"].value == 25.0
    assert named["execution_time"].std_dev == pytest.approx(stdev([10, 20, 30, 40]))


@pytest.mark.parametrize("profile", ["classic", "robust"])
def test_w17_w18_the_execution_time_shown_is_what_judged_and_the_mean_of_30_days_is_named(profile):
    """60 executions of 100 s and then 40 of 50 s: both judge by what came last, the mean of the month is 81 s."""
    config = Config(profile=profile)
    times = [*(100.0 + number % 3 for number in range(60)), *(50.0 + number % 3 for number in range(40))]
    baseline = workflow()
    feed(baseline, [run(number, time, at=START + timedelta(hours=number)) for number, time in enumerate(times)], config)
    named = Baseline.unpack(baseline.key, baseline.pack()).shown_baselines()
    shown, month = named["execution_time"], named["execution_time_30_days"]
    odd = step(baseline, run(500, 500.0, at=START + timedelta(hours=101)), config).anomalies[0].metrics
    assert shown.value == pytest.approx(odd.baseline_value, rel=0.01)
    assert shown.value < 60 < 80 < month.value
    assert (month.value, month.window_size) == (pytest.approx(fmean(times), rel=1e-6), 100)
    if profile == "classic":
        assert (shown.value, shown.window_size) == (pytest.approx(fmean(times[-30:])), 30)
        assert shown.std_dev == pytest.approx(stdev(times[-30:]))
        assert odd.z_score == pytest.approx((500 - shown.value) / shown.std_dev)


@pytest.mark.parametrize("config", [CLASSIC, Config()], ids=["classic", "robust"])
@pytest.mark.parametrize("times", [[], [10.0], [10.0, 10.0], [10.0, 20.0]])
def test_w18_before_anything_judges_both_are_the_mean_of_30_days(times, config):
    baseline = workflow()
    feed(baseline, runs(times), config)
    named = baseline.shown_baselines()
    assert named["execution_time"] == named["execution_time_30_days"] == baseline.named_baselines()["execution_time"]


def test_w18_an_empty_baseline_has_no_numbers():
    assert {(one.value, one.std_dev, one.window_size) for one in workflow().named_baselines().values()} == {
        (0.0, 0.0, 0)
    }


def test_w19_a_run_31_days_old_counts_no_more():
    baseline = workflow()
    feed(baseline, [run(0, 1.0, "failure", at=START)])
    feed(baseline, [run(1, 3.0, at=START + timedelta(days=29))])
    assert baseline.named_baselines()["execution_time"].window_size == 2
    feed(baseline, [run(2, 5.0, at=START + timedelta(days=31))])
    named = baseline.named_baselines()
    assert (named["execution_time"].window_size, named["execution_time"].value) == (2, 4.0)
    assert named["failure_rate"].value == 0.0


def test_w19_the_thirty_judged_are_at_most_30_days_older():
    baseline = workflow()
    feed(baseline, runs(HUNDRED_TEN))
    last = START + timedelta(minutes=100)
    at_limit = run(50, 500.0, at=START + timedelta(days=30))
    copy = Baseline.unpack(baseline.key, baseline.pack())
    assert len(step(copy, at_limit, CLASSIC).anomalies) == 2
    assert step(baseline, run(50, 500.0, at=last + timedelta(days=30, seconds=1)), CLASSIC).anomalies == ()


def test_w21_w22_each_execution_moves_all_three_without_a_restart():
    baseline = workflow()
    seen = []
    for event in [*runs([10.0, 20.0]), run(2, 60.0, "failure")]:
        step(baseline, event, CLASSIC)
        seen.append({name: one.value for name, one in baseline.named_baselines().items()})
    assert [one["execution_time"] for one in seen] == [10.0, 15.0, 30.0]
    assert seen[2] == {
        "failure_rate": pytest.approx(1 / 3),
        "execution_time": 30.0,
        "success_rate": pytest.approx(2 / 3),
    }


def test_w19_many_days_are_right_and_rotate_by_event_time():
    baseline, kept = workflow(), []
    for number in range(400):
        at = START + timedelta(hours=5.3 * number)
        event = run(number, 50.0 + number % 37, "failure" if number % 9 == 0 else "success", at=at)
        kept.append(event)
        step(baseline, event, CLASSIC)
    today = kept[-1].finished_at.date()
    inside = [event for event in kept if (today - event.finished_at.date()).days < 30]
    named = baseline.named_baselines()
    assert named["failure_rate"].window_size == len(inside)
    assert named["failure_rate"].value == sum(event.status == "failure" for event in inside) / len(inside)
    durations = [event.duration_s for event in inside]
    assert named["execution_time"].value == pytest.approx(fmean(durations), rel=1e-6)
    assert named["execution_time"].std_dev == pytest.approx(stdev(durations), rel=1e-5)


def test_w23_a_backfill_gives_the_numbers_that_live_events_would_have_given():
    history = [*runs([*HUNDRED_TEN, 300.0, 20.0] * 4), *outcomes("FFFFSFFF", 60)]
    live, filled = workflow(), workflow()
    feed(live, history)
    results = feed(filled, history, backfill=True)
    assert {result.kind for result in results} == {"backfilled"}
    assert found(results) == []
    assert filled.named_baselines() == live.named_baselines()
    assert (filled.streak, filled.status) == (live.streak, "normal")
    event = run(90, 400.0)
    assert found(feed(filled, [event]))[0].metrics == found(feed(live, [event]))[0].metrics


def test_w23_a_streak_learned_by_backfill_opens_at_its_next_telling():
    baseline = workflow()
    feed(baseline, outcomes("FFFF"), backfill=True)
    (fifth,) = found(feed(baseline, outcomes("F", 4)))
    assert (fifth.severity, fifth.state, fifth.incident_id) == ("critical", "opened", fifth.id)


def test_a_streak_that_was_never_told_ends_untold():
    baseline = workflow()
    feed(baseline, outcomes("FFFF"), backfill=True)
    assert found(feed(baseline, outcomes("S", 4))) == []
    assert baseline.incidents == {}


def test_a_duplicate_counts_once():
    baseline = workflow()
    results = feed(baseline, [run(0), run(0), run(1), run(0)])
    assert [result.kind for result in results] == ["applied", "duplicate", "applied", "duplicate"]
    assert baseline.named_baselines()["failure_rate"].window_size == 2


def test_another_attempt_is_another_event():
    assert [one.kind for one in feed(workflow(), [run(0), run(0, attempt=2)])] == ["applied", "applied"]


def test_a_retry_older_than_eight_events_counts_again():
    events = [run(n, 1.0, at=START + timedelta(minutes=n)) for n in range(9)]
    results = feed(workflow(), [*events, events[0], events[8]])
    assert [result.kind for result in results[-2:]] == ["applied", "duplicate"]


def test_an_hour_late_is_judged_and_more_is_learned_without_alert():
    baseline = workflow()
    feed(baseline, runs(HUNDRED_TEN))
    newest = START + timedelta(minutes=100)
    gates: list[str] = []
    assert len(step(baseline, run(20, 900.0, at=newest - timedelta(hours=1)), CLASSIC).anomalies) == 2
    event = run(21, 800.0, at=newest - timedelta(hours=1, seconds=1))
    late = step(baseline, event, CLASSIC, baseline.newest_ms, explain=gates)
    assert (late.kind, late.anomalies) == ("late", ())
    assert gates == ["finished 1.0 h before the newest: learned, not evaluated"]
    assert baseline.named_baselines()["execution_time"].window_size == 13


def test_a_late_success_has_no_say_in_the_streak():
    baseline = workflow()
    feed(baseline, outcomes("S" * 3 + "FF", 100))
    feed(baseline, [run(0, None, "success", at=START)])
    assert len(found(feed(baseline, outcomes("F", 105)))) == 1


def test_more_than_30_days_late_is_not_learned():
    baseline = workflow()
    step(baseline, run(0, 10.0, at=START + timedelta(days=31)), CLASSIC)
    gates: list[str] = []
    before = baseline.named_baselines()
    assert step(baseline, run(1, 10.0, at=START), CLASSIC, explain=gates).kind == "late"
    assert baseline.named_baselines() == before
    assert gates[0].endswith("not learned, not evaluated")


def test_late_events_take_their_place_in_the_history():
    events = runs([100.0 + n for n in range(20)])
    ordered, shuffled = workflow(), workflow()
    feed(ordered, events)
    feed(shuffled, [*events[:5], *events[10:]])
    feed(shuffled, events[5:10], record_ms=shuffled.newest_ms)
    assert shuffled.history.durations == ordered.history.durations
    assert shuffled.history.times == ordered.history.times


def test_an_event_after_a_pause_of_months_begins_a_new_window():
    baseline = workflow()
    feed(baseline, outcomes("SFSF"))
    step(baseline, run(10, 7.0, at=START + timedelta(days=400)), CLASSIC)
    assert list(baseline.history.durations) == [7.0]
    assert baseline.named_baselines()["failure_rate"].window_size == 1


def test_a_late_event_older_than_the_forty_kept_changes_nothing():
    baseline = workflow()
    feed(baseline, runs([10.0] * 45))
    before = bytes_of(baseline.history)
    feed(baseline, [run(90, 99.0, "failure", at=START - timedelta(hours=2))])
    assert bytes_of(baseline.history) == before


def test_a_late_event_older_than_the_thirty_timed_counts_as_an_outcome():
    baseline = workflow()
    feed(baseline, runs([10.0] * 35))
    feed(baseline, [run(90, 99.0, "failure", at=START - timedelta(hours=2))])
    assert len(baseline.history.times) == 36
    assert list(baseline.history.durations) == [10.0] * 30
    assert baseline.history.outcomes == 1 << 35

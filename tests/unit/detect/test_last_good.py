"""X7: the last good execution that a slow one is compared with is from before the shift that it belongs to."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from random import Random

import pytest

from stream_detector.detect import Baseline, Config, WorkflowBaseline
from stream_detector.detect.codec.packed import USUAL_TIME
from stream_detector.events import Anomaly, Completion
from tests.unit.detect.events_of import START, feed, found, run, workflow

CLASSIC, ROBUST = Config(profile="classic"), Config(profile="robust")
BOTH = pytest.mark.parametrize("config", [CLASSIC, ROBUST], ids=["classic", "robust"])
BEGIN = 150
UUID = "8c6f0b6e-8a0c-4f6d-9d4c-3a1f5f0e{:04d}"


def executions(
    seed: object, count: int, sigmas: Callable[[int], float], noise: float = 0.05, name: str = "x{}", **labels: str
) -> list[Completion]:
    """About 100 s with that noise, and so many times the noise more; `sigmas` gets the number after the shift began."""
    random = Random(str(seed))
    return [
        run(
            n,
            max(100.0 * (1.0 + noise * (random.gauss(0.0, 1.0) + (sigmas(n - BEGIN + 1) if n >= BEGIN else 0.0))), 5.0),
            at=START + timedelta(hours=2 * n),
            execution_id=name.format(n),
            labels={"commit": f"{n:04d}" * 4} | labels,
        )
        for n in range(count)
    ]


def slower(anomalies: Iterable[Anomaly]) -> list[Anomaly]:
    """What was slower than usual in or after the shift, and has not ended."""
    return [
        one
        for one in anomalies
        if one.metrics.unit == "s"
        and one.metrics.direction == "up"
        and one.state != "resolved"
        and number(one) >= BEGIN
    ]


def number(one: Anomaly) -> int:
    assert one.execution_id is not None
    return int(one.execution_id.removeprefix("x")[-4:])


def compared(one: Anomaly) -> int:
    """Which execution it is to be compared with."""
    (words,) = [step for step in one.investigation_steps if step.startswith("Compare with the last good execution ")]
    return int(words.split()[6].removeprefix("x")[-4:])


SHIFTS = {f"step of {size} sigma": (lambda n, size=size: size) for size in (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)} | {
    f"{rise} sigma an execution": (lambda n, rise=rise: rise * n) for rise in (0.03, 0.06, 0.1, 0.2, 0.5)
}


@BOTH
@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("noise", [0.04, 0.15])
def test_x7_of_a_shift_the_last_good_execution_is_from_before_it(config, shift, noise):
    """By the profiles' own baselines, which follow, half to all of the reports named one of the shift itself."""
    reports = 0
    for seed in range(3):
        events = executions((seed, shift, noise), BEGIN + 60, SHIFTS[shift], noise)
        took = {n: event.duration_s for n, event in enumerate(events)}
        anomalies = slower(found(feed(workflow(), events, config)))
        reports += len(anomalies)
        for one in anomalies:
            assert compared(one) < BEGIN, (seed, one.description)
            if one.detector == "unusual_execution_time":
                assert took[compared(one)] < one.metrics.current_value
    assert reports or config is ROBUST or shift.startswith("step of 1")


def test_x7_what_rises_for_long_is_compared_with_what_was_before_it_for_long():
    """In `classic`; in `robust` an incident is open meanwhile."""
    anomalies = slower(found(feed(workflow(), executions(1, BEGIN + 250, lambda n: 0.1 * n), CLASSIC)))
    assert anomalies and number(anomalies[-1]) > BEGIN + 200
    assert all(compared(one) < BEGIN for one in anomalies)


@BOTH
@pytest.mark.parametrize("name", ["x{}", UUID])
def test_x7_what_is_far_slower_at_once_is_compared_with_a_good_one_right_before_it(config, name):
    """The first one, and those that follow; the commit that changed is the one that changed since then."""
    events = executions(3, BEGIN + 8, lambda n: 20.0, name=name)
    anomalies = slower(found(feed(workflow(), events, config)))
    assert len({number(one) for one in anomalies}) > 1
    for one in anomalies:
        assert BEGIN - 8 <= compared(one) < BEGIN
        before, now = f"{compared(one):04d}" * 3, f"{number(one):04d}" * 3
        assert any(f"from {before} to {now}" in step for step in one.investigation_steps)


@BOTH
@pytest.mark.parametrize(("name", "kept"), [("x{}", True), (UUID, True), ("x" * 37 + "{:04d}", False)])
def test_x7_commit_and_labels_are_those_of_the_execution_that_is_named(config, name, kept):
    events = executions(3, BEGIN, lambda n: 0.0, name=name, image="base:9", region="eu")
    events += executions(3, BEGIN + 40, lambda n: 3.0, name=name, image="base:10", region="eu")[BEGIN:]
    anomalies = [
        one
        for one in found(feed(workflow(), events, config))
        if one.metrics.unit == "s" and one.metrics.direction == "up" and number(one) >= BEGIN
    ]
    assert anomalies
    for one in anomalies:
        if kept:
            commit = f"{compared(one):04d}" * 3
            assert any(f"from {commit} to" in step for step in one.investigation_steps)
        else:
            assert any(
                step.startswith("Compare with the last good execution of 2026-") for step in one.investigation_steps
            )
        assert "New since then: image = base:10" in one.investigation_steps


def test_x7_what_has_been_slow_for_a_hundred_executions_is_usual_for_the_next():
    anomalies = slower(found(feed(workflow(), executions(2, BEGIN + 300, lambda n: 3.0), CLASSIC)))
    assert all(compared(one) < BEGIN for one in anomalies if number(one) < BEGIN + 100)
    late = [one for one in anomalies if number(one) > BEGIN + 150]
    assert late and all(compared(one) >= BEGIN for one in late)


def test_x7_after_a_new_normal_executions_are_compared_with_those_of_the_new_level():
    events = executions(4, BEGIN + 120, lambda n: 12.0 if n < 120 else 60.0)
    anomalies = found(feed(workflow(), events, ROBUST))
    assert any(one.end_reason == "new_normal" for one in anomalies)
    (last,) = [one for one in slower(anomalies) if number(one) == BEGIN + 119]
    assert compared(last) >= BEGIN


@BOTH
def test_x7_packed_between_any_two_executions_it_is_the_same(config):
    events = executions(5, BEGIN + 120, lambda n: 9.0 if n < 20 else 0.05 * n, name=UUID)
    kept, packed = workflow(), workflow()
    for event in events:
        alike = found(feed(kept, [event], config)), found(feed(packed, [event], config))
        assert alike[0] == alike[1]
        again = Baseline.unpack(packed.key, packed.pack())
        assert isinstance(again, WorkflowBaseline)
        packed = again
    assert kept.pack() == packed.pack() and kept.pack()[2] & USUAL_TIME


def test_x7_a_workflow_without_durations_keeps_no_usual_time():
    baseline = workflow()
    feed(baseline, [run(n, None) for n in range(60)], ROBUST)
    assert not baseline.pack()[2] & USUAL_TIME


@BOTH
def test_x7_a_state_of_the_former_version_learns_its_usual_time(config):
    """Without that part; a shift that begins 60 executions later is compared with what was before it."""
    events = executions(6, BEGIN + 40, lambda n: 2.5)
    baseline = workflow()
    feed(baseline, events[: BEGIN - 60], config)
    baseline.evidence.accept()
    packed = baseline.pack()
    assert not packed[2] & USUAL_TIME
    anomalies = slower(found(feed(Baseline.unpack(baseline.key, packed), events[BEGIN - 60 :], config)))
    assert anomalies and all(compared(one) < BEGIN for one in anomalies)

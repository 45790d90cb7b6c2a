"""X4: a duration that is absent is that of the two times; 0 and null are not recorded."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec import UNSET

from stream_detector.detect import Baseline, Config, WorkflowBaseline, profile_rules
from stream_detector.events import Completion
from tests.unit.detect.events_of import START, feed, workflow

FORMER = bytes.fromhex(
    "02010008a02c4d809b0100000000000000000000e3000802f24ab7e8e400090263570878e5000a02f5670f0fdd00030296499239de0004"
    "020079954edf000502ba289cd7e00006022c189ba0e10007028f8dff3ee74f000015000000000000000000000000000000000000000000"
    "000000000000010000000f1800000000000000000018a02c4d809b01000000000003000000783434000000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000002d00000000000000000000000000c2d56048b3f93b4000"
)
"""What 4659e91 (profile robust) kept of 45 executions of 100 s that said no duration: it never looked at the times."""

PROFILES = pytest.mark.parametrize("config", [Config("robust"), Config("classic")], ids=["robust", "classic"])


def lasting(number: int, seconds: float, **fields: Any) -> Completion:
    """An execution that says when it began and ended, an hour after the one before, and no more unless told to."""
    at = START + timedelta(hours=number)
    times = {"started_at": at, "finished_at": at + timedelta(seconds=seconds)}
    return Completion(execution_id=f"x{number}", workflow_id="nightly", status="success", **times | fields)


def slow_after(count: int, config: Config, **fields: Any) -> tuple[WorkflowBaseline, set[str]]:
    """What 900 s are after `count` executions of about 100 s: the baseline and the types that were found."""
    baseline = workflow()
    feed(baseline, [lasting(number, 100 + number % 5, **fields) for number in range(count)], config)
    (outcome,) = feed(baseline, [lasting(count, 900, **fields)], config)
    return baseline, {anomaly.anomaly_type for anomaly in outcome.anomalies}


@PROFILES
def test_x4_a_slow_execution_is_found_by_its_times_alone(config: Config) -> None:
    _, found = slow_after(45, config)
    assert "PerformanceDegradation" in found or "UnusualExecutionTime" in found


@PROFILES
@pytest.mark.parametrize("given", [None, 0.0])
def test_x4_null_and_0_are_neither_judged_nor_learned(config: Config, given: float | None) -> None:
    baseline, found = slow_after(45, config, duration_s=given)
    assert not found and baseline.days.mean == 0.0


@PROFILES
def test_x4_what_was_sent_counts_and_not_the_times(config: Config) -> None:
    assert not slow_after(45, config, duration_s=7.0)[1]


@pytest.mark.parametrize("profile", ["robust", "classic"])
def test_x4_the_setting_keeps_the_former_rule(profile: Any) -> None:
    config = Config(profile, duration_from_times=False)
    baseline, found = slow_after(45, config)
    assert not found and baseline.days.mean == 0.0


def test_x4_the_setting_holds_for_workflows_with_a_rule_of_their_own() -> None:
    config = Config("classic", profile_rules=profile_rules("nightly -> robust"), duration_from_times=False)
    assert not slow_after(45, config)[1]


@PROFILES
def test_x4_late_events_are_learned_by_their_times(config: Config) -> None:
    timed, untimed = workflow(), workflow()
    feed(timed, [lasting(100, 100.0), lasting(3, 60.0)], config)
    feed(untimed, [lasting(100, 100.0), lasting(3, 60.0, duration_s=None)], config)
    assert timed.pack() != untimed.pack()


@PROFILES
def test_x4_times_that_are_the_same_are_not_recorded(config: Config) -> None:
    baseline = workflow()
    feed(baseline, [lasting(number, 0.0) for number in range(40)], config)
    assert baseline.days.mean == 0.0


def test_x4_a_key_of_the_former_version_starts_to_learn_and_opens_nothing_before_30() -> None:
    baseline = Baseline.unpack("workflow:nightly", FORMER)
    assert isinstance(baseline, WorkflowBaseline)
    config, first = Config("robust"), 45
    seconds = [100.0] * 14 + [900.0] + [100.0 + number % 5 for number in range(15)]
    quiet = feed(baseline, [lasting(first + number, took) for number, took in enumerate(seconds)], config)
    assert not any(outcome.anomalies for outcome in quiet)
    (outcome,) = feed(baseline, [lasting(first + 40, 9_000.0)], config)
    assert outcome.anomalies


def test_x4_the_event_is_kept_as_it_came() -> None:
    assert lasting(1, 100.0).duration_s is UNSET

"""EXPECT_RULES with the id of a workflow: its runs are expected from when the detector first ran with the rule.

Situations that would break it: a job that never ran; a restart, which must not begin anew; another rule; a rule that an
earlier one shadows; profile `classic`, whose clock is off; a workflow that has variants, some of them of branches.
"""

import pytest

from stream_detector.detect import Baseline, Config, WorkflowBaseline, profile_rules
from stream_detector.detect.expected import ExpectedWorkflow, expect_runs, expected_workflows
from stream_detector.detect.replay import Baselines, Replayer
from stream_detector.detect.times import Miss
from stream_detector.detect.wording import instant
from stream_detector.events.variant import workflow_key
from stream_detector.timing_rules import expect_rules, expectation
from tests.unit.detect.events_of import feed, run, runs, workflow

DAY, NOW_S = 86_400, 1_796_000_000
NIGHTLY = ExpectedWorkflow("nightly", expectation("every 24h"))
KEY = "workflow:nightly"


def names(config: Config) -> list[str]:
    return [each.workflow_id for each in expected_workflows(config)]


def reread(baseline: WorkflowBaseline) -> WorkflowBaseline:
    copy = Baseline.unpack(baseline.key, baseline.pack())
    assert isinstance(copy, WorkflowBaseline)
    return copy


def test_x31_a_job_that_never_ran_has_a_state_that_is_due() -> None:
    (made,) = expect_runs(Baselines(), NIGHTLY, NOW_S)
    copy = reread(made)
    assert (copy.key, copy.due_s) == (KEY, NOW_S + DAY + DAY // 10)
    assert copy.times is not None and (copy.times.last_id, copy.times.since_s) == ("", NOW_S)


def test_x31_after_a_restart_it_counts_on() -> None:
    states = Baselines()
    (made,) = expect_runs(states, NIGHTLY, NOW_S)
    states[KEY] = reread(made)
    assert expect_runs(states, NIGHTLY, NOW_S + 5000) == []
    with_grace = NIGHTLY._replace(expectation=expectation("every 24h grace 1h"))
    assert expect_runs(states, with_grace, NOW_S + 5000) == []


@pytest.mark.parametrize("other", ["every 12h", "daily 02:00", "daily 02:00 Europe/Berlin", "0 2 * * 1"])
def test_x31_with_another_rule_it_counts_anew(other: str) -> None:
    states = Baselines()
    (states[KEY],) = expect_runs(states, NIGHTLY, NOW_S)
    times = states[KEY].times
    times.misses, times.retired, times.given.due_s = [Miss(1, 2), Miss(3, 4), Miss(5, 6)], True, 0
    states[KEY].due_s = times.due_s = 0
    (again,) = expect_runs(states, ExpectedWorkflow("nightly", expectation(other)), NOW_S + 40 * DAY)
    assert again.due_s == expectation(other).next_after(NOW_S + 40 * DAY)[1]
    assert again.times.since_s == NOW_S + 40 * DAY and again.times.misses == []


def test_x31_a_job_that_died_before_is_expected_from_now_on_and_keeps_what_was_learned() -> None:
    states, config = Baselines(), Config(expect_rules=expect_rules("nightly -> every 24h"))
    baseline = workflow()
    feed(baseline, runs([100.0] * 40))
    before, last_s = baseline.pack(), baseline.newest_ms // 1000
    states[KEY] = baseline
    (counted,) = expect_runs(states, NIGHTLY, NOW_S)
    assert counted.due_s == NOW_S + DAY + DAY // 10
    states[KEY] = reread(counted)
    (found,) = states.due(config, 1000 * (NOW_S + 2 * DAY))
    assert found.description.endswith(f"the last run was {instant(1000 * last_s)}") and found.execution_id is None
    counted.forget_times()
    assert counted.pack() == before


def test_x31_a_job_that_ran_lately_is_expected_a_day_after_its_last_run() -> None:
    baseline = workflow()
    feed(baseline, runs([100.0] * 4))
    last_s = baseline.newest_ms // 1000
    (counted,) = expect_runs(Baselines({KEY: baseline}), NIGHTLY, last_s + 3600)
    assert counted.due_s == last_s + DAY + DAY // 10


@pytest.mark.parametrize(
    ("variant", "key"),
    [
        ("schedule", workflow_key("nightly", "schedule")),
        ("default branch", workflow_key("nightly", "default branch")),
        ("pull request", KEY),
        ("child:unnamed", KEY),
    ],
)
def test_x31_the_first_run_may_be_of_a_variant_but_not_of_branches(variant: str, key: str) -> None:
    config = Config(expect_rules=expect_rules("nightly -> every 24h"))
    states = Baselines()
    states.expect(config, NOW_S)
    states.apply(run(0, workflow_id="nightly", variant=variant), config, 1000 * NOW_S)
    assert [one for one, baseline in states.items() if baseline.times and baseline.times.since_s == NOW_S] == [key]


def test_x31_a_replay_expects_runs_from_its_first_event_on() -> None:
    replayer = Replayer(Config(expect_rules=expect_rules("nightly -> every 24h")))
    first = run(0, workflow_id="other")
    replayer.apply(first, 1000 * NOW_S)
    replayer.apply(run(1, workflow_id="other"), 1000 * NOW_S + 5000)
    assert replayer.baselines[KEY].times.since_s == NOW_S
    without = Replayer(Config(expect_rules=expect_rules("nightly -> every 24h")))
    without.apply(first, -1)
    assert without.baselines[KEY].times.since_s == int(first.finished_at.timestamp())


def test_the_first_rule_that_matches_holds() -> None:
    rules = (
        "a -> off, b* -> every 1h, a -> every 24h, b1 -> every 24h, c -> every 24h, team=core -> every 24h, d? -> off"
    )
    config = Config(expect_rules=expect_rules(rules))
    assert [(each.workflow_id, each.expectation.interval_s) for each in expected_workflows(config)] == [
        ("b1", 3600),
        ("c", DAY),
    ]


def test_x30_where_the_clock_is_off_nothing_is_expected() -> None:
    rules = expect_rules("nightly -> every 24h, weekly -> every 7d")
    assert names(Config("classic", expect_rules=rules)) == []
    assert names(Config("classic", expect_rules=rules, clock="on")) == ["nightly", "weekly"]
    mixed = Config("classic", profile_rules=profile_rules("nightly -> robust"), expect_rules=rules)
    assert names(mixed) == ["nightly"]


def test_x31_of_a_workflow_with_variants_those_that_ran_are_expected_without_branches() -> None:
    states = Baselines()
    for variant in ("schedule", "pull request"):
        states.apply(run(0, workflow_id="nightly", variant=variant), Config(clock="off"))
    assert [each.key for each in expect_runs(states, NIGHTLY, NOW_S)] == ["workflow/schedule:nightly"]

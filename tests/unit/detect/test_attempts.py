"""X34: streaks and failure rates of `robust` count executions; `classic` counts attempts, to the letter."""

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from stream_detector.detect import Baseline, Config, WorkflowBaseline, step
from stream_detector.detect.codec.recent_ids import RECENT_IDS, hash_of_id, is_recent, remember, remember_uncounted
from stream_detector.detect.statistics.days import Days
from stream_detector.detect.statistics.failures import Failures
from stream_detector.events import Completion
from tests.unit.detect.events_of import CLASSIC, START, feed, found, kinds, run, workflow

ROBUST = Config(profile="robust")
LETTERS = {"S": "success", "F": "failure", "C": "cancellation"}


def attempts(words: str) -> Iterator[Completion]:
    """Executions, each a word: `FS` fails and its second attempt succeeds. Five minutes apart, without durations."""
    at = START
    for number, word in enumerate(words.split()):
        for attempt, letter in enumerate(word, 1):
            at += timedelta(minutes=5)
            yield run(number, None, LETTERS[letter], at=at, attempt=attempt)


def after(words: str, config: Config = ROBUST) -> tuple[WorkflowBaseline, list[Any]]:
    """The baseline, packed and read again after each event, and what was found."""
    baseline = workflow()
    outcomes = []
    for event in attempts(words):
        outcomes.append(step(baseline, event, config))
        again = Baseline.unpack(baseline.key, baseline.pack())
        assert isinstance(again, WorkflowBaseline)
        baseline = again
    return baseline, kinds(found(outcomes))


@pytest.mark.parametrize(
    ("words", "streak", "incidents"),
    [
        ("S FFFFF", 1, 0),  # one execution that fails five times is one failure
        ("S F FS", 0, 0),
        ("F F FFF", 3, 1),
        ("F F F FS", 0, 2),  # opened by the third; the fourth is flaky, and its success ends it
        ("F F FS F F", 2, 2),
        ("F F FCS", 0, 2),  # a cancelled attempt between them
        ("F F C F", 3, 1),
        ("S SF SF SF", 0, 0),  # an execution that ended well stays well
        ("F F CF", 3, 1),  # the cancelled attempt did not count, the second does
        ("F CS", 0, 0),
    ],
)
def test_x34_a_streak_counts_executions(words: str, streak: int, incidents: int) -> None:
    baseline, seen = after(words)
    assert (baseline.streak, len(seen)) == (streak, incidents)


def test_x34_flaky_executions_leave_the_rate_of_a_workflow_that_succeeds() -> None:
    random = Random(1)
    flaky, _ = after(" ".join(random.choice(("S", "S", "FS", "FFS")) for _ in range(120)))
    well, _ = after(" ".join("S" * 120))
    assert (flaky.failures.n, flaky.failures.outcomes) == (well.failures.n, well.failures.outcomes)
    assert flaky.failures.failed == pytest.approx(well.failures.failed, abs=1e-9)
    assert flaky.failures.counted == pytest.approx(well.failures.counted)
    assert flaky.days.outcomes() == well.days.outcomes()


def test_x34_a_broken_workflow_that_is_retried_is_found_once_for_each_execution() -> None:
    steady = "S " * 60
    _, retried = after(steady + "FF FF FF FF FF")
    _, plain = after(steady + "F F F F F")
    assert retried == plain
    assert ("ConsecutiveFailures", "critical", "ongoing") in retried


def test_x34_classic_counts_attempts() -> None:
    baseline, seen = after("S FFFFF", CLASSIC)
    assert baseline.streak == 5
    assert [one for one in seen if one[0] == "ConsecutiveFailures"] == [
        ("ConsecutiveFailures", "warning", "opened"),
        ("ConsecutiveFailures", "critical", "ongoing"),
    ]


def test_x34_an_attempt_after_another_execution_counts() -> None:
    baseline = workflow()
    first, second, again = run(0, None, "failure"), run(1, None, "failure"), run(0, None, "failure", attempt=2)
    feed(baseline, [first, second], ROBUST)
    feed(baseline, [run(2, None, "failure", execution_id=again.execution_id, attempt=2)], ROBUST)
    assert baseline.streak == 3


def test_x34_a_late_execution_between_two_attempts_changes_nothing() -> None:
    baseline = workflow()
    late = run(0, None, "failure", execution_id="late")
    feed(baseline, [run(100, None, "failure"), late], ROBUST)
    gates: list[str] = []
    step(baseline, run(101, None, execution_id="x100", attempt=2), ROBUST, explain=gates)
    assert baseline.streak == 0
    assert "attempt 2 of the last execution, which has succeeded, so its failure does not count" in " ".join(gates)


def test_x34_an_attempt_that_repeats_says_so() -> None:
    baseline = workflow()
    gates: list[str] = []
    feed(baseline, [run(0, None, "failure")], ROBUST)
    step(baseline, run(1, None, "failure", execution_id="x0", attempt=2), ROBUST, explain=gates)
    assert "counts once in streaks and failure rates" in gates[0]


def test_x34_a_key_that_changes_from_classic_begins_to_count_executions() -> None:
    baseline, _ = after("F F", CLASSIC)
    feed(baseline, [run(20, None, "failure", execution_id="x1", attempt=2)], ROBUST)
    assert baseline.streak == 3  # the profile kept no outcome of it yet
    feed(baseline, [run(21, None, "failure", execution_id="x1", attempt=3)], ROBUST)
    assert baseline.streak == 3


def test_x34_failures_in_a_row_of_branches_count_executions() -> None:
    baseline = Baseline.new("workflow/pull%20request:nightly")
    for number in range(3):
        for attempt in (1, 2, 3):
            event = run(number * 3 + attempt, None, "failure", execution_id=f"x{number}", attempt=attempt)
            event = type(event)(**{name: getattr(event, name) for name in event.__struct_fields__} | _BRANCH)
            step(baseline, event, ROBUST)
    assert isinstance(baseline, WorkflowBaseline) and baseline.variant_state is not None
    assert (baseline.streak, len(baseline.variant_state.branches)) == (3, 12)


_BRANCH = {"variant": "pull request", "labels": {"branch": "topic"}}


def test_an_outcome_that_is_taken_out_leaves_what_was_before_it() -> None:
    random = Random(2)
    with_one, without = Failures(), Failures()
    for _ in range(40):
        failed = random.random() < 0.3
        with_one.learn(True)
        with_one.unlearn()
        with_one.learn(failed)
        without.learn(failed)
    assert (with_one.n, with_one.outcomes) == (without.n, without.outcomes)
    assert with_one.failed == pytest.approx(without.failed)


@pytest.mark.parametrize("later_days", [0, 2])
def test_a_failure_is_taken_out_of_its_day(later_days: int) -> None:
    days = Days()
    days.add(10, True, 1.0)
    if later_days:
        days.add(10 + later_days, False, 1.0)
    days.take_failure_out()
    assert days.outcomes() == (1 + (later_days > 0), 0)
    days.take_failure_out()
    assert days.outcomes() == (1 + (later_days > 0), 0)


def test_ids_that_do_not_count_are_remembered_before_the_last() -> None:
    ids = remember_uncounted(b"", hash_of_id("a", 1))
    for name in "bcdefghijkl":
        ids = remember(ids, hash_of_id(name, 1))
        ids = remember_uncounted(ids, hash_of_id(name + "'", 1))
        assert ids[-8:] == remember(b"", hash_of_id(name, 1))
        assert is_recent(ids, hash_of_id(name + "'", 1))
    assert len(ids) == 8 * RECENT_IDS

"""Runs of workflows that a rule of EXPECT_RULES names by id: expected also where none has ever come.

They count from when a detector first ran with the rule, which the state keeps with a hash of what the rule expects:
after a restart it counts on, with another rule it counts anew. A workflow without a state gets one, of no runs.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from stream_detector.detect.baseline import Baseline, WorkflowBaseline
from stream_detector.detect.codec.crc32 import crc32_of
from stream_detector.detect.config import Config
from stream_detector.detect.times import MOST_MISSES, Times
from stream_detector.detect.variant_state import is_of_branches
from stream_detector.events.ids import SEPARATOR
from stream_detector.events.variant import key_parts, workflow_key
from stream_detector.timing_rules import OFF, Expectation


class ExpectedWorkflow(NamedTuple):
    """A workflow that a rule names, and when its runs are expected."""

    workflow_id: str
    expectation: Expectation


class States(Protocol):
    """Where the baselines of a workflow are."""

    def open(self, key: str) -> Baseline | None:
        """A copy of the baseline, or the baseline itself; None where the key has none."""

    def keys_named(self, named: str) -> Sequence[str]:
        """The key of a workflow without a variant, and those of its variants."""


def expected_workflows(config: Config) -> list[ExpectedWorkflow]:
    """Those that a rule names by id, where their runs are watched; the first rule that matches holds."""
    ids = dict.fromkeys(rule.workflow_id for rule in config.expect_rules if rule.workflow_id)
    found = ((workflow_id, config.expectation(workflow_id, {})) for workflow_id in ids)
    return [
        ExpectedWorkflow(workflow_id, expectation)
        for workflow_id, expectation in found
        if expectation is not None and expectation is not OFF and config.for_key(workflow_id, {}).has_clock
    ]


def expect_runs(states: States, workflow: ExpectedWorkflow, now_s: int) -> list[WorkflowBaseline]:
    """The baselines of the workflow that count from now on; none where all of them counted already.

    Of a workflow with variants these are the variants that have run, without those of branches.

    Args:
        now_s: epoch s, by the clock that decides what is due.
    """
    own, changed = workflow_key(workflow.workflow_id), list[WorkflowBaseline]()
    known = [(key, baseline) for key in states.keys_named(own) if (baseline := states.open(key)) is not None]
    for key, baseline in known or [(own, WorkflowBaseline(own))]:
        if is_of_branches(key_parts(key).variant) or not isinstance(baseline, WorkflowBaseline):
            continue
        if _count(baseline, workflow.expectation, now_s):
            changed.append(baseline)
    return changed


def _count(baseline: WorkflowBaseline, expectation: Expectation, now_s: int) -> bool:
    """Count from now on; False where it counts under this rule already."""
    rule = hash_of(expectation)
    times = baseline.times
    if times is not None and times.rule == rule:
        return False
    if times is None:
        times, baseline.rest = Times(), 0
        baseline.times = times
    if len(times.misses) >= MOST_MISSES:  # by another rule, or none, it was taken for retired
        times.misses = []
    times.rule, times.since_s = rule, now_s
    due_s = expectation.next_after(now_s)[1]
    baseline.due_s = min(baseline.due_s, due_s) if baseline.due_s else due_s
    return True


def hash_of(expectation: Expectation) -> int:
    """Of when runs are expected, not of the grace period; never 0."""
    parts = str(expectation.interval_s), expectation.cron, expectation.zone
    return crc32_of(SEPARATOR.join(parts)) or 1

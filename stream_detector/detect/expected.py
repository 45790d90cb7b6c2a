"""Runs of workflows that a rule of EXPECT_RULES names by id: expected also where none has ever come.

They count from when a detector first ran with the rule, which the state keeps with a hash of what the rule expects:
after a restart it counts on, with another rule it counts anew. A workflow without a state gets one, of no runs.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from stream_detector.detect.baseline import Baseline, WorkflowBaseline
from stream_detector.detect.config import Config
from stream_detector.detect.missed import follow_rule
from stream_detector.detect.times import Times
from stream_detector.detect.variant_state import is_of_branches
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
    times = baseline.times
    if times is not None and times.rule == expectation.code:
        return False
    if times is None:
        times, baseline.rest = Times(), 0
        baseline.times = times
    if times.retired:  # by another rule, or by what was learned
        times.end_misses()
    if not times.last_s and baseline.ids:
        times.last_s = baseline.newest_ms // 1000
    times.rule, times.since_s = expectation.code, now_s
    follow_rule(baseline, times, expectation, now_s)
    baseline.set_due()
    return True

"""The rules that both profiles judge an execution by in the same way, in the order of the registry."""

from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.detect.finding import Finding
from stream_detector.detect.rules.registry import RULES
from stream_detector.events import Completion

_JUDGES = tuple(rule.judge for rule in RULES.values() if rule.judge is not None)
ALWAYS = any(rule.judges_all for rule in RULES.values())
"""Whether a rule looks at executions of any kind, also those without steps and resources."""


def judge(
    baseline: WorkflowBaseline, event: Completion, failed: bool, explain: list[str] | None
) -> tuple[list[Finding], list[Finding]]:
    """Score one execution by each rule.

    Returns:
        The findings, and the ends of open incidents.
    """
    found: list[Finding] = []
    ended: list[Finding] = []
    for judge_one in _JUDGES:
        more, more_ended = judge_one(baseline, event, failed, explain)
        found += more
        ended += more_ended
    return found, ended

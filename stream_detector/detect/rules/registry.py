"""The registry of rules: one entry for each type of anomaly, in addition to its description in `events/anomaly_types`.

A rule lies in the file of its name in this folder. A new type of anomaly takes three files and what `make generate`
writes: `events/anomaly_types.py` (name, words, severities, a new code), `detect/rules/<rule>.py` (what it finds) and
this one. A rule that judges single executions in both profiles alike gives its entry a `judge` and is called from then
on. Only one that keeps numbers of its own also takes `detect/baseline.py`: a part with `pack` and `fill`, and a new
version of the layout.

>>> from stream_detector.events.anomaly_types import TYPES
>>> {rule.anomaly_type for rule in RULES.values()} == set(TYPES)
True
>>> RULES["resource_exhaustion"].state
('resources',)
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.detect.finding import Finding
from stream_detector.detect.rules import (
    consecutive_failures,
    pattern_deviation,
    performance_degradation,
    resource_exhaustion,
    significant_score_change,
    spike_in_failures,
    unusual_execution_time,
)
from stream_detector.events import AnomalyType, Completion

Judge = Callable[
    [WorkflowBaseline, Completion, bool, list[str] | None],
    tuple[list[Finding], list[Finding]],
]
"""baseline, event, whether it failed, explanation -> findings, and the ends of open incidents."""


class Rule(NamedTuple):
    """How one type of anomaly is found.

    Attributes:
        name: the rule's, as in `detector` of an anomaly.
        anomaly_type: what it finds.
        state: the parts of a baseline that it judges by, each with `pack` and `fill`; each is listed in `codec/packed`.
        judge: how both profiles judge an execution by it; None where `judge.py` or `step_score.py` calls it.
        judges_all: `judge` looks at executions without steps and resources as well, which costs each event its call.
        subject_kind: what the subject of its findings is, where it is a thing that the anomaly touches.
        first_step: the investigation step of a finding that comes before all others, None where it has none of its own.
    """

    name: str
    anomaly_type: AnomalyType
    state: tuple[str, ...]
    judge: Judge | None = None
    judges_all: bool = False
    subject_kind: str | None = None
    first_step: Callable[[Finding], str | None] | None = None


_ENTRIES: Final = (
    Rule(spike_in_failures.NAME, "SpikeInFailures", ("history", "failures")),
    Rule(consecutive_failures.NAME, "ConsecutiveFailures", ("streak",)),
    Rule(unusual_execution_time.NAME, "UnusualExecutionTime", ("history", "level")),
    Rule(performance_degradation.NAME, "PerformanceDegradation", ("history", "level")),
    Rule(
        resource_exhaustion.NAME,
        "ResourceExhaustion",
        ("resources",),
        judge=resource_exhaustion.judge,
        subject_kind="resource",
        first_step=resource_exhaustion.first_step,
    ),
    Rule(
        pattern_deviation.NAME,
        "PatternDeviation",
        ("days", "evidence", "level", "drift"),
        judge=pattern_deviation.judge,
        first_step=pattern_deviation.first_step,
    ),
    Rule(significant_score_change.NAME, "SignificantScoreChange", ("previous",)),
)

RULES: Final = {rule.name: rule for rule in _ENTRIES}
"""Name -> entry, in the order in which executions are judged."""

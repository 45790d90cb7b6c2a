"""The types of anomaly: one entry each, which everything that names, words or sorts anomalies reads.

Schemas, the metrics' label, messages, the page, the API and docs take names and words from here, or are tested against
it. What judges lies in `detect/rules`, one file a type, and is registered in `detect/rules/registry.py`.

A new type touches, besides its tests and docs: this file (its name in `AnomalyType` and its entry in `TYPES`),
`detect/rules/<rule>.py` (the rule), `detect/rules/registry.py` (one entry), and what `make generate` writes anew.

>>> TYPES["SpikeInFailures"].title, TYPES["SpikeInFailures"].has_end("classic", "warning")
('Spike in failures', True)
>>> describe("StuckQueue").title
'StuckQueue'
"""

from types import MappingProxyType
from typing import Final, Literal, NamedTuple

AnomalyType = Literal[
    "SpikeInFailures",
    "ConsecutiveFailures",
    "UnusualExecutionTime",
    "PerformanceDegradation",
    "PatternDeviation",
    "ResourceExhaustion",
    "SignificantScoreChange",
]
Severity = Literal["info", "warning", "critical"]
Profile = Literal["classic", "robust"]

SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
"""From the least to the most severe."""
CLOCK_RULES: Final = ("missed_run", "still_running")
"""As in `detector` of an anomaly: what is found without an event, in either profile and with an end, whatever its type
says of its own rule."""


class TypeInfo(NamedTuple):
    """What is known of a type of anomaly without judging anything.

    Attributes:
        name: as in `anomaly_type` of an anomaly, in metrics' labels, in routes and in queries.
        title: the name in messages and on the page.
        description: one sentence for people: what has happened when this is reported.
        rule: as in `detector` of an anomaly; the name of the file in `detect/rules`.
        code: the rule's number in packed states, 0 to 255: never changed, and never given to another rule.
        severities: those it can have, the least first; `info` also marks the end of an incident.
        entity_kinds: what it is found for.
        is_timing: it is about execution time, so the step that grew comes before the step that failed.
        is_failure: it is about how often executions fail.
        ends: whether detection reports the end of an incident: always, never, or in profile `robust` alone, and there
            of what is more than `info`.
        in_run_summary: the summary of a score run lists it, and no message of its own is sent.
        threshold_unit: what `metrics.threshold` is counted in: `value` (as `current_value`), `z` (standard deviations),
            `z_or_rarity` (z in profile `classic`; in `robust` the rarity -log10 p, so 2 is one in 100), or
            `value_or_z` (`value` where the unit is `ratio`, else z).
    """

    name: str
    title: str
    description: str
    rule: str
    code: int
    severities: tuple[Severity, ...]
    entity_kinds: tuple[Literal["workflow", "score"], ...] = ("workflow",)
    is_timing: bool = False
    is_failure: bool = False
    ends: Literal["always", "robust", "never"] = "always"
    in_run_summary: bool = False
    threshold_unit: Literal["value", "z", "z_or_rarity", "value_or_z"] = "value"

    def has_end(self, profile: str, severity: str, rule: str = "") -> bool:
        """Whether detection reports when an anomaly of this type, profile, severity and rule is over."""
        if rule in CLOCK_RULES:
            return True
        if self.ends == "robust":
            return profile == "robust" and severity != "info"  # in `classic` each reading stands by itself
        return self.ends == "always"


_ENTRIES: Final = (
    TypeInfo(
        name="SpikeInFailures",
        title="Spike in failures",
        description="The last 10 executions failed much more often than this workflow usually does.",
        rule="spike_in_failures",
        code=2,
        severities=("info", "warning", "critical"),
        is_failure=True,
        threshold_unit="z",
    ),
    TypeInfo(
        name="ConsecutiveFailures",
        title="Consecutive failures",
        description="The workflow has failed three times in a row, or five.",
        rule="consecutive_failures",
        code=3,
        severities=("info", "warning", "critical"),
        is_failure=True,
    ),
    TypeInfo(
        name="UnusualExecutionTime",
        title="Unusual execution time",
        description="An execution took much longer, or much shorter, than this workflow usually takes.",
        rule="unusual_execution_time",
        code=0,
        severities=("info", "warning", "critical"),
        is_timing=True,
        ends="robust",
        threshold_unit="z_or_rarity",
    ),
    TypeInfo(
        name="PerformanceDegradation",
        title="Performance degradation",
        description="The workflow has become slower than its baseline.",
        rule="performance_degradation",
        code=1,
        severities=("info", "warning", "critical"),
        is_timing=True,
        ends="robust",
        threshold_unit="z_or_rarity",
    ),
    TypeInfo(
        name="PatternDeviation",
        title="Pattern deviation",
        description="New steps, a volume or drift, a new usual time, a missing run or entity, a wrong clock.",
        rule="pattern_deviation",
        code=4,
        severities=("info", "warning"),
        entity_kinds=("workflow", "score"),
        ends="never",
    ),
    TypeInfo(
        name="ResourceExhaustion",
        title="Resource exhaustion",
        description="A resource is at its limit, or will be within a few executions.",
        rule="resource_exhaustion",
        code=5,
        severities=("info", "warning", "critical"),
        threshold_unit="value_or_z",
    ),
    TypeInfo(
        name="SignificantScoreChange",
        title="Significant score change",
        description="A score moved by its threshold or more, up or down.",
        rule="significant_score_change",
        code=6,
        severities=("warning", "critical"),
        entity_kinds=("score",),
        ends="never",
        in_run_summary=True,
    ),
)

TYPES: Final = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""Name -> entry, in the order in which people see them."""


def describe(name: str) -> TypeInfo:
    """The entry of a type; for one of a later version an entry that says its name and expects nothing of it (X12)."""
    known = TYPES.get(name)
    if known is not None:
        return known
    return TypeInfo(
        name=name,
        title=name,
        description="An anomaly type that this version does not know.",
        rule=name,
        code=-1,
        severities=SEVERITIES,
        entity_kinds=("workflow", "score"),
        ends="never",
    )

"""Anomaly v1: what was found, with its evidence.

A later version may write a type, severity, state, profile or kind that this one does not know. It is read as it is, as
text within the limits, so that an older recorder, notifier, API or page stores, sends and shows it: the types below
that end in `Name`. What this version itself finds is typed more narrowly (`anomaly_types`, `State`, `EntityKind`).
"""

from decimal import Decimal
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from stream_detector.events.anomaly_types import SEVERITIES, TYPES, Profile
from stream_detector.events.fields import Id, Instant, Labels, Name, SourceName, Text, Url
from stream_detector.events.variant import Variant

State = Literal["opened", "ongoing", "resolved"]
EntityKind = Literal["workflow", "score"]
EndReason = Literal["recovered", "new_normal", "operator", "retired", "superseded"]
"""Why an incident ended: it is inside the gates of before again; detection has accepted what lasts; a person said so;
its entity was retired; its baseline was replaced (relearn)."""
STATES: tuple[State, ...] = get_args(State)
ENTITY_KINDS: tuple[EntityKind, ...] = get_args(EntityKind)


def _known(*values: str) -> Meta:
    """The values known today, under the keyword that generators of clients read for a list that may grow."""
    return Meta(extra_json_schema={"x-extensible-enum": list(values)})


_Word = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="A later version may add values; show an unknown value as it is.",
    ),
]
AnomalyTypeName = Annotated[_Word, _known(*TYPES)]
SeverityName = Annotated[_Word, _known(*SEVERITIES)]
StateName = Annotated[_Word, _known(*STATES)]
EntityKindName = Annotated[_Word, _known(*ENTITY_KINDS)]
EndReasonName = Annotated[_Word, _known(*get_args(EndReason))]
ProfileName = Annotated[_Word, _known(*get_args(Profile))]
Direction = Annotated[_Word, _known("up", "down")]
AffectedKind = Annotated[_Word, _known("workflow", "execution", "step", "resource", "entity", "run")]


def severity_rank(severity: str) -> int:
    """0 for the least; a severity that this version does not know ranks above all, so that no threshold hides it.

    >>> [severity_rank(each) for each in ("info", "critical", "urgent")]
    [0, 2, 3]
    """
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


class Metrics(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=False):
    """The numbers behind an anomaly, in `unit`. `deviation` = `current_value` - `baseline_value`.

    For scores the numbers are the published decimals, so 5.8 - 7.5 is -1.7 and not -1.7000000000000002.
    """

    current_value: float
    baseline_value: float
    deviation: float
    z_score: float | None
    confidence: Annotated[float, Meta(ge=0, le=1)]
    unit: str
    direction: Direction
    threshold: float | None = None


class Affected(Struct, frozen=True, gc=False, omit_defaults=True):
    """One thing that the anomaly touches."""

    kind: AffectedKind
    id: Annotated[str, Meta(max_length=512)]
    name: Name | None = None


class ScorePair(Struct, frozen=True, gc=False, kw_only=True):
    """Two scores with the digits that their producer wrote, as JSON text; `metrics` has them as numbers."""

    previous: Decimal
    current: Decimal


class Anomaly(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One anomalous reading, or the end of an incident (`resolved`)."""

    schema_version: Literal[1]
    id: Id
    incident_id: Id
    state: StateName
    detected_at: Instant
    """The event's own time, not the clock's."""
    anomaly_type: AnomalyTypeName
    severity: SeverityName
    description: Text
    entity_id: Id
    entity_name: Name
    entity_kind: EntityKindName
    execution_id: Id | None = None
    attempt: int | None = None
    run_id: Id | None = None
    metrics: Metrics
    affected_entities: list[Affected]
    investigation_steps: list[Text]
    gates: list[Text]
    """Each gate that the reading passed, in order, in plain words with its numbers."""
    detector: Name
    profile: ProfileName
    duration_s: float | None = None
    """How long the incident lasted; on `resolved` alone."""
    end_reason: EndReasonName | None = None
    """Why the incident ended; on `resolved` alone, and absent from what older versions published."""
    labels: Labels = {}
    url: Url | None = None
    scores: ScorePair | None = None
    """Of a score change."""
    variant: Variant | None = None
    """Of which variant of the workflow; absent where its executions have none, and of a score."""
    excerpt: Annotated[str, Meta(max_length=1000)] | None = None
    """The last lines that the execution printed, shorter than those of the execution; absent on `resolved`."""
    published_at: Instant | None = None
    """The timestamp of the record that carried the event, also where it was passed on between partitions."""
    source: SourceName | None = None
    """The system that the workflow's events come from, on what is found without an event: a missed run, an execution
    that runs for too long."""

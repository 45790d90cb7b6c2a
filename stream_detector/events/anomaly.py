"""Anomaly v1: what was found, with its evidence."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from stream_detector.events.anomaly_types import AnomalyType, Profile, Severity
from stream_detector.events.fields import Id, Instant, Labels, Name, Text, Url

State = Literal["opened", "ongoing", "resolved"]
EntityKind = Literal["workflow", "score"]


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
    direction: Literal["up", "down"]
    threshold: float | None = None


class Affected(Struct, frozen=True, gc=False, omit_defaults=True):
    """One thing that the anomaly touches."""

    kind: Literal["workflow", "execution", "step", "resource", "entity", "run"]
    id: Annotated[str, Meta(max_length=512)]
    name: Name | None = None


class Anomaly(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One anomalous reading, or the end of an incident (`resolved`)."""

    schema_version: Literal[1]
    id: Id
    incident_id: Id
    state: State
    detected_at: Instant
    """The event's own time, not the clock's."""
    anomaly_type: AnomalyType
    severity: Severity
    description: Text
    entity_id: Id
    entity_name: Name
    entity_kind: EntityKind
    execution_id: Id | None = None
    attempt: int | None = None
    run_id: Id | None = None
    metrics: Metrics
    affected_entities: list[Affected]
    investigation_steps: list[Text]
    gates: list[Text]
    """Each gate that the reading passed, in order, in plain words with its numbers."""
    detector: Name
    profile: Profile
    duration_s: float | None = None
    """How long the incident lasted; on `resolved` alone."""
    labels: Labels = {}
    url: Url | None = None

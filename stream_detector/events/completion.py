"""Workflow completion v1: one finished execution of a workflow."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from stream_detector.events.fields import Excerpt, Id, Instant, Labels, Name, Seconds, SourceName, Url
from stream_detector.events.start import Start
from stream_detector.events.variant import Variant, variant_from_labels

Status = Literal["success", "failure", "error", "timeout", "cancellation", "skip"]
"""OpenTelemetry's `cicd.pipeline.result` values."""

FAILED: frozenset[str] = frozenset({"failure", "error", "timeout"})
COUNTED: frozenset[str] = FAILED | {"success"}
"""Cancellation and skip count in no rate, streak or duration."""


class Step(Struct, frozen=True, gc=False, omit_defaults=True):
    """One step of an execution; steps may overlap, so their sum may exceed the execution's duration."""

    name: Name
    status: Status | None = None
    duration_s: Seconds | None = None


class Resource(Struct, frozen=True, gc=False, omit_defaults=True):
    """Usage of one resource and its limit, if it has one, both in `unit`."""

    used: Annotated[float, Meta(ge=0, le=1e12)]
    limit: Annotated[float, Meta(gt=0, le=1e12)] | None = None
    unit: Annotated[str, Meta(max_length=32)] | None = None


class Completion(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One finished execution. Its state key is `workflow:<workflow_id>`, or that of its variant (`variant.py`).

    Its event id is `execution_id` + `attempt`.
    """

    execution_id: Id
    workflow_id: Id
    status: Status
    started_at: Instant
    finished_at: Instant
    workflow_name: Name | None = None
    duration_s: Seconds | UnsetType | None = UNSET
    """Absent: the two times tell it, see `recorded_duration_s`. 0 or null: not recorded; the outcome counts alone."""
    attempt: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    steps: Annotated[list[Step], Meta(max_length=1000)] = []
    resources: Annotated[dict[Name, Resource], Meta(max_length=64)] = {}
    labels: Labels = {}
    url: Url | None = None
    variant: Variant | None = None
    excerpt: Excerpt | None = None
    source: SourceName | None = None


_E = TypeVar("_E", bound=Completion | Start)


def with_variant(event: _E, variant_by: Sequence[str]) -> _E:
    """The event with the variant that its labels of these names give, where it names none itself (VARIANT_BY).

    >>> from datetime import UTC, datetime
    >>> at, labels = datetime(2026, 1, 22, tzinfo=UTC), {"trigger": "push"}
    >>> event = Completion(
    ...     execution_id="1", workflow_id="w", status="success", started_at=at, finished_at=at, labels=labels
    ... )
    >>> with_variant(event, ["trigger"]).variant
    'push'
    """
    if event.variant is not None or not variant_by:
        return event
    variant = variant_from_labels(event.labels, variant_by)
    return event if variant is None else replace(event, variant=variant)


_C = TypeVar("_C", bound=Completion)


def with_start(event: _C, started_at: datetime) -> _C:
    """The execution with the time of its start event, where its own times and `duration_s` tell no duration.

    >>> from datetime import UTC, timedelta
    >>> at = datetime(2026, 1, 22, tzinfo=UTC)
    >>> event = Completion(execution_id="1", workflow_id="w", status="success", started_at=at, finished_at=at)
    >>> recorded_duration_s(with_start(event, at - timedelta(seconds=93)))
    93.0
    """
    if recorded_duration_s(event) or started_at >= event.finished_at:
        return event
    return replace(event, started_at=started_at, duration_s=(event.finished_at - started_at).total_seconds())


def recorded_duration_s(event: Completion, from_times: bool = True) -> float:
    """How long the execution took, in seconds; 0.0 where that is not recorded, so it is neither judged nor learned.

    A `duration_s` that is absent is `finished_at - started_at`. A source that knows the end alone repeats it as the
    start, so a difference of 0 is not recorded. Null or 0 is the producer's word that it is not known.

    Args:
        from_times: the setting DURATION_FROM_TIMES; without it an absent duration is not recorded.

    >>> from datetime import UTC, datetime, timedelta
    >>> at = datetime(2026, 1, 22, tzinfo=UTC)
    >>> event = Completion(
    ...     execution_id="1", workflow_id="w", status="success", started_at=at, finished_at=at + timedelta(seconds=93)
    ... )
    >>> recorded_duration_s(event), recorded_duration_s(event, from_times=False)
    (93.0, 0.0)
    """
    given = event.duration_s
    if given is UNSET:
        return (event.finished_at - event.started_at).total_seconds() if from_times else 0.0
    return given or 0.0

"""Workflow completion v1: one finished execution of a workflow."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from stream_detector.events.fields import Id, Instant, Labels, Name, Seconds, Url

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
    """One finished execution. Its state key is `workflow:<workflow_id>`, its event id `execution_id` + `attempt`."""

    execution_id: Id
    workflow_id: Id
    status: Status
    started_at: Instant
    finished_at: Instant
    workflow_name: Name | None = None
    duration_s: Seconds | None = None
    """Absent or 0 means not recorded: the outcome counts, the time is neither judged nor learned."""
    attempt: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    steps: Annotated[list[Step], Meta(max_length=1000)] = []
    resources: Annotated[dict[Name, Resource], Meta(max_length=64)] = {}
    labels: Labels = {}
    url: Url | None = None

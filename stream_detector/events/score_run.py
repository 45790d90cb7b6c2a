"""Score run v1: a scoring run has started, completed or failed."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from stream_detector.events.fields import Id, Instant, Labels, Text, Url

RunStatus = Literal["started", "completed", "failed"]


class ScoreRun(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Where a scoring run stands. A run ends by `completed` or `failed` and the expected count, or by time-out."""

    run_id: Id
    status: RunStatus
    at: Instant
    expected: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None
    """How many entities the run scores; absent means: as many as have come when it completes."""
    error: Text | None = None
    labels: Labels = {}
    url: Url | None = None

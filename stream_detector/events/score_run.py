"""Score run v1: a score run has started, completed or failed."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from stream_detector.events.fields import Id, Instant, Labels, Text, Url

RunStatus = Literal["started", "completed", "failed"]


class ScoreRun(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Progress of a score run. It ends with `completed` and the expected count, with `failed`, or by a timeout."""

    run_id: Id
    status: RunStatus
    at: Instant
    expected: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None
    """How many entities the run scores; absent: the number received when it completes."""
    error: Text | None = None
    labels: Labels = {}
    url: Url | None = None

"""Run part (internal, topic `run-parts`): what one score, or one run event, means for its run."""

from typing import Literal

from msgspec import Struct

from stream_detector.events.anomaly import Anomaly
from stream_detector.events.fields import Id, Instant, Name, Text


class RunPart(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One entity's outcome within a run (`scored`, `failed`), or the run's own event (`run_started`, ...)."""

    run_id: Id
    kind: Literal["scored", "failed", "run_started", "run_completed", "run_failed"]
    at: Instant
    entity_id: str = ""
    """Empty for the run's own events."""
    entity_name: Name = ""
    entity_type: Name | None = None
    anomaly: Anomaly | None = None
    expected: int | None = None
    error: Text | None = None

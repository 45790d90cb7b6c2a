"""What `step` answers."""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from stream_detector.events import Anomaly, Move

OutcomeKind = Literal["applied", "started", "duplicate", "late", "backfilled", "ignored"]
"""started: the start of an execution; late: older than the newest by more than `LATE_MS`, learned (beyond 30 days only
counted) without alert; ignored: cancelled or skipped, counts in nothing."""


class Outcome(Struct, frozen=True, gc=False):
    """What became of one event, and the anomalies to publish: none, one or several (W3)."""

    kind: OutcomeKind
    anomalies: Sequence[Anomaly] = ()
    correction: str = ""
    """Of a duplicate that is not the same: what it says otherwise, and how to correct it."""
    moved: Move | None = None
    """Of a score that was learned."""


LATE_MS: Final = 3_600_000
"""An event older than the key's newest by more than an hour is late: no alert comes of it."""
APPLIED, DUPLICATE, LATE = Outcome("applied"), Outcome("duplicate"), Outcome("late")
BACKFILLED, IGNORED, STARTED = Outcome("backfilled"), Outcome("ignored"), Outcome("started")

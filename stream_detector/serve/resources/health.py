"""How the pipeline is: which part is away or behind, and what that means for what is shown."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from aiohttp import web
from msgspec import Struct

from stream_detector import __version__
from stream_detector.serve.app_keys import BROKER, DATABASE, LAG
from stream_detector.serve.responses import json_response
from stream_detector.store.connect import StoreAwayError
from stream_detector.store.progress import progress as recorder_progress


class Health(Struct, kw_only=True):
    """Each part of the pipeline as the API sees it."""

    status: Literal["ok", "degraded"]
    version: str
    database: Literal["ok", "away"]
    database_reason: str | None = None
    broker: Literal["ok", "away", "unset"]
    detector: Literal["ok", "behind", "unknown"]
    """behind: events arrive and the detector says nothing, so what is shown is stale; unknown: nothing tells."""
    recorded_at: datetime | None = None
    """When the recorder last stored something."""
    newest_event_at: datetime | None = None
    """The newest time of an execution or score that is stored."""
    detected_at: datetime | None = None
    """When the detector last changed a baseline."""
    behind: dict[Literal["detector", "recorder", "notifier"], int] | None = None
    """Records on Kafka that each role has not worked off, some seconds ago; null while that is not known."""
    reasons: list[str] = []
    """What is not well, in plain words."""


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DETECTOR_BEHIND_AFTER = timedelta(seconds=60)
"""The changelog follows an event within a checkpoint; so much later the detector is not there or does not keep up."""


async def pipeline(app: web.Application) -> Health:
    """Each part as the API sees it. Never raises: what is away is the answer."""
    broker = app[BROKER].state
    reasons = [f"Kafka: {app[BROKER].why_away}"] if broker == "away" else []
    known: dict[str, Any] = {}
    try:
        progress = await app[DATABASE].query(recorder_progress)
    except StoreAwayError as error:
        reasons.append(f"PostgreSQL: {error}")
        known = {"database": "away", "database_reason": str(error), "detector": "unknown"}
    else:
        behind = progress.events_at and (progress.baselines_at or EPOCH) < progress.events_at - DETECTOR_BEHIND_AFTER
        known = {
            "database": "ok",
            "detector": "behind" if behind else "ok" if progress.events_at else "unknown",
            "recorded_at": progress.recorded_at,
            "newest_event_at": progress.newest_event_at,
            "detected_at": progress.baselines_at,
        }
        if behind:
            since = f"{progress.baselines_at:%Y-%m-%d %H:%M:%S} UTC" if progress.baselines_at else "the beginning"
            reasons.append(
                f"events arrive, but the detector has reported nothing since {since}: the data shown is stale"
            )
    status, behind_by = "degraded" if reasons else "ok", app[LAG].records()
    return Health(status=status, version=__version__, broker=broker, behind=behind_by, reasons=reasons, **known)  # type: ignore[arg-type]


async def health(request: web.Request) -> web.Response:
    """Health of each part of the pipeline. The status is 200 even when degraded; the body names unavailable parts."""
    return json_response(await pipeline(request.app))

"""How the pipeline is: which part is away or behind, and what that means for what is shown."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from aiohttp import web
from msgspec import Struct

from stream_detector import __version__
from stream_detector.serve.app_keys import BROKER, PIPELINE, UNIQUE_IDS
from stream_detector.serve.pipeline import Part
from stream_detector.serve.responses import json_response
from stream_detector.store.progress import Progress


class Health(Struct, kw_only=True):
    """Each part of the pipeline as the API sees it."""

    status: Literal["ok", "degraded"]
    version: str
    database: Literal["ok", "away"]
    database_reason: str | None = None
    broker: Literal["ok", "away", "unset"]
    detector: Literal["ok", "behind", "away", "unknown"]
    """behind: events arrive and it does not get on, so what is shown is stale; away: no process of it answers."""
    recorded_at: datetime | None = None
    """When the recorder last stored something."""
    newest_event_at: datetime | None = None
    """The newest time of an execution or score that is stored."""
    detected_at: datetime | None = None
    """When the detector last changed a baseline."""
    behind: dict[Literal["detector", "recorder", "notifier"], int] | None = None
    """Records on Kafka that each role has not worked off, some seconds ago; null while that is not known."""
    reasons: list[str] = []
    """What is not well, in plain words; also advice about what producers send, which makes no status `degraded`."""
    parts: list[Part] = []
    """Kafka, PostgreSQL, each role and each channel, by what they answered within the last seconds."""


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DETECTOR_BEHIND_AFTER = timedelta(seconds=60)
"""The changelog follows an event within a checkpoint; so much later the detector is not there or does not keep up."""


async def pipeline_health(app: web.Application) -> Health:
    """Each part as the API sees it. Never raises: what is away is the answer."""
    pipeline = app[PIPELINE]
    await pipeline.ask_database()
    parts = pipeline.parts()
    by_name = {part.name: part for part in parts}
    reasons = [str(part) for part in parts if not part.is_well]
    known: dict[str, Any] = {"database": "ok", "broker": _broker(app, by_name)}
    if known["broker"] == "away" and by_name["kafka"].is_well:
        reasons.insert(0, f"Kafka: {app[BROKER].why_away}")
    if (progress := pipeline.progress) is None:
        known |= {"database": "away", "database_reason": by_name["postgresql"].reason}
    else:
        known |= {
            "recorded_at": progress.recorded_at,
            "newest_event_at": progress.newest_event_at,
            "detected_at": progress.baselines_at,
        }
        if why := _stale(progress):
            reasons.append(why)
    known["detector"] = _detector(by_name.get("detector"), progress)
    status = "degraded" if reasons else "ok"
    reasons += app[UNIQUE_IDS].reasons()  # nothing of the pipeline is worse for it
    behind = pipeline.groups.lags()
    return Health(status=status, version=__version__, behind=behind, reasons=reasons, parts=parts, **known)  # type: ignore[arg-type]


def _broker(app: web.Application, parts: Mapping[str, Part]) -> str:
    """The API publishes through a connection of its own."""
    state = app[BROKER].state
    return "away" if state == "ok" and parts["kafka"].state == "away" else state


def _detector(part: Part | None, progress: Progress | None) -> str:
    if part is not None and part.state in ("away", "behind"):
        return part.state
    if progress is not None and _stale(progress):
        return "behind"
    if part is not None and part.state == "ok":
        return "ok"
    return "ok" if part is None and progress is not None and progress.events_at else "unknown"


def _stale(progress: Progress) -> str:
    """Whether events were stored long ago of which the detector's changelog shows nothing."""
    if not progress.events_at or (progress.baselines_at or EPOCH) >= progress.events_at - DETECTOR_BEHIND_AFTER:
        return ""
    since = f"{progress.baselines_at:%Y-%m-%d %H:%M:%S} UTC" if progress.baselines_at else "the beginning"
    return f"events arrive, but the detector has reported nothing since {since}: the data shown is stale"


async def health(request: web.Request) -> web.Response:
    """Health of each part of the pipeline. The status is 200 even when degraded; the body names unavailable parts."""
    return json_response(await pipeline_health(request.app))

"""The overview, and how the pipeline is: which part is away or behind, and what that means for what is shown."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

from stream_detector import __version__
from stream_detector.serve import ask
from stream_detector.serve.answers import Health
from stream_detector.serve.handlers import BEHIND, BROKER, DATABASE, answer
from stream_detector.store import overview as store
from stream_detector.store import read
from stream_detector.store.connect import StoreAwayError

_SPANS = {
    "24h": (timedelta(hours=24), timedelta(hours=1)),
    "7d": (timedelta(days=7), timedelta(hours=6)),
    "30d": (timedelta(days=30), timedelta(days=1)),
}
"""Range -> (its length, the width of a bucket)."""
BEHIND_AFTER = timedelta(seconds=60)
"""The changelog follows an event within a checkpoint; so much later the detector is not there or does not keep up."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def pipeline(app: web.Application) -> Health:
    """Each part as the API sees it. Never raises: what is away is the answer."""
    broker = app[BROKER].state
    reasons = [f"Kafka: {app[BROKER].why_away}"] if broker == "away" else []
    known: dict[str, Any] = {}
    try:
        progress = await app[DATABASE].ask(read.progress)
    except StoreAwayError as error:
        reasons.append(f"PostgreSQL: {error}")
        known = {"database": "away", "database_reason": str(error), "detector": "unknown"}
    else:
        behind = progress.events_at and (progress.baselines_at or _EPOCH) < progress.events_at - BEHIND_AFTER
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
    status, behind_by = "degraded" if reasons else "ok", app[BEHIND].records()
    return Health(status=status, version=__version__, broker=broker, behind=behind_by, reasons=reasons, **known)  # type: ignore[arg-type]


async def health(request: web.Request) -> web.Response:
    """Health of each part of the pipeline. The status is 200 even when degraded; the body names unavailable parts."""
    return answer(await pipeline(request.app))


async def overview(request: web.Request) -> web.Response:
    """Opened anomalies by entity and time, unacknowledged incidents, and pipeline health."""
    asked = ask.read_query(request, ask.OverviewQuestion)
    database, now = request.app[DATABASE], datetime.now(UTC)
    length, bucket = _SPANS[asked.range]
    to_at = _EPOCH + -((_EPOCH - now) // bucket) * bucket  # rounded up, so that the newest is in the last bucket
    from_at, bucket_s = to_at - length, bucket.total_seconds()
    lanes, entities = await database.ask(store.lanes, from_at, to_at, bucket_s, asked.rows)
    found = {
        "from": from_at,
        "to": to_at,
        "bucket_s": int(bucket_s),
        "counts": await database.ask(store.counts, now),
        "facets": await database.ask(store.facets, from_at, to_at),
        "swimlane": lanes,
        "everything": await database.ask(store.everything, from_at, to_at, bucket_s),
        "entities": entities,
        "unacknowledged": await database.ask(store.unattended),
        "latest": [msgspec.Raw(each) for each in await database.ask(store.newest)],
        "pipeline": await pipeline(request.app),
    }
    return answer(found)

"""What a person sees first: how much opened, where and when."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.events.anomaly import AnomalyTypeName, EntityKindName, SeverityName, StateName
from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.requests import read_query
from stream_detector.serve.resources.anomalies import StoredAnomaly
from stream_detector.serve.resources.health import Health, pipeline_health
from stream_detector.serve.responses import json_response
from stream_detector.store import overview as store


class OverviewQuery(Struct, kw_only=True):
    """Which span, and how many lanes at most."""

    range: Literal["24h", "7d", "30d"] = "24h"
    rows: Annotated[int, Meta(ge=1, le=100)] = 30


class Cell(Struct, kw_only=True):
    """One time bucket of a lane with opened anomalies; `bucket` counts from 0 at `from`."""

    bucket: int
    severity: SeverityName
    count: int


class Lane(Struct, kw_only=True):
    """One lane of the swimlane: a workflow, a variant of one, or a scored entity."""

    entity: str
    entity_id: str
    entity_kind: EntityKindName
    entity_name: str
    variant: str | None
    worst: SeverityName
    count: int
    cells: list[Cell]


class Facets(Struct, kw_only=True):
    """Opened anomalies of the range by severity and type, and the current status of their incidents."""

    severity: dict[SeverityName, int]
    type: dict[AnomalyTypeName, int]
    state: dict[StateName, int]


class Overview(Struct, kw_only=True, rename={"from_at": "from", "to_at": "to"}):
    """The overview page."""

    from_at: datetime
    to_at: datetime
    bucket_s: int
    counts: dict[Literal["24h", "7d", "30d"], dict[SeverityName, int]]
    facets: Facets
    swimlane: list[Lane]
    """The worst first, then by count."""
    everything: list[Cell]
    """All entities as one lane, also those beyond `rows`."""
    entities: int
    """How many entities have a lane, also beyond `rows`."""
    unacknowledged: int
    """Open incidents that nobody has acknowledged, counted up to 10,000."""
    latest: list[StoredAnomaly]
    pipeline: Health


_SPANS = {
    "24h": (timedelta(hours=24), timedelta(hours=1)),
    "7d": (timedelta(days=7), timedelta(hours=6)),
    "30d": (timedelta(days=30), timedelta(days=1)),
}
"""Range -> (its length, the width of a bucket)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def overview(request: web.Request) -> web.Response:
    """Opened anomalies by entity and time, unacknowledged incidents, and pipeline health."""
    query = read_query(request, OverviewQuery)
    database, now = request.app[DATABASE], datetime.now(UTC)
    length, bucket = _SPANS[query.range]
    to_at = _EPOCH + -((_EPOCH - now) // bucket) * bucket  # rounded up, so that the newest is in the last bucket
    from_at, bucket_s = to_at - length, bucket.total_seconds()
    lanes, entities = await database.query(store.lanes, from_at, to_at, bucket_s, query.rows)
    found = {
        "from": from_at,
        "to": to_at,
        "bucket_s": int(bucket_s),
        "counts": await database.query(store.counts, now),
        "facets": await database.query(store.facets, now - length, to_at),
        "swimlane": lanes,
        "everything": await database.query(store.all_entities, from_at, to_at, bucket_s),
        "entities": entities,
        "unacknowledged": await database.query(store.unacknowledged),
        "latest": [msgspec.Raw(each) for each in await database.query(store.newest)],
        "pipeline": await pipeline_health(request.app),
    }
    return json_response(found)

"""Anomalies: listed, counted, and one."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct, field

from stream_detector.events import Anomaly
from stream_detector.events.anomaly import AnomalyTypeName, EndReasonName, SeverityName, StateName
from stream_detector.events.anomaly_types import SEVERITIES, TYPES
from stream_detector.events.fields import Id, Instant
from stream_detector.events.variant import Variant
from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.deleted import no_anomaly
from stream_detector.serve.requests import (
    CursorText,
    Entity,
    Limit,
    Substring,
    TimeRange,
    parse_uuid,
    read_query,
    time_range,
)
from stream_detector.serve.responses import json_response, page_response
from stream_detector.serve.run_evidence import run_evidence
from stream_detector.store import anomalies
from stream_detector.store.facets import facets
from stream_detector.store.filter import Filter


class AnomalyFilter(TimeRange, kw_only=True):
    """Which anomalies. A parameter that may be repeated means any of its values."""

    type: list[AnomalyTypeName] = field(default_factory=list)
    severity: list[SeverityName] = field(default_factory=list)
    state: list[StateName] = field(default_factory=list)
    entity: Entity | None = None
    variant: Variant | None = None
    q: Substring | None = None
    run: Id | None = None
    open: Annotated[bool, Meta(description="Whether the incident is open.")] | None = None
    acknowledged: Annotated[bool, Meta(description="Whether the incident is acknowledged.")] | None = None


class AnomaliesQuery(AnomalyFilter, kw_only=True):
    """A page of anomalies."""

    limit: Limit = 50
    cursor: CursorText | None = None


class StoredAnomaly(Anomaly, frozen=True, kw_only=True):
    """Anomaly v1 and when it was stored."""

    recorded_at: Instant


class AnomalyDetail(StoredAnomaly, frozen=True, kw_only=True):
    """A stored anomaly, and what its score run shows about it."""

    run_evidence: str | None = None
    """How many entities of the run moved the same way, or that it alone did; absent if there is nothing to compare."""


class IncidentBrief(Struct, kw_only=True):
    """The status of an incident."""

    state: StateName
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    verdict: Literal["expected", "not_an_anomaly"] | None
    end_reason: EndReasonName | None
    """Why it ended; null while it is open."""


class ListedAnomaly(StoredAnomaly, frozen=True, kw_only=True):
    """A stored anomaly and the status of its incident."""

    incident: IncidentBrief | None


class AnomalyPage(Struct, kw_only=True):
    """Newest first. `next` is the cursor of the next page."""

    items: list[ListedAnomaly]
    next: str | None


class AnomalyFacets(Struct, kw_only=True):
    """For each filter, the number of anomalies per value that match all other filters; empty values are omitted."""

    severity: dict[SeverityName, int]
    type: dict[AnomalyTypeName, int]
    state: dict[StateName, int]
    variant: dict[str, int]
    """Of workflows with variants; the 100 with the most anomalies."""
    incident: dict[Literal["unacknowledged", "acknowledged", "resolved"], int]
    """unacknowledged: open=true&acknowledged=false; acknowledged: open=true&acknowledged=true; resolved: open=false."""
    total: int
    """How many match every filter."""
    whole: bool
    """False where over 10,000 match: `incident`, and all where it is filtered by, then counts the newest 10,000."""


class Day(Struct):
    """Anomalies opened on one UTC date."""

    date: date
    count: int


class Trends(Struct, kw_only=True):
    """Counts of opened anomalies: an incident that lasts for days counts once."""

    days: list[Day]
    by_severity: dict[SeverityName, int]
    by_type: dict[AnomalyTypeName, int]


_MOST_DAYS = 3_660


def to_filter(query: AnomalyFilter, now: datetime) -> Filter:
    """The query as the store takes it. Raises 400 where its time range cannot be used."""
    from_at, to_at = time_range(query, now)
    return Filter(
        from_at=from_at,
        to_at=to_at,
        types=query.type,
        severities=query.severity,
        states=query.state,
        entity=query.entity,
        variant=query.variant,
        text=query.q,
        run_id=query.run,
        is_open=query.open,
        is_acknowledged=query.acknowledged,
    )


async def list_anomalies(request: web.Request) -> web.Response:
    """Stored anomalies, newest first."""
    query = read_query(request, AnomaliesQuery)
    wanted = to_filter(query, datetime.now(UTC))
    page = await request.app[DATABASE].query(anomalies.find, wanted, limit=query.limit, cursor=query.cursor)
    return page_response(page)


async def count_facets(request: web.Request) -> web.Response:
    """For each filter, the number of anomalies per value that match all other filters."""
    wanted = to_filter(read_query(request, AnomalyFilter), datetime.now(UTC))
    found = await request.app[DATABASE].query(facets, wanted)
    return json_response({**found.counts, "total": found.total, "whole": found.whole})


async def one_anomaly(request: web.Request) -> web.Response:
    """All fields of one anomaly."""
    anomaly_id = parse_uuid(request.match_info["id"])
    found = await request.app[DATABASE].query(anomalies.read, anomaly_id) if anomaly_id else None
    if found is None:
        raise await no_anomaly(request.app, anomaly_id)
    anomaly = msgspec.json.decode(found, type=Anomaly)
    evidence = await request.app[DATABASE].query(run_evidence, anomaly)
    if evidence is None:
        return json_response(found)
    # Added to what is stored, so that what a later version wrote stays.
    return json_response(found[:-1] + b',"run_evidence":' + msgspec.json.encode(evidence) + b"}")


async def trends(request: web.Request) -> web.Response:
    """Opened anomalies by UTC date, severity and type."""
    now = datetime.now(UTC)
    wanted = to_filter(read_query(request, AnomalyFilter), now)
    counted = await request.app[DATABASE].query(anomalies.trends, wanted)
    days = _every_day(wanted, counted.days, now)
    return json_response(
        {
            "days": [{"date": day, "count": counted.days.get(day, 0)} for day in days],
            "by_severity": dict.fromkeys(SEVERITIES, 0) | counted.by_severity,
            "by_type": dict.fromkeys(TYPES, 0) | counted.by_type,
        }
    )


def _every_day(wanted: Filter, found: dict[date, int], now: datetime) -> list[date]:
    """Every date of the span, also those without an opening, so that a chart has no holes."""
    if not found and wanted.from_at is None:
        return []
    first = wanted.from_at.date() if wanted.from_at else min(found)
    last = max(found, default=first)
    if wanted.from_at:
        # `to` is exclusive: at midnight the day before is the last one
        last = max(last, ((wanted.to_at - timedelta(microseconds=1)) if wanted.to_at else now).date())
    if (last - first).days > _MOST_DAYS:
        return sorted(found)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]

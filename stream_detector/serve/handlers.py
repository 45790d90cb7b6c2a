"""One handler a route: read the question, ask the store, answer."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import web

from stream_detector.detect import Config, profile_rules
from stream_detector.events.anomaly_types import SEVERITIES, TYPES
from stream_detector.serve import ask
from stream_detector.serve.access import IDENTITY
from stream_detector.serve.behind import Behind
from stream_detector.serve.broker import Broker
from stream_detector.serve.check import check
from stream_detector.serve.database import Database
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.series import series
from stream_detector.settings import Settings
from stream_detector.store import anomalies, read
from stream_detector.store.facets import facets
from stream_detector.store.filter import Filter
from stream_detector.store.paging import Cursor, Page

DATABASE: web.AppKey[Database] = web.AppKey("database", Database)
BROKER: web.AppKey[Broker] = web.AppKey("broker", Broker)
BEHIND: web.AppKey[Behind] = web.AppKey("behind", Behind)
SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)
DOCUMENT: web.AppKey[bytes] = web.AppKey("document", bytes)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANGES = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
_MOST_DAYS = 3_660
_GZIP_FROM_BYTES = 1_400
"""What fits one packet gains nothing."""


def answer(value: Any, **headers: str) -> web.Response:
    """The value as JSON; instants in UTC."""
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    response = web.Response(body=body, content_type="application/json", headers={"Vary": "Accept-Encoding", **headers})
    if len(body) > _GZIP_FROM_BYTES:
        response.enable_compression()  # where the request accepts it
    return response


def page_answer(page: Page, **more: Any) -> web.Response:
    """The page with its items as they are stored."""
    rest = msgspec.json.encode({"next": page.next, **more})
    return answer(b'{"items":[' + b",".join(page.items) + b"]," + rest[1:])


def span_of(asked: ask.RangeQuestion, now: datetime) -> tuple[datetime | None, datetime | None]:
    """(from, to) that was asked for. Raises 400 where two ways are mixed or the span is reversed."""
    ways = [asked.range is not None, asked.hours is not None, asked.from_at is not None or asked.to_at is not None]
    if sum(ways) > 1:
        raise ProblemError(
            400, "range, hours, and from with to exclude each other", allowed=["range", "hours", "from, to"]
        )
    if asked.range is not None:
        return now - _RANGES[asked.range], None
    if asked.hours is not None:
        return now - timedelta(hours=asked.hours), None
    if asked.from_at is not None and asked.to_at is not None and asked.from_at >= asked.to_at:
        raise ProblemError(400, "from: must be before to", parameter="from")
    return asked.from_at, asked.to_at


def question_of(asked: ask.FilterQuestion, now: datetime) -> Filter:
    """What to ask the store."""
    from_at, to_at = span_of(asked, now)
    return Filter(
        from_at=from_at,
        to_at=to_at,
        types=asked.type,
        severities=asked.severity,
        states=asked.state,
        entity=asked.entity,
        text=asked.q,
        run_id=asked.run,
        is_open=asked.open,
        is_acknowledged=asked.acknowledged,
    )


def config_of(settings: Settings) -> Config:
    """Detection as the detector of the same settings is told."""
    rules = profile_rules(settings.profile_rules)
    return Config(settings.profile, settings.score_threshold, profile_rules=rules)  # type: ignore[arg-type]


async def check_anomalies(request: web.Request) -> web.Response:
    """Evaluate one stored execution with the detector."""
    asked = await ask.read_body(request, ask.CheckQuestion)
    config = config_of(request.app[SETTINGS])
    found = await request.app[DATABASE].ask(check, asked.workflow_execution_id, asked.attempt, config)
    if found is None:
        raise ProblemError(404, "No execution with this id is stored.")
    return answer(found.anomalies, **({"X-Approximate": found.approximate} if found.approximate else {}))


async def list_anomalies(request: web.Request) -> web.Response:
    """Stored anomalies, newest first."""
    asked = ask.read_query(request, ask.AnomaliesQuestion)
    question = question_of(asked, datetime.now(UTC))
    page = await request.app[DATABASE].ask(anomalies.find, question, limit=asked.limit, cursor=asked.cursor)
    return page_answer(page)


async def count_facets(request: web.Request) -> web.Response:
    """For each filter, the number of anomalies per value that match all other filters."""
    question = question_of(ask.read_query(request, ask.FilterQuestion), datetime.now(UTC))
    found = await request.app[DATABASE].ask(facets, question)
    return answer({**found.counts, "total": found.total, "whole": found.whole})


async def one_anomaly(request: web.Request) -> web.Response:
    """All fields of one anomaly."""
    text = request.match_info["id"]
    try:
        anomaly_id = UUID(text) if len(text) == 36 else None
    except ValueError:
        anomaly_id = None
    found = await request.app[DATABASE].ask(anomalies.read, anomaly_id) if anomaly_id else None
    if found is None:
        raise ProblemError(404, "No anomaly with this id is stored. A new anomaly may take a second to appear.")
    return answer(found)


async def trends(request: web.Request) -> web.Response:
    """Opened anomalies by UTC date, severity and type."""
    now = datetime.now(UTC)
    question = question_of(ask.read_query(request, ask.FilterQuestion), now)
    counted = await request.app[DATABASE].ask(anomalies.trends, question)
    days = _every_day(question, counted.days, now)
    return answer(
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


async def entity_series(request: web.Request) -> web.Response:
    """The readings of one entity with the expected band of each."""
    asked = ask.read_query(request, ask.SeriesQuestion)
    config = config_of(request.app[SETTINGS])
    until = asked.until or datetime.now(UTC)
    found = await request.app[DATABASE].ask(series, asked.entity, until, asked.limit, config, asked.of)
    if found is None:
        raise ProblemError(404, "No data is stored for this entity up to that time.")
    return answer(found)


async def executions(request: web.Request) -> web.Response:
    """Past executions of one workflow, newest first."""
    asked = ask.read_query(request, ask.ExecutionsQuestion)
    since, until = span_of(asked, datetime.now(UTC))
    found = await request.app[DATABASE].ask(
        read.newest_completions, asked.workflow, limit=asked.limit, since=since, until=until
    )
    return answer({"items": found, "next": None})


async def inbox(request: web.Request) -> web.Response:
    """In-app messages, newest first."""
    asked = ask.read_query(request, ask.InboxQuestion)
    database = request.app[DATABASE]
    reader = request[IDENTITY].name
    page = await database.ask(
        read.inbox,
        reader=reader,
        limit=asked.limit,
        cursor=asked.cursor,
        is_unread=asked.unread,
        severities=asked.severity,
    )
    return page_answer(page, unread=await database.ask(read.unread, reader=reader))


async def mark_all_read(request: web.Request) -> web.Response:
    """Mark all messages up to a time as read."""
    asked = await ask.read_body(request, ask.InboxReadBody)
    until, reader = asked.until or datetime.now(UTC), request[IDENTITY].name
    return answer({"marked": await request.app[DATABASE].ask(read.mark_all_read, until, reader=reader)})


async def mark_read(request: web.Request) -> web.Response:
    """Mark the message as read."""
    if not await request.app[DATABASE].ask(read.mark_read, _id(request), reader=request[IDENTITY].name):
        raise ProblemError(404, "There is no message with this id.")
    return web.Response(status=204)


async def runs(request: web.Request) -> web.Response:
    """Score runs, newest first, each with its anomalies."""
    asked = ask.read_query(request, ask.Paged)
    return page_answer(await request.app[DATABASE].ask(read.runs, limit=asked.limit, cursor=asked.cursor))


async def one_run(request: web.Request) -> web.Response:
    """One score run with its anomalies."""
    found = await request.app[DATABASE].ask(read.run, _id(request))
    if found is None:
        raise ProblemError(404, "No score run with this id is stored.")
    return answer(found)


async def workflows(request: web.Request) -> web.Response:
    """Workflows by id: state and baselines."""
    return await _baselines(request, "workflow")


async def entities(request: web.Request) -> web.Response:
    """Scored entities by id: state."""
    return await _baselines(request, "score")


async def _baselines(request: web.Request, kind: str) -> web.Response:
    asked = ask.read_query(request, ask.BaselinesQuestion)
    after = Cursor.parse(asked.cursor).id if asked.cursor is not None else ""
    found = await request.app[DATABASE].ask(
        read.baselines, kind, limit=asked.limit + 1, after=after, q=asked.q, state=asked.state
    )
    listed = found[: asked.limit]
    items = [msgspec.json.encode({"baselines": each.pop("named"), **each}) for each in listed]
    last = listed[-1] if len(found) > asked.limit else None
    return page_answer(Page(items, Cursor(_EPOCH, last["entity_id"]).text() if last else None))


async def openapi(request: web.Request) -> web.Response:
    """This document."""
    return answer(request.app[DOCUMENT])


def _id(request: web.Request) -> str:
    text: str = request.match_info["id"]
    if len(text) > 256 or "\x00" in text:
        raise ProblemError(404, "Not found.")
    return text

"""Anomalies by id, by filter, and counted."""

from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from stream_detector.store.filter import Filter
from stream_detector.store.paging import Cursor, CursorError, Page
from stream_detector.store.where import Where

_FIND = """
    WITH found AS (
        SELECT id, incident_id, detected_at, recorded_at, event FROM anomalies
        WHERE {where} ORDER BY detected_at DESC, id DESC LIMIT {limit}
    )
    SELECT found.*, i.state, i.acknowledged_at, i.acknowledged_by, i.verdict, i.end_reason
    FROM found LEFT JOIN LATERAL (
        SELECT state, acknowledged_at, acknowledged_by, verdict, end_reason FROM incidents
        WHERE id = found.incident_id OFFSET 0
    ) i ON true ORDER BY found.detected_at DESC, found.id DESC
"""
"""OFFSET 0 keeps the planner at looking up the incidents of a page, whatever it believes of how many there are."""
_COUNT = """
    SELECT (detected_at AT TIME ZONE 'UTC')::date AS day, severity, anomaly_type, count(*) AS count FROM anomalies
    WHERE {where} GROUP BY 1, 2, 3 ORDER BY 1
"""
"""`{where}` becomes conditions that are written here, `{limit}` the name of a parameter; values never get into text."""


def conditions(wanted: Filter) -> Where:
    """Of the statement that finds what the filter lets through."""
    where = Where()
    if wanted.from_at is not None:
        where.add("detected_at >= {}", wanted.from_at)
    if wanted.to_at is not None:
        where.add("detected_at < {}", wanted.to_at)
    where.any_of("anomaly_type", wanted.types)
    where.any_of("severity", wanted.severities)
    where.any_of("state", wanted.states)
    where.entity(wanted.entity)
    where.variant(wanted.variant)
    if wanted.run_id is not None:
        where.add("run_id = {}", wanted.run_id)
    where.part_of_name(wanted.text)
    where.incident(wanted.is_open, wanted.is_acknowledged)
    return where


def with_recorded_at(event: bytes, recorded_at: datetime) -> bytes:
    """The stored JSON object with `recorded_at` put in; the rest is neither decoded nor encoded.

    >>> from datetime import UTC
    >>> with_recorded_at(b'{"id":"a"}', datetime(2026, 1, 22, tzinfo=UTC))
    b'{"id":"a","recorded_at":"2026-01-22T00:00:00Z"}'
    """
    return event[:-1] + b',"recorded_at":' + msgspec.json.encode(recorded_at) + b"}"


_BRIEF = ("state", "acknowledged_at", "acknowledged_by", "verdict", "end_reason")
_NO_INCIDENT = b',"incident":null}'


def _with_incident(found: asyncpg.Record) -> bytes:
    """The stored JSON object with `recorded_at` and the status of its incident."""
    event = with_recorded_at(found["event"], found["recorded_at"])[:-1]
    if found["state"] is None:
        return event + _NO_INCIDENT
    return event + b',"incident":' + msgspec.json.encode({name: found[name] for name in _BRIEF}) + b"}"


async def find(pool: asyncpg.Pool, wanted: Filter, *, limit: int, cursor: str | None = None) -> Page:
    """The newest first, each with the status of its incident. Raises `CursorError`."""
    where = conditions(wanted)
    if cursor is not None:
        after = Cursor.parse(cursor)
        try:
            where.add("(detected_at, id) < ({}, {})", after.at, UUID(after.id))
        except ValueError as error:
            raise CursorError("not a cursor of this list") from error
    statement = _FIND.format(where=where.text(), limit=f"${len(where.values) + 1}")
    found = await pool.fetch(statement, *where.values, limit + 1)
    items = [_with_incident(each) for each in found[:limit]]
    last = found[limit - 1] if len(found) > limit else None
    return Page(items, Cursor(last["detected_at"], str(last["id"])).text() if last else None)


async def read(pool: asyncpg.Pool, anomaly_id: UUID) -> bytes | None:
    """Every field of one as JSON, with `recorded_at`; None where there is none."""
    found = await pool.fetchrow("SELECT event, recorded_at FROM anomalies WHERE id = $1", anomaly_id)
    return with_recorded_at(found["event"], found["recorded_at"]) if found else None


_ABOUT = """
    SELECT event FROM anomalies WHERE entity_kind = $1 AND entity_id = $2 AND {event}
    ORDER BY recorded_at, detected_at, id
"""


async def of_execution(pool: asyncpg.Pool, workflow_id: str, execution_id: str, attempt: int) -> list[bytes]:
    """What was found in one execution, as anomaly v1: openings, further records and ends of incidents."""
    statement = _ABOUT.format(event="execution_id = $3 AND coalesce(attempt, 1) = $4")
    found = await pool.fetch(statement, "workflow", workflow_id, execution_id, attempt)
    return [each["event"] for each in found]


async def of_score(pool: asyncpg.Pool, entity_id: str, run_id: str | None, scored_at: datetime) -> list[bytes]:
    """What was found in one score, as anomaly v1; one that came without a run is known by its time."""
    if run_id is not None:
        statement = _ABOUT.format(event="run_id = $3")
        found = await pool.fetch(statement, "score", entity_id, run_id)
    else:
        statement = _ABOUT.format(event="run_id IS NULL AND detected_at = $3")
        found = await pool.fetch(statement, "score", entity_id, scored_at)
    return [each["event"] for each in found]


class Trends(NamedTuple):
    """Openings counted: an incident that goes on for a week counts once."""

    days: dict[date, int]
    """By UTC date."""
    by_severity: dict[str, int]
    by_type: dict[str, int]


async def trends(pool: asyncpg.Pool, wanted: Filter) -> Trends:
    """Count what opened. `states` of the filter is not looked at."""
    where = conditions(replace(wanted, states=()))
    where.add("state = 'opened'")  # in the text, not a parameter: the partial index of openings answers it
    days: Counter[date] = Counter()
    severities: Counter[str] = Counter()
    types: Counter[str] = Counter()
    for row in await pool.fetch(_COUNT.format(where=where.text()), *where.values):
        days[row["day"]] += row["count"]
        severities[row["severity"]] += row["count"]
        types[row["anomaly_type"]] += row["count"]
    return Trends(dict(days), dict(severities), dict(types))

"""Anomalies by id, by filter, and counted."""

from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from stream_detector.events import Anomaly
from stream_detector.store.anomaly_tables import ANOMALIES, ANOMALY_COLUMNS, incidents_of
from stream_detector.store.connect import Connection
from stream_detector.store.filter import Filter
from stream_detector.store.paging import Cursor, CursorError, Page
from stream_detector.store.rows import Row
from stream_detector.store.table import names, parameters
from stream_detector.store.where import Where

_FIND = """
    WITH found AS (
        SELECT id, incident_id, detected_at, recorded_at, event FROM anomalies
        WHERE {where} ORDER BY detected_at DESC, id DESC LIMIT {limit}
    )
    SELECT found.*, i.state, i.acknowledged_at, i.acknowledged_by, i.verdict
    FROM found LEFT JOIN LATERAL (
        SELECT state, acknowledged_at, acknowledged_by, verdict FROM incidents WHERE id = found.incident_id OFFSET 0
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


_BRIEF = ("state", "acknowledged_at", "acknowledged_by", "verdict")
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


def _row(anomaly: Anomaly) -> Row[Anomaly]:
    """A row that came from no stream."""
    return Row(anomaly, "", 0, 0, 0)


async def create(pool: asyncpg.Pool, anomaly: Anomaly) -> bool:
    """Store one; False where its id is stored already, and nothing has changed then."""
    return bool(await pool.fetch(ANOMALIES.statement, *ANOMALIES.values([_row(anomaly)])))


_UPDATE = f"""
    UPDATE anomalies SET ({names(ANOMALY_COLUMNS)}) = ROW({parameters(ANOMALY_COLUMNS)})
    WHERE id = $1::uuid RETURNING id
"""  # noqa: S608 - columns of ours
_REBUILD = incidents_of("anomalies WHERE incident_id = $1")


async def update(pool: asyncpg.Pool, anomaly: Anomaly) -> bool:
    """Put the anomaly in place of the stored one of its id; its incidents follow. False where there is none."""
    row = _row(anomaly)
    async with pool.acquire() as connection, connection.transaction():
        before = await connection.fetchval(
            "SELECT incident_id FROM anomalies WHERE id = $1 FOR UPDATE", UUID(anomaly.id)
        )
        if before is None:
            return False
        await connection.execute(_UPDATE, *(column.value(row) for column in ANOMALY_COLUMNS))
        for incident_id in {before, UUID(anomaly.incident_id)}:
            await _rebuild_incident(connection, incident_id)
    return True


async def delete(pool: asyncpg.Pool, anomaly_id: UUID) -> bool:
    """Remove one; its incident follows, and goes with its last record. False where there is none."""
    async with pool.acquire() as connection, connection.transaction():
        incident_id = await connection.fetchval("DELETE FROM anomalies WHERE id = $1 RETURNING incident_id", anomaly_id)
        if incident_id is None:
            return False
        await _rebuild_incident(connection, incident_id)
    return True


async def _rebuild_incident(connection: Connection, incident_id: UUID) -> None:
    decided = await connection.fetchrow(
        "DELETE FROM incidents WHERE id = $1 RETURNING acknowledged_at, acknowledged_by, verdict, verdict_at,"
        " verdict_by, resolved_by, resolved_at",
        incident_id,
    )
    await connection.execute(_REBUILD, incident_id)
    if decided:
        await connection.execute(
            "UPDATE incidents SET acknowledged_at = $2, acknowledged_by = $3, verdict = $4, verdict_at = $5,"
            " verdict_by = $6, resolved_by = $7,"
            " state = CASE WHEN $7::text IS NULL THEN state ELSE 'resolved' END,"
            " resolved_at = CASE WHEN $7::text IS NULL THEN resolved_at ELSE $8 END WHERE id = $1",
            incident_id, *decided.values(),
        )  # fmt: skip


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

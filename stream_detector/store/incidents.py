"""Incidents, operator actions and silences."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from stream_detector.events.decisions import Decided, silence_end, silence_in_force
from stream_detector.events.variant import names_of, state_key
from stream_detector.store.anomalies import with_recorded_at
from stream_detector.store.filter import Filter
from stream_detector.store.paging import Cursor, CursorError, Page
from stream_detector.store.where import Where

MOST_RECORDS, MOST_OUTCOMES = 200, 500


_FIND = """
    SELECT * FROM incidents WHERE {where} ORDER BY opened_at DESC, id DESC LIMIT {limit}
"""
_ACTIONS = """
    SELECT action_id, at, event FROM actions WHERE {where} ORDER BY at DESC, action_id DESC LIMIT {limit}
"""


async def find(pool: asyncpg.Pool, wanted: Filter, *, limit: int, cursor: str | None = None) -> Page:
    """Most recently opened first. Raises `CursorError`."""
    where = Where()
    if wanted.from_at is not None:
        where.add("opened_at >= {}", wanted.from_at)
    if wanted.to_at is not None:
        where.add("opened_at < {}", wanted.to_at)
    where.any_of("anomaly_type", wanted.types)
    where.any_of("severity", wanted.severities)
    where.any_of("state", wanted.states)
    if wanted.is_open is not None:  # as text, not a parameter: the partial indexes answer it
        where.add("state <> 'resolved'" if wanted.is_open else "state = 'resolved'")
    if wanted.is_acknowledged is not None:
        where.add("acknowledged_at IS NOT NULL" if wanted.is_acknowledged else "acknowledged_at IS NULL")
    where.entity(wanted.entity)
    where.variant(wanted.variant)
    if wanted.run_id is not None:
        where.add("run_id = {}", wanted.run_id)
    where.part_of_name(wanted.text)
    if cursor is not None:
        after = Cursor.parse(cursor)
        try:
            where.add("(opened_at, id) < ({}, {})", after.at, UUID(after.id))
        except ValueError as error:
            raise CursorError("not a cursor of this list") from error
    found = await pool.fetch(
        _FIND.format(where=where.text(), limit=f"${len(where.values) + 1}"), *where.values, limit + 1
    )
    items = [msgspec.json.encode(dict(each)) for each in found[:limit]]
    last = found[limit - 1] if len(found) > limit else None
    return Page(items, Cursor(last["opened_at"], str(last["id"])).text() if last else None)


async def read(pool: asyncpg.Pool, incident_id: UUID) -> dict[str, Any] | None:
    """One incident, without its records; None where there is none."""
    found = await pool.fetchrow("SELECT * FROM incidents WHERE id = $1", incident_id)
    return dict(found) if found else None


async def records(pool: asyncpg.Pool, incident_id: UUID) -> list[bytes]:
    """Its anomalies, newest first, at most 200."""
    found = await pool.fetch(
        "SELECT event, recorded_at FROM anomalies WHERE incident_id = $1 ORDER BY detected_at DESC, id DESC LIMIT $2",
        incident_id, MOST_RECORDS,
    )  # fmt: skip
    return [with_recorded_at(each["event"], each["recorded_at"]) for each in found]


async def decisions(pool: asyncpg.Pool, incident_id: str) -> list[bytes]:
    """What people decided about it, oldest first, as action v1."""
    found = await pool.fetch("SELECT event FROM actions WHERE incident_id = $1 ORDER BY at, action_id", incident_id)
    return [each["event"] for each in found]


async def outcomes(pool: asyncpg.Pool, incident_id: str) -> list[bytes]:
    """What became of its messages, oldest first, at most 500, as notification v1."""
    found = await pool.fetch(
        "SELECT event FROM notifications WHERE incident_id = $1 ORDER BY at, id LIMIT $2", incident_id, MOST_OUTCOMES
    )
    return [each["event"] for each in found]


async def entities_of(pool: asyncpg.Pool, incident_ids: Sequence[UUID]) -> dict[str, str]:
    """Incident id -> state key of what it is about; those that are not stored are left out."""
    found = await pool.fetch(
        "SELECT id::text, entity_kind, entity_id, variant FROM incidents WHERE id = ANY($1::uuid[])",
        list(incident_ids),
    )
    return {each["id"]: state_key(*each[1:]) for each in found}


async def actions(
    pool: asyncpg.Pool, *, entity: str | None, incident_id: str | None, limit: int, cursor: str | None = None
) -> Page:
    """Operator actions, newest first. Raises `CursorError`.

    `entity`: those that name it; of a workflow also those about its variants, of a variant also those about all.
    """
    where = Where()
    if entity is not None:
        where.about(entity)
    if incident_id is not None:
        where.add("incident_id = {}", incident_id)
    if cursor is not None:
        after = Cursor.parse(cursor)
        where.add("(at, action_id) < ({}, {})", after.at, after.id)
    found = await pool.fetch(
        _ACTIONS.format(where=where.text(), limit=f"${len(where.values) + 1}"), *where.values, limit + 1
    )
    last = found[limit - 1] if len(found) > limit else None
    items = [each["event"] for each in found[:limit]]
    return Page(items, Cursor(last["at"], last["action_id"]).text() if last else None)


async def decided_at(pool: asyncpg.Pool, action_ids: Sequence[str]) -> datetime | None:
    """When the first of these actions was decided; None where not all are stored."""
    found: datetime | None = await pool.fetchval(
        "SELECT min(at) FROM actions WHERE action_id = ANY($1::text[]) HAVING count(*) = $2",
        list(action_ids), len(action_ids),
    )  # fmt: skip
    return found


_SILENCES = """
    SELECT s.id, s.entity, s.incident_id, s.matchers::text AS matchers, s.by, s.at, s.comment,
        coalesce(s.until, s.at + interval '24 hours') AS until, now() AS now
    FROM silences s
    WHERE ($1::timestamptz IS NULL OR (s.at, s.id) < ($1, $2))
        AND coalesce(s.until, s.at + interval '24 hours')
            > CASE WHEN $3::boolean THEN greatest(s.at, now()) ELSE s.at END
    ORDER BY s.at DESC, s.id DESC LIMIT $4
"""
"""One that ends before it began lifts an earlier one of the same target, and is itself no silence."""
_SAME_TARGET = """
    SELECT s.id, s.entity, s.incident_id, s.matchers::text AS matchers, s.by, s.at, s.until FROM silences s
    WHERE EXISTS (SELECT 1 FROM silences t WHERE t.id = ANY($1::text[]) AND t.entity = s.entity
        AND t.matchers = s.matchers AND t.incident_id IS NOT DISTINCT FROM s.incident_id)
"""
_RETIRED = "SELECT action_id, entity, at FROM actions WHERE kind = 'retire' AND entity = ANY($1::text[])"
_MOST_AT_ONCE = 1_000


async def silences(pool: asyncpg.Pool, *, active: bool | None, limit: int, cursor: str | None = None) -> Page:
    """Silences, newest first: in force, ended, or (None) all. Raises `CursorError`."""
    after = Cursor.parse(cursor) if cursor is not None else None
    found: list[dict[str, Any]] = []
    more = True
    while more and len(found) <= limit:
        rows = await pool.fetch(_SILENCES, after and after.at, after and after.id, active is True, _MOST_AT_ONCE)
        in_force = await _in_force(pool, rows)
        listed = (_silence(each) | {"active": each["id"] in in_force} for each in rows)
        found += [each for each in listed if active is None or each["active"] == active]
        more = len(rows) == _MOST_AT_ONCE
        after = Cursor(rows[-1]["at"], rows[-1]["id"]) if rows else None
    for each in found:
        del each["now"]
    last = found[limit - 1] if len(found) > limit else None
    items = [msgspec.json.encode(each) for each in found[:limit]]
    return Page(items, Cursor(last["at"], last["id"]).text() if last else None)


async def _in_force(pool: asyncpg.Pool, rows: Sequence[asyncpg.Record]) -> set[str]:
    """Which of these silences are in force, as `events.decisions` says and the notifier goes by."""
    if not rows:
        return set()
    targets: dict[tuple[str, ...], list[Decided]] = {}
    for each in await pool.fetch(_SAME_TARGET, [row["id"] for row in rows]):
        until_s = silence_end(each["at"], each["until"]).timestamp()
        one = Decided(at_s=each["at"].timestamp(), action_id=each["id"], until_s=until_s)
        targets.setdefault((each["entity"], each["incident_id"] or "", each["matchers"]), []).append(one)
    retired: dict[str, list[Decided]] = {}
    names = {name for entity, *_ in targets if entity for name in names_of(entity)}
    for each in await pool.fetch(_RETIRED, sorted(names)):
        one = Decided(at_s=each["at"].timestamp(), action_id=each["action_id"])
        retired.setdefault(each["entity"], []).append(one)
    now_s = rows[0]["now"].timestamp()
    chosen = (
        silence_in_force(each, [one for name in names_of(entity) for one in retired.get(name, ())], now_s)
        for (entity, *_), each in targets.items()
    )
    return {one.action_id for one in chosen if one is not None}


async def silence(pool: asyncpg.Pool, silence_id: str) -> dict[str, Any] | None:
    """One, whatever became of it; None where there is none."""
    found = await pool.fetchrow(
        "SELECT id, entity, incident_id, matchers::text AS matchers, until, by, at, comment FROM silences"
        " WHERE id = $1",
        silence_id,
    )
    return _silence(found) if found else None


def _silence(found: asyncpg.Record) -> dict[str, Any]:
    return dict(found) | {"matchers": msgspec.json.decode(found["matchers"])}

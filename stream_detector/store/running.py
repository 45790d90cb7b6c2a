"""Executions that have started and whose end has not come."""

from datetime import datetime
from typing import NamedTuple

import asyncpg
import msgspec

from stream_detector.events.start import ENDS_AGAIN, Start
from stream_detector.store.connect import store_errors
from stream_detector.store.paging import Cursor
from stream_detector.store.sql_keys import sql_key

HAS_ENDED = f"""(
    EXISTS (SELECT FROM executions e WHERE e.execution_id = r.execution_id AND e.attempt >= r.attempt)
    OR (r.execution_id ~ '^{ENDS_AGAIN}' AND EXISTS (
        SELECT FROM executions e WHERE e.execution_id > r.execution_id || '.' AND e.execution_id < r.execution_id || '/'
            AND e.finished_at >= r.started_at)))"""  # noqa: S608 - constants of this module
"""Of a row r whose end was stored by a recorder that does not know the table, or by another one at the same moment."""
LOST_AFTER_USUAL, LOST_AFTER_LIMIT, LEAST_LOST_S = 10, 3, 900
"""An execution has probably ended without notice after ten times what is usual and thrice its limit, as the detector
forgets it (`detect/running_state`), 15 min at least."""
_SETTLE = f"""
    WITH ended AS (
        DELETE FROM running_executions r WHERE {HAS_ENDED}
        RETURNING r.execution_id, r.attempt, r.started_at, r.queued_at
    )
    UPDATE executions e SET started_at = r.started_at, queued_at = r.queued_at,
        duration_s = coalesce(e.duration_s, CASE WHEN e.finished_at > r.started_at
            THEN extract(epoch FROM e.finished_at - r.started_at)::float8 END)
    FROM ended r WHERE e.execution_id = r.execution_id AND e.attempt = r.attempt AND e.started_at IS NULL
"""  # noqa: S608 - constants of this module
_FROM = f"""
    FROM running_executions r LEFT JOIN baselines b ON b.key = {sql_key("'workflow'", "r.workflow_id", "r.variant")}
    CROSS JOIN LATERAL (
        SELECT greatest(0, extract(epoch FROM now() - r.started_at)::float8) AS elapsed_s,
            (b.named -> 'execution_time' ->> 'value')::float8 AS usual_s,
            coalesce((convert_from(r.event, 'UTF8')::json ->> 'limit_s')::float8, b.limit_s) AS limit_s
    ) t CROSS JOIN LATERAL (
        SELECT coalesce(t.usual_s, t.limit_s) IS NOT NULL AND t.elapsed_s > greatest({LEAST_LOST_S},
            {LOST_AFTER_USUAL} * t.usual_s, {LOST_AFTER_LIMIT} * t.limit_s) AS probably_ended
    ) l
    WHERE r.started_at > now() - interval '30 days' AND NOT {HAS_ENDED}
"""  # noqa: S608 - constants of this module
_SELECT = "SELECT r.execution_id, r.attempt, r.workflow_id, r.variant, r.queued_at, r.event, r.started_at, t.elapsed_s,"
_SELECT += " t.usual_s, l.probably_ended, b.key, b.packed"
_RUNNING = f"""
    {_SELECT} {_FROM}
        AND ($1::timestamptz IS NULL OR (r.started_at, r.execution_id) > ($1, $2))
        AND ($3::text IS NULL OR r.workflow_id = $3) AND ($4::text IS NULL OR r.variant = $4)
        AND l.probably_ended = $6
    ORDER BY r.started_at, r.execution_id LIMIT $5
"""
_ONE = f"{_SELECT} {_FROM} AND r.execution_id = $1 AND ($2::integer IS NULL OR r.attempt = $2)"
_LOST = f"""
    SELECT count(*) {_FROM} AND ($1::text IS NULL OR r.workflow_id = $1) AND ($2::text IS NULL OR r.variant = $2)
        AND l.probably_ended AND r.started_at < now() - interval '{LEAST_LOST_S} s'
"""
_start = msgspec.json.Decoder(Start).decode


class Running(NamedTuple):
    """One execution that runs, by what is known now."""

    event: Start
    """Its newest start, under the workflow and with the variant that hold."""
    started_at: datetime
    queued_at: datetime | None
    elapsed_s: float
    """By the clock of the database, at least 0."""
    usual_s: float | None
    """What its workflow usually takes; None while that is not known."""
    probably_ended: bool
    """It has run for so long that its end was probably lost, or its process killed."""
    key: str | None
    """Of the state of its workflow and variant; None where that has none, as `packed`."""
    packed: bytes | None


async def settle(pool: asyncpg.Pool) -> None:
    """Join starts and ends that were stored at the same moment, or the end by a recorder of an earlier version.

    Neither transaction saw the other's row. Raises `StoreAwayError`.
    """
    with store_errors():
        await pool.execute(_SETTLE)


async def running(
    pool: asyncpg.Pool,
    *,
    limit: int,
    cursor: str | None = None,
    workflow_id: str | None = None,
    variant: str | None = None,
    probably_ended: bool = False,
) -> tuple[list[Running], str | None]:
    """Those that have run for longest first, and the cursor of the next page. Raises `CursorError`."""
    after = Cursor.parse(cursor) if cursor is not None else None
    place = after and after.at, after and after.id
    found = await pool.fetch(_RUNNING, *place, workflow_id, variant, limit + 1, probably_ended)
    listed = found[:limit]
    last = listed[-1] if len(found) > limit else None
    following = Cursor(last["started_at"], last["execution_id"]).text() if last else None
    return [_running(each) for each in listed], following


async def count_lost(pool: asyncpg.Pool, workflow_id: str | None = None, variant: str | None = None) -> int:
    """How many have probably ended without notice, of all workflows or of one."""
    return int(await pool.fetchval(_LOST, workflow_id, variant))


async def running_execution(pool: asyncpg.Pool, execution_id: str, attempt: int | None = None) -> Running | None:
    """One that has started and not ended; None where there is none, or it is another attempt."""
    found = await pool.fetchrow(_ONE, execution_id, attempt)
    return _running(found) if found else None


def _running(row: asyncpg.Record) -> Running:
    event = msgspec.structs.replace(_start(row["event"]), workflow_id=row["workflow_id"], variant=row["variant"])
    rest = (
        row[name] for name in ("started_at", "queued_at", "elapsed_s", "usual_s", "probably_ended", "key", "packed")
    )
    return Running(event, *rest)

"""Executions that have started and whose end has not come."""

from datetime import datetime
from typing import NamedTuple

import asyncpg
import msgspec

from stream_detector.events.start import ENDS_AGAIN, Start
from stream_detector.events.variant import workflow_key
from stream_detector.store.connect import store_errors
from stream_detector.store.paging import Cursor

HAS_ENDED = f"""(
    EXISTS (SELECT FROM executions e WHERE e.execution_id = r.execution_id AND e.attempt >= r.attempt)
    OR (r.execution_id ~ '^{ENDS_AGAIN}' AND EXISTS (
        SELECT FROM executions e WHERE e.execution_id > r.execution_id || '.' AND e.execution_id < r.execution_id || '/'
            AND e.finished_at >= r.started_at)))"""  # noqa: S608 - constants of this module
"""Of a row r whose end was stored by a recorder that does not know the table, or by another one at the same moment."""
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
_RUNNING = f"""
    SELECT r.execution_id, r.workflow_id, r.variant, r.queued_at, r.event, r.started_at,
        greatest(0, extract(epoch FROM now() - r.started_at)::float8) AS elapsed_s
    FROM running_executions r
    WHERE ($1::timestamptz IS NULL OR (r.started_at, r.execution_id) > ($1, $2))
        AND ($3::text IS NULL OR r.workflow_id = $3) AND ($4::text IS NULL OR r.variant = $4)
        AND r.started_at > now() - interval '30 days' AND NOT {HAS_ENDED}
    ORDER BY r.started_at, r.execution_id LIMIT $5
"""  # noqa: S608 - constants of this module
_USUAL = """
    SELECT key, (named -> 'execution_time' ->> 'value')::float8 AS usual_s FROM baselines WHERE key = ANY($1::text[])
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
) -> tuple[list[Running], str | None]:
    """Those that have run for longest first, and the cursor of the next page. Raises `CursorError`."""
    after = Cursor.parse(cursor) if cursor is not None else None
    found = await pool.fetch(_RUNNING, after and after.at, after and after.id, workflow_id, variant, limit + 1)
    listed = found[:limit]
    keys = {each: workflow_key(each["workflow_id"], each["variant"]) for each in listed}
    usual = {each["key"]: each["usual_s"] for each in await pool.fetch(_USUAL, [*set(keys.values())])} if keys else {}
    items = [
        Running(
            msgspec.structs.replace(_start(each["event"]), workflow_id=each["workflow_id"], variant=each["variant"]),
            each["started_at"],
            each["queued_at"],
            each["elapsed_s"],
            usual.get(keys[each]),
        )
        for each in listed
    ]
    last = listed[-1] if len(found) > limit else None
    return items, Cursor(last["started_at"], last["execution_id"]).text() if last else None

"""Workflows whose runs are expected at times, learned or given by a rule."""

from datetime import datetime
from typing import NamedTuple

import asyncpg

from stream_detector.store.paging import Cursor

_SCHEDULED = """
    SELECT b.key, b.entity_id, b.variant, coalesce(nullif(n.name, ''), b.entity_id) AS workflow_name, b.packed,
        b.expected_at, b.source, (b.named -> 'execution_time' ->> 'value')::float8 AS usual_duration_s, b.recorded_at
    FROM baselines b LEFT JOIN LATERAL (
        SELECT convert_from(e.event, 'UTF8')::json ->> 'workflow_name' AS name FROM executions e
        WHERE e.workflow_id = b.entity_id ORDER BY e.finished_at DESC LIMIT 1
    ) n ON true
    WHERE b.expected_at IS NOT NULL AND ($1::timestamptz IS NULL OR (b.expected_at, b.key) > ($1, $2))
        AND ($3::text IS NULL OR b.entity_id = $3) AND ($4::text IS NULL OR b.variant = $4)
        AND ($5::text IS NULL OR strpos(lower(b.entity_id), lower($5)) > 0 OR strpos(lower(n.name), lower($5)) > 0)
        AND ($6::text IS NULL OR coalesce(b.source, 'kafka') = $6)
    {missed} ORDER BY b.expected_at, b.key LIMIT $7
"""
_STATEMENTS = {
    None: _SCHEDULED.format(missed=""),
    True: _SCHEDULED.format(missed="AND b.missed_since IS NOT NULL"),
    False: _SCHEDULED.format(missed="AND b.missed_since IS NULL"),
}
_MISSED = "SELECT count(*) FROM baselines WHERE expected_at IS NOT NULL AND missed_since IS NOT NULL"


class Scheduled(NamedTuple):
    """One workflow or variant with times, as the recorder stored its newest state."""

    key: str
    workflow_id: str
    variant: str | None
    workflow_name: str
    packed: bytes
    expected_at: datetime
    """When the next run is due; `rows.NEVER` where none is."""
    source: str | None
    usual_duration_s: float | None
    recorded_at: datetime


async def scheduled(
    pool: asyncpg.Pool,
    *,
    limit: int,
    cursor: str | None = None,
    workflow_id: str | None = None,
    variant: str | None = None,
    q: str | None = None,
    source: str | None = None,
    missed: bool | None = None,
) -> tuple[list[Scheduled], str | None]:
    """Those whose next run is due first, and the cursor of the next page. Raises `CursorError`.

    Args:
        q: a part of the id or name in any case.
        source: where the newest run came from.
        missed: whether a run is missed now.
    """
    after = Cursor.parse(cursor) if cursor is not None else None
    place = after and after.at, after and after.id
    statement = _STATEMENTS[missed]
    found = await pool.fetch(statement, *place, workflow_id, variant, q, source, limit + 1)
    listed = [Scheduled(*row) for row in found[:limit]]
    last = listed[-1] if len(found) > limit else None
    return listed, Cursor(last.expected_at, last.key).text() if last else None


async def count_missed(pool: asyncpg.Pool) -> int:
    """How many workflows and variants have a run that is missed now."""
    return int(await pool.fetchval(_MISSED))

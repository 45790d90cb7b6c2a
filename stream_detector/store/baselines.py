"""The newest baseline of each workflow or scored entity."""

from typing import Any

import asyncpg
import msgspec

_NEWEST_NAMED = {
    "workflow": "SELECT event, 'workflow_name' AS field FROM executions WHERE workflow_id = b.entity_id"
    " ORDER BY finished_at DESC LIMIT 1",
    "score": "SELECT event, 'entity_name' AS field FROM scores WHERE entity_id = b.entity_id"
    " ORDER BY scored_at DESC LIMIT 1",
}

_BASELINES = """
    SELECT b.key, b.entity_id, coalesce(nullif(n.name, ''), b.entity_id) AS entity_name, b.state,
        b.named::text AS named, b.recorded_at
    FROM baselines b LEFT JOIN LATERAL (
        SELECT convert_from(e.event, 'UTF8')::json ->> e.field AS name FROM ({newest}) e
    ) n ON true
    WHERE b.entity_kind = $1 AND b.entity_id > $2 AND ($4::text IS NULL OR b.state = $4)
    AND ($5::text IS NULL OR strpos(lower(b.entity_id), lower($5)) > 0 OR strpos(lower(n.name), lower($5)) > 0)
    ORDER BY b.entity_id LIMIT $3
"""


async def baselines(
    pool: asyncpg.Pool, kind: str, *, limit: int, after: str = "", q: str | None = None, state: str | None = None
) -> list[dict[str, Any]]:
    """Baselines of one kind of entity by id, from the one after `after`: key, name, state, the named values.

    `kind` is workflow or score; `q` a part of the id or name in any case; `state` learning, normal or anomalous. The
    name is that of the newest event stored, else the id.
    """
    statement = _BASELINES.format(newest=_NEWEST_NAMED[kind])
    found = await pool.fetch(statement, kind, after, limit, state, q)
    return [dict(each) | {"named": msgspec.json.decode(each["named"])} for each in found]


async def packed(pool: asyncpg.Pool, key: str) -> bytes | None:
    """The newest value of a state key, packed; None where nothing is stored of it."""
    found: bytes | None = await pool.fetchval("SELECT packed FROM baselines WHERE key = $1", key)
    return found

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
    SELECT b.key, b.entity_id, b.variant, coalesce(nullif(n.name, ''), b.entity_id) AS entity_name, b.state,
        b.named::text AS named, b.recorded_at
    FROM baselines b LEFT JOIN LATERAL (
        SELECT convert_from(e.event, 'UTF8')::json ->> e.field AS name FROM ({newest}) e
    ) n ON true
    WHERE b.entity_kind = $1 AND (b.entity_id, coalesce(b.variant, '')) > ($2, $6)
    AND ($4::text IS NULL OR b.state = $4)
    AND ($5::text IS NULL OR strpos(lower(b.entity_id), lower($5)) > 0 OR strpos(lower(n.name), lower($5)) > 0)
    AND ($7::text IS NULL OR b.entity_id = $7) AND ($8::text IS NULL OR b.variant = $8)
    ORDER BY b.entity_id, coalesce(b.variant, '') LIMIT $3
"""


async def baselines(
    pool: asyncpg.Pool,
    kind: str,
    *,
    limit: int,
    after: tuple[str, str] = ("", ""),
    q: str | None = None,
    state: str | None = None,
    entity_id: str | None = None,
    variant: str | None = None,
) -> list[dict[str, Any]]:
    """Baselines of one kind of entity by id and variant: key, name, variant, state, the named values.

    Args:
        kind: workflow or score.
        after: id and variant, empty where it has none, of the one before the first.
        q: a part of the id or name in any case. The name is that of the newest event stored, else the id.
        state: learning, normal or anomalous.
        entity_id: those of one workflow, with each of its variants, or of one scored entity.
        variant: those of one variant.
    """
    statement = _BASELINES.format(newest=_NEWEST_NAMED[kind])
    found = await pool.fetch(statement, kind, after[0], limit, state, q, after[1], entity_id, variant)
    return [dict(each) | {"named": msgspec.json.decode(each["named"])} for each in found]


async def packed(pool: asyncpg.Pool, key: str) -> bytes | None:
    """The newest value of a state key, packed; None where nothing is stored of it."""
    found: bytes | None = await pool.fetchval("SELECT packed FROM baselines WHERE key = $1", key)
    return found

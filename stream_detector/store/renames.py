"""Workflows that go on under another id: their rows, and where a former id leads to.

`renames` has one row a former id, which leads to the id that holds now, over any number of renames. Actions of several
partitions may be stored in any order, so the later decision counts, not the later row.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from stream_detector.events import Action
from stream_detector.events.variant import workflow_key
from stream_detector.store.connect import Connection
from stream_detector.store.rows import Row

_PATIENCE_S = 3600.0
"""A million executions take a minute."""
HOLDS = "coalesce((SELECT nullif(r.new_id, '') FROM renames r WHERE r.old_id = i.workflow_id), i.workflow_id)"
"""SQL: the id that holds for the column `workflow_id` of `i`, what comes in."""

_NOTE = """
    INSERT INTO renames (old_id, new_id, at, by, action_id) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (old_id) DO UPDATE SET new_id = excluded.new_id, at = excluded.at, by = excluded.by,
        action_id = excluded.action_id
    WHERE (renames.at, renames.action_id) < (excluded.at, excluded.action_id)
    RETURNING old_id
"""
_MOVES = (
    "UPDATE executions SET workflow_id = $2 WHERE workflow_id = $1",
    "UPDATE running_executions SET workflow_id = $2 WHERE workflow_id = $1",
    "UPDATE anomalies SET entity_id = $2, event = renamed_anomaly(event, $2)"
    " WHERE entity_id = $1 AND entity_kind = 'workflow'",
    "UPDATE incidents SET entity_id = $2 WHERE entity_id = $1 AND entity_kind = 'workflow'",
    "UPDATE actions SET entity = split_part(entity, ':', 1) || ':' || $2"
    " WHERE (entity = 'workflow:' || $1 OR (entity LIKE 'workflow/%' AND substr(entity, strpos(entity, ':') + 1) = $1))"
    " AND kind NOT IN ('rename', 'silence')",
    "INSERT INTO trimmed (entity, until) SELECT 'workflow:' || $2, until FROM trimmed WHERE entity = 'workflow:' || $1"
    " ON CONFLICT (entity) DO UPDATE SET until = greatest(trimmed.until, excluded.until)",
)


async def apply_renames(connection: Connection, actions: Sequence[Row[Action]]) -> None:
    """Bring the rows of renamed workflows under the id that holds, and end redirections of ids that were retired.

    Whoever stores rows of a former id at the same time has read `renames`; this waits for it, and it for this.

    Args:
        connection: within the transaction that wrote the actions.
        actions: of this batch, of any kind, as the recorder reads them.
    """
    renamed = [row.event for row in actions if row.event.kind == "rename" and row.event.new_id]
    retired = [row.event for row in actions if row.event.kind == "retire" and row.event.entity.startswith("workflow:")]
    if renamed:
        await connection.execute("LOCK TABLE renames IN ACCESS EXCLUSIVE MODE")
    for action in sorted(renamed, key=lambda each: (each.at, each.action_id)):
        old_id = action.entity.removeprefix("workflow:")
        if action.entity == workflow_key(old_id) and old_id != action.new_id:
            await _rename(connection, action, old_id, action.new_id or "")
    for action in retired:
        await connection.execute(
            "UPDATE renames SET new_id = '', at = $2 WHERE old_id = $1 AND new_id <> '' AND at <= $2",
            action.entity.removeprefix("workflow:"), action.at,
        )  # fmt: skip


async def _rename(connection: Connection, action: Action, old_id: str, new_id: str) -> None:
    noted = await connection.fetchval(_NOTE, old_id, new_id, action.at, action.by, action.action_id)
    if noted is None:
        return  # read twice, or a later one is known
    await connection.fetchval(_NOTE, new_id, "", action.at, action.by, action.action_id)  # it leads nowhere (any more)
    holds = await connection.fetchval("SELECT nullif(new_id, '') FROM renames WHERE old_id = $1", new_id) or new_id
    await connection.execute(
        "UPDATE renames SET new_id = CASE WHEN old_id = $2 THEN '' ELSE $2 END"
        " WHERE new_id = $1 OR old_id = $1",
        old_id, holds,
    )  # fmt: skip
    if holds != old_id:
        for statement in _MOVES:
            await connection.execute(statement, old_id, holds, timeout=_PATIENCE_S)


class Rename(NamedTuple):
    """Where a former id leads to."""

    old_id: str
    new_id: str
    at: datetime
    by: str


async def renames(pool: asyncpg.Pool) -> list[Rename]:
    """Every former id that leads to another one, the newest rename first."""
    found = await pool.fetch("SELECT old_id, new_id, at, by FROM renames WHERE new_id <> '' ORDER BY at DESC, old_id")
    return [Rename(*each.values()) for each in found]


class Naming(NamedTuple):
    """What else names a workflow."""

    silences: list[str]
    """Ids of those in force."""
    keys: list[str]
    """Names of its ping keys."""


async def naming(pool: asyncpg.Pool, workflow_id: str, now: datetime) -> Naming:
    """Silences and ping keys that name the workflow or one of its variants."""
    silences = await pool.fetch(
        "SELECT id FROM silences WHERE split_part(entity, ':', 1) ~ '^workflow(/|$)'"
        " AND substr(entity, strpos(entity, ':') + 1) = $1 AND coalesce(until, at + interval '24 hours') > $2"
        " ORDER BY at, id",
        workflow_id, now,
    )  # fmt: skip
    keys = await pool.fetch(
        "SELECT name FROM tokens WHERE workflow_id = $1 AND revoked_at IS NULL"
        " AND (expires_at IS NULL OR expires_at > $2) ORDER BY created_at, name",
        workflow_id, now,
    )  # fmt: skip
    return Naming([each["id"] for each in silences], [each["name"] for each in keys])


async def is_known(pool: asyncpg.Pool, workflow_id: str) -> bool:
    """Whether the workflow has a baseline or executions."""
    return bool(
        await pool.fetchval(
            "SELECT EXISTS (SELECT FROM executions WHERE workflow_id = $1)"
            " OR EXISTS (SELECT FROM baselines WHERE entity_kind = 'workflow' AND entity_id = $1)",
            workflow_id,
        )
    )


async def ids_that_begin(pool: asyncpg.Pool, start: str) -> list[str]:
    """Ids of the workflows that begin with this text."""
    found = await pool.fetch(
        "SELECT DISTINCT entity_id FROM baselines WHERE entity_kind = 'workflow' AND starts_with(entity_id, $1)"
        " ORDER BY entity_id",
        start,
    )
    return [each["entity_id"] for each in found]


_NOTE_NUMBER = """
    INSERT INTO source_workflows AS s (source, number, workflow_id, newest_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (source, number) DO UPDATE SET workflow_id = excluded.workflow_id, newest_at = excluded.newest_at
    WHERE s.newest_at < excluded.newest_at
"""


async def former_id(pool: asyncpg.Pool, source: str, number: str, workflow_id: str, at: datetime) -> str | None:
    """The id that the workflow of a source's number had before this one; None where it is the same, or not known.

    Args:
        at: when the execution ended that names both. An earlier one than is known shows nothing.
    """
    found: Any = await pool.fetchval(
        "SELECT workflow_id FROM source_workflows"
        " WHERE source = $1 AND number = $2 AND workflow_id <> $3 AND newest_at < $4",
        source, number, workflow_id, at,
    )  # fmt: skip
    return None if found is None else str(found)


async def note_number(pool: asyncpg.Pool, source: str, number: str, workflow_id: str, at: datetime) -> None:
    """Note which workflow a source's number stands for, as of the end of an execution."""
    await pool.execute(_NOTE_NUMBER, source, number, workflow_id, at)


async def variants_of(pool: asyncpg.Pool, workflow_id: str) -> list[str | None]:
    """The variants of the workflow that have a baseline; None among them is that of executions without one."""
    found = await pool.fetch(
        "SELECT variant FROM baselines WHERE entity_kind = 'workflow' AND entity_id = $1", workflow_id
    )
    return [each["variant"] for each in found]

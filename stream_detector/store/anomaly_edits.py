"""Anomalies that operators create, change and delete by hand, carried out from their actions."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from stream_detector.events import Action, Anomaly
from stream_detector.events.action import EDITS
from stream_detector.store.anomaly_tables import ANOMALIES, ANOMALY_COLUMNS, incidents_of
from stream_detector.store.connect import Connection
from stream_detector.store.rows import Row
from stream_detector.store.table import names, parameters
from stream_detector.store.where import Where

_NEWEST = """
    SELECT DISTINCT ON (anomaly_id) anomaly_id, event FROM actions WHERE anomaly_id = ANY($1::uuid[])
    ORDER BY anomaly_id, kind = 'delete_anomaly' DESC, at DESC, action_id DESC
"""
_UPDATE = f"""
    UPDATE anomalies SET ({names(ANOMALY_COLUMNS)}) = ROW({parameters(ANOMALY_COLUMNS)}) WHERE id = $1::uuid
"""  # noqa: S608 - columns of ours
_REBUILD = incidents_of("anomalies WHERE incident_id = $1")


async def apply_edits(connection: Connection, actions: Sequence[Row[Action]]) -> set[UUID]:
    """Bring the anomalies that these actions name to what the stored edits make of them; incidents follow.

    Of all edits of an anomaly the newest counts, in whichever order they come, and a deletion before all others.

    Args:
        connection: within the transaction that wrote the actions.
        actions: of this batch, of any kind.

    Returns:
        The incidents whose records have changed.
    """
    ids = {UUID(row.event.anomaly_id) for row in actions if row.event.kind in EDITS and row.event.anomaly_id}
    touched: set[UUID] = set()
    if ids:
        for found in await connection.fetch(_NEWEST, sorted(ids)):
            action = msgspec.json.decode(found["event"], type=Action)
            if action.anomaly is None:
                touched |= await _delete(connection, found["anomaly_id"], action)
            else:
                touched |= await _put(connection, action.anomaly)
    for incident_id in sorted(touched):
        await _rebuild_incident(connection, incident_id)
    return touched


class Deletion(NamedTuple):
    """Of one anomaly: who deleted it, and when."""

    anomaly_id: str
    at: datetime
    by: str


async def deletions(pool: asyncpg.Pool, anomaly_ids: Iterable[str]) -> list[Deletion]:
    """Which of these anomalies operators have deleted, in the order of the deletions."""
    found = await pool.fetch(
        "SELECT id::text, at, by FROM deleted_anomalies WHERE id = ANY($1::text[]::uuid[]) ORDER BY at, id",
        list(anomaly_ids),
    )
    return [Deletion(each["id"], each["at"], each["by"]) for each in found]


async def deleted_of(pool: asyncpg.Pool, key: str) -> set[str]:
    """The ids of the anomalies of a state key that operators have deleted; of a workflow those of all variants."""
    where = Where()
    where.about(key)
    statement = f"SELECT anomaly_id::text FROM actions WHERE {where.text()} AND kind = 'delete_anomaly'"  # noqa: S608 - no values in it
    return {found["anomaly_id"] for found in await pool.fetch(statement, *where.values)}


async def _delete(connection: Connection, anomaly_id: UUID, action: Action) -> set[UUID]:
    await connection.execute(
        "INSERT INTO deleted_anomalies (id, at, by) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
        anomaly_id, action.at, action.by,
    )  # fmt: skip
    incident_id = await connection.fetchval("DELETE FROM anomalies WHERE id = $1 RETURNING incident_id", anomaly_id)
    return {incident_id} - {None}


async def _put(connection: Connection, anomaly: Anomaly) -> set[UUID]:
    row: Row[Any] = Row(anomaly, "", 0, 0, 0)
    before = await connection.fetchval("SELECT incident_id FROM anomalies WHERE id = $1 FOR UPDATE", UUID(anomaly.id))
    if before is None:
        await connection.fetch(ANOMALIES.statement, *ANOMALIES.values([row]))
        return {UUID(anomaly.incident_id)}
    await connection.execute(_UPDATE, *(column.value(row) for column in ANOMALY_COLUMNS))
    return {before, UUID(anomaly.incident_id)}


async def _rebuild_incident(connection: Connection, incident_id: UUID) -> None:
    decided = await connection.fetchrow(
        "DELETE FROM incidents WHERE id = $1 RETURNING acknowledged_at, acknowledged_by, verdict, verdict_at,"
        " verdict_by, resolved_by, resolved_at, end_reason",
        incident_id,
    )
    await connection.execute(_REBUILD, incident_id)
    if decided:
        await connection.execute(
            "UPDATE incidents SET acknowledged_at = $2, acknowledged_by = $3, verdict = $4, verdict_at = $5,"
            " verdict_by = $6, resolved_by = $7,"
            " state = CASE WHEN $7::text IS NULL THEN state ELSE 'resolved' END,"
            " resolved_at = CASE WHEN $7::text IS NULL THEN resolved_at ELSE $8 END,"
            " end_reason = CASE WHEN $7::text IS NULL THEN end_reason ELSE $9 END WHERE id = $1",
            incident_id, *decided.values(),
        )  # fmt: skip

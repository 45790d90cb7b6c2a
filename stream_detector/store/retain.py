"""Retention: what is older than the settings say is deleted, in small batches, by one service at a time."""

from datetime import datetime, timedelta

import asyncpg

from stream_detector.store.connect import Connection, store_errors

LOCK = 0x5D1E_C7_0002
_BATCH = 5_000
_HISTORY = """
    WITH old AS (
        SELECT ctid FROM {table} WHERE {time} < $1 ORDER BY {time} LIMIT $2
    ), gone AS (
        DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM old) RETURNING {entity} AS entity, {time} AS at
    ), noted AS (
        INSERT INTO trimmed (entity, until)
        SELECT '{kind}:' || entity, max(at) FROM gone GROUP BY entity
        ON CONFLICT (entity) DO UPDATE SET until = greatest(trimmed.until, excluded.until)
    )
    SELECT count(*) FROM gone
"""
_PLAIN = """
    WITH gone AS (
        DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table} WHERE {time} < $1 LIMIT $2) RETURNING 1
    )
    SELECT count(*) FROM gone
"""
# (table, statement, which retention): names are constants of ours, values are parameters
_BY_AGE = (
    (
        "executions",
        _HISTORY.format(table="executions", time="finished_at", entity="workflow_id", kind="workflow"),
        "history",
    ),
    ("scores", _HISTORY.format(table="scores", time="scored_at", entity="entity_id", kind="score"), "history"),
    ("anomalies", _PLAIN.format(table="anomalies", time="detected_at"), "anomalies"),
    ("incidents", _PLAIN.format(table="incidents", time="newest_at"), "anomalies"),
    ("notifications", _PLAIN.format(table="notifications", time="at"), "anomalies"),
    ("runs", _PLAIN.format(table="runs", time="newest_at"), "anomalies"),
    ("dead_letters", _PLAIN.format(table="dead_letters", time="record_at"), "history"),
    ("sessions", _PLAIN.format(table="sessions", time="expires_at"), "now"),
    ("sign_in_links", _PLAIN.format(table="sign_in_links", time="expires_at"), "now"),
)
_DROPPED = (
    "DELETE FROM state_records WHERE topic = 'baselines' AND recorded_at < $1"
    " AND CASE WHEN octet_length(value) >= 6 THEN octet_length(value) = 6 + 9 * get_byte(value, 5) ELSE false END"
)
"""Keys without a payload, which were retired or dropped: needed while an event of theirs is stored, which a restore
would take for one that state lacks."""
_RUNNING = "DELETE FROM running_executions WHERE started_at < $1::timestamptz - interval '30 days'"
"""Runs that died, or whose end was lost."""
_AT_ONCE = (
    (_RUNNING, "now"),
    (_DROPPED, "history"),
    (
        "DELETE FROM score_runs s WHERE at < $1 AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = s.run_id)",
        "anomalies",
    ),
    (
        "DELETE FROM run_summaries s WHERE recorded_at < $1"
        " AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = s.run_id)",
        "anomalies",
    ),
    (
        "DELETE FROM inbox_marks m WHERE read_at < $1"
        " AND NOT EXISTS (SELECT 1 FROM notifications n WHERE n.id = m.notification_id)",
        "anomalies",
    ),
)


async def retain(
    pool: asyncpg.Pool, *, now: datetime, executions_d: int, anomalies_d: int, batch: int = _BATCH
) -> dict[str, int] | None:
    """Delete what is too old; returns table -> rows deleted, None where another service is at it and nothing was.

    Where another one begins between two batches, it goes on.

    Each batch is a transaction of its own, so no lock is held for long and an end in the middle loses nothing.

    Args:
        pool: the store.
        now: ages count from here.
        executions_d: days that executions and scores are kept, 30 or more.
        anomalies_d: days that anomalies, incidents, runs and notifications are kept.
        batch: rows a transaction.

    Raises:
        StoreAwayError: the database is away.
    """
    before = {
        "history": now - timedelta(days=max(30, executions_d)),
        "anomalies": now - timedelta(days=anomalies_d),
        "now": now,
    }
    with store_errors():
        async with pool.acquire() as connection:
            deleted: dict[str, int] = {}
            for table, statement, age in _BY_AGE:
                deleted[table], gone = 0, batch
                while gone:
                    async with connection.transaction():
                        if not await _is_alone(connection):
                            return deleted if any(deleted.values()) else None
                        gone = await connection.fetchval(statement, before[age], batch)
                    deleted[table] += gone
            for statement, age in _AT_ONCE:
                async with connection.transaction():
                    if not await _is_alone(connection):
                        return deleted
                    await connection.execute(statement, before[age])
            return deleted


async def _is_alone(connection: Connection) -> bool:
    """Whether no other service deletes now; until the end of the transaction none begins.

    A lock of the session would be left on the server by a pooler that gives each transaction another one.
    """
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK))

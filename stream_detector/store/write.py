"""Rows into PostgreSQL: one transaction a batch, the same result however often a batch comes."""

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
from asyncpg.exceptions import _base as client_errors

from stream_detector.events import RefusedError
from stream_detector.store import anomaly_edits, anomaly_tables, renames, run_tables, tables
from stream_detector.store.connect import Connection, StoreAwayError, store_errors
from stream_detector.store.connector import is_pooled
from stream_detector.store.rows import BadRow, Row, Rows
from stream_detector.store.source_positions import Gap, Reached, note_reached
from stream_detector.store.table import Table
from stream_detector.telemetry import metrics

TABLES: dict[str, Table] = {
    "starts": tables.STARTS,
    "executions": tables.EXECUTIONS,
    "scores": tables.SCORES,
    "score_runs": run_tables.SCORE_RUNS,
    "summaries": run_tables.SUMMARIES,
    "anomalies": anomaly_tables.ANOMALIES,
    "actions": anomaly_tables.ACTIONS,
    "notifications": tables.NOTIFICATIONS,
    "baselines": tables.BASELINES,
    "state_records": tables.STATE_RECORDS,
    "dead_letters": tables.DEAD_LETTERS,
    "settings": tables.DETECTOR_SETTINGS,
}
_ABOUT_THE_DATA = ("21", "22", "23", "54")
"""SQLSTATE classes: cardinality, data exception, integrity constraint, program limit (a value too large for an index).
"""
_ABOUT_A_VALUE = (
    client_errors.DataError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a value of a row can lead to before PostgreSQL has it. The database itself raises none of these."""
_TRIES = 4
"""A deadlock or a serialization failure is the other writer's luck: the same batch goes through at the next try."""

_PROGRESS = """
    INSERT INTO recorder_progress (recorded_at, newest_event_at, events_at, baselines_at)
    VALUES (now(), $1, CASE WHEN $2 THEN now() END, CASE WHEN $3 THEN now() END)
    ON CONFLICT (only_one) DO UPDATE SET recorded_at = excluded.recorded_at,
        newest_event_at = greatest(recorder_progress.newest_event_at, excluded.newest_event_at),
        events_at = greatest(recorder_progress.events_at, excluded.events_at),
        baselines_at = greatest(recorder_progress.baselines_at, excluded.baselines_at)
"""


class Writer:
    """Writes batches. One per process is enough; `write` may be called again while another call runs."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.gaps: list[Gap] = []
        """What was found to be missing of what was stored before."""
        self._noted_at_s = -math.inf
        self._has_events = self._has_baselines = False  # stored since it was noted last

    async def write(self, rows: Rows, reached: Reached | None = None) -> list[BadRow]:
        """Everything but the returned bad rows is stored and committed, and that the source partition is stored so far.

        A batch that PostgreSQL refuses is tried table by table, and a refused table in halves, until the bad rows
        stand alone. What is stored twice leaves one row.

        Raises:
            StoreAwayError: the database is away. Call again with the same rows: what was stored stays one row.
        """
        with store_errors():
            if await self._refusal(rows, reached) is None:
                return []
            bad: list[BadRow] = []
            for name, listed in rows.lists():
                bad += await self._split(name, listed)
            if reached is not None:
                await self._refusal(Rows(), reached)
            return bad

    async def _split(self, name: str, listed: Sequence[Row[Any]]) -> list[BadRow]:
        if not listed:
            return []
        error = await self._refusal(Rows(**{name: list(listed)}))
        if error is None:
            return []
        if len(listed) == 1:
            return [
                BadRow(name, listed[0], RefusedError("store", "rejected_by_store", f"{type(error).__name__}: {error}"))
            ]
        middle = len(listed) // 2
        return [*await self._split(name, listed[:middle]), *await self._split(name, listed[middle:])]

    async def _refusal(self, rows: Rows, reached: Reached | None = None) -> Exception | None:
        """Store the rows; returns what PostgreSQL has against the data, None when they are stored."""
        for attempt in range(_TRIES):
            try:
                await self._store(rows, reached)
                return None
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
                if attempt == _TRIES - 1:
                    raise StoreAwayError(str(error)) from error
                await asyncio.sleep(0.01 * 2**attempt)
            except asyncpg.PostgresError as error:
                if (error.sqlstate or "")[:2] not in _ABOUT_THE_DATA:
                    raise
                return error
            except _ABOUT_A_VALUE as error:
                return error
        raise AssertionError("unreachable")

    async def _store(self, rows: Rows, reached: Reached | None) -> None:
        stored: dict[str, int] = {}
        async with self._pool.acquire() as connection, connection.transaction():
            grown: list[Any] = []
            for name, listed in rows.lists():
                if not listed:
                    continue
                table = TABLES[name]
                columns = table.values(table.distinct(listed))
                if name == "anomalies":
                    incidents = await connection.fetch(table.statement, *columns)
                    grown = [incident["id"] for incident in incidents]
                    stored[name] = incidents[0]["added"] if incidents else 0
                else:
                    stored[name] = await _insert(connection, table, columns)
            if rows.actions:
                # The API stores an action at once, too (epoch 0): what it does to many rows is the recorder's.
                await renames.apply_renames(connection, [row for row in rows.actions if row.epoch])
                grown = [*grown, *await anomaly_edits.apply_edits(connection, rows.actions)]
            if grown or rows.actions:
                await anomaly_tables.decide(connection, grown, rows.actions)
            self._has_events |= bool(stored.get("executions") or stored.get("scores"))
            self._has_baselines |= bool(rows.baselines)
            if len(rows):
                await self._note_progress(connection, rows)
            gap = await note_reached(connection, reached) if reached is not None else None
        if gap is not None:
            self.gaps.append(gap)
        for name, count in stored.items():
            metrics.SINK_ROWS.labels(name).inc(count)

    async def _note_progress(self, connection: Connection, rows: Rows) -> None:
        """Note for health when something was stored last. At most once a second: recorders share that one row."""
        if time.monotonic() - self._noted_at_s < 1.0:
            return
        self._noted_at_s = time.monotonic()
        times = [row.event.finished_at for row in rows.executions] + [row.event.scored_at for row in rows.scores]
        await connection.execute(_PROGRESS, max(times, default=None), self._has_events, self._has_baselines)
        self._has_events = self._has_baselines = False


async def _insert(connection: Connection, table: Table, columns: list[list[Any]]) -> int:
    """How many rows are new."""
    staging = table.staging
    if staging is None:
        done = await connection.execute(table.statement, *columns)
    else:
        statement = staging.for_transaction if is_pooled(connection) else staging.for_session
        await connection.execute(statement)
        await connection.copy_records_to_table(
            staging.table, records=zip(*columns, strict=True), columns=[each.name for each in table.columns]
        )
        done = await connection.execute(table.statement)
    return int(done.rpartition(" ")[2])

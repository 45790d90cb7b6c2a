"""Where stored events lay in their source partition: up to where the recorder has stored each, and what is missing."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg

from stream_detector.store.connect import Connection
from stream_detector.store.table import instant

_PATIENCE_S = 24 * 3600.0
"""Not the pool's command timeout: millions of rows take their time."""
_AWAY = 1 << 50
"""Beyond any offset: rows on their way must not meet those that have not moved yet."""


class Reached(NamedTuple):
    """A batch of one source partition: from where it goes on, and up to where everything is stored with it."""

    epoch: int
    topic: str
    partition: int
    first: int | None
    """None at the first start of the recorder's group: nothing was stored before."""
    end: int


class Gap(NamedTuple):
    """Offsets from `first` to before `end` of a source partition, which were stored once and are missing."""

    topic: str
    partition: int
    first: int
    end: int


_NOTE = """
    WITH before AS (
        SELECT coalesce(p.next_offset, CASE WHEN e.has_positions THEN 0 END) AS next_offset
        FROM stream_epochs e
        LEFT JOIN recorder_positions p ON (p.stream_epoch, p.topic, p.partition) = (e.epoch, $2, $3)
        WHERE e.epoch = $1
    )
    INSERT INTO recorder_positions (stream_epoch, topic, partition, next_offset) VALUES ($1, $2, $3, $4)
    ON CONFLICT (stream_epoch, topic, partition) DO UPDATE SET next_offset = excluded.next_offset, noted_at = now()
        WHERE recorder_positions.next_offset < excluded.next_offset
    RETURNING (SELECT next_offset FROM before)
"""
_WITH_POSITIONS = {
    "workflow-completions": "executions",
    "scores": "scores",
    "score-runs": "score_runs",
    "alerts": "anomalies",
    "run-summaries": "run_summaries",
    "operator-actions": "actions",
    "dead-letters": "dead_letters",
}
"""Topics whose rows have the offset of their record. Of the others a gap is not noted: a dump is older for all."""


_NOTE_GAP = """
    INSERT INTO recorder_gaps (stream_epoch, topic, partition, first_offset, next_offset)
    SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (
        SELECT 1 FROM {table}
        WHERE stream_epoch = $1 AND source_partition = $3 AND source_offset >= $4 AND source_offset < $5
    )
    ON CONFLICT (stream_epoch, topic, partition, first_offset)
        DO UPDATE SET next_offset = greatest(recorder_gaps.next_offset, excluded.next_offset)
    RETURNING 1
"""


async def note_reached(connection: Connection, reached: Reached) -> Gap | None:
    """Note a position, in the transaction of the rows. Where the one that is stored lies before the beginning of the
    batch, what is between was stored once and is missing: that is noted, too, and returned."""
    epoch, topic, partition, first, end = reached
    before = await connection.fetchval(_NOTE, epoch, topic, partition, end)
    if before is None or first is None or before >= first or topic not in _WITH_POSITIONS:
        return None
    # A recorder of an earlier version stores rows and notes no position.
    statement = _NOTE_GAP.format(table=_WITH_POSITIONS[topic])
    added = await connection.fetchval(statement, epoch, topic, partition, before, first)
    return Gap(topic, partition, before, first) if added else None


async def forget_gap(pool: asyncpg.Pool, epoch: int, gap: Gap) -> None:
    """It was a gap of the topic."""
    await pool.execute(
        "DELETE FROM recorder_gaps WHERE (stream_epoch, topic, partition, first_offset) = ($1, $2, $3, $4)",
        epoch, gap.topic, gap.partition, gap.first,
    )  # fmt: skip


async def find_gaps(pool: asyncpg.Pool, epoch: int | None, committed: Mapping[tuple[str, int], int]) -> list[Gap]:
    """What is missing of the source partitions.

    Args:
        pool: the store.
        epoch: of the stream; None where the store has never seen it.
        committed: (topic, partition) -> up to where the recorder has committed it, -1 where it has not.
    """
    known: dict[tuple[str, int], int] = {}
    has_positions, gaps = True, []
    if epoch is not None:
        has_positions = bool(await pool.fetchval("SELECT has_positions FROM stream_epochs WHERE epoch = $1", epoch))
        known = await stored_positions(pool, epoch)
        for row in await pool.fetch("SELECT * FROM recorder_gaps WHERE stream_epoch = $1 ORDER BY first_offset", epoch):
            gaps.append(Gap(row["topic"], row["partition"], row["first_offset"], row["next_offset"]))
    for (topic, partition), end in committed.items():
        first = known.get((topic, partition), 0 if has_positions else end)
        if first < end and topic in _WITH_POSITIONS:
            gaps.append(Gap(topic, partition, first, end))
    return sorted(gaps)


async def set_position(
    pool: asyncpg.Pool, epoch: int, topic: str, partition: int, next_offset: int, missing: Gap | None = None
) -> None:
    """The recorder goes on at `next_offset`; of what is missing before it, only `missing` remains noted."""
    async with pool.acquire() as connection, connection.transaction():
        place = epoch, topic, partition
        await connection.execute(
            "INSERT INTO recorder_positions (stream_epoch, topic, partition, next_offset) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (stream_epoch, topic, partition) DO UPDATE SET next_offset = $4, noted_at = now()",
            *place, next_offset,
        )  # fmt: skip
        await connection.execute(
            "DELETE FROM recorder_gaps WHERE (stream_epoch, topic, partition) = ($1, $2, $3)", *place
        )
        if missing is not None:
            await connection.execute(
                "INSERT INTO recorder_gaps (stream_epoch, topic, partition, first_offset, next_offset)"
                " VALUES ($1, $2, $3, $4, $5)",
                *place, missing.first, missing.end,
            )  # fmt: skip


async def stored_positions(pool: asyncpg.Pool, epoch: int) -> dict[tuple[str, int], int]:
    """(topic, partition) -> up to where the recorder has stored it."""
    rows = await pool.fetch(
        "SELECT topic, partition, next_offset FROM recorder_positions WHERE stream_epoch = $1", epoch
    )
    return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}


_WITH_RECORD_TIMES = ("executions", "scores", "dead_letters")
_IS_ANOTHER = (
    "SELECT EXISTS (SELECT 1 FROM {table}"
    " WHERE (stream_epoch, source_partition, source_offset) = ($1, $2, $3) AND record_at <> $4)"
)
_PLACE = "stream_epoch = $1 AND source_partition = $2 AND $3::timestamptz IS NOT NULL"
_NEWEST = "SELECT max(source_offset) FROM {table} WHERE {which}"
_MOVE = "UPDATE {table} SET source_offset = source_offset - $4 WHERE {which}"
_END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)


async def move_below(
    pool: asyncpg.Pool, epoch: int, table: str, partition: int, target: int, first: tuple[int, int] | None = None
) -> int:
    """Move the rows of one source partition, in their order, to offsets below `target`: new records will have those.

    Args:
        pool: the store.
        epoch: of the stream.
        table: with the columns `stream_epoch`, `source_partition` and `source_offset`.
        partition: its number.
        target: the offset at which the partition goes on.
        first: offset and timestamp in ms of the first record that the log has now. Rows from then on stay, as the
            recorder may have them of this log, where all of the log is read again, or where another record is stored
            of that offset, so that the log was made anew.

    Returns:
        How many rows were moved; 0 where all lie below.

    Raises:
        StoreAwayError: within `store_errors`, where the database is away.
    """
    has_times, until = table in _WITH_RECORD_TIMES, _END_OF_TIME
    which = f"{_PLACE} AND record_at < $3" if has_times else _PLACE
    async with pool.acquire() as connection, connection.transaction():
        if first is not None and has_times:
            statement = _IS_ANOTHER.format(table=table)
            is_another = await connection.fetchval(statement, epoch, partition, first[0], instant(first[1]))
            if is_another or first[0] >= target:
                until = instant(first[1])
        statement = _NEWEST.format(table=table, which=which)
        newest = await connection.fetchval(statement, epoch, partition, until)
        if newest is None or newest < target:
            return 0
        statement = _MOVE.format(table=table, which=which)
        for shift in (_AWAY, newest - target + 1 - _AWAY):
            done = await connection.execute(statement, epoch, partition, until, shift, timeout=_PATIENCE_S)
    return int(done.rpartition(" ")[2])


async def move_letters_below(pool: asyncpg.Pool, epoch: int, topic: str, partition: int, target: int) -> None:
    """The same for the places that dead letters name: new records there were not refused."""
    await pool.execute(
        "UPDATE dead_letters d SET original_offset = d.original_offset - (m.newest - $4 + 1) FROM ("
        " SELECT max(original_offset) AS newest FROM dead_letters"
        " WHERE stream_epoch = $1 AND original_topic = $2 AND original_partition = $3) m"
        " WHERE d.stream_epoch = $1 AND d.original_topic = $2 AND d.original_partition = $3 AND m.newest >= $4",
        epoch, topic, partition, target, timeout=_PATIENCE_S,
    )  # fmt: skip

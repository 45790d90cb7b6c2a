"""What a new, empty broker is restored from: the stored records of the state topics, and events that state lacks."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from stream_detector.store.connect import Connection
from stream_detector.store.sql_keys import sql_key

ROWS_AT_ONCE = 5_000
LEAST_BYTES = 6
"""Of a value. Former versions stored what others had written to a state topic, whatever it was: it is passed over."""
HEADS = 8
"""How many of the newest heads of a partition are looked at. Its last checkpoint may be stored in part, and while
events are read again a key's head may name more than its checkpoint did; the least of these is of one stored whole."""


class StoredRecord(NamedTuple):
    """One row of `state_records`."""

    partition: int
    key: bytes
    value: bytes
    stream_epoch: int
    offset: int


class StoredState(NamedTuple):
    """How much there is to restore."""

    keys: int
    n_bytes: int
    newest_epoch: int
    """The stream that the newest record lay in."""


class StoredHead(NamedTuple):
    """The head of one checkpoint's values, and how long those are that no later one has replaced."""

    head: bytes
    n_bytes: int


class Place(NamedTuple):
    """Where an event lay, or lies now."""

    stream_epoch: int
    partition: int
    offset: int
    event_index: int = 0
    """Of a record with several events: which of them."""


class EventTable(NamedTuple):
    """A table of events, which can be published again; SQL over its columns."""

    name: str
    owner: str
    """The id whose hash decides the partition; empty: partition 0."""
    key: str
    """The record's key."""
    state_key: str = "NULL"
    """The key of the baseline that has it."""
    run_id: str = "NULL"
    record_at: str = "recorded_at"
    """When the record was published, or the next best."""
    backfill: str = "false"
    event_index: str = "0"
    """Which event of its record it is."""


_INDEX = "source_index"
EXECUTIONS = EventTable(
    "executions",
    "workflow_id",
    "workflow_id",
    sql_key("'workflow'", "workflow_id", "variant"),
    "NULL",
    "record_at",
    "backfill",
    _INDEX,
)
SCORES = EventTable(
    "scores", "entity_id", "entity_id", "'score:' || entity_id", "run_id", "record_at", "backfill", _INDEX
)
SCORE_RUNS = EventTable("score_runs", "run_id", "run_id", record_at="at", event_index=_INDEX)
ACTIONS = EventTable("actions", "substr(entity, strpos(entity, ':') + 1)", "entity", "entity", record_at="at")
ANOMALIES = EventTable("anomalies", "entity_id", sql_key("entity_kind", "entity_id", "variant"))
RUN_SUMMARIES = EventTable("run_summaries", "run_id", "run_id")


class StoredEvent(NamedTuple):
    """An event as it is stored, to be published again."""

    place: Place
    event: bytes
    record_at: datetime
    backfill: bool
    owner: str
    key: str


class Candidate(NamedTuple):
    """An event that its key's state may lack, and that state's partition, stream and head; None without state."""

    place: Place
    run_id: str | None
    backfill: bool
    home: int | None
    state_epoch: int | None
    head: bytes | None


async def read_state(pool: asyncpg.Pool) -> StoredState | None:
    """How much state is stored, None where there is none."""
    found = await pool.fetchrow(
        "SELECT count(*) AS keys, coalesce(sum(octet_length(key) + octet_length(value)), 0)::bigint AS n_bytes,"
        " max(stream_epoch) AS newest FROM state_records"
    )
    return StoredState(found["keys"], found["n_bytes"], found["newest"]) if found and found["keys"] else None


async def has_epoch(pool: asyncpg.Pool, epoch: int) -> bool:
    """Whether state of that stream is stored."""
    return bool(await pool.fetchval("SELECT EXISTS (SELECT 1 FROM state_records WHERE stream_epoch = $1)", epoch))


async def other_versions(pool: asyncpg.Pool, known: int) -> int:
    """How many values have another version in their first byte than the known one."""
    statement = (
        "SELECT count(*) FROM state_records WHERE CASE WHEN octet_length(value) >= $2 THEN get_byte(value, 0) <> $1 END"
    )
    return int(await pool.fetchval(statement, known, LEAST_BYTES))


async def has_topic(pool: asyncpg.Pool, topic: str) -> bool:
    """Whether state of that topic is stored."""
    return bool(await pool.fetchval("SELECT EXISTS (SELECT 1 FROM state_records WHERE topic = $1)", topic))


async def newest_epoch(pool: asyncpg.Pool, table: EventTable) -> int:
    """The newest stream of which the table has an event; 0 where it has none."""
    statement = f"SELECT coalesce(max(stream_epoch), 0) FROM {table.name} WHERE source_offset IS NOT NULL"  # noqa: S608 - names of this module
    return int(await pool.fetchval(statement))


async def stored_records(pool: asyncpg.Pool, topic: str) -> AsyncIterator[Sequence[StoredRecord]]:
    """Every record of a topic, some at a time, in the order of the primary key.

    By the key and not by a cursor, whose statement has a name: behind pgbouncer it could be another client's.
    """
    key, partition = b"", -1
    while True:
        rows = await pool.fetch(
            "SELECT partition, key, value, stream_epoch, source_offset FROM state_records"
            " WHERE topic = $1 AND (key, partition) > ($2, $3) AND octet_length(value) >= $4"
            " ORDER BY key, partition LIMIT $5",
            topic, key, partition, LEAST_BYTES, ROWS_AT_ONCE,
        )  # fmt: skip
        if not rows:
            return
        key, partition = rows[-1]["key"], rows[-1]["partition"]
        yield [StoredRecord(*row) for row in rows]


async def stored_heads(pool: asyncpg.Pool, topic: str, epoch: int) -> dict[int, list[StoredHead]]:
    """Partition -> its newest distinct heads in that stream, the newest first, at most `HEADS`."""
    rows = await pool.fetch(
        """
        SELECT partition, head, n_bytes FROM (
            SELECT partition, head, n_bytes,
                row_number() OVER (PARTITION BY partition ORDER BY last DESC) AS place
            FROM (
                SELECT partition, substring(value FROM 1 FOR 6 + 9 * get_byte(value, 5)) AS head,
                    max(source_offset) AS last, sum(octet_length(key) + octet_length(value)) AS n_bytes
                FROM state_records WHERE topic = $1 AND stream_epoch = $2 AND octet_length(value) >= $4
                GROUP BY 1, 2
            ) heads
        ) placed WHERE place <= $3 ORDER BY partition, place
        """,
        topic, epoch, HEADS, LEAST_BYTES,
    )  # fmt: skip
    found: dict[int, list[StoredHead]] = {}
    for row in rows:
        found.setdefault(row["partition"], []).append(StoredHead(row["head"], int(row["n_bytes"])))
    return found


async def stored_special(pool: asyncpg.Pool, topic: str, key: bytes) -> dict[int, tuple[int, bytes]]:
    """Partition -> stream epoch and value of a key that each partition has, for example its watermarks."""
    rows = await pool.fetch(
        "SELECT partition, stream_epoch, value FROM state_records WHERE topic = $1 AND key = $2", topic, key
    )
    return {row["partition"]: (row["stream_epoch"], row["value"]) for row in rows}


async def partitions_of(pool: asyncpg.Pool, table: EventTable, epoch: int) -> list[int]:
    """The partitions of which the table has events of that stream."""
    statement = f"""
        WITH RECURSIVE known AS (
            (SELECT source_partition AS p FROM {table.name} WHERE stream_epoch = $1 AND source_offset IS NOT NULL
                ORDER BY source_partition LIMIT 1)
            UNION ALL
            SELECT (SELECT source_partition FROM {table.name} WHERE stream_epoch = $1 AND source_offset IS NOT NULL
                AND source_partition > known.p ORDER BY source_partition LIMIT 1) FROM known WHERE known.p IS NOT NULL
        )
        SELECT p FROM known WHERE p IS NOT NULL
    """  # noqa: S608 - names of this module. The distinct values by the index, without reading all of it
    rows = await pool.fetch(statement, epoch)
    return [row["p"] for row in rows]


async def candidates(
    pool: asyncpg.Pool, table: EventTable, epoch: int, partition: int, first_offset: int
) -> list[Candidate]:
    """The events of one partition from an offset on, in their order."""
    statement = f"""
        SELECT e.source_offset, e.event_index, e.run_id, e.backfill, s.partition, s.stream_epoch,
            substring(s.value FROM 1 FOR 6 + 9 * get_byte(s.value, 5)) AS head
        FROM (
            SELECT source_offset, {table.event_index} AS event_index, {table.run_id} AS run_id,
                {table.backfill} AS backfill, {table.state_key} AS key
            FROM {table.name} WHERE stream_epoch = $1 AND source_partition = $2 AND source_offset >= $3
        ) e LEFT JOIN state_records s ON s.topic = 'baselines' AND s.key = convert_to(e.key, 'UTF8')
            AND octet_length(s.value) >= $4
        ORDER BY e.source_offset, e.event_index, s.stream_epoch, s.owner_epoch, s.source_offset
    """  # noqa: S608 - names of this module
    rows = await pool.fetch(statement, epoch, partition, first_offset, LEAST_BYTES)
    newest = {row[:2]: Candidate(Place(epoch, partition, *row[:2]), *row[2:]) for row in map(tuple, rows)}
    return list(newest.values())


async def events_at(pool: asyncpg.Pool, table: EventTable, places: Sequence[Place]) -> list[StoredEvent]:
    """The events at these places, in the order of their stream."""
    found: list[StoredEvent] = []
    for at in range(0, len(places), ROWS_AT_ONCE):
        statement = f"""
            SELECT stream_epoch, source_partition, source_offset, w_index, event, {table.record_at} AS at,
                {table.backfill} AS backfill, {table.owner} AS owner, {table.key} AS key
            FROM {_WANTED} JOIN {table.name} ON {_AT_WANTED} AND {table.event_index} = w_index
            ORDER BY 1, 2, 3, 4
        """  # noqa: S608 - names of this module
        rows = await pool.fetch(statement, *_columns(places[at : at + ROWS_AT_ONCE]))
        found += [StoredEvent(Place(*row[:4]), *row[4:]) for row in rows]
    return found


async def n_bytes_at(pool: asyncpg.Pool, table: EventTable, places: Sequence[Place]) -> int:
    """How long the events at these places are."""
    statement = f"""
        SELECT coalesce(sum(octet_length(event)), 0)
        FROM {_WANTED} JOIN {table.name} ON {_AT_WANTED} AND {table.event_index} = w_index
        """  # noqa: S608 - names of this module
    return int(await pool.fetchval(statement, *_columns(places)))


async def places_from(
    pool: asyncpg.Pool, table: EventTable, epoch: int, partition: int, first_offset: int = 0
) -> list[Place]:
    """Where the events of one partition lay, from an offset on."""
    statement = f"""
        SELECT stream_epoch, source_partition, source_offset, {table.event_index} FROM {table.name}
        WHERE stream_epoch = $1 AND source_partition = $2 AND source_offset >= $3 ORDER BY source_offset, 4
        """  # noqa: S608 - names of this module
    rows = await pool.fetch(statement, epoch, partition, first_offset)
    return [Place(*row) for row in rows]


async def move(connection: Connection, table: EventTable, moved: Iterable[tuple[Place, Place]]) -> None:
    """Note where events lie now that were published again, so that the next restore knows whether state has them."""
    pairs = list(moved)
    before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    index = ", source_index = w.new_index" if table.event_index == _INDEX else ""
    statement = f"""
        UPDATE {table.name} e SET stream_epoch = w.epoch, source_partition = w.partition, source_offset = w.place{index}
        FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::integer[],
                $5::integer[], $6::integer[], $7::bigint[], $8::integer[])
            AS w (old_epoch, old_partition, old_place, old_index, epoch, partition, place, new_index)
        WHERE e.stream_epoch = w.old_epoch AND e.source_partition = w.old_partition AND e.source_offset = w.old_place
            AND {table.event_index} = w.old_index
        """  # noqa: S608 - names of this module
    await connection.execute(statement, *_columns(before), *_columns(after))


def _columns(places: Sequence[Place]) -> list[list[int]]:
    return [[place[n] for place in places] for n in range(4)]


_WANTED = (
    "unnest($1::integer[], $2::integer[], $3::bigint[], $4::integer[]) AS w (w_epoch, w_partition, w_offset, w_index)"
)
_AT_WANTED = "(stream_epoch, source_partition, source_offset) = (w_epoch, w_partition, w_offset)"


class RunEvent(NamedTuple):
    """A run's own event."""

    place: Place
    run_id: str
    status: str


async def run_events(pool: asyncpg.Pool, epoch: int) -> list[RunEvent]:
    """The runs' own events of a stream, of the last day before the newest: runs that ended earlier are forgotten."""
    rows = await pool.fetch(
        "SELECT stream_epoch, source_partition, source_offset, source_index, run_id, status FROM score_runs"
        " WHERE stream_epoch = $1"
        " AND at > (SELECT max(at) FROM score_runs WHERE stream_epoch = $1) - interval '1 day'",
        epoch,
    )
    return [RunEvent(Place(*row[:4]), row["run_id"], row["status"]) for row in rows]


async def newest_values(pool: asyncpg.Pool, topic: str, keys: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """Key and newest value of those keys that are stored."""
    rows = await pool.fetch(
        "SELECT DISTINCT ON (key) key, value FROM state_records WHERE topic = $1 AND key = ANY($2::bytea[])"
        " ORDER BY key, stream_epoch DESC, owner_epoch DESC, source_offset DESC",
        topic, keys,
    )  # fmt: skip
    return [(row["key"], row["value"]) for row in rows]


async def anomalies_of_run(pool: asyncpg.Pool, run_id: str, entity_id: str) -> list[bytes]:
    """The anomalies of an entity in a run, as JSON, the oldest first."""
    rows = await pool.fetch(
        "SELECT event FROM anomalies WHERE run_id = $1 AND entity_id = $2 ORDER BY detected_at, id", run_id, entity_id
    )
    return [row["event"] for row in rows]

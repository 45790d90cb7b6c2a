"""One `Table` each for what is stored as it comes: its key, its columns, its one statement.

A statement takes arrays and reads them with `unnest`: one round trip and one plan whatever the batch's size. What there
is most of, executions, is copied into a table of the session first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from stream_detector.events import Score
from stream_detector.events.completion import recorded_duration_s
from stream_detector.store.rows import BaselineState, Row

Columns = tuple[list[Any], ...]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JSON = msgspec.json.Encoder()
_DIGITS = msgspec.json.Encoder(decimal_format="number")


def instant(epoch_ms: int) -> datetime:
    """The UTC instant of a record's time.

    >>> instant(1_500).isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    return _EPOCH + timedelta(milliseconds=epoch_ms)


@dataclass(frozen=True)
class Staging:
    """A table of the session into which the columns are copied, for the statement to read: large batches are quicker.

    Arrays cost the client twice the time of COPY, and the server `unnest`; together a third of a batch.
    """

    table: str
    columns: tuple[str, ...]
    statement: str
    """Makes it, once a session; it is empty after every transaction."""


@dataclass(frozen=True)
class Table:
    """How the rows of one list get into the database.

    `keep` says which row of one batch wins when two have the same `key`; the statement says the same for rows that
    are stored already.
    """

    key: Callable[[Row[Any]], Any]
    keep: Literal["first", "last"]
    columns: Callable[[Sequence[Row[Any]]], Columns]
    statement: str
    """Takes the columns as arrays, or reads them from `staging`."""
    staging: Staging | None = None

    def distinct(self, rows: Sequence[Row[Any]]) -> list[Row[Any]]:
        """The rows without those whose key came twice; order as given."""
        if self.keep == "last":
            newest = {self.key(row): row for row in rows}
            return list(newest.values())
        first: dict[Any, Row[Any]] = {}
        for row in rows:
            first.setdefault(self.key(row), row)
        return list(first.values())


def event_id(score: Score) -> str:
    """A score's id within its entity: its run, or its instant where it has none."""
    return f"run:{score.run_id}" if score.run_id is not None else f"at:{score.scored_at.astimezone(UTC).isoformat()}"


def stored_event(row: Row[Any]) -> bytes:
    """The event as JSON: the record's own bytes where the row has them, so that fields of a later version stay."""
    return _JSON.encode(row.event) if row.value is None else row.value


def _place(rows: Sequence[Row[Any]]) -> Columns:
    return (
        [row.epoch for row in rows],
        [row.partition for row in rows],
        [row.offset for row in rows],
        [row.backfill for row in rows],
        [instant(row.record_ms) for row in rows],
    )


def _executions(rows: Sequence[Row[Any]]) -> Columns:
    events = [row.event for row in rows]
    return (
        [event.execution_id for event in events],
        [event.attempt for event in events],
        [event.workflow_id for event in events],
        [event.status for event in events],
        [event.finished_at for event in events],
        [recorded_duration_s(row.event, row.duration_from_times) or None for row in rows],
        *_place(rows),
        [_JSON.encode(event) for event in events],
    )


def _scores(rows: Sequence[Row[Any]]) -> Columns:
    events = [row.event for row in rows]
    return (
        [event.entity_id for event in events],
        [event_id(event) for event in events],
        [event.run_id for event in events],
        [event.score for event in events],
        [event.scored_at for event in events],
        *_place(rows),
        [_DIGITS.encode(event) for event in events],
    )


def _baselines(rows: Sequence[Row[Any]]) -> Columns:
    events: list[BaselineState] = [row.event for row in rows]
    keys = [event.key.partition(":") for event in events]
    epoch, partition, offset, _, record_at = _place(rows)
    return (
        [event.key for event in events],
        [kind for kind, _, _ in keys],
        [entity_id for _, _, entity_id in keys],
        [event.state for event in events],
        [_named(event) for event in events],
        [event.packed for event in events],
        epoch, partition, offset, record_at,
    )  # fmt: skip


def _named(event: BaselineState) -> str:
    return _JSON.encode(
        {
            name: {"value": each.value, "std_dev": each.std_dev, "window_size": each.window_size}
            for name, each in event.named.items()
        }
    ).decode()


def _notifications(rows: Sequence[Row[Any]]) -> Columns:
    events = [row.event for row in rows]
    return (
        [event.id for event in events],
        [event.channel for event in events],
        [event.outcome for event in events],
        [event.at for event in events],
        [event.severity for event in events],
        [event.incident_id for event in events],
        [event.anomaly_id for event in events],
        [event.run_id for event in events],
        list(map(stored_event, rows)),
    )


def _dead_letters(rows: Sequence[Row[Any]]) -> Columns:
    events = [row.event for row in rows]
    epoch, partition, offset, _, record_at = _place(rows)
    return (
        epoch, partition, offset,
        [event.topic for event in events],
        [event.partition for event in events],
        [event.offset for event in events],
        [None if event.timestamp_ms is None else instant(event.timestamp_ms) for event in events],
        [event.stage for event in events],
        [event.reason for event in events],
        [event.message.replace("\x00", "\\x00") for event in events],
        [event.value_bytes for event in events],
        record_at,
    )  # fmt: skip


_OF_EXECUTIONS = (
    "execution_id, attempt, workflow_id, status, finished_at, duration_s, stream_epoch, source_partition,"
    " source_offset, backfill, record_at, event"
)
EXECUTIONS = Table(
    key=lambda row: (row.event.execution_id, row.event.attempt),
    keep="first",
    columns=_executions,
    statement=f"""
        INSERT INTO executions ({_OF_EXECUTIONS}) SELECT {_OF_EXECUTIONS} FROM incoming_executions
        ON CONFLICT (execution_id, attempt) DO NOTHING
    """,  # noqa: S608 - a constant list of columns
    staging=Staging(
        "incoming_executions",
        tuple(_OF_EXECUTIONS.split(", ")),
        f"""
        CREATE TEMPORARY TABLE IF NOT EXISTS incoming_executions ON COMMIT DELETE ROWS
        AS SELECT {_OF_EXECUTIONS} FROM executions WITH NO DATA
        """,  # noqa: S608 - a constant list of columns
    ),
)
SCORES = Table(
    key=lambda row: (row.event.entity_id, event_id(row.event)),
    keep="first",
    columns=_scores,
    statement="""
        INSERT INTO scores (entity_id, event_id, run_id, score, scored_at,
            stream_epoch, source_partition, source_offset, backfill, record_at, event)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::timestamptz[],
            $6::integer[], $7::integer[], $8::bigint[], $9::boolean[], $10::timestamptz[], $11::bytea[])
        ON CONFLICT (entity_id, event_id) DO NOTHING
    """,
)
BASELINES = Table(
    key=lambda row: row.event.key,
    keep="last",
    columns=_baselines,
    # A retired key comes with packed NULL: its row goes, unless something newer is stored.
    statement="""
        WITH given AS MATERIALIZED (
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::bytea[],
                $7::integer[], $8::integer[], $9::bigint[], $10::timestamptz[])
            AS t (key, entity_kind, entity_id, state, named, packed,
                stream_epoch, source_partition, source_offset, record_at)
        ), retired AS (
            DELETE FROM baselines b USING given g WHERE g.packed IS NULL AND b.key = g.key
                AND (b.stream_epoch, b.source_offset) < (g.stream_epoch, g.source_offset)
        )
        INSERT INTO baselines (key, entity_kind, entity_id, state, named, packed,
            stream_epoch, source_partition, source_offset, record_at)
        SELECT * FROM given WHERE packed IS NOT NULL
        ON CONFLICT (key) DO UPDATE SET state = excluded.state, named = excluded.named, packed = excluded.packed,
            stream_epoch = excluded.stream_epoch, source_partition = excluded.source_partition,
            source_offset = excluded.source_offset, record_at = excluded.record_at, recorded_at = now()
        WHERE (baselines.stream_epoch, baselines.source_offset) < (excluded.stream_epoch, excluded.source_offset)
    """,
)
NOTIFICATIONS = Table(
    key=lambda row: row.event.id,
    keep="first",
    columns=_notifications,
    statement="""
        INSERT INTO notifications (id, channel, outcome, at, severity, incident_id, anomaly_id, run_id, event)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[],
            $6::text[], $7::text[], $8::text[], $9::bytea[])
        ON CONFLICT (id) DO NOTHING
    """,
)
DEAD_LETTERS = Table(
    key=lambda row: (row.epoch, row.partition, row.offset),
    keep="first",
    columns=_dead_letters,
    statement="""
        INSERT INTO dead_letters (stream_epoch, source_partition, source_offset, original_topic, original_partition,
            original_offset, original_at, stage, reason, message, value_bytes, record_at)
        SELECT * FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::text[], $5::integer[], $6::bigint[],
            $7::timestamptz[], $8::text[], $9::text[], $10::text[], $11::integer[], $12::timestamptz[])
        ON CONFLICT (stream_epoch, source_partition, source_offset) DO NOTHING
    """,
)

"""What is stored as it comes: executions, scores, baselines, notifications, dead letters."""

from datetime import UTC
from operator import attrgetter
from typing import Any

import msgspec

from stream_detector.events import Score
from stream_detector.events.completion import recorded_duration_s, with_variant
from stream_detector.events.variant import StateKeyParts, key_parts
from stream_detector.store.rows import Row
from stream_detector.store.table import (
    EVENT,
    JSON,
    POSITION,
    RECORD_AT,
    Staging,
    Table,
    column,
    instant,
    names,
    unnested,
)

_WITH_DIGITS = msgspec.json.Encoder(decimal_format="number")


def event_id(score: Score) -> str:
    """A score's id within its entity: its run, or its instant where it has none."""
    return f"run:{score.run_id}" if score.run_id is not None else f"at:{score.scored_at.astimezone(UTC).isoformat()}"


def _named(row: Row[Any]) -> str:
    return JSON.encode(
        {
            name: {"value": each.value, "std_dev": each.std_dev, "window_size": each.window_size}
            for name, each in row.event.named.items()
        }
    ).decode()


_BACKFILL = column("backfill", "boolean", attrgetter("backfill"))
_EXECUTIONS = (
    column("execution_id"),
    column("attempt", "integer"),
    column("workflow_id"),
    column("status"),
    column("finished_at", "timestamptz"),
    column("duration_s", "float8", lambda row: recorded_duration_s(row.event, row.duration_from_times) or None),
    column("variant", value=lambda row: with_variant(row.event, row.variant_by).variant),
    *POSITION,
    _BACKFILL,
    RECORD_AT,
    EVENT,
)
EXECUTIONS = Table(
    columns=_EXECUTIONS,
    key=lambda row: (row.event.execution_id, row.event.attempt),
    keep="first",
    statement=f"""
        INSERT INTO executions ({names(_EXECUTIONS)}) SELECT {names(_EXECUTIONS)} FROM incoming_executions
        ON CONFLICT (execution_id, attempt) DO NOTHING
    """,  # noqa: S608 - columns of this module
    staging=Staging(
        "incoming_executions",
        f"SELECT {names(_EXECUTIONS)} FROM executions",  # noqa: S608 - columns of this module
    ),
)

_SCORES = (
    column("entity_id"),
    column("event_id", value=lambda row: event_id(row.event)),
    column("run_id"),
    column("score", "numeric"),
    column("scored_at", "timestamptz"),
    *POSITION,
    _BACKFILL,
    RECORD_AT,
    column("event", "bytea", lambda row: _WITH_DIGITS.encode(row.event)),
)
SCORES = Table(
    columns=_SCORES,
    key=lambda row: (row.event.entity_id, event_id(row.event)),
    keep="first",
    # A run is listed from its first score on; backfill makes no run, since no summary would ever come.
    statement=f"""
        WITH given AS MATERIALIZED (
            SELECT * FROM {unnested(_SCORES)} AS t ({names(_SCORES)})
        ), known AS (
            INSERT INTO runs (run_id, status, newest_at)
            SELECT run_id, 'started', max(scored_at) FROM given WHERE run_id IS NOT NULL AND NOT backfill
            GROUP BY run_id ORDER BY run_id
            ON CONFLICT (run_id) DO NOTHING
        )
        INSERT INTO scores ({names(_SCORES)}) SELECT * FROM given
        ON CONFLICT (entity_id, event_id) DO NOTHING
    """,  # noqa: S608 - columns of this module
)


def _is_newer(one: str, other: str) -> str:
    """Of two rows of a key. An offset says nothing about one of another partition, where the key was before
    `setup --repartition`: there the epoch of the owner decides."""
    return f"""(
        {other}.stream_epoch < {one}.stream_epoch OR ({other}.stream_epoch = {one}.stream_epoch AND CASE
            WHEN {other}.source_partition = {one}.source_partition THEN {other}.source_offset < {one}.source_offset
            ELSE {other}.owner_epoch < {one}.owner_epoch END))"""


def _parts(row: Row[Any]) -> StateKeyParts:
    """Of a baseline's key. One that no version known here writes is stored by what stands before and after ":"."""
    try:
        return key_parts(row.event.key)
    except ValueError:
        kind, _, entity_id = row.event.key.partition(":")
        return StateKeyParts(kind, entity_id)


_BASELINES = (
    column("key"),
    column("entity_kind", value=lambda row: _parts(row).kind),
    column("entity_id", value=lambda row: _parts(row).entity_id),
    column("variant", value=lambda row: _parts(row).variant),
    column("state"),
    column("named", "jsonb", _named),
    column("packed", "bytea"),
    column("owner_epoch", "bigint"),
    *POSITION,
    RECORD_AT,
)
BASELINES = Table(
    columns=_BASELINES,
    key=lambda row: row.event.key,
    keep="last",
    # A retired key comes with packed NULL: its row goes, unless something newer is stored. What a former version stored
    # of a variant has the kind `workflow/<variant>`.
    statement=f"""
        WITH given AS MATERIALIZED (
            SELECT * FROM {unnested(_BASELINES)} AS t ({names(_BASELINES)})
        ), retired AS (
            DELETE FROM baselines b USING given g WHERE g.packed IS NULL AND b.key = g.key
                AND {_is_newer("g", "b")}
        )
        INSERT INTO baselines ({names(_BASELINES)}) SELECT * FROM given WHERE packed IS NOT NULL
        ON CONFLICT (key) DO UPDATE SET state = excluded.state, named = excluded.named, packed = excluded.packed,
            entity_kind = excluded.entity_kind, variant = excluded.variant, owner_epoch = excluded.owner_epoch,
            stream_epoch = excluded.stream_epoch, source_partition = excluded.source_partition,
            source_offset = excluded.source_offset, record_at = excluded.record_at, recorded_at = now()
        WHERE {_is_newer("excluded", "baselines")}
    """,  # noqa: S608 - columns of this module
)

_STATE_RECORDS = (
    column("topic", value=attrgetter("topic")),
    column("partition", "integer", attrgetter("partition")),
    column("key", "bytea"),
    column("value", "bytea"),
    column("owner_epoch", "bigint"),
    column("stream_epoch", "integer", attrgetter("epoch")),
    column("source_offset", "bigint", attrgetter("offset")),
    RECORD_AT,
)
STATE_RECORDS = Table(
    columns=_STATE_RECORDS,
    key=lambda row: (row.topic, row.partition, row.event.key),
    keep="last",
    # The same order as recovery's: of two owners of a partition the later one, however late the other wrote.
    statement=f"""
        INSERT INTO state_records ({names(_STATE_RECORDS)}) SELECT * FROM {unnested(_STATE_RECORDS)}
        ON CONFLICT (topic, key, partition) DO UPDATE SET value = excluded.value, owner_epoch = excluded.owner_epoch,
            stream_epoch = excluded.stream_epoch, source_offset = excluded.source_offset,
            record_at = excluded.record_at, recorded_at = now()
        WHERE (state_records.stream_epoch, state_records.owner_epoch, state_records.source_offset)
            < (excluded.stream_epoch, excluded.owner_epoch, excluded.source_offset)
    """,  # noqa: S608 - columns of this module
)

_NOTIFICATIONS = (
    column("id"),
    column("channel"),
    column("outcome"),
    column("at", "timestamptz"),
    column("severity"),
    column("incident_id"),
    column("anomaly_id"),
    column("run_id"),
    EVENT,
)
NOTIFICATIONS = Table(
    columns=_NOTIFICATIONS,
    key=lambda row: row.event.id,
    keep="first",
    statement=f"""
        INSERT INTO notifications ({names(_NOTIFICATIONS)}) SELECT * FROM {unnested(_NOTIFICATIONS)}
        ON CONFLICT (id) DO NOTHING
    """,  # noqa: S608 - columns of this module
)

_DEAD_LETTERS = (
    *POSITION,
    column("original_topic", value=attrgetter("event.topic")),
    column("original_partition", "integer", attrgetter("event.partition")),
    column("original_offset", "bigint", attrgetter("event.offset")),
    column(
        "original_at",
        "timestamptz",
        lambda row: None if row.event.timestamp_ms is None else instant(row.event.timestamp_ms),
    ),
    column("stage"),
    column("reason"),
    column("message", value=lambda row: row.event.message.replace("\x00", "\\x00")),
    column("value_bytes", "integer"),
    RECORD_AT,
)
DEAD_LETTERS = Table(
    columns=_DEAD_LETTERS,
    key=lambda row: (row.epoch, row.partition, row.offset),
    keep="first",
    statement=f"""
        INSERT INTO dead_letters ({names(_DEAD_LETTERS)}) SELECT * FROM {unnested(_DEAD_LETTERS)}
        ON CONFLICT (stream_epoch, source_partition, source_offset) DO NOTHING
    """,  # noqa: S608 - columns of this module
)

_DETECTOR_SETTINGS = (
    column("stream_epoch", "integer", attrgetter("epoch")),
    column("revision", "integer"),
    column("at", "timestamptz"),
    EVENT,
)
DETECTOR_SETTINGS = Table(
    columns=_DETECTOR_SETTINGS,
    key=lambda row: (row.epoch, row.event.revision),
    keep="first",
    statement=f"""
        INSERT INTO detector_settings ({names(_DETECTOR_SETTINGS)}) SELECT * FROM {unnested(_DETECTOR_SETTINGS)}
        ON CONFLICT (stream_epoch, revision) DO NOTHING
    """,  # noqa: S608 - columns of this module
)

"""What is stored as it comes: executions, scores, baselines, notifications, dead letters."""

from datetime import UTC
from operator import attrgetter
from typing import Any

import msgspec

from stream_detector.events import Score
from stream_detector.events.completion import recorded_duration_s, with_variant
from stream_detector.events.start import ends_again, started_as
from stream_detector.events.variant import StateKeyParts, key_parts
from stream_detector.store.renames import HOLDS
from stream_detector.store.rows import Row
from stream_detector.store.table import (
    EVENT,
    EVENT_POSITION,
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
    *EVENT_POSITION,
    _BACKFILL,
    RECORD_AT,
    EVENT,
)
_OF_A_START = (
    column("started_as", value=lambda row: started_as(row.event.execution_id)),
    column("has_duration", "boolean", lambda row: recorded_duration_s(row.event) > 0),
)
"""For finding the start of an execution among those that run."""
_BUT_DURATION = tuple(each for each in _EXECUTIONS if each.name != "duration_s")
EXECUTIONS = Table(
    columns=_EXECUTIONS + _OF_A_START,
    key=lambda row: (row.event.execution_id, row.event.attempt),
    keep="first",
    # What has ended runs no longer; an end that is read again does not end a later run under the same number.
    statement=f"""
        WITH ended AS (
            DELETE FROM running_executions r USING incoming_executions i
            WHERE r.execution_id = i.started_as AND r.attempt <= i.attempt
                AND (i.started_as = i.execution_id OR r.started_at <= i.finished_at)
            RETURNING r.execution_id, r.attempt, r.started_at, r.queued_at
        )
        INSERT INTO executions ({names(_BUT_DURATION)}, duration_s, started_at, queued_at)
        SELECT {", ".join(f"i.{each.name}" for each in _BUT_DURATION).replace("i.workflow_id", HOLDS)},
            CASE WHEN i.has_duration OR e.started_at >= i.finished_at THEN i.duration_s
            ELSE coalesce(extract(epoch FROM i.finished_at - e.started_at)::float8, i.duration_s) END,
            e.started_at, e.queued_at
        FROM incoming_executions i
        LEFT JOIN ended e ON e.execution_id = i.started_as AND e.attempt = i.attempt
        ON CONFLICT (execution_id, attempt) DO UPDATE SET started_at = excluded.started_at,
            queued_at = excluded.queued_at, duration_s = coalesce(executions.duration_s, excluded.duration_s)
        WHERE executions.started_at IS NULL AND excluded.started_at IS NOT NULL
    """,  # noqa: S608 - columns of this module
    staging=Staging(
        "incoming_executions",
        f"SELECT {names(_EXECUTIONS)}, execution_id AS started_as, backfill AS has_duration FROM executions",  # noqa: S608 - columns of this module
    ),
)

_STARTS = (
    column("execution_id"),
    column("attempt", "integer"),
    column("workflow_id"),
    column("variant", value=lambda row: with_variant(row.event, row.variant_by).variant),
    column("started_at", "timestamptz"),
    column("queued_at", "timestamptz"),
    *POSITION,
    RECORD_AT,
    EVENT,
)
_ENDS_AGAIN = column("ends_again", "boolean", lambda row: ends_again(row.event.execution_id))
STARTS = Table(
    columns=(*_STARTS, _ENDS_AGAIN),
    key=lambda row: (row.event.execution_id, row.event.attempt),
    keep="last",
    # Starts and ends come in any order, and again: an end that is stored gets the times of its start, and nothing that
    # has ended is running. Of an attempt the latest start counts: GitHub has one for waiting and one for running.
    statement=f"""
        WITH given AS MATERIALIZED (
            SELECT * FROM {unnested((*_STARTS, _ENDS_AGAIN))} AS t ({names((*_STARTS, _ENDS_AGAIN))})
        ), late AS (
            UPDATE executions e SET started_at = g.started_at, queued_at = g.queued_at,
                duration_s = coalesce(e.duration_s, CASE WHEN e.finished_at > g.started_at
                    THEN extract(epoch FROM e.finished_at - g.started_at)::float8 END)
            FROM given g WHERE e.execution_id = g.execution_id AND e.attempt = g.attempt AND e.started_at IS NULL
        )
        INSERT INTO running_executions AS known ({names(_STARTS)})
        SELECT DISTINCT ON (execution_id) {names(_STARTS).replace("workflow_id", HOLDS)} FROM given i
        WHERE i.started_at > now() - interval '30 days' AND NOT EXISTS (
            SELECT FROM executions e WHERE e.execution_id = i.execution_id AND e.attempt >= i.attempt
        ) AND NOT (i.ends_again AND EXISTS (
            SELECT FROM executions e WHERE e.execution_id > i.execution_id || '.'
                AND e.execution_id < i.execution_id || '/' AND e.finished_at >= i.started_at
        ))
        ORDER BY execution_id, attempt DESC
        ON CONFLICT (execution_id) DO UPDATE SET attempt = excluded.attempt, workflow_id = excluded.workflow_id,
            variant = excluded.variant, started_at = excluded.started_at,
            queued_at = CASE WHEN known.attempt = excluded.attempt
                THEN coalesce(excluded.queued_at, known.queued_at) ELSE excluded.queued_at END,
            stream_epoch = excluded.stream_epoch, source_partition = excluded.source_partition,
            source_offset = excluded.source_offset, record_at = excluded.record_at, recorded_at = now(),
            event = excluded.event
        WHERE (known.attempt, known.started_at) < (excluded.attempt, excluded.started_at)
    """,  # noqa: S608 - columns of this module
)

_SCORES = (
    column("entity_id"),
    column("event_id", value=lambda row: event_id(row.event)),
    column("run_id"),
    column("score", "numeric"),
    column("scored_at", "timestamptz"),
    *EVENT_POSITION,
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
    column("expected_at", "timestamptz", lambda row: row.event.expected and row.event.expected.expected_at),
    column("missed_since", "timestamptz", lambda row: row.event.expected and row.event.expected.missed_since),
    column("source", value=lambda row: row.event.expected and row.event.expected.source),
    column("limit_s", "float8"),
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
            expected_at = excluded.expected_at, missed_since = excluded.missed_since, source = excluded.source,
            limit_s = excluded.limit_s,
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
    column("original_index", "integer", attrgetter("event.index")),
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

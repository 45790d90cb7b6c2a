"""The tables that one event changes together: anomalies and their incidents, runs, and what people decided."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from stream_detector.store.precedence import last_state, later_state, worse_severity, worst_severity
from stream_detector.store.rows import Row
from stream_detector.store.tables import Columns, Table, stored_event

_JSON = msgspec.json.Encoder()


def _anomalies(rows: Sequence[Row[Any]]) -> Columns:
    events = [row.event for row in rows]
    metrics = [event.metrics for event in events]
    return (
        [event.id for event in events],
        [event.incident_id for event in events],
        [event.state for event in events],
        [event.detected_at for event in events],
        [event.anomaly_type for event in events],
        [event.severity for event in events],
        [event.description for event in events],
        [event.entity_kind for event in events],
        [event.entity_id for event in events],
        [event.entity_name for event in events],
        [event.execution_id for event in events],
        [event.attempt for event in events],
        [event.run_id for event in events],
        [event.labels.get("snapshot_space") for event in events],
        [each.current_value for each in metrics],
        [each.baseline_value for each in metrics],
        [each.deviation for each in metrics],
        [each.direction for each in metrics],
        [each.threshold for each in metrics],
        [event.detector for event in events],
        [event.profile for event in events],
        [event.duration_s for event in events],
        list(map(stored_event, rows)),
    )


ANOMALY_COLUMNS = (
    "id, incident_id, state, detected_at, anomaly_type, severity, description, entity_kind, entity_id, entity_name,"
    " execution_id, attempt, run_id, snapshot_space, current_value, baseline_value, deviation, direction, threshold,"
    " detector, profile, duration_s, event"
)
ANOMALY_ARRAYS = (
    "$1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],"
    " $10::text[], $11::text[], $12::integer[], $13::text[], $14::text[], $15::float8[], $16::float8[], $17::float8[],"
    " $18::text[], $19::float8[], $20::text[], $21::text[], $22::float8[], $23::bytea[]"
)
_INCIDENTS_OF = """
    INSERT INTO incidents (id, state, severity, anomaly_type, detector, profile, entity_kind, entity_id, entity_name,
        run_id, description, records, opened_at, newest_at, resolved_at, duration_s)
    SELECT incident_id,
        {last_state},
        {worst_severity},
        min(anomaly_type), min(detector), min(profile), min(entity_kind), min(entity_id),
        (array_agg(entity_name ORDER BY detected_at DESC, id))[1], min(run_id),
        (array_agg(description ORDER BY detected_at, id))[1],
        count(*), min(detected_at), max(detected_at), max(detected_at) FILTER (WHERE state = 'resolved'),
        max(duration_s)
    FROM {source} GROUP BY incident_id
"""


def incidents_of(source: str) -> str:
    """A statement that makes one row an incident from its records in `source`, a name of ours."""
    return _INCIDENTS_OF.format(
        source=source, last_state=last_state("state"), worst_severity=worst_severity("severity")
    )


ANOMALIES = Table(
    key=lambda row: row.event.id,
    keep="first",
    columns=_anomalies,
    # Only records that are new move their incident, so a batch that comes twice moves nothing.
    statement=f"""
        WITH added AS (
            INSERT INTO anomalies ({ANOMALY_COLUMNS}) SELECT * FROM unnest({ANOMALY_ARRAYS})
            ON CONFLICT (id) DO NOTHING RETURNING *
        ), grown AS (
            {incidents_of("added")} ORDER BY incident_id
            ON CONFLICT (id) DO UPDATE SET
                state = {later_state("incidents.state", "excluded.state")},
                severity = {worse_severity("incidents.severity", "excluded.severity")},
                description = CASE WHEN excluded.opened_at < incidents.opened_at THEN excluded.description
                    ELSE incidents.description END,
                entity_name = CASE WHEN excluded.newest_at < incidents.newest_at THEN incidents.entity_name
                    ELSE excluded.entity_name END,
                records = incidents.records + excluded.records,
                opened_at = least(incidents.opened_at, excluded.opened_at),
                newest_at = greatest(incidents.newest_at, excluded.newest_at),
                resolved_at = coalesce(incidents.resolved_at, excluded.resolved_at),
                duration_s = coalesce(incidents.duration_s, excluded.duration_s)
            RETURNING id
        )
        SELECT id, (SELECT count(*) FROM added) AS added FROM grown
    """,  # noqa: S608 - constants of this module
)


def _actions(rows: Sequence[Row[Any]]) -> Columns:
    events = [row.event for row in rows]
    return (
        [event.action_id for event in events],
        [event.kind for event in events],
        [event.entity for event in events],
        [event.incident_id for event in events],
        [event.by for event in events],
        [event.at for event in events],
        [event.until for event in events],
        [_JSON.encode(event.matchers).decode() for event in events],
        [event.comment for event in events],
        [_JSON.encode(event) for event in events],
    )


ACTIONS = Table(
    key=lambda row: row.event.action_id,
    keep="first",
    columns=_actions,
    statement="""
        WITH given AS MATERIALIZED (
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
                $7::timestamptz[], $8::jsonb[], $9::text[], $10::bytea[])
            AS t (action_id, kind, entity, incident_id, by, at, until, matchers, comment, event)
        ), hushed AS (
            INSERT INTO silences (id, entity, incident_id, matchers, until, by, at, comment)
            SELECT action_id, entity, incident_id, matchers, until, by, at, comment FROM given WHERE kind = 'silence'
            ON CONFLICT (id) DO NOTHING
        )
        INSERT INTO actions (action_id, kind, entity, incident_id, by, at, event)
        SELECT action_id, kind, entity, incident_id, by, at, event FROM given
        ON CONFLICT (action_id) DO NOTHING
    """,
)

_TOUCHED = """
    SELECT id FROM incidents WHERE id::text = ANY($1::text[])
    UNION SELECT i.id FROM incidents i, unnest($2::text[]) AS key
    WHERE i.state <> 'resolved' AND i.entity_kind = split_part(key, ':', 1)
        AND i.entity_id = substr(key, strpos(key, ':') + 1)
"""
_MEANT = """
    WHERE a.kind = ANY({kinds}) AND (a.incident_id = t.id::text OR (a.incident_id IS NULL
        AND a.entity = t.entity_kind || ':' || t.entity_id AND a.at >= t.opened_at
        AND (t.resolved_at IS NULL OR a.at <= t.resolved_at)))
"""
_DECIDED = f"""
    UPDATE incidents i SET
        acknowledged_at = ack.at, acknowledged_by = ack.by,
        verdict = verdict.kind, verdict_at = verdict.at, verdict_by = verdict.by,
        state = CASE WHEN over.at IS NULL THEN i.state ELSE 'resolved' END,
        resolved_at = coalesce(i.resolved_at, over.at),
        resolved_by = CASE WHEN i.resolved_at IS NULL THEN over.by ELSE i.resolved_by END
    FROM incidents t
        LEFT JOIN LATERAL (SELECT a.at, a.by FROM actions a {_MEANT.format(kinds="'{acknowledge}'")}
            ORDER BY a.at, a.action_id LIMIT 1) ack ON true
        LEFT JOIN LATERAL (SELECT a.at, a.by FROM actions a {_MEANT.format(kinds="'{resolve}'")}
            ORDER BY a.at, a.action_id LIMIT 1) over ON true
        LEFT JOIN LATERAL (SELECT a.kind, a.at, a.by FROM actions a
            {_MEANT.format(kinds="'{expected,not_an_anomaly}'")}
            ORDER BY a.at DESC, a.action_id DESC LIMIT 1) verdict ON true
    WHERE i.id = t.id AND t.id = ANY($1::uuid[])
        AND (ack.at IS NOT NULL OR over.at IS NOT NULL OR verdict.at IS NOT NULL)
"""  # noqa: S608 - constants of this module


async def decide(connection: asyncpg.Connection, grown: Sequence[Any], actions: Sequence[Row[Any]]) -> None:
    """Bring what people decided onto the incidents, whichever of the two came first.

    Args:
        connection: within the transaction that wrote both.
        grown: ids of the incidents that got a record.
        actions: the actions of this batch.
    """
    ids = [row.event.incident_id for row in actions if row.event.incident_id]
    keys = [row.event.entity for row in actions if row.event.entity and not row.event.incident_id]
    touched = set(grown)
    if ids or keys:
        touched.update(found["id"] for found in await connection.fetch(_TOUCHED, ids, keys))
    if touched:
        await connection.execute(_DECIDED, sorted(touched))


def _score_runs(rows: Sequence[Row[Any]]) -> Columns:
    events = [row.event for row in rows]
    return (
        [event.run_id for event in events],
        [event.status for event in events],
        [event.at for event in events],
        [event.expected for event in events],
        [event.error for event in events],
        [_JSON.encode(event) for event in events],
    )


SCORE_RUNS = Table(
    key=lambda row: (row.event.run_id, row.event.status),
    keep="first",
    columns=_score_runs,
    statement="""
        WITH given AS MATERIALIZED (
            SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::bigint[], $5::text[], $6::bytea[])
            AS t (run_id, status, at, expected, error, event)
        ), known AS (
            INSERT INTO runs (run_id, status, started_at, ended_at, expected, error, newest_at)
            SELECT run_id, CASE WHEN bool_or(status = 'failed') THEN 'failed'
                    WHEN bool_or(status = 'completed') THEN 'completed' ELSE 'started' END,
                min(at) FILTER (WHERE status = 'started'), max(at) FILTER (WHERE status <> 'started'),
                max(expected), max(error), max(at)
            FROM given GROUP BY run_id ORDER BY run_id
            ON CONFLICT (run_id) DO UPDATE SET
                status = CASE WHEN runs.scored IS NOT NULL OR excluded.status = 'started' THEN runs.status
                    ELSE excluded.status END,
                started_at = coalesce(runs.started_at, excluded.started_at),
                ended_at = coalesce(runs.ended_at, excluded.ended_at),
                expected = coalesce(runs.expected, excluded.expected),
                error = coalesce(runs.error, excluded.error),
                newest_at = greatest(runs.newest_at, excluded.newest_at)
        )
        INSERT INTO score_runs (run_id, status, at, event) SELECT run_id, status, at, event FROM given
        ON CONFLICT (run_id, status) DO NOTHING
    """,
)


def _summaries(rows: Sequence[Row[Any]]) -> Columns:
    events = [row.event for row in rows]
    return (
        [event.id for event in events],
        [event.run_id for event in events],
        [event.part for event in events],
        [event.status for event in events],
        [event.started_at for event in events],
        [event.ended_at for event in events],
        [event.duration_s for event in events],
        [event.expected for event in events],
        [event.scored for event in events],
        [event.failures for event in events],
        [event.anomaly_count for event in events],
        [event.error for event in events],
        list(map(stored_event, rows)),
    )


SUMMARIES = Table(
    key=lambda row: row.event.id,
    keep="first",
    columns=_summaries,
    # Every part carries the whole run's numbers, so any part may come first; the summary has the last word on a run.
    statement="""
        WITH given AS MATERIALIZED (
            SELECT * FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::text[], $5::timestamptz[],
                $6::timestamptz[], $7::float8[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
                $12::text[], $13::bytea[])
            AS t (id, run_id, part, status, started_at, ended_at, duration_s, expected, scored, failures,
                anomaly_count, error, event)
        ), known AS (
            INSERT INTO runs (run_id, status, started_at, ended_at, duration_s, expected, scored, failures,
                anomaly_count, error, newest_at)
            SELECT DISTINCT ON (run_id) run_id, status, started_at, ended_at, duration_s, expected, scored, failures,
                anomaly_count, error, ended_at
            FROM given ORDER BY run_id, part DESC
            ON CONFLICT (run_id) DO UPDATE SET status = excluded.status,
                started_at = coalesce(excluded.started_at, runs.started_at), ended_at = excluded.ended_at,
                duration_s = excluded.duration_s, expected = coalesce(excluded.expected, runs.expected),
                scored = excluded.scored, failures = excluded.failures, anomaly_count = excluded.anomaly_count,
                error = coalesce(excluded.error, runs.error), newest_at = greatest(runs.newest_at, excluded.newest_at)
        )
        INSERT INTO run_summaries (id, run_id, part, event) SELECT id, run_id, part, event FROM given
        ON CONFLICT (id) DO NOTHING
    """,
)

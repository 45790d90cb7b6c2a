"""Anomalies, their incidents, and what people decided: tables that one event changes together."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from stream_detector.events.decisions import is_about_entity, silence_end
from stream_detector.events.variant import DEFAULT_BRANCH, workflow_key
from stream_detector.store.connect import Connection
from stream_detector.store.precedence import last_state, later_state, worse_severity, worst_severity
from stream_detector.store.rows import Row
from stream_detector.store.sql_keys import sql_key
from stream_detector.store.table import EVENT, JSON, POSITION, Table, column, names, unnested

ANOMALY_COLUMNS = (
    column("id", "uuid"),
    column("incident_id", "uuid"),
    column("state"),
    column("detected_at", "timestamptz"),
    column("anomaly_type"),
    column("severity"),
    column("description"),
    column("entity_kind"),
    column("entity_id"),
    column("entity_name"),
    column("variant"),
    column("execution_id"),
    column("attempt", "integer"),
    column("run_id"),
    column("snapshot_space", value=lambda row: row.event.labels.get("snapshot_space")),
    column("current_value", "float8", attrgetter("event.metrics.current_value")),
    column("baseline_value", "float8", attrgetter("event.metrics.baseline_value")),
    column("deviation", "float8", attrgetter("event.metrics.deviation")),
    column("direction", value=attrgetter("event.metrics.direction")),
    column("threshold", "float8", attrgetter("event.metrics.threshold")),
    column("z_score", "float8", attrgetter("event.metrics.z_score")),
    column("confidence", "float8", attrgetter("event.metrics.confidence")),
    column("detector"),
    column("profile"),
    column("duration_s", "float8"),
    column("end_reason"),
    EVENT,
)
_STORED = (*ANOMALY_COLUMNS, *POSITION)
_INCIDENTS_OF = """
    INSERT INTO incidents (id, state, severity, anomaly_type, detector, profile, entity_kind, entity_id, entity_name,
        variant, run_id, description, records, opened_at, newest_at, resolved_at, duration_s, end_reason)
    SELECT incident_id,
        {last_state},
        {worst_severity},
        min(anomaly_type), min(detector), min(profile), min(entity_kind), min(entity_id),
        (array_agg(entity_name ORDER BY detected_at DESC, id))[1],
        (array_agg(variant ORDER BY detected_at DESC, id) FILTER (WHERE variant IS NOT NULL))[1], min(run_id),
        (array_agg(description ORDER BY detected_at, id))[1],
        count(*), min(detected_at), max(detected_at), max(detected_at) FILTER (WHERE state = 'resolved'),
        max(duration_s),
        (array_agg(end_reason ORDER BY detected_at, id) FILTER (WHERE state = 'resolved'))[1]
    FROM {source} GROUP BY incident_id
"""


def incidents_of(source: str) -> str:
    """A statement that makes one row an incident from its records in `source`, a name of ours."""
    return _INCIDENTS_OF.format(
        source=source, last_state=last_state("state"), worst_severity=worst_severity("severity")
    )


_RENAMED = ", ".join(
    {
        "entity_id": "coalesce(r.new_id, t.entity_id)",
        "event": "CASE WHEN r.new_id IS NULL THEN t.event ELSE renamed_anomaly(t.event, r.new_id) END",
    }.get(each.name, f"t.{each.name}")
    for each in _STORED
)
ANOMALIES = Table(
    columns=_STORED,
    key=lambda row: row.event.id,
    keep="first",
    # What an operator has deleted stays deleted, however often the topic is read.
    # Only records that are new move their incident, so a batch that comes twice moves nothing.
    statement=f"""
        WITH added AS (
            INSERT INTO anomalies ({names(_STORED)})
            SELECT {_RENAMED} FROM {unnested(_STORED)} AS t ({names(_STORED)})
            LEFT JOIN renames r ON r.old_id = t.entity_id AND t.entity_kind = 'workflow' AND r.new_id <> ''
            WHERE NOT EXISTS (SELECT FROM deleted_anomalies d WHERE d.id = t.id)
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
                variant = CASE WHEN excluded.newest_at < incidents.newest_at
                    THEN coalesce(incidents.variant, excluded.variant)
                    ELSE coalesce(excluded.variant, incidents.variant) END,
                records = incidents.records + excluded.records,
                opened_at = least(incidents.opened_at, excluded.opened_at),
                newest_at = greatest(incidents.newest_at, excluded.newest_at),
                resolved_at = coalesce(incidents.resolved_at, excluded.resolved_at),
                duration_s = coalesce(incidents.duration_s, excluded.duration_s),
                end_reason = coalesce(incidents.end_reason, excluded.end_reason)
            RETURNING id
        )
        SELECT id, (SELECT count(*) FROM added) AS added FROM grown
    """,  # noqa: S608 - columns and constants of this module
)


_ACTIONS = (
    column("action_id"),
    column("kind"),
    column("entity"),
    column("incident_id"),
    column("by"),
    column("at", "timestamptz"),
    column("until", "timestamptz"),
    column("matchers", "jsonb", lambda row: JSON.encode(row.event.matchers).decode()),
    column("comment"),
    column("anomaly_id", "uuid"),
    EVENT,
    *POSITION,
)
_READ_FROM = ", ".join(
    f"{each.name} = CASE WHEN actions.stream_epoch = 0 AND excluded.stream_epoch > 0 THEN excluded.{each.name}"
    f" ELSE actions.{each.name} END"
    for each in POSITION
)
# The API stores an action at once, without the epoch of its stream (0); the recorder adds that.
ACTIONS = Table(
    columns=_ACTIONS,
    key=lambda row: row.event.action_id,
    keep="earliest",
    moment=lambda row: (row.event.at, silence_end(row.event.at, row.event.until)),
    # Of two records of one action the earlier counts, as `events.decisions` says.
    statement=f"""
        WITH given AS MATERIALIZED (
            SELECT * FROM {unnested(_ACTIONS)} AS t ({names(_ACTIONS)})
        ), silenced AS (
            INSERT INTO silences (id, entity, incident_id, matchers, until, by, at, comment)
            SELECT action_id, entity, incident_id, matchers, until, by, at, comment FROM given WHERE kind = 'silence'
            ON CONFLICT (id) DO UPDATE SET until = excluded.until, by = excluded.by, at = excluded.at,
                comment = excluded.comment
            WHERE (excluded.at, coalesce(excluded.until, excluded.at + interval '24 hours'))
                < (silences.at, coalesce(silences.until, silences.at + interval '24 hours'))
        )
        INSERT INTO actions (action_id, kind, entity, incident_id, by, at, anomaly_id, event, {names(POSITION)})
        SELECT action_id, kind, entity, incident_id, by, at, anomaly_id, event, {names(POSITION)} FROM given
        ON CONFLICT (action_id) DO UPDATE SET
            at = least(excluded.at, actions.at),
            by = CASE WHEN excluded.at < actions.at THEN excluded.by ELSE actions.by END,
            event = CASE WHEN excluded.at < actions.at THEN excluded.event ELSE actions.event END,
            {_READ_FROM}
        WHERE (actions.stream_epoch = 0 AND excluded.stream_epoch > 0) OR excluded.at < actions.at
    """,  # noqa: S608 - columns of this module
)

_NAMES = (
    f"{sql_key('t.entity_kind', 't.entity_id', 't.variant')}, t.entity_kind || ':' || t.entity_id,"
    f" CASE WHEN t.variant IS NULL THEN '{workflow_key('', DEFAULT_BRANCH)}' || t.entity_id END"
)
"""What a decision about all incidents of a key may name to mean one of them, as `events.variant.names_of_incident`."""
_TOUCHED = """
    SELECT id FROM incidents WHERE id::text = ANY($1::text[])
    UNION SELECT i.id FROM incidents i, unnest($2::text[]) AS key
    WHERE (i.state <> 'resolved' OR i.resolved_by IS NOT NULL)
        AND i.entity_kind = split_part(split_part(key, ':', 1), '/', 1)
        AND i.entity_id = substr(key, strpos(key, ':') + 1)
"""
"""Of all variants of a key's workflow: `_DECIDED` looks at which of them a decision means."""
_MEANT = f"""
    WHERE a.kind = ANY({{kinds}}) AND (a.incident_id = t.id::text OR (
        (a.incident_id IS NULL OR a.kind = ANY('{{{{relearn,retire}}}}'))
        AND a.entity IN ({_NAMES}) AND a.at >= t.opened_at
        AND (t.resolved_at IS NULL OR a.at <= t.resolved_at)))
"""
# What detection has ended stays as that has said; of several decisions the first counts, also where it comes last.
_ENDED_BY_OPERATOR = "(over.at IS NOT NULL AND (i.resolved_at IS NULL OR i.resolved_by IS NOT NULL))"
_DECIDED = f"""
    UPDATE incidents i SET
        acknowledged_at = ack.at, acknowledged_by = ack.by,
        verdict = verdict.kind, verdict_at = verdict.at, verdict_by = verdict.by,
        state = CASE WHEN over.at IS NULL THEN i.state ELSE 'resolved' END,
        resolved_at = CASE WHEN {_ENDED_BY_OPERATOR} THEN over.at ELSE i.resolved_at END,
        resolved_by = CASE WHEN {_ENDED_BY_OPERATOR} THEN over.by ELSE i.resolved_by END,
        end_reason = CASE WHEN NOT {_ENDED_BY_OPERATOR} THEN i.end_reason
            ELSE CASE over.kind WHEN 'retire' THEN 'retired' WHEN 'relearn' THEN 'superseded' ELSE 'operator' END END
    FROM incidents t
        LEFT JOIN LATERAL (SELECT a.at, a.by FROM actions a {_MEANT.format(kinds="'{acknowledge}'")}
            ORDER BY a.at, a.action_id LIMIT 1) ack ON true
        LEFT JOIN LATERAL (SELECT a.kind, a.at, a.by FROM actions a
            {_MEANT.format(kinds="'{resolve,expected,not_an_anomaly,retire,relearn}'")}
            ORDER BY a.at, a.action_id LIMIT 1) over ON true
        LEFT JOIN LATERAL (SELECT a.kind, a.at, a.by FROM actions a
            {_MEANT.format(kinds="'{expected,not_an_anomaly}'")}
            ORDER BY a.at DESC, a.action_id DESC LIMIT 1) verdict ON true
    WHERE i.id = t.id AND t.id = ANY($1::uuid[])
        AND (ack.at IS NOT NULL OR over.at IS NOT NULL OR verdict.at IS NOT NULL)
"""  # noqa: S608 - constants of this module


async def decide(connection: Connection, grown: Sequence[Any], actions: Sequence[Row[Any]]) -> None:
    """Bring what people decided onto the incidents, whichever of the two came first.

    Args:
        connection: within the transaction that wrote both.
        grown: ids of the incidents that got a record.
        actions: the actions of this batch.
    """
    ids = [row.event.incident_id for row in actions if row.event.incident_id]
    keys = [row.event.entity for row in actions if is_about_entity(row.event)]
    touched = set(grown)
    if ids or keys:
        touched.update(found["id"] for found in await connection.fetch(_TOUCHED, ids, keys))
    if touched:
        await connection.execute(_DECIDED, sorted(touched))

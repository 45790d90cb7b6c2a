"""Incidents: listed, and one with its records, decisions and messages."""

from datetime import UTC, datetime
from typing import Literal

import msgspec
from aiohttp import web
from msgspec import Struct

from stream_detector.events import Action, Notification
from stream_detector.events.anomaly import AnomalyTypeName, EndReasonName, EntityKindName, SeverityName, StateName
from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import CursorText, Limit, parse_uuid, read_query
from stream_detector.serve.resources.anomalies import AnomalyFilter, StoredAnomaly, to_filter
from stream_detector.serve.responses import json_response, page_response
from stream_detector.store import incidents


class IncidentsQuery(AnomalyFilter, kw_only=True):
    """A page of incidents; the span is that of the opening."""

    limit: Limit = 50
    cursor: CursorText | None = None


class Incident(Struct, kw_only=True):
    """One incident with its status and operator actions. `severity` is the highest of its records."""

    id: str
    state: StateName
    severity: SeverityName
    anomaly_type: AnomalyTypeName
    detector: str
    profile: str
    entity_kind: EntityKindName
    entity_id: str
    entity_name: str
    variant: str | None
    run_id: str | None
    description: str
    records: int
    opened_at: datetime
    newest_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    end_reason: EndReasonName | None
    """null while it is open, and of one that ended before this was stored."""
    duration_s: float | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    verdict: Literal["expected", "not_an_anomaly"] | None
    verdict_at: datetime | None
    verdict_by: str | None


class IncidentPage(Struct, kw_only=True):
    """Most recently opened first."""

    items: list[Incident]
    next: str | None


class WholeIncident(Incident, kw_only=True):
    """One incident with its records (newest first, at most 200), actions and notifications (oldest first)."""

    anomalies: list[StoredAnomaly]
    actions: list[Action]
    notifications: list[Notification]


async def list_incidents(request: web.Request) -> web.Response:
    """Incidents, most recently opened first."""
    query = read_query(request, IncidentsQuery)
    wanted = to_filter(query, datetime.now(UTC))
    page = await request.app[DATABASE].query(incidents.find, wanted, limit=query.limit, cursor=query.cursor)
    return page_response(page)


async def one_incident(request: web.Request) -> web.Response:
    """One incident: its records, operator actions, and the outcomes of its notifications."""
    incident_id, database = parse_uuid(request.match_info["id"]), request.app[DATABASE]
    found = await database.query(incidents.read, incident_id) if incident_id else None
    if found is None or incident_id is None:
        raise ProblemError(404, "No incident with this id is stored. A new incident may take a second to appear.")
    name = str(incident_id)
    parts = {
        "anomalies": await database.query(incidents.records, incident_id),
        "actions": await database.query(incidents.decisions, name),
        "notifications": await database.query(incidents.outcomes, name),
    }
    return json_response(found | {part: [msgspec.Raw(each) for each in listed] for part, listed in parts.items()})

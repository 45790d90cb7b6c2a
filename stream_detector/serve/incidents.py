"""Incidents: listed, and one with its records, decisions and messages."""

from datetime import UTC, datetime

import msgspec
from aiohttp import web

from stream_detector.serve import ask
from stream_detector.serve.act import uuid_of
from stream_detector.serve.handlers import DATABASE, answer, page_answer, span_of
from stream_detector.serve.problems import ProblemError
from stream_detector.store import incidents
from stream_detector.store.filter import Filter


async def list_incidents(request: web.Request) -> web.Response:
    """Incidents, most recently opened first."""
    asked = ask.read_query(request, ask.IncidentsQuestion)
    from_at, to_at = span_of(asked, datetime.now(UTC))
    question = Filter(
        from_at=from_at,
        to_at=to_at,
        types=asked.type,
        severities=asked.severity,
        states=asked.state,
        is_open=asked.open,
        is_acknowledged=asked.acknowledged,
        entity=asked.entity,
        run_id=asked.run,
        text=asked.q,
    )
    page = await request.app[DATABASE].ask(incidents.find, question, limit=asked.limit, cursor=asked.cursor)
    return page_answer(page)


async def one_incident(request: web.Request) -> web.Response:
    """One incident: its records, operator actions, and the outcomes of its notifications."""
    incident_id, database = uuid_of(request.match_info["id"]), request.app[DATABASE]
    found = await database.ask(incidents.read, incident_id) if incident_id else None
    if found is None or incident_id is None:
        raise ProblemError(404, "No incident with this id is stored. A new incident may take a second to appear.")
    name = str(incident_id)
    parts = {
        "anomalies": await database.ask(incidents.records, incident_id),
        "actions": await database.ask(incidents.decisions, name),
        "notifications": await database.ask(incidents.outcomes, name),
    }
    return answer(found | {part: [msgspec.Raw(each) for each in listed] for part, listed in parts.items()})

"""Silences: what nobody gets messages about."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

import msgspec
from aiohttp import web
from msgspec import Struct

from stream_detector.events import Action
from stream_detector.events.fields import Id, Instant, Labels
from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.authentication import IDENTITY
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import Paged, Remark, SilenceDuration, StateKeyText, read_body, read_query
from stream_detector.serve.resources.actions import carry_out, checked_key, incident_keys, silence_end
from stream_detector.serve.responses import json_response, page_response
from stream_detector.store import incidents


class SilenceRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to silence: all given conditions must match."""

    entity: StateKeyText | None = None
    incident_id: Id | None = None
    matchers: Labels = {}
    until: Instant | None = None
    for_s: SilenceDuration | None = None
    comment: Remark | None = None


class SilencesQuery(Paged, kw_only=True):
    """Which silences."""

    state: Literal["active", "ended", "all"] = "active"


class Silence(Struct, kw_only=True):
    """A silence. An empty `entity` matches any."""

    id: str
    entity: str
    incident_id: str | None
    matchers: dict[str, str]
    until: datetime
    by: str
    at: datetime
    comment: str | None
    active: bool


class SilencePage(Struct, kw_only=True):
    """Newest first."""

    items: list[Silence]
    next: str | None


async def make_silence(request: web.Request) -> web.Response:
    """Suppress notifications of all matches until it expires; anomalies are still detected and stored."""
    wanted = await read_body(request, SilenceRequest)
    if not (wanted.entity or wanted.incident_id or wanted.matchers):
        raise ProblemError(400, "Specify entity, incident_id or matchers: a silence without a target is rejected.")
    now = datetime.now(UTC)
    entity = checked_key(wanted.entity) if wanted.entity else ""
    if wanted.incident_id and not entity:
        keys, _ = await incident_keys(request, [wanted.incident_id], None)
        entity = next(iter(keys.values()))
    action = Action(
        action_id=str(uuid4()),
        kind="silence",
        entity=entity,
        incident_id=wanted.incident_id,
        matchers=wanted.matchers,
        until=silence_end(wanted.until, wanted.for_s, now),
        by=request[IDENTITY].name,
        at=now,
        comment=wanted.comment,
    )
    if not entity and not wanted.matchers:
        raise ProblemError(400, "Specify entity or matchers in addition to incident_id.")
    await carry_out(request.app, [action])
    return json_response(_silence(action))


async def list_silences(request: web.Request) -> web.Response:
    """Silences, newest first."""
    query = read_query(request, SilencesQuery)
    active = {"active": True, "ended": False, "all": None}[query.state]
    page = await request.app[DATABASE].query(incidents.silences, active=active, limit=query.limit, cursor=query.cursor)
    return page_response(page)


async def lift_silence(request: web.Request) -> web.Response:
    """Expire a silence now."""
    found = await request.app[DATABASE].query(incidents.silence, request.match_info["id"].replace("\x00", ""))
    if found is None:
        raise ProblemError(404, "There is no silence with this id.")
    now = max(datetime.now(UTC), found["at"] + timedelta(microseconds=1))  # else the clock of another API would count
    lifting = Action(
        action_id=str(uuid4()),
        kind="silence",
        entity=found["entity"],
        incident_id=found["incident_id"],
        matchers=found["matchers"],
        until=now - timedelta(seconds=1),
        by=request[IDENTITY].name,
        at=now,
        comment="lifted",
    )
    await carry_out(request.app, [lifting])
    return web.Response(status=204)


def _silence(action: Action) -> dict[str, Any]:
    fields = msgspec.structs.asdict(action)
    names = ("entity", "incident_id", "matchers", "until", "by", "at", "comment")
    return {"id": action.action_id, **{name: fields[name] for name in names}, "active": True}

"""What people decide: an event on `operator-actions` first, then the same upsert that the recorder will make.

So a person sees at once what they did, and while PostgreSQL is away nothing they did is lost.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import uuid4

from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.events import Action
from stream_detector.events.action import DecisionKind
from stream_detector.events.decisions import SILENCE_LASTS
from stream_detector.events.encode import encode
from stream_detector.events.fields import Id, Instant
from stream_detector.events.variant import MAX_CHARACTERS, key_parts, state_key
from stream_detector.kafka import topics
from stream_detector.serve.app_keys import BROKER, DATABASE
from stream_detector.serve.authentication import IDENTITY
from stream_detector.serve.broker import Record, Sent
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import (
    Paged,
    Remark,
    SilenceDuration,
    StateKeyText,
    parse_uuid,
    read_body,
    read_query,
)
from stream_detector.serve.responses import json_response, page_response
from stream_detector.store import incidents
from stream_detector.store.connect import StoreAwayError
from stream_detector.store.rows import Row, Rows
from stream_detector.store.write import Writer


class ActionRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """An action on `incident_ids` or on an `entity`.

    `entity` in addition to `incident_ids` is only needed if the action must work while the database is unavailable.
    """

    kind: DecisionKind
    incident_ids: Annotated[list[Id], Meta(max_length=200)] = []
    entity: StateKeyText | None = None
    comment: Remark | None = None
    until: Instant | None = None
    for_s: SilenceDuration | None = None


class ActionsQuery(Paged, kw_only=True):
    """Decisions about one entity or incident, or all."""

    entity: StateKeyText | None = None
    incident: Id | None = None


class ActionsDone(Struct, kw_only=True):
    """The accepted actions. `stored` false: Kafka has them; the database stores them once it is available again."""

    actions: list[Action]
    stored: bool
    unknown: list[str]
    """Incidents that are not stored."""


class ActionPage(Struct, kw_only=True):
    """Newest first."""

    items: list[Action]
    next: str | None


_KEYS = ["workflow:<id>", "workflow/<variant, percent-encoded>:<id>", "score:<id>"]
_BELIEVED_UNTIL = datetime(2099, 12, 31, tzinfo=UTC)


async def act(request: web.Request) -> web.Response:
    """Act on incidents or on an entity. Answered once Kafka has acknowledged it; visible immediately."""
    decision = await read_body(request, ActionRequest)
    if not (decision.incident_ids or decision.entity):
        raise ProblemError(400, "Specify incident_ids or entity.")
    if decision.kind == "comment" and not (decision.comment or "").strip():
        raise ProblemError(400, "comment: is missing", parameter="comment")
    if decision.kind != "silence" and (decision.until or decision.for_s):
        raise ProblemError(400, "until and for_s are only valid for a silence.")
    now = datetime.now(UTC)
    until = silence_end(decision.until, decision.for_s, now) if decision.kind == "silence" else None
    if decision.incident_ids:
        keys, unknown = await incident_keys(request, decision.incident_ids, decision.entity)
        about: list[tuple[str, str | None]] = [(key, incident_id) for incident_id, key in keys.items()]
    else:
        about, unknown = [(checked_key(decision.entity or ""), None)], []
    made = [
        Action(
            action_id=str(uuid4()),
            kind=decision.kind,
            entity=key,
            incident_id=incident_id,
            until=until,
            by=request[IDENTITY].name,
            at=now,
            comment=decision.comment,
        )
        for key, incident_id in about
    ]
    done, stored = await carry_out(request.app, made)
    return json_response({"actions": done, "stored": stored, "unknown": unknown})


async def list_actions(request: web.Request) -> web.Response:
    """Operator actions, newest first."""
    query = read_query(request, ActionsQuery)
    page = await request.app[DATABASE].query(
        incidents.actions,
        entity=query.entity,
        incident_id=query.incident,
        limit=query.limit,
        cursor=query.cursor,
    )
    return page_response(page)


async def carry_out(app: web.Application, actions: Sequence[Action]) -> tuple[list[Action], bool]:
    """Those that Kafka has, and whether PostgreSQL has them too. Raises `BrokerAwayError` where Kafka has none.

    1. Kafka: on the partition of the owner, so that the detector applies it beside the events of the key.
    2. PostgreSQL: the recorder's own statement, with the place that Kafka gave; the recorder's turn changes nothing.
    """
    broker = app[BROKER]
    records = [
        Record(topics.ACTIONS, _partition(app, action), action.entity.encode() or None, encode(action))
        for action in actions
    ]
    sent = await broker.send(records)
    published = [(action, place) for action, place in zip(actions, sent, strict=True) if isinstance(place, Sent)]
    done = [action for action, _ in published]
    rows = Rows(actions=[_row(action, place) for action, place in published])
    try:
        bad = await app[DATABASE].query(lambda pool: Writer(pool).write(rows))
    except StoreAwayError:
        return done, False
    return done, not bad


async def find_used(app: web.Application, action_ids: Sequence[str]) -> datetime | None:
    """When the first of these actions was decided; None where not all are stored, or that is not known."""
    try:
        return await app[DATABASE].query(incidents.decided_at, action_ids)
    except StoreAwayError:
        return None


def _row(action: Action, place: Sent) -> Row[Action]:
    return Row(action, topics.ACTIONS, place.partition, place.offset, place.timestamp_ms)


def _partition(app: web.Application, action: Action) -> int:
    """Of the owner of the entity's id; an action without one, a silence by matchers, goes to 0."""
    _, _, entity_id = action.entity.partition(":")
    return app[BROKER].owner(topics.ACTIONS, entity_id) if entity_id else 0


async def incident_keys(
    request: web.Request, incident_ids: Sequence[str], entity: str | None
) -> tuple[dict[str, str], list[str]]:
    """(incident id -> state key, ids that are not stored). With the entity given it works without PostgreSQL."""
    valid = {each: known for each in incident_ids if (known := parse_uuid(each)) is not None}
    try:
        found = await request.app[DATABASE].query(incidents.entities_of, list(valid.values()))
    except StoreAwayError:
        if not entity:
            raise
        return dict.fromkeys(map(str, valid.values()), checked_key(entity)), []
    unknown = [each for each in incident_ids if each not in valid or str(valid[each]) not in found]
    if not found:
        raise ProblemError(404, "No incident with these ids is stored.")
    return found, unknown


def checked_key(entity: str) -> str:
    """The state key that the entity is, a variant encoded as everywhere. Raises 400."""
    try:
        kind, entity_id, variant = key_parts(entity)
    except ValueError:
        kind, entity_id, variant = "", "", None
    text = variant or "-"
    if not kind or len(entity_id) > 256 or "\x00" in text or len(text) > MAX_CHARACTERS:
        raise ProblemError(400, f"entity: must be {' or '.join(_KEYS)}", parameter="entity", allowed=_KEYS)
    return state_key(kind, entity_id, variant)


def silence_end(until: datetime | None, for_s: float | None, now: datetime) -> datetime:
    """When a silence ends: at the time given, after the seconds given, or a day from now. Raises 400."""
    if until is not None and for_s is not None:
        raise ProblemError(400, "until and for_s exclude each other", allowed=["until", "for_s"])
    if until is not None:
        if not now < until <= _BELIEVED_UNTIL:
            raise ProblemError(400, "until: must be in the future and before 2100", parameter="until")
        return until.astimezone(UTC)
    return now + (timedelta(seconds=for_s) if for_s else SILENCE_LASTS)

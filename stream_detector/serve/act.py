"""What people decide: an event on `operator-actions` first, then the same upsert that the recorder will make.

So a person sees at once what they did, and while PostgreSQL is away nothing they did is lost.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from aiohttp import web

from stream_detector.events import Action
from stream_detector.events.encode import encode
from stream_detector.serve import ask
from stream_detector.serve.access import IDENTITY
from stream_detector.serve.broker import BrokerAwayError, Record, Sent
from stream_detector.serve.handlers import BROKER, DATABASE, answer, page_answer
from stream_detector.serve.problems import ProblemError
from stream_detector.store import incidents
from stream_detector.store.connect import StoreAwayError
from stream_detector.store.rows import Row, Rows
from stream_detector.store.write import Writer

TOPIC = "operator-actions"
_SILENCE_LASTS = timedelta(hours=24)
_BELIEVED_UNTIL = datetime(2099, 12, 31, tzinfo=UTC)


async def act(request: web.Request) -> web.Response:
    """Act on incidents or on an entity. Answered once Kafka has acknowledged it; visible immediately."""
    asked = await ask.read_body(request, ask.ActionsQuestion)
    if bool(asked.incident_ids) == bool(asked.entity) and not asked.incident_ids:
        raise ProblemError(400, "Specify incident_ids or entity.")
    if asked.kind == "comment" and not (asked.comment or "").strip():
        raise ProblemError(400, "comment: is missing", parameter="comment")
    if asked.kind != "silence" and (asked.until or asked.for_s):
        raise ProblemError(400, "until and for_s are only valid for a silence.")
    now = datetime.now(UTC)
    until = _until(asked.until, asked.for_s, now) if asked.kind == "silence" else None
    if asked.incident_ids:
        keys, unknown = await _keys_of(request, asked.incident_ids, asked.entity)
        about: list[tuple[str, str | None]] = [(key, incident_id) for incident_id, key in keys.items()]
    else:
        about, unknown = [(_state_key(asked.entity or ""), None)], []
    made = [
        Action(
            action_id=str(uuid4()),
            kind=asked.kind,
            entity=key,
            incident_id=incident_id,
            until=until,
            by=request[IDENTITY].name,
            at=now,
            comment=asked.comment,
        )
        for key, incident_id in about
    ]
    done, stored = await carry_out(request.app, made)
    return answer({"actions": done, "stored": stored, "unknown": unknown})


async def list_actions(request: web.Request) -> web.Response:
    """Operator actions, newest first."""
    asked = ask.read_query(request, ask.ActionsListQuestion)
    page = await request.app[DATABASE].ask(
        incidents.actions,
        entity=asked.entity,
        incident_id=asked.incident,
        limit=asked.limit,
        cursor=asked.cursor,
    )
    return page_answer(page)


async def make_silence(request: web.Request) -> web.Response:
    """Suppress notifications of all matches until it expires; anomalies are still detected and stored."""
    asked = await ask.read_body(request, ask.SilenceBody)
    if not (asked.entity or asked.incident_id or asked.matchers):
        raise ProblemError(400, "Specify entity, incident_id or matchers: a silence without a target is rejected.")
    now = datetime.now(UTC)
    entity = _state_key(asked.entity) if asked.entity else ""
    if asked.incident_id and not entity:
        keys, _ = await _keys_of(request, [asked.incident_id], None)
        entity = next(iter(keys.values()))
    action = Action(
        action_id=str(uuid4()),
        kind="silence",
        entity=entity,
        incident_id=asked.incident_id,
        matchers=asked.matchers,
        until=_until(asked.until, asked.for_s, now),
        by=request[IDENTITY].name,
        at=now,
        comment=asked.comment,
    )
    if not entity and not asked.matchers:
        raise ProblemError(400, "Specify entity or matchers in addition to incident_id.")
    await carry_out(request.app, [action])
    return answer(_silence(action))


async def list_silences(request: web.Request) -> web.Response:
    """Silences, newest first."""
    asked = ask.read_query(request, ask.SilencesQuestion)
    active = {"active": True, "ended": False, "all": None}[asked.state]
    page = await request.app[DATABASE].ask(incidents.silences, active=active, limit=asked.limit, cursor=asked.cursor)
    return page_answer(page)


async def lift_silence(request: web.Request) -> web.Response:
    """Expire a silence now."""
    found = await request.app[DATABASE].ask(incidents.silence, request.match_info["id"].replace("\x00", ""))
    if found is None:
        raise ProblemError(404, "There is no silence with this id.")
    now = datetime.now(UTC)
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


async def carry_out(app: web.Application, actions: Sequence[Action]) -> tuple[list[Action], bool]:
    """Those that Kafka has, and whether PostgreSQL has them too. Raises `BrokerAwayError` where Kafka has none.

    1. Kafka: on the partition of the owner, so that the detector applies it beside the events of the key.
    2. PostgreSQL: the recorder's own statement, with the place that Kafka gave; the recorder's turn changes nothing.
    """
    broker = app[BROKER]
    records = [
        Record(TOPIC, _partition(app, action), action.entity.encode() or None, encode(action)) for action in actions
    ]
    sent = await broker.send(records)
    kept = [
        (action, place) for action, place in zip(actions, sent, strict=True) if not isinstance(place, BrokerAwayError)
    ]
    rows = Rows(actions=[_row(action, place) for action, place in kept if isinstance(place, Sent)])
    try:
        bad = await app[DATABASE].ask(lambda pool: Writer(pool).write(rows))
    except StoreAwayError:
        return [action for action, _ in kept], False
    return [action for action, _ in kept], not bad


def _row(action: Action, place: Sent) -> Row[Action]:
    return Row(action, TOPIC, place.partition, place.offset, place.timestamp_ms)


def _partition(app: web.Application, action: Action) -> int:
    """Of the owner of the entity's id; an action without one, a silence by matchers, goes to 0."""
    _, _, entity_id = action.entity.partition(":")
    return app[BROKER].owner(TOPIC, entity_id) if entity_id else 0


async def _keys_of(
    request: web.Request, incident_ids: Sequence[str], entity: str | None
) -> tuple[dict[str, str], list[str]]:
    """(incident id -> state key, ids that are not stored). With the entity given it works without PostgreSQL."""
    valid = {each: known for each in incident_ids if (known := uuid_of(each)) is not None}
    try:
        found = await request.app[DATABASE].ask(incidents.entities_of, list(valid.values()))
    except StoreAwayError:
        if not entity:
            raise
        return dict.fromkeys(map(str, valid.values()), _state_key(entity)), []
    unknown = [each for each in incident_ids if each not in valid or str(valid[each]) not in found]
    if not found:
        raise ProblemError(404, "No incident with these ids is stored.")
    return found, unknown


def uuid_of(text: str) -> UUID | None:
    """The UUID that a text is in its usual form; None where it is none."""
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


def _state_key(entity: str) -> str:
    kind, _, rest = entity.partition(":")
    if kind not in ("workflow", "score") or not rest or len(rest) > 256:
        raise ProblemError(
            400,
            "entity: must be workflow:<id> or score:<id>",
            parameter="entity",
            allowed=["workflow:<id>", "score:<id>"],
        )
    return entity


def _until(until: datetime | None, for_s: float | None, now: datetime) -> datetime:
    if until is not None and for_s is not None:
        raise ProblemError(400, "until and for_s exclude each other", allowed=["until", "for_s"])
    if until is not None:
        if not now < until <= _BELIEVED_UNTIL:
            raise ProblemError(400, "until: must be in the future and before 2100", parameter="until")
        return until.astimezone(UTC)
    return now + (timedelta(seconds=for_s) if for_s else _SILENCE_LASTS)


def _silence(action: Action) -> dict[str, Any]:
    told = msgspec.structs.asdict(action)
    names = ("entity", "incident_id", "matchers", "until", "by", "at", "comment")
    return {"id": action.action_id, **{name: told[name] for name in names}, "active": True}

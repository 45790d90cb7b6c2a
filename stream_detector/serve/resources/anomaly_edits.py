"""Anomalies created, changed and deleted by hand: each edit is an operator action, stored as the recorder does."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from stream_detector.events import Action, Affected, Anomaly, Metrics, RefusedError, State
from stream_detector.events.action import EditKind
from stream_detector.events.anomaly import EntityKind
from stream_detector.events.anomaly_types import AnomalyType, Severity
from stream_detector.events.decode import decode_anomaly
from stream_detector.events.encode import encode
from stream_detector.events.fields import Id, Instant, Labels, Name, Seconds, Text, Url
from stream_detector.events.variant import Variant, has_key, state_key
from stream_detector.serve.app_keys import DATABASE, EDITING
from stream_detector.serve.authentication import IDENTITY
from stream_detector.serve.deleted import no_anomaly
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import parse_uuid, read_body
from stream_detector.serve.resources.actions import carry_out
from stream_detector.serve.responses import json_response
from stream_detector.store import anomalies, anomaly_edits
from stream_detector.store.connect import StoreAwayError

BY_HAND = "manual"
"""Rule and profile of an anomaly that an operator has created."""
_Uuid = Annotated[str, Meta(min_length=36, max_length=36, description="A UUID.")]
_Attempt = Annotated[int, Meta(ge=1, le=1_000_000)]
_Affected = Annotated[list[Affected], Meta(min_length=1)]
_Steps = Annotated[list[Text], Meta(min_length=1)]


class NewAnomaly(Struct, kw_only=True, forbid_unknown_fields=True):
    """An anomaly to store. With an `id`, the request can be repeated safely."""

    id: _Uuid | None = None
    incident_id: _Uuid | None = None
    """Default: an incident of its own."""
    anomaly_type: AnomalyType
    severity: Severity
    state: State = "opened"
    description: Annotated[Text, Meta(min_length=1)]
    detected_at: Instant | None = None
    """Default: now."""
    entity_kind: EntityKind
    entity_id: Id
    entity_name: Name | None = None
    variant: Variant | None = None
    execution_id: Id | None = None
    attempt: _Attempt | None = None
    run_id: Id | None = None
    metrics: Metrics
    affected_entities: _Affected | None = None
    """Default: the entity, and the execution or run where one is given."""
    investigation_steps: _Steps | None = None
    labels: Labels = {}
    url: Url | None = None


class AnomalyChanges(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change. What is left out stays; what the anomaly is about, its id and its time cannot be changed."""

    severity: Severity | UnsetType = UNSET
    state: State | UnsetType = UNSET
    description: Annotated[Text, Meta(min_length=1)] | UnsetType = UNSET
    metrics: Metrics | UnsetType = UNSET
    affected_entities: _Affected | UnsetType = UNSET
    investigation_steps: _Steps | UnsetType = UNSET
    duration_s: Seconds | UnsetType | None = UNSET
    labels: Labels | UnsetType = UNSET
    url: Url | UnsetType | None = UNSET


async def create_anomaly(request: web.Request) -> web.Response:
    """Store an anomaly by hand. It is not notified, and detection does not know it.

    The same `id` and content again leave one; another content under a stored or deleted id is a conflict.
    """
    given = await read_body(request, NewAnomaly)
    if given.variant is not None and not (given.entity_kind == "workflow" and has_key(given.entity_id, given.variant)):
        raise ProblemError(
            400, "variant: only a workflow has variants, and long names must be ASCII", parameter="variant"
        )
    anomaly = _checked(_made(given, request[IDENTITY].name))
    anomaly_id = UUID(anomaly.id)
    async with request.app[EDITING]:
        stored = await _read(request, anomaly_id)
        if stored is not None:
            if given.detected_at is None:
                anomaly = msgspec.structs.replace(anomaly, detected_at=stored.detected_at)
            if stored != anomaly:
                raise ProblemError(409, "Another anomaly with this id is stored. To change it, send PATCH.")
        elif await request.app[DATABASE].query(anomaly_edits.deletions, [anomaly.id]):
            raise ProblemError(409, "The anomaly with this id was deleted. Use another id.")
        else:
            await _carry_out(request, "create_anomaly", anomaly)
    return await _stored(request, anomaly_id)


async def update_anomaly(request: web.Request) -> web.Response:
    """Change a stored anomaly; its incident follows. What the alert on Kafka and messages contain stays."""
    if parse_uuid(request.match_info["id"]) is None:  # whatever the body is
        raise await no_anomaly(request.app, None)
    changes = await read_body(request, AnomalyChanges)
    changed = {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not UNSET}
    if not changed:
        raise ProblemError(400, "Nothing to change.", allowed=list(msgspec.structs.asdict(changes)))
    async with request.app[EDITING]:
        stored = await _of_path(request)
        anomaly = _checked(msgspec.structs.replace(stored, **changed))
        if anomaly != stored:
            await _carry_out(request, "update_anomaly", anomaly)
    return await _stored(request, UUID(stored.id))


async def delete_anomaly(request: web.Request) -> web.Response:
    """Delete a stored anomaly; its incident goes with its last one. Its id stays deleted when topics are read again."""
    async with request.app[EDITING]:
        await _carry_out(request, "delete_anomaly", await _of_path(request))
    return web.Response(status=204)


def _made(given: NewAnomaly, by: str) -> Anomaly:
    fields: dict[str, Any] = msgspec.structs.asdict(given)
    for name in ("id", "incident_id"):
        if given_id := fields[name]:
            if parse_uuid(given_id) is None:
                raise ProblemError(400, f"{name}: must be a UUID", parameter=name)
            fields[name] = str(UUID(given_id))
    own_id = fields["id"] or str(uuid4())
    about = [Affected(given.entity_kind if given.entity_kind == "workflow" else "entity", given.entity_id)]
    about += [Affected("execution", given.execution_id)] if given.execution_id else []
    about += [Affected("run", given.run_id)] if given.run_id else []
    defaults = {
        "id": own_id,
        "incident_id": own_id,
        "detected_at": datetime.now(UTC),
        "entity_name": given.entity_id,
        "affected_entities": about,
        "investigation_steps": [f"Ask {by}, who added it by hand"],
    }
    fields |= {name: value for name, value in defaults.items() if fields[name] is None}
    return Anomaly(**fields, schema_version=1, gates=[], detector=BY_HAND, profile=BY_HAND)


def _checked(anomaly: Anomaly) -> Anomaly:
    """As the recorder will read it. Raises 400."""
    try:
        return decode_anomaly(encode(anomaly))
    except RefusedError as error:
        raise ProblemError(400, error.message) from None


async def _read(request: web.Request, anomaly_id: UUID) -> Anomaly | None:
    found = await request.app[DATABASE].query(anomalies.read, anomaly_id)
    return msgspec.json.decode(found, type=Anomaly) if found is not None else None


async def _of_path(request: web.Request) -> Anomaly:
    """The stored anomaly that the path names. Raises 404."""
    anomaly_id = parse_uuid(request.match_info["id"])
    stored = await _read(request, anomaly_id) if anomaly_id else None
    if stored is None:
        raise await no_anomaly(request.app, anomaly_id)
    return stored


async def _carry_out(request: web.Request, kind: EditKind, anomaly: Anomaly) -> None:
    """Publish the edit, then store it. Raises 503 where one of the two cannot be done now."""
    action = Action(
        action_id=str(uuid4()),
        kind=kind,
        by=request[IDENTITY].name,
        at=datetime.now(UTC),
        entity=state_key(anomaly.entity_kind, anomaly.entity_id, anomaly.variant),
        incident_id=anomaly.incident_id,
        anomaly_id=anomaly.id,
        anomaly=None if kind == "delete_anomaly" else anomaly,
    )
    _, stored = await carry_out(request.app, [action])
    if not stored:
        raise StoreAwayError("Kafka has the change, and the recorder stores it once the database is available")


async def _stored(request: web.Request, anomaly_id: UUID) -> web.Response:
    found = await request.app[DATABASE].query(anomalies.read, anomaly_id)
    if found is None:
        raise ProblemError(404, "The anomaly was deleted meanwhile.")
    return json_response(found)

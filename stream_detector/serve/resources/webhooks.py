"""Webhooks of the sources: a delivery becomes events, held to the contract like any other."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.events import Completion, RefusedError, Start
from stream_detector.events.decode import decode_received
from stream_detector.events.duplicates import check_unique_payload
from stream_detector.events.encode import encode
from stream_detector.events.files import in_utf8
from stream_detector.events.inputs import Event, kind_of_event
from stream_detector.events.mapping.units import zone_of
from stream_detector.events.sources import find_source, mapped_source, open_envelopes, read_payload
from stream_detector.events.sources.form import form_payload, is_form
from stream_detector.events.sources.source import (
    NO_CHOICES,
    Choices,
    IgnoredError,
    Reading,
    Source,
    Webhook,
    read_entries,
)
from stream_detector.events.unfold import payloads_of
from stream_detector.serve.app_keys import BROKER, DATABASE, SETTINGS
from stream_detector.serve.authentication import IDENTITY
from stream_detector.serve.connections import source_of
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import read_query
from stream_detector.serve.resources.events import (
    IntakeResult,
    RefusedEvent,
    check_rate_limit,
    intake_response,
    publish_events,
    read_events_body,
)
from stream_detector.serve.resources.renames import follow_number, rename_all
from stream_detector.serve.responses import json_response
from stream_detector.settings import PREFIX
from stream_detector.store.connect import StoreAwayError
from stream_detector.store.executions import Ends, has_executions, is_repeat, stored_ends

LOOK_UP_S = 1.0
"""So long a delivery waits for the database to say whether it came before."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class DeliveryResult(IntakeResult, kw_only=True):
    """What was done with a delivery. With nothing accepted, `message` is why; `left_out` are unusable details."""

    message: str
    left_out: list[str]


class PartsQuery(Struct, kw_only=True):
    """How to read a delivery that has parts."""

    models: Annotated[bool, Meta(description="Each model or other node of the invocation is a workflow.")] = False


class ZoneQuery(Struct, kw_only=True):
    """How to read a delivery whose times have no zone."""

    zone: Annotated[str, Meta(description="Zone of times without one, such as Europe/Berlin or +02:00.")] = "UTC"


def query_of(source: Source) -> type[Struct] | None:
    """The parameters that the source's webhook takes."""
    return PartsQuery if source.read_parts else ZoneQuery if source.read_in_zone else None


def _choices(request: web.Request, source: Source) -> Choices:
    """What the URL of the webhook chooses. Raises 400."""
    if source.read_parts is not None:
        return Choices(by_parts=read_query(request, PartsQuery, ignore_unknown=True).models)
    if source.read_in_zone is None:
        return NO_CHOICES
    try:
        return Choices(zone=zone_of(read_query(request, ZoneQuery, ignore_unknown=True).zone))
    except ValueError as error:
        raise ProblemError(400, f"zone: {error}; for example UTC, Europe/Berlin or %2B02:00.") from None


def webhook_handler(source: Source, webhook: Webhook) -> Handler:
    """The handler of `POST /api/v1/webhooks/<source>`: 404 while switched off, 401 where the proof is wrong."""
    verification = webhook.verification

    async def take_delivery(request: web.Request) -> web.Response:
        secret = getattr(request.app[SETTINGS], webhook.setting)
        if not secret:
            raise ProblemError(404, f"This webhook is disabled: set {PREFIX}{webhook.setting.upper()}.")
        header = verification.header
        state = "wrong" if request.headers.get(header) else "missing"
        wrong = ProblemError(401, f"{header} is {state}: {verification.advice}.", headers={"WWW-Authenticate": header})
        if not verification.may_be_authentic(secret, request.headers):
            raise wrong
        source_address = source_of(request, proxied=request.app[SETTINGS].api_behind_proxy)
        body = await read_events_body(request, unsigned_from=source_address or "unknown")
        if not verification.is_authentic(secret, request.headers, body):
            raise wrong
        check_rate_limit(request, f"webhook:{source.name}", 1)
        kind = request.headers.get(webhook.event_header, "") if webhook.event_header else ""
        if kind and kind not in webhook.events:
            reading = Reading(ignored=f"{_shown(kind)} is not switched on")
        else:
            reading = _read_delivery(source, body, _choices(request, source))
        return await _answer(request, reading, source.name)

    take_delivery.__name__ = f"take_{source.name}"
    take_delivery.__doc__ = webhook.description
    return take_delivery


async def take_mapped(request: web.Request) -> web.Response:
    """A payload of any system, read by the mapping of this name in the directory of MAPPINGS_DIR."""
    name = request.match_info["mapping"]
    source = mapped_source(name)
    if source is None:
        raise ProblemError(404, "No mapping has this name: put it into the directory of MAPPINGS_DIR and restart.")
    body = await read_events_body(request)
    check_rate_limit(request, request[IDENTITY].limited_as, 1)
    return await _answer(request, _read_delivery(source, body, is_mapped=True), source.name)


def _read_delivery(
    source: Source,
    body: bytes,
    choices: Choices = NO_CHOICES,
    *,
    is_mapped: bool = False,
) -> Reading:
    """What the delivery holds. Raises 400, for the person who set it up.

    Args:
        is_mapped: whether a mapping reads it: it may read a payload of any system.
    """
    try:
        payload = form_payload(body) if is_form(body) else in_utf8(body)
        check_unique_payload(payload)
        if is_mapped:
            return read_payload(source, payload, choices)
        if find_source(payload) is None:
            payload = open_envelopes(payload, "")
        if several := payloads_of(payload):
            return _read_several(source, several, choices)
        return _read_own(source, payload, choices)
    except IgnoredError as error:
        return Reading(ignored=error.message)
    except RefusedError as error:
        raise ProblemError(400, f"{error.reason}: {error.message}") from None


def _read_several(source: Source, payloads: Sequence[bytes], choices: Choices) -> Reading:
    """What an array of payloads holds; one that cannot be read does not lose the others."""
    ignored: list[str] = []
    left_out: list[str] = []
    within: list[RefusedError] = []

    def read_one(payload: bytes) -> Sequence[Event]:
        try:
            reading = _read_own(source, open_envelopes(payload, ""), choices)
        except IgnoredError as error:
            reading = Reading(ignored=error.message)
        ignored.append(reading.ignored or "no event")
        left_out.extend(reading.left_out)
        within.extend(reading.refused)
        return reading.events

    events, refused = read_entries(payloads, read_one, lambda _: None)
    refused += within
    return Reading(events, "" if events or refused else ignored[0], left_out, refused)


def _read_own(source: Source, payload: bytes, choices: Choices) -> Reading:
    """What a payload holds that is not another source's. Raises `RefusedError`."""
    other = find_source(payload)
    if other is not None and other is not source:
        where = f"; send it to /api/v1/webhooks/{other.name}" if other.webhook else ""
        raise RefusedError("decode", "unsupported_format", f"this is a payload of {other.title}{where}")
    return read_payload(source, payload, choices)


async def _answer(request: web.Request, reading: Reading, source: str) -> web.Response:
    """Publish the events, held to the contract's own limits. Raises 400 where none is left."""
    left_out = list(reading.left_out)
    if reading.moved is not None:
        message = await rename_all(request.app, *reading.moved, f"webhook {source}")
        return json_response(DeliveryResult(accepted=0, refused=[], topics={}, message=message, left_out=left_out))
    if reading.ignored:
        return json_response(
            DeliveryResult(accepted=0, refused=[], topics={}, message=f"ignored: {reading.ignored}", left_out=left_out)
        )
    now_ms = int(time.time() * 1000)
    events: list[tuple[int, Event]] = []
    errors = list(reading.refused)
    for event in await follow_number(request.app, source, reading, await _known_events(request, reading)):
        try:
            events.append((len(events), decode_received(kind_of_event(event), encode(event), (), now_ms)))
        except RefusedError as error:
            errors.append(error)
    stored, count = await _stored(request, [event for _, event in events]), len(events)
    events = [(at, event) for at, event in events if not (isinstance(event, Completion) and is_repeat(event, stored))]
    if count and not events and not errors:
        message = f"ignored: {count} came before"
        return json_response(DeliveryResult(accepted=0, refused=[], topics={}, message=message, left_out=left_out))
    if not events:
        first = errors[0]
        raise ProblemError(400, f"{first.reason}: {first.message}")
    wrong = [
        RefusedEvent(index=len(events) + place, reason=error.reason, message=error.message)
        for place, error in enumerate(errors)
    ]
    result = await publish_events(request.app[BROKER], events, wrong, backfill=False)
    accepted = _accepted(result.accepted, [event for _, event in events])
    return intake_response(
        DeliveryResult(
            accepted=result.accepted,
            refused=result.refused,
            topics=result.topics,
            message=f"{accepted}, rejected {len(result.refused)}" if result.refused else accepted,
            left_out=left_out,
        )
    )


async def _stored(request: web.Request, events: Sequence[Event]) -> Ends:
    """What is stored of the executions, if the delivery was sent before; nothing where the database does not say."""
    ended = [event for event in events if isinstance(event, Completion)]
    if not ended:
        return {}
    try:
        async with asyncio.timeout(LOOK_UP_S):
            return await request.app[DATABASE].query(stored_ends, ended)
    except (StoreAwayError, TimeoutError):  # a delivery does not wait for the database
        return {}


def _accepted(count: int, events: Sequence[Event]) -> str:
    """What was done, for the person who looks at the system's list of deliveries."""
    starts = sum(isinstance(event, Start) for event in events)
    if not starts:
        return f"accepted {count}"
    return f"accepted {count}, of them {starts} {'start' if starts == 1 else 'starts'}"


async def _known_events(request: web.Request, reading: Reading) -> Sequence[Event]:
    """The events; one whose workflow has a name alone is of the workflow that is stored, if one is."""
    if not reading.known_as:
        return reading.events
    try:
        if not await request.app[DATABASE].query(has_executions, reading.known_as):
            return reading.events
    except StoreAwayError:  # a delivery does not wait for the database
        return reading.events
    events = (event for event in reading.events if isinstance(event, Completion | Start))
    return [msgspec.structs.replace(event, workflow_id=reading.known_as) for event in events]


def _shown(kind: str) -> str:
    """A header's value as text of one line."""
    return "".join(each for each in kind[:64] if each.isprintable())

"""Webhooks of the sources: a delivery becomes events, held to the contract like any other."""

import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from stream_detector.events import RefusedError
from stream_detector.events.decode import decode_received
from stream_detector.events.encode import encode
from stream_detector.events.inputs import Event, kind_of_event
from stream_detector.events.sources.source import Source, Webhook
from stream_detector.serve.app_keys import BROKER, SETTINGS
from stream_detector.serve.connections import source_of
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.resources.events import IntakeResult, check_rate_limit, publish_events, read_events_body
from stream_detector.serve.responses import json_response
from stream_detector.settings import PREFIX

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def webhook_handler(source: Source, webhook: Webhook) -> Handler:
    """The handler of `POST /api/v1/webhooks/<source>`: 404 while switched off, 401 where the signature is wrong."""

    async def take_delivery(request: web.Request) -> web.Response:
        secret = getattr(request.app[SETTINGS], webhook.setting)
        if not secret:
            raise ProblemError(404, f"This webhook is disabled: set {PREFIX}{webhook.setting.upper()}.")
        header = webhook.signature_header
        given = request.headers.get(header, "")
        wrong = ProblemError(401, f"{header} is missing or wrong.", headers={"WWW-Authenticate": header})
        if not webhook.may_be_authentic(secret, given):
            raise wrong
        source_address = source_of(request, proxied=request.app[SETTINGS].api_behind_proxy)
        body = await read_events_body(request, unsigned_from=source_address or "unknown")
        if not webhook.is_authentic(secret, given, body):
            raise wrong
        check_rate_limit(request, f"webhook:{source.name}", 1)
        name, value = webhook.event_header
        events = _events_of_delivery(source, body) if request.headers.get(name) == value else []
        if not events:
            return json_response(IntakeResult(accepted=0, refused=[], topics={}))
        return await publish_events(request.app[BROKER], list(enumerate(events)), [], backfill=False)

    take_delivery.__name__ = f"take_{source.name}"
    take_delivery.__doc__ = webhook.description
    return take_delivery


def _events_of_delivery(source: Source, body: bytes) -> list[Event]:
    """The delivery's events, held to the contract's own limits. Raises 400."""
    now_ms = int(time.time() * 1000)
    try:
        return [decode_received(kind_of_event(event), encode(event), (), now_ms) for event in source.read(body)]
    except RefusedError as error:
        raise ProblemError(400, f"{error.reason}: {error.message}") from None

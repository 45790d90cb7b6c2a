"""Anomalies as they are found, as server-sent events."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from aiohttp import web
from aiokafka.errors import KafkaError
from msgspec import Struct

from stream_detector.serve.authentication import AUTHENTICATOR, IDENTITY
from stream_detector.serve.live import LIVE, Listener, Live, Vector, parse_vector, vector_text
from stream_detector.store.connect import StoreAwayError


class StreamEvent(Struct, kw_only=True):
    """One server-sent event of the live stream."""

    id: str
    """Of the place after it; sent back as `Last-Event-ID` the stream goes on from there."""
    event: Literal["ready", "reset", "anomaly"]
    """ready: what follows is new; reset: the id sent was of another stream; anomaly: one was found."""
    data: str
    """JSON: an anomaly v1, or of ready how many listen."""


HEARTBEAT_S = 15.0


async def stream(request: web.Request) -> web.StreamResponse:
    """Live anomalies as server-sent events; resumes after `Last-Event-ID` without gaps."""
    live = request.app[LIVE]
    caller = request[IDENTITY]
    listener, here = live.subscribe(caller.limited_as, is_operator=caller.role == "operator")
    try:
        resume_from = parse_vector(request.headers.get("Last-Event-ID", ""))
        response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        await response.prepare(request)
        known = (
            resume_from is not None
            and resume_from.keys() == here.keys()
            and all(resume_from[n] <= here[n] for n in here)
        )
        at = dict(resume_from) if resume_from is not None and known else dict(here)
        if "Last-Event-ID" in request.headers and not known:
            await response.write(_event("reset", b"{}", at))
        await response.write(_event("ready", b'{"clients":%d}' % live.clients, at))
        with contextlib.suppress(ConnectionError, KafkaError, TimeoutError):
            await _send(live, listener, response, at, here, lambda: _may_read(request))
        return response
    finally:
        live.unsubscribe(listener)


async def _may_read(request: web.Request) -> bool:
    """Whether the token or session of the stream is still valid (X15); unknown while PostgreSQL is unavailable."""
    try:
        return await request.app[AUTHENTICATOR].identify(request) is not None
    except StoreAwayError:
        return True


async def _send(
    live: Live,
    listener: Listener,
    response: web.StreamResponse,
    at: Vector,
    here: Vector,
    may_read: Callable[[], Awaitable[bool]],
) -> None:
    checked_s = time.monotonic()
    async for found in live.between(at, here):
        at[found.partition] = found.offset + 1
        await response.write(_event("anomaly", found.value, at))
    while True:
        if time.monotonic() - checked_s >= HEARTBEAT_S:
            checked_s = time.monotonic()
            if not await may_read():
                return
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                waiting = await listener.waiting.get()
        except TimeoutError:
            await response.write(b": still here\n\n")
            continue
        if waiting is None:
            return
        at[waiting.partition] = waiting.offset + 1
        await response.write(_event("anomaly", waiting.value, at))


def _event(name: str, data: bytes, at: Vector) -> bytes:
    """One event. JSON of ours is one line, so one `data` line holds it."""
    return f"id: {vector_text(at)}\nevent: {name}\ndata: ".encode() + data.replace(b"\n", b" ") + b"\n\n"

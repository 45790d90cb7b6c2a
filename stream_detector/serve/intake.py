"""Events from sources that cannot speak Kafka: checked as the decoder checks them, answered once Kafka has them."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

from stream_detector.events import RefusedError
from stream_detector.events.decode import DECODERS
from stream_detector.events.encode import encode
from stream_detector.events.files import kind_of
from stream_detector.events.inputs import INPUTS, Event, key_of, kind_of_event
from stream_detector.events.reasons import refusal_for
from stream_detector.events.sources.source import Source, Webhook
from stream_detector.serve import ask
from stream_detector.serve.answers import IntakeAnswer, RefusedEvent
from stream_detector.serve.broker import Broker, BrokerAwayError, Record
from stream_detector.serve.handlers import BROKER, SETTINGS, answer
from stream_detector.serve.problems import ProblemError
from stream_detector.settings import PREFIX
from stream_detector.store.access import token_digest

BODY_BYTES = 5 * 1024 * 1024
MOST_EVENTS = 10_000
BURST_S = 10.0
"""So many seconds' worth of events may come at once."""
_LINES = {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines"}
_JSON = {"application/json", "application/cloudevents+json", "application/cloudevents-batch+json"}
_BACKFILL = (("mode", b"backfill"),)


@dataclass
class Allowance:
    """How many events each token may still send: a bucket that fills with time."""

    rate: float
    now_s: Callable[[], float] = time.monotonic
    _left: dict[bytes, tuple[float, float]] = field(default_factory=dict)

    def take(self, whose: bytes, events: int) -> float:
        """0 where they may come, else in how many seconds they may; nothing is taken then.

        >>> allowance = Allowance(rate=1.0, now_s=lambda: 0.0)
        >>> allowance.take(b"a", 10), allowance.take(b"a", 2), allowance.take(b"b", 2)
        (0.0, 2.0, 0.0)
        """
        now_s, most = self.now_s(), self.rate * BURST_S
        left, seen_s = self._left.get(whose, (most, now_s))
        left = min(most, left + (now_s - seen_s) * self.rate)
        if left < events:
            self._left[whose] = left, now_s
            return (events - left) / self.rate
        if len(self._left) > MOST_EVENTS:  # forgetting gives a full bucket, no more
            self._left.clear()
        self._left[whose] = left - events, now_s
        return 0.0


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ALLOWANCE: web.AppKey[Allowance] = web.AppKey("allowance", Allowance)


async def take_events(request: web.Request) -> web.Response:
    """Publish one event, an array, JSON Lines or a CloudEvent. The response is sent once Kafka has acknowledged them.

    207 if some are rejected, with the index of each. After an error send the same request again: duplicates are
    detected by their id.
    """
    asked = ask.read_query(request, ask.IntakeQuestion)
    headers = [(name.lower().replace("-", "_"), text.encode()) for name, text in request.headers.items()]
    enveloped = [(name, text) for name, text in headers if name.startswith("ce_")]
    values = _values(await _body(request), request.content_type, enveloped=bool(enveloped))
    _demand_allowance(request, len(values))
    now_ms = int(time.time() * 1000)
    events: list[tuple[int, Event]] = []
    wrong: list[RefusedEvent] = []
    for index, value in enumerate(values):
        try:
            events.append((index, DECODERS[kind_of(value)](value, enveloped, now_ms)))
        except RefusedError as error:
            wrong.append(RefusedEvent(index=index, reason=error.reason, message=error.message))
    return await _publish(request.app[BROKER], events, wrong, backfill=asked.backfill)


def webhook_handler(source: Source, webhook: Webhook) -> Handler:
    """The handler of `POST /api/v1/webhooks/<source>`: 404 while switched off, 401 where the signature is wrong."""

    async def take_delivery(request: web.Request) -> web.Response:
        secret = getattr(request.app[SETTINGS], webhook.setting)
        if not secret:
            raise ProblemError(404, f"This webhook is disabled: set {PREFIX}{webhook.setting.upper()}.")
        body, header = await _body(request), webhook.signature_header
        if not webhook.is_authentic(secret, request.headers.get(header, ""), body):
            raise ProblemError(401, f"{header} is missing or wrong.", headers={"WWW-Authenticate": header})
        _demand_allowance(request, 1)
        name, value = webhook.event_header
        events = _events_of_delivery(source, body) if request.headers.get(name) == value else []
        if not events:
            return answer(IntakeAnswer(accepted=0, refused=[], topics={}))
        return await _publish(request.app[BROKER], list(enumerate(events)), [], backfill=False)

    take_delivery.__name__ = f"take_{source.name}"
    take_delivery.__doc__ = webhook.description
    return take_delivery


def _events_of_delivery(source: Source, body: bytes) -> list[Event]:
    """The delivery's events, held to the contract's own limits. Raises 400."""
    now_ms = int(time.time() * 1000)
    try:
        return [DECODERS[kind_of_event(event)](encode(event), (), now_ms) for event in source.read(body)]
    except RefusedError as error:
        raise ProblemError(400, f"{error.reason}: {error.message}") from None


async def _publish(
    broker: Broker, events: Sequence[tuple[int, Event]], wrong: list[RefusedEvent], *, backfill: bool
) -> web.Response:
    """Each on the partition of its owner, so that no worker has to forward it. Raises `BrokerAwayError`."""
    if not events:
        raise ProblemError(400, "All events were rejected.", refused=msgspec.to_builtins(wrong))
    records = []
    for _, event in events:
        topic, key = INPUTS[kind_of_event(event)].topic, key_of(event)
        headers = _BACKFILL if backfill else ()
        records.append(Record(topic, broker.owner(topic, key.decode()), key, encode(event), headers))
    topics: dict[str, int] = {}
    for (index, _), record, place in zip(events, records, await broker.send(records), strict=True):
        if isinstance(place, BrokerAwayError):
            wrong.append(RefusedEvent(index=index, reason="broker_away", message=f"{place}; send it again"))
        else:
            topics[record.topic] = topics.get(record.topic, 0) + 1
    wrong.sort(key=lambda each: each.index)
    response = answer(IntakeAnswer(accepted=sum(topics.values()), refused=wrong, topics=topics))
    if wrong:
        response.set_status(207)
    return response


async def _body(request: web.Request) -> bytes:
    """Raises 413 or 415; never holds more than `BODY_BYTES`, whatever the length says."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ProblemError(415, "Send the body without Content-Encoding.")
    parts, size = [], 0
    async for part in request.content.iter_chunked(64 * 1024):
        size += len(part)
        if size > BODY_BYTES:
            raise ProblemError(413, f"Send at most {BODY_BYTES} bytes at once.")
        parts.append(part)
    return b"".join(parts)


def _values(body: bytes, content_type: str, *, enveloped: bool) -> list[bytes]:
    """The JSON of each event. Raises 400, 413 or 415."""
    if content_type in _LINES:
        values = [line for each in body.split(b"\n") if (line := each.strip())]
    elif content_type not in _JSON:
        raise ProblemError(415, f"Send {', '.join(sorted(_JSON | _LINES))}.", allowed=sorted(_JSON | _LINES))
    elif body.lstrip()[:1] == b"[" and not enveloped:
        try:
            values = [bytes(each) for each in msgspec.json.decode(body, type=list[msgspec.Raw])]
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise ProblemError(400, f"The array is invalid: {refusal_for(error, body).message}") from None
    else:
        values = [body] if body.strip() else []
    if not values:
        raise ProblemError(400, "The body contains no event.")
    if len(values) > MOST_EVENTS:
        raise ProblemError(413, f"Send at most {MOST_EVENTS} events at once.")
    return values


def _demand_allowance(request: web.Request, events: int) -> None:
    allowance = request.app[ALLOWANCE]
    if events > allowance.rate * BURST_S:
        raise ProblemError(413, f"Send at most {allowance.rate * BURST_S:.0f} events at once (INTAKE_RATE_LIMIT).")
    whose = token_digest(request.headers.get("Authorization") or request.headers.get("Cookie") or request.path)
    wait_s = allowance.take(whose, events)
    if wait_s:
        detail = (
            f"This token has sent more than {allowance.rate:g} events per second. No event was accepted; retry later."
        )
        raise ProblemError(429, detail, headers={"Retry-After": str(int(wait_s) + 1)})

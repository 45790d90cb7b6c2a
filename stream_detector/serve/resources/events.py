"""Events from sources that cannot speak Kafka: checked as the decoder checks them, answered once Kafka has them."""

import codecs
import io
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.events import Completion, RefusedError, Start
from stream_detector.events.decode import decode_received
from stream_detector.events.encode import encode
from stream_detector.events.files import HistoryError, json_values, kind_of, open_plain, read_table, value_reader
from stream_detector.events.headers import Headers
from stream_detector.events.inputs import INPUTS, Event, key_of, kind_of_event
from stream_detector.events.unfold import MOST_EVENTS
from stream_detector.serve.allowance import ALLOWANCE, BURST_S
from stream_detector.serve.app_keys import BROKER
from stream_detector.serve.authentication import IDENTITY
from stream_detector.serve.bodies import read_bytes
from stream_detector.serve.broker import Broker, BrokerAwayError, Record
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import read_query
from stream_detector.serve.responses import json_response


class EventsQuery(Struct, kw_only=True):
    """How to take the events."""

    backfill: Annotated[bool, Meta(description="Backfill: update baselines, never report anomalies.")] = False


class RefusedEvent(Struct, kw_only=True):
    """One event that was not accepted. `index` counts from 0 in the order sent; with `broker_away`, send it again."""

    index: int
    reason: str
    message: str


class IntakeResult(Struct, kw_only=True):
    """The events that Kafka acknowledged. Status 207 if some were rejected."""

    accepted: int
    refused: list[RefusedEvent]
    topics: dict[str, int]


BODY_BYTES = 5 * 1024 * 1024

_LINES = {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines"}

_JSON = {"application/json", "application/cloudevents+json", "application/cloudevents-batch+json"}

TABLE = "text/csv"
_UTF_8 = ("utf-8", "ascii")
_ENCODINGS = ("cp", "iso8859", "latin", "utf-16", "utf-32", "mac", "koi8", "gb", "big5", "shift_jis", "euc")
"""Python's names of character sets begin so. Its other codecs are no character sets, or take long."""

_BACKFILL = (("mode", b"backfill"),)
API_SOURCE = "api"
"""Of an execution that came over HTTP and names no source."""


async def take_events(request: web.Request) -> web.Response:
    """Publish one event, an array, JSON Lines, a CloudEvent or a CSV table. The response is sent once Kafka has them.

    Payloads of the systems that have a webhook are converted. A field or column that occurs twice is rejected.
    207 if some are rejected, with the index of each. After an error send the same request again: duplicates are
    detected by their id.
    """
    query = read_query(request, EventsQuery)
    headers = [(name.lower().replace("-", "_"), text.encode()) for name, text in request.headers.items()]
    enveloped = [(name, text) for name, text in headers if name.startswith("ce_")]
    body = await read_events_body(request)
    is_table = request.content_type == TABLE and not enveloped
    values = _rows(body, request.charset) if is_table else _values(body, request.content_type, bool(enveloped))
    check_rate_limit(request, request[IDENTITY].limited_as, len(values))
    now_ms = int(time.time() * 1000)
    events: list[tuple[int, Event]] = []
    wrong: list[RefusedEvent] = []
    read = _reader(enveloped, now_ms)
    for index, value in enumerate(values):
        try:
            for found in read(value):
                if isinstance(found, RefusedError):
                    wrong.append(RefusedEvent(index=index, reason=found.reason, message=found.message))
                else:
                    events.append((index, _of_api(found)))
        except RefusedError as error:
            wrong.append(RefusedEvent(index=index, reason=error.reason, message=error.message))
    if not events and not wrong:  # a payload that no execution is in
        return json_response(IntakeResult(accepted=0, refused=[], topics={}))
    return intake_response(await publish_events(request.app[BROKER], events, wrong, backfill=query.backfill))


def intake_response(result: IntakeResult) -> web.Response:
    """The result, with 207 where some events are rejected."""
    response = json_response(result)
    if result.refused:
        response.set_status(207)
    return response


def _reader(enveloped: Headers, now_ms: int) -> Callable[[bytes | RefusedError], Iterator[Event | RefusedError]]:
    """What reads one value of a body: its events, or why one is none; another system's payload may have several."""
    read = value_reader(now_ms)

    def events_of(value: bytes | RefusedError) -> Iterator[Event | RefusedError]:
        if isinstance(value, RefusedError):
            raise value
        if enveloped:
            yield decode_received(kind_of(value), value, enveloped, now_ms)
            return
        for line in read(value):
            if line.event is not None:
                yield line.event
            elif line.error is not None:
                yield line.error

    return events_of


def _of_api(event: Event) -> Event:
    if isinstance(event, Completion | Start) and event.source is None:
        return msgspec.structs.replace(event, source=API_SOURCE)
    return event


async def publish_events(
    broker: Broker, events: Sequence[tuple[int, Event]], wrong: list[RefusedEvent], *, backfill: bool
) -> IntakeResult:
    """Each on the partition of its owner, so that no worker has to forward it. Raises `BrokerAwayError`."""
    if not events:
        raise ProblemError(400, "All events were rejected.", refused=msgspec.to_builtins(wrong))
    records = []
    for _, event in events:
        topic, key = INPUTS[kind_of_event(event)].topic, key_of(event)
        headers = _BACKFILL if backfill else ()
        records.append(Record(topic, broker.owner(topic, key.decode()), key, encode(event), headers))
    published: dict[str, int] = {}
    for (index, _), record, place in zip(events, records, await broker.send(records), strict=True):
        if isinstance(place, BrokerAwayError):
            wrong.append(RefusedEvent(index=index, reason="broker_away", message=f"{place}; send it again"))
        else:
            published[record.topic] = published.get(record.topic, 0) + 1
    wrong.sort(key=lambda each: each.index)
    return IntakeResult(accepted=sum(published.values()), refused=wrong, topics=published)


async def read_events_body(request: web.Request, *, unsigned_from: str = "") -> bytes:
    """Raises 400, 408, 413, 415 or 429; never holds more than `BODY_BYTES`, whatever the length says."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ProblemError(415, "Send the body without Content-Encoding.")
    return await read_bytes(request, BODY_BYTES, unsigned_from=unsigned_from)


def _values(body: bytes, content_type: str, enveloped: bool) -> list[bytes | RefusedError]:
    """The JSON of each event, or what is wrong with it. Raises 400, 413 or 415."""
    if content_type not in _JSON | _LINES:
        allowed = sorted(_JSON | _LINES | {TABLE})
        raise ProblemError(415, f"Send {', '.join(allowed)}.", allowed=allowed)
    if enveloped:
        values: list[bytes | RefusedError] = [body] if body.strip() else []
    else:
        try:
            plain = open_plain(io.BytesIO(body), "The body", None, lambda _: None, unpacks=False)
            values = [error or value for _, value, error in json_values(plain, "The body")]
        except HistoryError as error:
            raise ProblemError(400, f"{error}.") from None
    return _counted(values)


def _rows(body: bytes, charset: str | None) -> list[bytes | RefusedError]:
    """The same of a table, read as `publish` reads one. Raises 400, 413 or 415."""
    encoding = _encoding(charset) if charset else None
    try:
        plain = open_plain(io.BytesIO(body), "The body", encoding, lambda _: None, unpacks=False)
        records = islice(read_table(plain, "The body", builds=False), MOST_EVENTS + 1)
        values = [_of_a_body(record.error) if record.error else record.value for record in records]
    except HistoryError as error:
        raise ProblemError(400, f"{error}.") from None
    return _counted(values)


def _encoding(charset: str) -> str | None:
    """Python's name of the encoding, None for UTF-8, whose byte order mark may show another. Raises 415."""
    try:
        name = codecs.lookup(charset).name
    except LookupError:
        name = ""
    if name in _UTF_8:
        return None
    if not name.startswith(_ENCODINGS):
        raise ProblemError(415, "Send text/csv in UTF-8, or with its charset, for example cp1252 or iso-8859-1.")
    return name


def _of_a_body(error: RefusedError) -> RefusedError:
    """The same, with what a sender can do."""
    if error.reason != "not_utf8":
        return error
    return RefusedError(error.stage, error.reason, "not UTF-8 text; name the encoding: text/csv; charset=cp1252")


def _counted(values: list[bytes | RefusedError]) -> list[bytes | RefusedError]:
    """As many as may be sent at once. Raises 400 or 413."""
    if not values:
        raise ProblemError(400, "The body contains no event.")
    if len(values) > MOST_EVENTS:
        raise ProblemError(413, f"Send at most {MOST_EVENTS} events at once.")
    return values


def check_rate_limit(request: web.Request, whose: str, events: int) -> None:
    """Raises 413 for more than may ever come at once, 429 for more than may come now.

    Args:
        whose: the token's id, or the webhook: nothing that the sender can choose.
    """
    allowance = request.app[ALLOWANCE]
    if events > allowance.rate * BURST_S:
        raise ProblemError(413, f"Send at most {allowance.rate * BURST_S:.0f} events at once (INTAKE_RATE_LIMIT).")
    wait_s = allowance.take(whose, events)
    if wait_s:
        detail = (
            f"This sender has sent more than {allowance.rate:g} events per second. No event was accepted; retry later."
        )
        raise ProblemError(429, detail, headers={"Retry-After": str(int(wait_s) + 1)})

"""The live stream: what is found, as it is found, to every browser that listens.

One consumer without a group reads `alerts` for all. Each event's id is the offset vector after it (`0:12,1:5`: the next
offset of each partition), so a browser that comes back with `Last-Event-ID` goes on where it was:
1. it is registered first, so that nothing new passes it by;
2. what lies between its vector and the place of its registration is read for it alone;
3. what was gathered meanwhile follows. No gap, nothing twice.
A browser that does not keep up is let go when its buffer is full; it comes back by itself and goes on in the same way.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import NamedTuple

from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream_detector.events import RefusedError
from stream_detector.events.decode import decode_anomaly
from stream_detector.kafka import topics
from stream_detector.serve.broker import Broker, BrokerAwayError
from stream_detector.serve.problems import ProblemError

MOST_CLIENTS = 200
MOST_OF_ONE = 100
"""Of one token with its sessions."""
KEPT_FOR_OPERATORS = 40
"""Places that viewers leave free, however many they are."""

BUFFERED = 500

_AGAIN_S = 2.0

_POLL_MS = 250

_WITHIN_S = 10.0

_VECTOR = re.compile(r"\d{1,5}:\d{1,18}(,\d{1,5}:\d{1,18}){0,999}", re.ASCII)

Vector = dict[int, int]
"""Partition -> the next offset."""


class Found(NamedTuple):
    """One anomaly and where it lay."""

    partition: int
    offset: int
    value: bytes


class Listener:
    """One browser: what waits for it. None is the end: it did not keep up, or the stream broke."""

    def __init__(self, whose: str = "") -> None:
        self.whose = whose
        self.waiting: asyncio.Queue[Found | None] = asyncio.Queue(BUFFERED + 1)

    def offer(self, found: Found | None) -> bool:
        """False where the buffer is full: then the last thing it gets is the end."""
        if found is not None and self.waiting.qsize() >= BUFFERED:
            return False
        with contextlib.suppress(asyncio.QueueFull):
            self.waiting.put_nowait(found)
        return True


class Live:
    """Reads `alerts` once for all listeners."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._listeners: set[Listener] = set()
        self._next: Vector = {}
        self._reading: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read."""
        if self._broker.state != "unset":
            self._reading = asyncio.create_task(self._read())

    async def stop(self) -> None:
        """Every listener ends."""
        self._end_all()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def subscribe(self, whose: str = "", *, is_operator: bool = True) -> tuple[Listener, Vector]:
        """A new listener, and the place from which on it gets everything.

        Args:
            whose: the token or session that it counts for.
            is_operator: may also have one of the places that are kept.

        Raises:
            BrokerAwayError: nothing is being read.
            ProblemError: 429, this one listens too often; 503, too many listen already.
        """
        if not self._next:
            raise BrokerAwayError(self._broker.why_away or "the live stream is not connected yet")
        if sum(each.whose == whose for each in self._listeners) >= MOST_OF_ONE:
            detail = f"This token already has {MOST_OF_ONE} live streams. Close one, or use another token."
            raise ProblemError(429, detail, headers={"Retry-After": "30"})
        most = MOST_CLIENTS if is_operator else MOST_CLIENTS - KEPT_FOR_OPERATORS
        if len(self._listeners) >= most:
            raise ProblemError(503, f"The limit of {most} clients is reached.", headers={"Retry-After": "30"})
        listener = Listener(whose)
        self._listeners.add(listener)
        return listener, dict(self._next)

    def unsubscribe(self, listener: Listener) -> None:
        """It gets nothing more."""
        self._listeners.discard(listener)

    @property
    def clients(self) -> int:
        """How many listen."""
        return len(self._listeners)

    async def between(self, after: Vector, upto: Vector) -> AsyncIterator[Found]:
        """Everything from `after` on and before `upto`, partition by partition."""
        wanted = {number: end for number, end in upto.items() if after[number] < end}
        if not wanted:
            return
        consumer = self._broker.consumer(auto_offset_reset="earliest")
        await consumer.start()
        try:
            for number, end in wanted.items():
                place = TopicPartition(self._broker.name(topics.ALERTS), number)
                consumer.assign([place])
                consumer.seek(place, after[number])
                async with asyncio.timeout(_WITHIN_S):
                    while await consumer.position(place) < end:
                        for record in (await consumer.getmany(place, timeout_ms=_POLL_MS)).get(place, []):
                            if record.offset < end and (value := record.value) and _is_anomaly(value):
                                yield Found(number, record.offset, value)
        finally:
            await consumer.stop()

    async def _read(self) -> None:
        while True:
            try:
                await self._follow()
            except (BrokerAwayError, KafkaError, OSError, TimeoutError):
                self._end_all()
                self._next = {}
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        count = self._broker.partitions(topics.ALERTS)
        consumer = self._broker.consumer(auto_offset_reset="earliest", fetch_max_wait_ms=_POLL_MS)
        await consumer.start()
        try:
            places = [TopicPartition(self._broker.name(topics.ALERTS), number) for number in range(count)]
            consumer.assign(places)
            self._next = await _end_offsets(consumer, places)
            while True:
                for place, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                    for record in records:
                        if record.offset < self._next[place.partition]:
                            continue
                        self._next[place.partition] = record.offset + 1
                        if (value := record.value) and _is_anomaly(value):
                            self._offer(Found(place.partition, record.offset, value))
        finally:
            await consumer.stop()

    def _offer(self, found: Found) -> None:
        for listener in list(self._listeners):
            if not listener.offer(found):
                self._listeners.discard(listener)
                listener.offer(None)

    def _end_all(self) -> None:
        for listener in self._listeners:
            listener.offer(None)
        self._listeners.clear()


def _is_anomaly(value: bytes | None) -> bool:
    """Whether a page can show it. What cannot be read is on dead letters, by the recorder."""
    try:
        decode_anomaly(value)
    except RefusedError:
        return False
    return True


async def _end_offsets(consumer: AIOKafkaConsumer, places: list[TopicPartition]) -> Vector:
    """The end of each partition, by the watermark of a fetch: asked for ends, an embedded broker counts batches."""
    await consumer.seek_to_end(*places)
    async with asyncio.timeout(_WITHIN_S):
        while any(consumer.highwater(place) is None for place in places):
            await consumer.getmany(timeout_ms=_POLL_MS)
    ends = {place: max(consumer.highwater(place) or 0, await consumer.position(place)) for place in places}
    for place, end in ends.items():
        consumer.seek(place, end)
    return {place.partition: end for place, end in ends.items()}


def parse_vector(text: str) -> Vector | None:
    """The vector that an id names; None where it is none of ours.

    >>> parse_vector("0:12,1:5"), parse_vector("7")
    ({0: 12, 1: 5}, None)
    """
    if not _VECTOR.fullmatch(text):
        return None
    return {int(number): int(offset) for number, offset in (each.split(":") for each in text.split(","))}


def vector_text(vector: Vector) -> str:
    """The id that names the vector.

    >>> vector_text({1: 5, 0: 12})
    '0:12,1:5'
    """
    return ",".join(f"{number}:{offset}" for number, offset in sorted(vector.items()))


LIVE: web.AppKey[Live] = web.AppKey("live", Live)


async def hold_live(app: web.Application) -> AsyncIterator[None]:
    """Reads while the application runs."""
    app[LIVE].start()
    yield
    await app[LIVE].stop()

"""Publish events to the input topics, each on the partition of its owner, so that no worker has to forward it.

Whole batches are built here (2 us a record; aiokafka's `send` costs 30) and every one is acknowledged by all in-sync
replicas. A batch that is sent again after a lost answer may lie on the topic twice: events carry ids, so a repeat is
recognised and counted once.
"""

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer

from stream_detector.kafka.client import client_options
from stream_detector.kafka.preflight import run_preflight
from stream_detector.kafka.topics import owner_partition
from stream_detector.settings import Settings

BATCH_BYTES = 256 * 1024
LOG_APPEND_TIME = 1
REQUEST_TIMEOUT_MS = 30_000
BACKFILL_HEADERS = [("mode", b"backfill")]


class Publishable(Protocol):
    """What can be published: a topic without its prefix, the id that decides the owner, the event's JSON."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> bytes: ...
    @property
    def value(self) -> bytes: ...


@dataclass
class Published:
    """What the broker has acknowledged."""

    topics: dict[str, int] = field(default_factory=dict)
    """Topic without its prefix -> events."""
    n_bytes: int = 0
    seconds: float = 0.0
    stamped_by_broker: set[str] = field(default_factory=set)
    """Topics without prefix on which the broker sets the time of the records, whatever a producer gives."""
    leading: int = 0
    """So many events from the first on are all acknowledged; of those after them some may be."""

    @property
    def events(self) -> int:
        return sum(self.topics.values())


Progress = Callable[[Published], None]


async def publish(
    settings: Settings,
    events: Iterable[Publishable] | AsyncIterable[Publishable],
    *,
    backfill: bool = False,
    progress: Progress = lambda published: None,
    record_ms_of: Callable[[Any], int | None] = lambda event: None,
) -> Published:
    """Every event is on its topic afterwards, acknowledged, in its order per key.

    The record's time is now, unless `record_ms_of` gives another one.

    Args:
        events: read lazily; memory stays bounded however many there are.
        backfill: mark each as history, to be learned and never alerted.
        progress: called after each acknowledged batch.
        record_ms_of: gives the timestamp of an event's record, epoch ms; the broker may still set its own.

    Raises:
        SetupError: a topic is missing, or we may not write to it.
        aiokafka.errors.KafkaError: the broker does not answer or refuses; what was acknowledged stays published.
    """
    # Asked first: a producer that names a missing topic would make it, with one partition.
    partitions = await run_preflight(settings, "producers")
    producer = AIOKafkaProducer(
        **client_options(settings),
        client_id="stream-detector-publish",
        acks="all",
        max_batch_size=BATCH_BYTES,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )
    publishing = _Publishing(
        producer, settings, partitions, BACKFILL_HEADERS if backfill else [], progress, record_ms_of
    )
    try:
        await producer.start()
        if isinstance(events, AsyncIterable):
            async for event in events:
                await publishing.add(event)
        else:
            for event in events:
                await publishing.add(event)
        return await publishing.finish()
    finally:
        await producer.stop()
        await publishing.wait_for_acks()


class _Publishing:
    def __init__(
        self,
        producer: AIOKafkaProducer,
        settings: Settings,
        partitions: dict[str, int],
        headers: list[tuple[str, bytes]],
        progress: Progress,
        record_ms_of: Callable[[Any], int | None],
    ) -> None:
        self._producer, self._settings, self._partitions = producer, settings, partitions
        self._headers, self._progress, self._record_ms_of = headers, progress, record_ms_of
        self._open: dict[tuple[str, int], tuple[Any, int]] = {}
        """By topic and partition: the batch that is being filled, and the number of its first event."""
        self._added = 0
        self._firsts: set[int] = set()
        """The number of the first event of each batch that is not acknowledged."""
        self._acks: set[asyncio.Task[None]] = set()
        self._published = Published()
        self._started_s = time.monotonic()

    async def add(self, event: Publishable) -> None:
        """Append it to its partition's batch; a full batch goes out first, waiting while the broker is behind."""
        place = event.topic, _owner(event.key, self._partitions[event.topic])
        batch = self._open[place][0] if place in self._open else self._new_batch(place)
        record_ms = self._record_ms_of(event)
        if batch.append(timestamp=record_ms, key=event.key, value=event.value, headers=self._headers) is None:
            await self._send(place)
            batch = self._new_batch(place)
            batch.append(timestamp=record_ms, key=event.key, value=event.value, headers=self._headers)
        self._added += 1

    def _new_batch(self, place: tuple[str, int]) -> Any:
        batch = self._producer.create_batch()
        self._open[place] = batch, self._added
        self._firsts.add(self._added)
        return batch

    async def finish(self) -> Published:
        """Send what is left; every acknowledgement has come afterwards."""
        for place in list(self._open):
            await self._send(place)
        await asyncio.gather(*self._acks)
        return self._published

    async def wait_for_acks(self) -> None:
        """No delivery is under way any more; the caller already has the error of what failed."""
        await asyncio.gather(*self._acks, return_exceptions=True)

    async def _send(self, place: tuple[str, int]) -> None:
        for ack in [ack for ack in self._acks if ack.done()]:
            self._acks.discard(ack)
            ack.result()  # a failed delivery ends the publishing
        batch, first = self._open.pop(place)
        delivery = await self._producer.send_batch(batch, self._settings.topic(place[0]), partition=place[1])
        self._acks.add(asyncio.ensure_future(self._count(place[0], batch, first, delivery)))

    async def _count(self, topic: str, batch: Any, first: int, delivery: asyncio.Future[Any]) -> None:
        acknowledged = await delivery
        done = self._published
        if acknowledged is not None and acknowledged.timestamp_type == LOG_APPEND_TIME:
            done.stamped_by_broker.add(topic)
        done.topics[topic] = done.topics.get(topic, 0) + batch.record_count()
        done.n_bytes += batch.size()
        self._firsts.discard(first)
        done.leading = min(self._firsts, default=self._added)
        done.seconds = time.monotonic() - self._started_s
        self._progress(done)


@lru_cache(maxsize=100_000)  # the hash is pure Python: 3 us for a usual id
def _owner(key: bytes, partitions: int) -> int:
    return owner_partition(key.decode(), partitions)

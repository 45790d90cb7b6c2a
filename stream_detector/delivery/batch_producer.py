"""What a role sends: gathered per partition into whole batches, sent in order, each delivery awaited by a checkpoint.

Stock sends cost a future and 30 us a record; a batch costs 2 us a record (`create_batch().append`). aiokafka sends one
batch of a partition after the other. Where each chunk at full speed made a small one of its own, the last waited 8 s
for its acknowledgement; so what is put while enough is in flight waits, and fills its batches.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from stream_detector.events.dead_letter import record_bytes
from stream_detector.events.headers import Headers
from stream_detector.events.refused import RefusedError
from stream_detector.kafka.aiokafka_patches import build_batch, new_compressed_batch

MAX_IN_FLIGHT = 4
"""So many dispatches go out before the first is acknowledged. With one alone an alert at 10,000 events/s took 10 ms
more in the median."""
LARGE_BYTES = 512 * 1024
"""A record above it goes out alone and compressed: what a producer's compression had made small enough for the broker
is too large without (1 MB by Kafka's defaults, 8 MiB on our topics), and must be forwarded or kept all the same."""
MOST_BYTES = 7 << 20
"""Of a record, compressed: our topics take a batch of 8 MiB (`kafka.topics`)."""
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class Sent(NamedTuple):
    """A record that was given to `put`."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass
class _Batch:
    topic: str
    partition: int
    builder: BatchBuilder
    n_bytes: int = 0
    caused_at_ms: list[int] = field(default_factory=list)
    large: Sent | None = None
    """The one record of a batch that the broker may find too large."""


class BatchProducer:
    """Sends in the order of `put`. A delivery that fails is reported to `on_failure`, which ends the process.

    Args:
        producer: gives the started aiokafka producer.
        on_failure: called with the error; must not return to work.
        prefix: of the topics' names on the broker.
        on_acked: called with topic and the record times (ms) of the events that caused the acknowledged records.
        replace_too_large: called with a record that the broker finds too large, whose topic takes less than ours do;
            gives the one to send in its place, None for nothing more.
        note_ack: called with each acknowledgement.
    """

    def __init__(
        self,
        producer: Callable[[], AIOKafkaProducer],
        on_failure: Callable[[BaseException], None],
        prefix: str = "",
        on_acked: Callable[[str, list[int], float], None] = lambda topic, caused_at_ms, now_s: None,
        replace_too_large: Callable[[Sent], Sent | None] = lambda record: None,
        note_ack: Callable[[RecordMetadata], None] = lambda acknowledged: None,
    ) -> None:
        self._producer, self._on_failure, self._prefix, self._on_acked = producer, on_failure, prefix, on_acked
        self._replace_too_large, self._note_ack = replace_too_large, note_ack
        self._open: dict[tuple[str, int], _Batch] = {}
        self._full: list[_Batch] = []
        self._queue: asyncio.Queue[tuple[list[_Batch], asyncio.Future[None]]] = asyncio.Queue()
        self._sender: asyncio.Task[None] | None = None
        self._in_flight = 0
        self._waiting: asyncio.Future[None] | None = None
        """Done when what was dispatched and waits for room is acknowledged."""
        self.pending_bytes = 0
        """Bytes put and not yet acknowledged: the reading side waits when there are too many."""
        self.ends: dict[tuple[str, int], int] = {}
        """Of each partition that was sent to: the offset behind the last record that was acknowledged."""

    def put(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        *,
        caused_at_ms: int | None = None,
    ) -> None:
        """Add one record to a topic (its name without the prefix); it goes out with the next `dispatch`.

        Raises:
            RefusedError: it is too large, even compressed. Nothing was added.
        """
        place = (topic, partition)
        size = len(key or b"") + len(value or b"") + 64
        if headers and caused_at_ms is None:  # else it is an alert, whose headers are ours: to count them took 3 %
            size = record_bytes(key, value, headers) + 64
        if size > LARGE_BYTES:
            alone = _large_batch(Sent(topic, partition, key, value, list(headers or ())), size)
            self._full += [*filter(None, [self._open.pop(place, None)]), alone]
            self.pending_bytes += size
            if caused_at_ms is not None:
                alone.caused_at_ms.append(caused_at_ms)
            return
        batch = self._open.get(place) or self._new_batch(place)
        if batch.builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
            self._full.append(self._open.pop(place))
            batch = self._new_batch(place)
            batch.builder.append(timestamp=None, key=key, value=value, headers=headers)
        batch.n_bytes += size
        self.pending_bytes += size
        if caused_at_ms is not None:
            batch.caused_at_ms.append(caused_at_ms)

    def dispatch(self) -> asyncio.Future[None] | None:
        """Send what was put; the future is done when the broker has acknowledged all of it. None if nothing was put."""
        if not self._full and not self._open:
            return None
        acknowledged = self._waiting = self._waiting or asyncio.get_running_loop().create_future()
        if self._sender is None:
            self._sender = asyncio.create_task(self._send(), name="batch_producer")
        if self._in_flight < MAX_IN_FLIGHT:
            self._enqueue(acknowledged)
        return acknowledged

    def _enqueue(self, acknowledged: asyncio.Future[None]) -> None:
        batches = [*self._full, *self._open.values()]
        self._full, self._open, self._waiting = [], {}, None
        self._in_flight += 1
        self._queue.put_nowait((batches, acknowledged))

    def _new_batch(self, place: tuple[str, int]) -> _Batch:
        batch = self._open[place] = _Batch(*place, self._producer().create_batch())
        return batch

    async def _send(self) -> None:
        # One task for all: batches of one partition leave in the order of their events, which the watermarks of
        # repartitioned events need (see repartition.py).
        while True:
            batches, acknowledged = await self._queue.get()
            try:
                producer = self._producer()
                sent = [
                    (b, await producer.send_batch(b.builder, self._prefix + b.topic, partition=b.partition))
                    for b in batches
                ]
            except Exception as error:  # whatever it is, the promise of delivery is broken
                self._on_failure(error)
                continue
            acks = asyncio.gather(*(self._await_ack(batch, future) for batch, future in sent))
            acks.add_done_callback(partial(self._finish, acknowledged=acknowledged))

    async def _await_ack(self, batch: _Batch, future: asyncio.Future[RecordMetadata]) -> None:
        try:
            acknowledged = await future
            self.ends[batch.topic, batch.partition] = acknowledged.offset + batch.builder.record_count()
            self._note_ack(acknowledged)
        except _TOO_LARGE:
            if batch.large is None:
                raise
            await self._send_instead(batch.large)
        self.pending_bytes -= batch.n_bytes
        if batch.caused_at_ms:
            self._on_acked(batch.topic, batch.caused_at_ms, time.time())

    async def _send_instead(self, refused: Sent) -> None:
        while (record := self._replace_too_large(refused)) is not None:
            place = self._prefix + record.topic
            try:
                await (await self._producer().send_batch(_alone(record), place, partition=record.partition))
                return
            except _TOO_LARGE:
                refused = record

    def _finish(self, acks: asyncio.Future[list[None]], acknowledged: asyncio.Future[None]) -> None:
        if acks.cancelled():
            acknowledged.cancel()
            return
        if error := acks.exception():
            self._on_failure(error)
            return
        if not acknowledged.done():
            acknowledged.set_result(None)
        self._in_flight -= 1
        if self._waiting is not None:
            self._enqueue(self._waiting)


def _alone(record: Sent) -> BatchBuilder:
    """A compressed batch of this record alone."""
    builder = new_compressed_batch(LARGE_BYTES)
    builder.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
    return builder


def _large_batch(record: Sent, size: int) -> _Batch:
    """The record alone. Raises `RefusedError` where it is too large for our topics."""
    builder = _alone(record)
    if size > MOST_BYTES and build_batch(builder) > MOST_BYTES:
        raise RefusedError(
            "decode", "too_large", f"{size} bytes with its key and headers; {record.topic} takes at most {MOST_BYTES}"
        )
    return _Batch(record.topic, record.partition, builder, size, large=record)

"""The Faust app of one role: the product's parts around Faust's, each with its type."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

import faust
from aiokafka import AIOKafkaProducer
from faust.types import TP, ChannelT

from stream_detector.delivery.batch_producer import BatchProducer, Sent
from stream_detector.delivery.broker_clock import BrokerClock
from stream_detector.delivery.checkpoint import Checkpoint, Group
from stream_detector.delivery.chunk import Chunk, SourceRecord
from stream_detector.delivery.processor import Fetching, Positions
from stream_detector.delivery.repartition import Origin, find_origin, strip_origin
from stream_detector.delivery.stall import StallDetector
from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.state.recovery import PositionRecovery, Tables
from stream_detector.delivery.state.table import OnRecovered, StateTable
from stream_detector.delivery.task import Task, Tasks
from stream_detector.delivery.topic_watch import Count, TopicWatch
from stream_detector.events import RefusedError
from stream_detector.events.dead_letter import CUT_BYTES, cut_dead_letter, dead_letter_headers, record_bytes
from stream_detector.events.headers import Headers, UnreadableHeaders
from stream_detector.kafka import topics
from stream_detector.kafka.errors import describe_error
from stream_detector.settings import Settings
from stream_detector.shutdown import EXIT_FAILURE
from stream_detector.telemetry import metrics
from stream_detector.telemetry.log_events import DeadLetterLost, EventRefused, RoleFailed

V = TypeVar("V")

LEAST_LETTER_BYTES = 10_000
"""A topic `dead-letters` that does not take so much takes nothing."""


class WorkerConsumer(Group, Fetching, Protocol):
    """What a worker needs of its consumer (`consumer.BatchConsumer`)."""

    def assignment(self) -> set[TP]:
        """Every partition that is ours, changelogs included. Raises `ConsumerNotStarted`."""

    def last_stable_offset(self, tp: TP) -> int:
        """The end of the partition as the last fetch reported it, 0 if unknown."""

    async def commit_and_end_transactions(self) -> None:
        """Take a checkpoint now, after the one under way."""

    async def committed_offset(self, tp: TP) -> int | None:
        """What the group has committed, asked of the broker."""

    async def read_progress(self) -> list[tuple[TP, int, int]]:
        """Each partition of ours, how far it is read, and its end: of changelogs while recovering, else of sources."""

    def answer_age_s(self) -> float:
        """Since when the group's coordinator has answered nothing."""

    def find_ended_task(self) -> str:
        """Which of the tasks that must live as long as the worker has ended, and by what; empty if none has."""


class WorkerApp(faust.App):
    """A Faust app with batch delivery. A role adds its agents, tables and `before_checkpoint`."""

    def __init__(self, role: str, settings: Settings, on_recovered: OnRecovered, **options: Any) -> None:
        super().__init__(settings.group(role), **options)
        self.role, self.settings, self.topic_prefix = role, settings, settings.topic_prefix
        self._on_recovered = on_recovered
        self.before_checkpoint: Callable[[Task], None] = lambda task: None
        self.partitions: dict[str, int] = {}
        """Topic without its prefix -> how many partitions it has, by the assignment; 0: as many as the state, and yet
        not assigned with it."""
        self.assigned_at_s = time.monotonic()
        """When the last rebalance began to end: from then on state is restored."""
        self.unmark_record: Callable[[], None] = lambda: None
        """No record is to be blamed for the end of the process, though one may be alone under way."""
        self.pass_over: Callable[[str, Chunk], Awaitable[bool]] = _pass_over
        """Before a chunk of a source topic counts as applied of which nothing is looked at. False: it is given up."""
        self.waiting_for = ""
        """A service outside that is away; while it is, standing still is right."""
        self.known_position: Callable[[TP], int] = self._position_in_state
        """Up to where a source partition is known to be applied where the group has no committed offset; 0: unknown."""
        self.find_unmet_need: Callable[[], str] = lambda: ""
        """What else the role cannot work without and does not have now; empty if nothing."""
        self.positions = Positions(lambda: self.worker_consumer, self._state_position, self.fail, settings.topic_prefix)
        self.broker_clock = BrokerClock()
        self.batch_producer = BatchProducer(
            lambda: self.kafka_producer,
            lambda error: self.fail(f"delivery: {describe_error(error, role, 'Write')}"),
            settings.topic_prefix,
            _observe_latency,
            self._replace_too_large,
            self.broker_clock.note,
        )
        self.checkpoint = Checkpoint(self)
        self._hurried: asyncio.Future[Any] | None = None
        """A checkpoint that was asked for before it was due."""
        self.stall_detector = StallDetector(settings.stalled_after_s)
        self.topic_watch = TopicWatch(self.partitions, settings.topic_prefix, self.fail)

    # -- Faust's parts, with the types of ours ------------------------------------------------------------------

    @property
    def worker_consumer(self) -> WorkerConsumer:
        """The consumer."""
        return cast(WorkerConsumer, self.consumer)

    @property
    def group(self) -> Group:
        """This worker's life in its consumer group."""
        return self.worker_consumer

    @property
    def kafka_producer(self) -> AIOKafkaProducer:
        """aiokafka's producer; there is one once the app has started."""
        return cast(AIOKafkaProducer, cast(Any, self.producer)._producer)

    @property
    def tasks(self) -> Tasks:
        """What is ours, by partition number."""
        return self.positions.tasks

    @property
    def recovery(self) -> PositionRecovery:
        """The recovery of tables."""
        return cast(Tables, self.tables).recovery

    @property
    def state_tables(self) -> Sequence[StateTable[Any]]:
        """Every table of the role."""
        return cast(Tables, self.tables).state_tables

    @property
    def tables_by_changelog(self) -> Mapping[str, StateTable[Any]]:
        """Changelog topic's name on the broker -> its table."""
        return cast(Tables, self.tables).by_changelog

    # -- for the roles --------------------------------------------------------------------------------------------

    def source_topic(self, name: str) -> ChannelT[Any]:
        """A topic to read chunks from."""
        topic = self.settings.topic(name)
        return self.topic(topic, key_type=bytes, key_serializer="raw", value_type=bytes, value_serializer="raw")

    def state_table(
        self, name: str, codec: Codec[V], partitions: int, partition_type: type[StatePartition[V]] = StatePartition
    ) -> StateTable[V]:
        """A table whose changelog is the topic `name`."""
        table = cast(
            StateTable[V],
            self.Table(
                name, partitions=partitions, key_type=bytes, value_type=bytes, changelog_topic=self.source_topic(name)
            ),
        )
        table.codec, table.partition_type, table.on_recovered = codec, partition_type, self._on_recovered
        return table

    def dispatch(self, number: int) -> None:
        """Send what the batch producer holds; the task's next checkpoint awaits it."""
        if acknowledged := self.batch_producer.dispatch():
            self.tasks.get_or_create(number).sends.append(acknowledged)

    async def until_checkpoint(self) -> None:
        """Return after the next checkpoint that finishes; after twice their interval where none does."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.checkpoint.next_finished.wait(), 2 * self.settings.checkpoint_interval_s)

    def now_s(self) -> float:
        """Unix time by the broker; by this worker's clock where the broker has named no time."""
        now_ms = self.broker_clock.now_ms()
        return time.time() if now_ms is None else now_ms / 1000

    async def hurry_checkpoint(self) -> None:
        """Return after the checkpoint under way, or after one that begins now."""
        if not self.checkpoint.is_running and (self._hurried is None or self._hurried.done()):
            self._hurried = self.add_future(self.worker_consumer.commit_and_end_transactions())
        await self.until_checkpoint()

    def send_to_dlq(
        self, record: SourceRecord, headers: Headers, origin: Origin, number: int, error: RefusedError
    ) -> None:
        """Keep a record that cannot be used on `dead-letters`, untouched; what is too large for it, cut.

        Whatever is wrong with the record, this does not raise: the last that can be done is to log it.

        Args:
            headers: its own.
            origin: where it came from.
            number: the partition that it was read from.
            error: why.
        """
        own = headers.own if isinstance(headers, UnreadableHeaders) else headers
        if origin.event_index is not None:
            error = RefusedError(
                error.stage, error.reason, f"event {origin.event_index + 1} of its record: {error.message}"
            )
        EventRefused(origin.topic, origin.partition, origin.offset, reason=error.reason, message=error.message).emit()
        try:
            letter = self._dead_letter(record.key, record.value, own, origin, number, error)
            try:
                self.batch_producer.put(*letter)
            except RefusedError:
                self.batch_producer.put(*_cut(letter, CUT_BYTES))
        except Exception as failed:
            DeadLetterLost(origin.topic, origin.partition, origin.offset, repr(failed)).emit()

    def _dead_letter(
        self, key: bytes | None, value: bytes | None, headers: Headers, origin: Origin, number: int, error: RefusedError
    ) -> Sent:
        name, partition, offset, timestamp_ms, index = origin
        with_why = dead_letter_headers(
            headers, topic=name, partition=partition, offset=offset, timestamp_ms=timestamp_ms, index=index, error=error
        )
        known = self.partitions.get(topics.DEAD_LETTERS)
        return Sent(topics.DEAD_LETTERS, number % known if known else number, key, value, with_why)

    def _replace_too_large(self, record: Sent) -> Sent | None:
        """What to send instead of a record that the broker does not take: a dead letter, and of that less and less."""
        origin = find_origin(record.headers) or Origin(record.topic, record.partition, -1, -1)
        size = record_bytes(record.key, record.value, record.headers)
        if record.topic == topics.DEAD_LETTERS:
            smaller = min(CUT_BYTES, size // 2)
            if smaller >= LEAST_LETTER_BYTES:
                return _cut(record, smaller)
            DeadLetterLost(record.topic, record.partition, -1, f"the broker does not take {size} bytes there").emit()
            return None
        error = RefusedError(
            "decode", "too_large", f"{size} bytes with its headers; the topic {record.topic} takes less"
        )
        EventRefused(origin.topic, origin.partition, origin.offset, reason=error.reason, message=error.message).emit()
        own = strip_origin(record.headers)
        return _cut(self._dead_letter(record.key, record.value, own, origin, record.partition, error), CUT_BYTES)

    def take_assignment(self, count: Count) -> None:
        """A new assignment has begun: see `TopicWatch`. `count` is by what the broker last answered."""
        if tables := self.state_tables:
            groups = cast(Any, self.assignor)._topic_groups
            self.topic_watch.take_assignment(groups.get, count, tables[0].changelog_name[len(self.topic_prefix) :])

    def fail(self, why: str) -> None:
        """End the process at once: going on would break the promise. What is not committed is replayed."""
        RoleFailed(self.role, why).emit()
        self.unmark_record()  # the reason is known: mostly what a broker or a database refuses
        os._exit(EXIT_FAILURE)

    # -- where stock Faust does otherwise -------------------------------------------------------------------------

    def _create_directories(self) -> None:
        """None: state is in the changelog. Stock makes some, which a read-only file system refuses."""

    def on_rebalance_end(self) -> None:
        """The rebalance is over, unless another one has begun: stock lets events in while the others still join."""
        if not self.recovery.is_interrupted:
            super().on_rebalance_end()

    def _position_in_state(self, tp: TP) -> int:
        """Up to where the state that is ours has a source partition; 0 where it does not know."""
        source = tp.topic[len(self.topic_prefix) :]
        owned = (partition for table in self.state_tables for partition in table.owned_partitions.values())
        passed_on = max((partition.watermarks.get(f"{source}/{tp.partition}", 0) for partition in owned), default=0)
        return max(passed_on, self._state_position(tp.partition, source))

    def _state_position(self, number: int, source: str) -> int:
        partitions = filter(None, (table.find_owned(number) for table in self.state_tables))
        return max((partition.replay_until.get(source, 0) for partition in partitions), default=0)


async def _pass_over(source: str, chunk: Chunk) -> bool:
    return True


def _cut(letter: Sent, limit: int) -> Sent:
    return Sent(letter.topic, letter.partition, *cut_dead_letter(letter.key, letter.value, letter.headers, limit))


def _observe_latency(topic: str, caused_at_ms: list[int], now_s: float) -> None:
    for record_ms in caused_at_ms:
        metrics.EVENT_TO_ALERT.observe(max(0.0, now_s - record_ms / 1000))

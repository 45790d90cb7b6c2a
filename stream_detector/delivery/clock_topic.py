"""The topic `clock`: what time it is by the broker, and until when each partition was taken in, by whichever worker.

A detector notes once a minute which partitions it takes in; the record's time is the broker's. A detector that takes
one over knows by it for how long nobody did. It follows the topic all the time, so a take-over waits for no answer.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.broker_clock import LOG_APPEND_TIME, BrokerClock
from stream_detector.events.decode_census import decode_source_census
from stream_detector.events.refused import RefusedError
from stream_detector.events.source_census import KEY_PREFIX
from stream_detector.kafka.groupless_consumer import groupless_consumer
from stream_detector.kafka.topics import CLOCK
from stream_detector.settings import Settings
from stream_detector.telemetry.log_events import ClockRefused

TICK, INTAKE, AWAY = b"tick", b"intake", b"away"
"""Keys of the records: a time was asked for; partitions are taken in; nobody took anything in for a while."""
MOST_READ = 5_000
"""So many of the last records are read at a start: hours of several workers. Who is not in them was away for longer."""
LEAST_MISSED = 5
"""A source that misses fewer runs is not suspected of being silent."""
_DAY_MS = 86_400_000
_POLL_MS = 200
_FOLLOW_WAIT_MS = 2_000
_AGAIN_S = 2.0
_READ_WITHIN_S = 10.0
_NOT_GRANTED = "this detector may not use it (`stream-detector acls --role detector` prints what to grant)"
_NOT_STAMPED = (
    "the broker does not stamp its records, so this machine's clock would decide: use a broker that takes "
    "message.timestamp.type=LogAppendTime"
)


class Intake(msgspec.Struct, frozen=True):
    """Who took what in: the value of a record `intake`."""

    partitions: list[int]
    schema_version: int = 1


class Away(msgspec.Struct, frozen=True):
    """Nobody took anything in from one time to the other, in epoch ms by the broker: the value of a record `away`.

    `expected_runs` is how many runs were expected between them: they are not reported as missing.
    """

    from_ms: int
    until_ms: int
    expected_runs: int
    schema_version: int = 1


_intake = msgspec.json.Decoder(Intake)


class ClockTopic:
    """One detector's part in it.

    Args:
        settings: of this detector.
        producer: gives the started aiokafka producer.
        clock: takes the times that are acknowledged.
        is_granted: whether this detector may use the topic.
    """

    def __init__(
        self, settings: Settings, producer: Callable[[], AIOKafkaProducer], clock: BrokerClock, *, is_granted: bool
    ) -> None:
        self._settings, self._producer, self._clock = settings, producer, clock
        self._place = TopicPartition(settings.topic(CLOCK), 0)
        self.is_usable = is_granted
        """False once it is known that nothing names the broker's time: then nothing is decided by it."""
        self.has_own_time = bool(settings.starts_file)
        """Under `up` with its embedded broker, which names no time: this machine's clock is the only one there is."""
        self.taken_in_ms: dict[int, int] = {}
        """Partition number -> when it was last taken in."""
        self.known_from_ms = 0
        """A partition that is not in `taken_in_ms` was not taken in since then."""
        self._missed: dict[int, tuple[int, dict[str, int]]] = {}
        """Partition -> when its last census was published, and how many runs of each source were missed by it."""
        self._is_read = asyncio.Event()
        self._next = -1

    @classmethod
    def of(cls, app: WorkerApp) -> "ClockTopic":
        """That of a worker."""
        return cls(app.settings, lambda: app.kafka_producer, app.broker_clock, is_granted=CLOCK in app.partitions)

    def now_ms(self) -> int | None:
        """Epoch ms by the broker, as far as it is known without asking."""
        return time.time_ns() // 1_000_000 if self.has_own_time else self._clock.now_ms()

    async def stamp(self, key: bytes, value: bytes = b"{}") -> int | None:
        """Publish one record; returns when, by the broker. None where it names no time.

        Raises:
            KafkaError: the broker does not take it.
        """
        acknowledged = await self._producer().send_and_wait(self._place.topic, value, key=key, partition=0)
        self._clock.note(acknowledged)
        if self.has_own_time:
            return time.time_ns() // 1_000_000
        if acknowledged.timestamp_type == LOG_APPEND_TIME and acknowledged.timestamp:
            return int(acknowledged.timestamp)
        self.is_usable = False
        ClockRefused(self._place.topic, _NOT_STAMPED).emit()
        return None

    async def note_intake(self, partitions: Iterable[int]) -> int | None:
        """These partitions are taken in until now; returns when that is, as `stamp`. Raises the same."""
        return await self.stamp(INTAKE, msgspec.json.encode(Intake(sorted(partitions))))

    async def until_read(self) -> None:
        """Return once all is known that the topic had when this detector began to follow it, or soon where nobody
        answers: then every partition counts as not taken in until now."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_read.wait(), _READ_WITHIN_S)

    async def follow(self) -> None:
        """Read on until it is cancelled."""
        if not self.is_usable:
            ClockRefused(self._place.topic, _NOT_GRANTED).emit()
        while self.is_usable:
            try:
                await self._follow_once()
            except (KafkaError, OSError):
                await asyncio.sleep(_AGAIN_S)
        self._is_read.set()

    async def _follow_once(self) -> None:
        async with groupless_consumer(self._settings, fetch_max_wait_ms=_FOLLOW_WAIT_MS) as consumer:
            end = (await consumer.end_offsets([self._place]))[self._place]
            if self._next < 0:
                self._next = max(0, end - MOST_READ)
            first = self._next
            consumer.assign([self._place])
            consumer.seek(self._place, first)
            while self.is_usable:
                found = await consumer.getmany(
                    self._place, timeout_ms=_POLL_MS if self._next < end else _FOLLOW_WAIT_MS
                )
                for record in found.get(self._place, []):
                    if record.offset == first > 0 and not self._is_read.is_set():
                        self.known_from_ms = record.timestamp
                    self._take(record)
                if self._next >= end or (not found and await consumer.position(self._place) >= end):
                    self._is_read.set()

    def suspected(self) -> set[str]:
        """Sources that miss many runs, in all partitions together, by what was published within a day."""
        now_ms, missed = self.now_ms() or 0, Counter[str]()
        for at_ms, by_source in self._missed.values():
            if now_ms - at_ms < _DAY_MS:
                missed.update(by_source)
        return {source for source, count in missed.items() if count >= LEAST_MISSED}

    def _take(self, record: ConsumerRecord) -> None:
        self._next = record.offset + 1
        if (record.key or b"").startswith(KEY_PREFIX):
            with contextlib.suppress(RefusedError):  # somebody else's
                census = decode_source_census(record.value)
                missed = {source: one.missed for source, one in census.sources.items() if one.missed}
                self._missed[census.partition] = record.timestamp, missed
        if record.key != INTAKE:
            return
        try:
            partitions = _intake.decode(record.value or b"").partitions
        except msgspec.DecodeError:
            return  # somebody else's
        for number in partitions:
            self.taken_in_ms[number] = max(record.timestamp, self.taken_in_ms.get(number, 0))

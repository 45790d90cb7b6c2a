"""The API's hold on Kafka, and the only module here that knows it: what people decide and what sources send goes out.

Connects in the background, so that the server answers at once. `send` returns when every in-sync replica has it.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream_detector.events.times import from_epoch_ms
from stream_detector.kafka.client import client_options, wait_for_broker
from stream_detector.kafka.dlq import DeadLetterError, StoredDeadLetter, fetch_dead_letter, printable, retry
from stream_detector.kafka.preflight import SetupError, run_preflight
from stream_detector.kafka.topics import DEAD_LETTERS, owner_partition
from stream_detector.settings import Settings
from stream_detector.telemetry.log_events import ServiceUnavailable

__all__ = ["Broker", "BrokerAwayError", "DeadLetterError", "Record", "Sent"]
_SEND_WITHIN_S = 8.0
_REQUEST_TIMEOUT_MS = 5_000
_AGAIN_S = 5.0


class BrokerAwayError(Exception):
    """Kafka does not answer, or cannot now. Nothing is certain to have been published; ids make a repeat harmless."""


class Sent(NamedTuple):
    """Where the broker put a record, and its own time, epoch ms."""

    partition: int
    offset: int
    timestamp_ms: int


class Record(NamedTuple):
    """One record to publish. `topic` is without its prefix."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


class Broker:
    """Publishes. `start` and `stop` frame its life; it needs no broker to be constructed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.why_away = "no response yet" if settings.broker else "STREAM_DETECTOR_BROKER is not set"
        self._producer: AIOKafkaProducer | None = None
        self._partitions: dict[str, int] = {}
        self._connecting: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        """ok, away or unset."""
        if not self._settings.broker:
            return "unset"
        return "ok" if self._producer is not None and not self.why_away else "away"

    def start(self) -> None:
        """Begin to connect."""
        if self._settings.broker:
            self._connecting = asyncio.create_task(self._connect())

    async def stop(self) -> None:
        """Nothing is under way afterwards."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._producer is not None:
            await self._producer.stop()

    def owner(self, topic: str, entity_id: str) -> int:
        """The partition that owns an id. Raises `BrokerAwayError` where the topics are not known yet."""
        return owner_partition(entity_id, self.partitions(topic))

    def partitions(self, topic: str) -> int:
        """How many a topic has. Raises `BrokerAwayError` where that is not known yet."""
        if topic not in self._partitions:
            raise BrokerAwayError(self.why_away or f"the topic {topic} is missing: run `stream-detector setup`")
        return self._partitions[topic]

    async def send(self, records: Sequence[Record]) -> list[Sent | BrokerAwayError]:
        """Publish all; for each where it is, or why that is not certain. Raises `BrokerAwayError` where none can be."""
        if self._producer is None:
            raise BrokerAwayError(self.why_away)
        answers = await asyncio.gather(*(self._send(self._producer, record) for record in records))
        lost = next((each for each in answers if isinstance(each, BrokerAwayError)), None)
        self.why_away = str(lost) if lost else ""
        if lost and all(isinstance(each, BrokerAwayError) for each in answers):
            raise lost
        return list(answers)

    def consumer(self, **options: object) -> AIOKafkaConsumer:
        """A consumer without a group, not started. Raises `BrokerAwayError` where no broker is set."""
        if not self._settings.broker:
            raise BrokerAwayError(self.why_away)
        return AIOKafkaConsumer(**client_options(self._settings), group_id=None, enable_auto_commit=False, **options)

    async def show_dead_letter(self, partition: int, offset: int) -> dict[str, Any]:
        """One dead letter with its payload, as text. Raises `BrokerAwayError` or `DeadLetterError`."""
        letter = await self._letter(partition, offset)
        why = letter.why
        return {
            "partition": letter.partition,
            "offset": letter.offset,
            "topic": why.topic,
            "original_partition": why.partition,
            "original_offset": why.offset,
            "original_at": from_epoch_ms(why.timestamp_ms) if why.timestamp_ms >= 0 else None,
            "stage": why.stage,
            "reason": why.reason,
            "message": why.message,
            "value_bytes": letter.value_bytes,
            "key": printable(letter.key),
            "value": printable(letter.value),
            "headers": {name: printable(value) for name, value in why.headers},
        }

    async def retry_dead_letter(self, partition: int, offset: int) -> dict[str, Any]:
        """Publish one again as it came; where it is now. Raises `BrokerAwayError` or `DeadLetterError`."""
        letter = await self._letter(partition, offset)
        try:
            topic, now_partition, now_offset = await retry(self._settings, letter)
        except (KafkaError, OSError) as error:
            raise BrokerAwayError(f"{type(error).__name__}: {error}") from error
        return {"topic": topic, "partition": now_partition, "offset": now_offset}

    async def _letter(self, partition: int, offset: int) -> StoredDeadLetter:
        if partition >= self.partitions(DEAD_LETTERS):
            raise DeadLetterError(f"dead letter {partition}-{offset} does not exist")
        try:
            return await fetch_dead_letter(self._settings, partition, offset)
        except (KafkaError, OSError) as error:
            raise BrokerAwayError(f"{type(error).__name__}: {error}") from error

    def name(self, topic: str) -> str:
        """The topic's name on the broker."""
        return self._settings.topic(topic)

    async def _send(self, producer: AIOKafkaProducer, record: Record) -> Sent | BrokerAwayError:
        try:
            async with asyncio.timeout(_SEND_WITHIN_S):
                done = await producer.send_and_wait(
                    self.name(record.topic),
                    record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=list(record.headers),
                )
        except (KafkaError, OSError, TimeoutError) as error:
            return BrokerAwayError(f"{type(error).__name__}: {error}".rstrip(": "))
        return Sent(done.partition, done.offset, done.timestamp)

    async def _connect(self) -> None:
        while self._producer is None:
            await wait_for_broker(self._settings)
            producer = AIOKafkaProducer(
                **client_options(self._settings),
                client_id="stream-detector-api",
                acks="all",
                request_timeout_ms=_REQUEST_TIMEOUT_MS,
                max_request_size=4 * 1024 * 1024,
            )
            try:
                self._partitions = await run_preflight(self._settings, "api")
                await producer.start()
                self._producer, self.why_away = producer, ""
            except (KafkaError, OSError, SetupError) as error:
                await producer.stop()
                self.why_away = str(error) or type(error).__name__
                ServiceUnavailable("Kafka", self._settings.broker, self.why_away, _AGAIN_S).emit()
                await asyncio.sleep(_AGAIN_S)

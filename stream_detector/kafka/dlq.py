"""Dead letters where they lie, and back again: payloads are on the topic alone."""

import asyncio
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from msgspec import Struct

from stream_detector.events import RefusedError
from stream_detector.events.dead_letter import DeadLetter, read_dead_letter
from stream_detector.kafka.client import client_options
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.groupless_consumer import groupless_consumer
from stream_detector.kafka.topics import BY_NAME, DEAD_LETTERS
from stream_detector.settings import Settings

_WITHIN_S = 10.0


class DeadLetterError(Exception):
    """There is no such dead letter, or it cannot go back. The text says which and why."""


class StoredDeadLetter(Struct, frozen=True, gc=False, kw_only=True):
    """One dead letter: where it lies, why, and what came."""

    partition: int
    offset: int
    why: DeadLetter
    key: bytes | None
    value: bytes | None

    @property
    def value_bytes(self) -> int | None:
        """How long the value is, or was where it is kept cut."""
        return self.why.value_bytes(self.value)


async def read_dead_letters(settings: Settings) -> AsyncIterator[StoredDeadLetter]:
    """Every one that the topic holds; what another program wrote there without our headers is left out."""
    async for record in read_topic(settings, DEAD_LETTERS):
        try:
            yield _parse_dead_letter(record)
        except RefusedError:
            continue


async def fetch_dead_letter(settings: Settings, partition: int, offset: int) -> StoredDeadLetter:
    """The one at this place. Raises `DeadLetterError` or `KafkaError`."""
    place = TopicPartition(settings.topic(DEAD_LETTERS), partition)
    async with groupless_consumer(settings) as consumer:
        consumer.assign([place])
        consumer.seek(place, offset)
        try:
            async with asyncio.timeout(_WITHIN_S):
                while True:
                    for record in (await consumer.getmany(place, timeout_ms=200, max_records=1)).get(place, []):
                        if record.offset == offset:
                            return _parse_dead_letter(record)
                        raise _not_found_error(partition, offset)  # retention has deleted it, or no one ever lay there
                    end = consumer.highwater(place)
                    if end is not None and offset >= end:
                        raise _not_found_error(partition, offset)
        except (TimeoutError, RefusedError) as error:
            raise _not_found_error(partition, offset) from error


async def retry(settings: Settings, letter: StoredDeadLetter) -> tuple[str, int, int]:
    """Publish it again as it came: key, value and its own headers, to its topic and partition.

    Returns:
        (topic without its prefix, partition, offset) where it is now. The letter stays on the topic.

    Raises:
        DeadLetterError: it came from a topic that is not one of ours, or it is not kept whole.
        aiokafka.errors.KafkaError: the broker does not answer or refuses.
    """
    name = letter.why.topic.removeprefix(settings.topic_prefix)  # the roles write it without the prefix
    if name not in BY_NAME or name == DEAD_LETTERS:
        raise DeadLetterError(f"it came from {letter.why.topic[:100]}, which is not a topic of this installation")
    if letter.why.is_cut:
        raise DeadLetterError("it was too large to be kept whole: publish it again where it came from, and smaller")
    async with AIOKafkaProducer(**client_options(settings), acks="all", max_request_size=16 * 1024 * 1024) as producer:
        done = await producer.send_and_wait(
            settings.topic(name),
            letter.value,
            key=letter.key,
            partition=letter.why.partition,
            headers=list(letter.why.headers),
        )
    return name, done.partition, done.offset


def printable(raw: bytes | None, limit: int = 10_000) -> str | None:
    """Bytes as text for people: what is no UTF-8 and what could steer a terminal is escaped, what is long is cut.

    >>> printable(bytes([0xff, 0x1b]) + b"[2Jx")
    '\\\\xff\\\\x1b[2Jx'
    """
    if raw is None:
        return None
    text = raw[:limit].decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
    return text + (f"... ({len(raw)} bytes)" if len(raw) > limit else "")


def _parse_dead_letter(record: ConsumerRecord) -> StoredDeadLetter:
    why = read_dead_letter(record.headers)
    return StoredDeadLetter(
        partition=record.partition, offset=record.offset, why=why, key=record.key, value=record.value
    )


def _not_found_error(partition: int, offset: int) -> DeadLetterError:
    return DeadLetterError(f"dead letter {partition}-{offset} does not exist; they are deleted after 30 days")

"""What people must know of the topic `clock`: which sources are silent, and when nobody processed events.

The notifier follows the topic without its group, from where its state ends: so a notifier that takes over goes on
there, and an earlier version next to it is not disturbed by a topic that it does not know.
"""

from collections.abc import AsyncGenerator
from typing import NamedTuple

import msgspec
from aiokafka import ConsumerRecord, TopicPartition

from stream_detector.delivery.clock_topic import AWAY, MOST_READ, Away
from stream_detector.events.decode_census import decode_source_census
from stream_detector.events.refused import RefusedError
from stream_detector.events.source_census import KEY_PREFIX, SourceCensus
from stream_detector.kafka.groupless_consumer import groupless_consumer
from stream_detector.kafka.topics import CLOCK
from stream_detector.settings import Settings
from stream_detector.telemetry.log_events import RecordIgnored

_WAIT_MS = 1_000
_away = msgspec.json.Decoder(Away)


class ClockRecord(NamedTuple):
    """One of them."""

    offset: int
    at_s: float
    """When it was published, by the broker; 0: it names no time, as the embedded one."""
    content: SourceCensus | Away


async def follow(settings: Settings, first: int | None) -> AsyncGenerator[list[ClockRecord], None]:
    """What is on the topic, and what comes; an empty list where nothing has for a second.

    Args:
        settings: where the broker is.
        first: the offset to begin at; None, or one that the topic does not have: with the last records.

    Raises:
        KafkaError: the broker is away.
    """
    async with groupless_consumer(settings, fetch_max_wait_ms=_WAIT_MS) as consumer:
        place = TopicPartition(settings.topic(CLOCK), 0)
        begin = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        consumer.assign([place])
        consumer.seek(place, first if first is not None and begin <= first <= end else max(begin, end - MOST_READ))
        while True:
            found = await consumer.getmany(place, timeout_ms=_WAIT_MS)
            yield [read for record in found.get(place, []) if (read := read_record(record, settings.topic(CLOCK)))]


def read_record(record: ConsumerRecord, topic: str) -> ClockRecord | None:
    """What it says; None for what only detectors need, and for somebody else's record."""
    key, at_s = record.key or b"", max(0, record.timestamp) / 1000
    try:
        if key.startswith(KEY_PREFIX):
            return ClockRecord(record.offset, at_s, decode_source_census(record.value))
        if key == AWAY:
            return ClockRecord(record.offset, at_s, _away.decode(record.value or b""))
    except (RefusedError, msgspec.DecodeError) as error:
        RecordIgnored(topic, 0, record.offset, str(error)).emit()
    return None

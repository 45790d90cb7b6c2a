"""Publishing to a real broker: every event on its owner's partition, in order, acknowledged."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from stream_detector.devstack.demo import demo_events
from stream_detector.kafka.client import client_options
from stream_detector.kafka.create_topics import SetupError, make_topics
from stream_detector.kafka.publish import Published, publish
from stream_detector.kafka.topics import COMPLETIONS, SCORES, owner_partition
from stream_detector.settings import Settings


class Message(NamedTuple):
    topic: str
    key: bytes
    value: bytes


async def read(settings: Settings, topic: str, count: int) -> list[ConsumerRecord]:
    """The first `count` records of the topic; waits until they are there."""
    consumer = AIOKafkaConsumer(**client_options(settings), auto_offset_reset="earliest")
    consumer.assign([TopicPartition(settings.topic(topic), number) for number in range(settings.partitions)])
    await consumer.start()
    try:
        records: list[ConsumerRecord] = []
        while len(records) < count:
            fetched = await consumer.getmany(timeout_ms=1000)
            records += [record for chunk in fetched.values() for record in chunk]
        return records
    finally:
        await consumer.stop()


async def test_events_lie_on_their_owners_partition_in_order(
    broker: Any, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(broker=broker.address)
    await make_topics(settings)
    seen: list[int] = []

    def messages() -> Iterator[Message]:
        for number in range(5000):
            yield Message(COMPLETIONS, b"workflow-%d" % (number % 37), b'{"n":%d,"pad":"%s"}' % (number, b"x" * 200))

    done = await publish(settings, messages(), progress=lambda published: seen.append(published.events))
    assert done.topics == {COMPLETIONS: 5000}
    assert seen[-1] == 5000
    newest: dict[bytes, int] = {}
    for record in await read(settings, COMPLETIONS, 5000):
        assert record.partition == owner_partition(record.key.decode(), settings.partitions)
        assert record.headers == ()
        number = int(record.value[5 : record.value.index(b",")])
        assert newest.get(record.key, -1) < number
        newest[record.key] = number


async def test_backfill_is_marked_on_every_record(broker: Any, make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(broker=broker.address)
    await make_topics(settings)
    large = b'"' + b"x" * 900_000 + b'"'  # larger than a batch, still within what the broker takes
    done = await publish(settings, [Message(SCORES, b"lido", b"1"), Message(SCORES, b"lido", large)], backfill=True)
    assert done.events == 2
    records = await read(settings, SCORES, 2)
    assert [record.headers for record in records] == [(("mode", b"backfill"),)] * 2
    assert records[1].value == large


async def test_the_demo_is_published_whole(broker: Any, make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(broker=broker.address)
    await make_topics(settings)
    now = datetime.now(UTC)
    done = await publish(settings, demo_events(now))
    assert done.topics == {"workflow-completions": 396, "scores": 4998, "score-runs": 120}
    records = await read(settings, COMPLETIONS, 396)
    assert all(record.timestamp >= int(now.timestamp() * 1000) for record in records)


async def test_a_missing_topic_is_not_made_by_publishing(broker: Any, make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(broker=broker.address)
    with pytest.raises(SetupError, match="stream-detector setup"):
        await publish(settings, [Message(SCORES, b"lido", b"1")])
    assert len(await make_topics(settings, dry_run=True)) == len(await make_topics(settings))


async def test_nothing_to_publish_is_nothing_published(tansu: Any, make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(broker=tansu.address)
    await make_topics(settings)
    assert await publish(settings, []) == Published()


async def test_x30_a_record_has_the_time_that_it_is_given_and_any_other_the_present(
    broker: Any, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(broker=broker.address, partitions=1)
    await make_topics(settings)
    then_ms = round(datetime(2026, 1, 22, tzinfo=UTC).timestamp() * 1000)
    times = {b"0": then_ms, b"1": None, b"2": then_ms + 1}
    began_ms = round(datetime.now(UTC).timestamp() * 1000)
    done = await publish(
        settings, [Message(COMPLETIONS, b"k", value) for value in times], record_ms_of=lambda each: times[each.value]
    )
    assert not done.stamped_by_broker
    found = {record.value: record.timestamp for record in await read(settings, COMPLETIONS, 3)}
    assert (found[b"0"], found[b"2"]) == (then_ms, then_ms + 1) and found[b"1"] >= began_ms

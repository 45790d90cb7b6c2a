"""Topics as producers and brokers make them, on Apache Kafka: compressed, in transactions, compacted, too big."""

import asyncio
import gzip
import zlib
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from stream_detector.devstack.apache import Apache
from stream_detector.events.dead_letter import read_dead_letter
from stream_detector.kafka.client import client_options
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import COMPLETIONS, DEAD_LETTERS, REKEYED, owner_partition
from tests.drills.ledger import counted, recovered
from tests.drills.stage import Play, until
from tests.integration.delivery.compaction import ROLLS, compact
from tests.integration.roles.events import completion

pytestmark = pytest.mark.apache
LIMIT = 1_048_588
"""What a batch may have by Kafka's defaults (message.max.bytes)."""


@pytest.fixture
def broker(apache: Apache) -> Apache:
    """The embedded broker has no transactions, no compaction and no limits."""
    return apache


async def counts(play: Play) -> dict[str, int]:
    """Workflow -> its executions, once a detector has read everything."""
    detector = play.start("detector")
    await play.drained("detector", alive=lambda: detector.alive)
    assert await asyncio.to_thread(detector.stop) == 0
    state = await recovered(play.settings)
    return {key.removeprefix("workflow:"): counted(packed, key) for key, packed in state.items()}


def producer_of(play: Play, **options: Any) -> AIOKafkaProducer:
    return AIOKafkaProducer(**client_options(play.settings), acks="all", **options)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_batches_are_read(play, codec):
    async with producer_of(play, compression_type=codec, linger_ms=50) as producer:
        for number in range(500):
            name = f"flow-{number % 5}"
            await producer.send(play.settings.topic(COMPLETIONS), completion(number, name), key=name.encode())
    assert await counts(play) == {f"flow-{n}": 100 for n in range(5)}


async def test_what_a_producer_has_aborted_is_no_event(play):
    """Committed and aborted transactions side by side; the last ones are aborted, and leave no lag behind."""
    topic = play.settings.topic(COMPLETIONS)

    async def publish(producer: AIOKafkaProducer, numbers: range) -> None:
        for number in numbers:
            await producer.begin_transaction()
            for part in range(5):
                await producer.send(topic, completion(5 * number + part), key=b"nightly")
            await (producer.abort_transaction() if number % 2 else producer.commit_transaction())

    async with producer_of(play, transactional_id=topic) as producer:
        await publish(producer, range(20))
        detector = play.start("detector")
        await play.drained("detector", alive=lambda: detector.alive)
        await publish(producer, range(21, 27, 2))
        await play.drained("detector", alive=lambda: detector.alive)
    assert counted((await recovered(play.settings))["workflow:nightly"], "workflow:nightly") == 50


async def test_what_is_not_committed_yet_waits(play):
    topic = play.settings.topic(COMPLETIONS)
    detector = play.start("detector")
    async with producer_of(play, transactional_id=topic) as producer, producer_of(play) as other:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, completion(1), key=b"nightly")
        await other.send_and_wait(topic, completion(2), key=b"nightly")  # behind it, on the same partition
        await other.send_and_wait(topic, completion(3, "weekly"), key=b"weekly")
        assert owner_partition("weekly", 4) != owner_partition("nightly", 4)

        async def others_are_applied() -> bool:
            return "workflow:weekly" in await recovered(play.settings)

        await until(others_are_applied, "the other partition", play.last_words)
        assert "workflow:nightly" not in await recovered(play.settings)
        await producer.commit_transaction()
    await play.drained("detector", alive=lambda: detector.alive)
    assert counted((await recovered(play.settings))["workflow:nightly"], "workflow:nightly") == 2


async def test_a_compacted_source_has_gaps_that_a_commit_passes(play, broker):
    topic, home = play.settings.topic(COMPLETIONS), owner_partition("nightly", 4)
    async with producer_of(play) as producer:
        for number in range(100):  # as a producer that keys by something of its own
            await producer.send_and_wait(topic, completion(number), key=b"%d" % (number % 7), partition=home)
    left = await compact(broker, topic, home)
    assert len(left) == 7 and left[0] > 0
    found = await counts(play)
    assert found["nightly"] == 7
    refused = [record async for record in read_topic(play.settings, DEAD_LETTERS)]
    assert {record.key for record in refused} == {ROLLS}


async def test_records_without_value_or_key_stop_nothing(play):
    topic, home = play.settings.topic(COMPLETIONS), owner_partition("nightly", 4)
    async with producer_of(play) as producer:
        for number in range(10):
            await producer.send_and_wait(topic, completion(number), key=None, partition=home)
            await producer.send_and_wait(topic, None, key=b"nightly", partition=home)
            await producer.send_and_wait(topic, b"", key=b"", partition=home)
    assert await counts(play) == {"nightly": 10}
    letters = [(record.key, record.value) async for record in read_topic(play.settings, DEAD_LETTERS)]
    assert sorted(letters, key=str) == sorted([(b"nightly", None), (b"", b"")] * 10, key=str)


async def test_a_tombstone_in_the_changelog_changes_nothing(play):
    """Nobody of ours writes one: a tool might."""
    settings = play.settings
    async with producer_of(play) as producer:
        await producer.send_and_wait(settings.topic(COMPLETIONS), completion(1), key=b"nightly")
        assert await counts(play) == {"nightly": 1}
        await producer.send_and_wait(
            settings.topic("baselines"), None, key=b"workflow:nightly", partition=owner_partition("nightly", 4)
        )
        await producer.send_and_wait(settings.topic(COMPLETIONS), completion(2), key=b"nightly")
    assert await counts(play) == {"nightly": 2}


async def test_an_event_as_large_as_the_broker_takes_is_forwarded_with_its_headers(play):
    """On a foreign partition, with headers that fill the batch to its last bytes."""
    topic, home = play.settings.topic(COMPLETIONS), owner_partition("nightly", 4)
    event = completion(1, payload="x" * 900_000)
    filler = LIMIT - len(event) - 61 - 40  # the batch's head, the record's own lengths
    async with producer_of(play, max_request_size=2 * LIMIT) as producer:
        sent = await send_largest(producer, topic, event, (home + 1) % 4, filler)
        assert sent > 100_000
        assert await counts(play) == {"nightly": 1}
        (forwarded,) = [record async for record in read_topic(play.settings, REKEYED)]
        assert len(forwarded.value) == len(event)


async def send_largest(producer: AIOKafkaProducer, topic: str, value: bytes, partition: int, filler: int) -> int:
    """Send it with as many bytes of header as the broker takes; returns how many those are."""
    while True:
        try:
            await producer.send_and_wait(topic, value, partition=partition, headers=[("fill", bytes(filler))])
            return filler
        except MessageSizeTooLargeError:
            filler -= 1


async def test_a_record_as_large_as_the_broker_takes_is_kept_when_it_is_refused(play):
    topic = play.settings.topic(COMPLETIONS)
    async with producer_of(play, max_request_size=2 * LIMIT) as producer:
        value = b"x" * 1_040_000
        filler = await send_largest(producer, topic, value, 0, LIMIT - len(value))
        await producer.send_and_wait(topic, completion(1), key=b"nightly")
    assert await counts(play) == {"nightly": 1}
    (letter,) = [record async for record in read_topic(play.settings, DEAD_LETTERS)]
    assert letter.value == value
    assert read_dead_letter(letter.headers).headers == [("fill", bytes(filler))]


async def test_a_record_that_is_small_only_while_compressed_is_kept_when_it_is_refused(play):
    """30 MB of nothing are 30 KB on the broker."""
    topic = play.settings.topic(COMPLETIONS)
    bomb = bytes(30_000_000)
    assert len(gzip.compress(bomb)) < 100_000
    async with producer_of(play, compression_type="gzip", max_request_size=64 << 20) as producer:
        await producer.send_and_wait(topic, bomb, key=b"bomb")
        await producer.send_and_wait(topic, completion(1), key=b"nightly")
    assert await counts(play) == {"nightly": 1}
    (letter,) = [record async for record in read_topic(play.settings, DEAD_LETTERS)]
    assert letter.value == bomb[: len(letter.value)] and len(letter.value) < 1 << 20, "kept cut"
    headers = dict(letter.headers)
    assert headers["__connect.errors.cut.value.bytes"] == b"%d" % len(bomb)
    assert len(headers["__connect.errors.cut.sha256"]) == 64


async def test_one_workflow_published_by_clients_that_hash_otherwise_has_one_baseline(play):
    """murmur2 as aiokafka and Java, CRC-32 as librdkafka (confluent-kafka, Go, PHP), and no key at all."""
    names = [f"flow-{number}" for number in range(40)]
    differ = [name for name in names if zlib.crc32(name.encode()) % 4 != owner_partition(name, 4)]
    assert 20 < len(differ) < 40
    topic = play.settings.topic(COMPLETIONS)
    async with producer_of(play) as producer:
        for number in range(3 * len(names)):
            name = names[number // 3]
            how = [{"key": name.encode()}, {"key": name.encode(), "partition": zlib.crc32(name.encode()) % 4}, {}]
            await producer.send_and_wait(topic, completion(number, name), **how[number % 3])
    assert await counts(play) == dict.fromkeys(names, 3)

"""What the prototype stumbled over, and what only Apache Kafka can do: groups deleted, heads deleted, compaction."""

import asyncio
import subprocess
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete

from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.devstack.apache import Apache, find_java
from stream_detector.kafka.client import client_options
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import BASELINES, BY_NAME, COMPLETIONS, owner_partition
from stream_detector.roles.detector import BASELINE
from tests.drills.stage import Play, until
from tests.integration.delivery.compaction import (
    SOON,
    admin_of,
    clean_often,
    compact,
    configuration,
    configure,
    offsets,
)
from tests.integration.roles.watching import caught_up, count, epochs, producer_of, publish, ready, said

pytestmark = pytest.mark.apache
GOOD, LATE = b"\x03good", b"\x03late"
"""Payloads that begin as a baseline's do: what does not is left out."""
HOME = owner_partition("nightly", 4)


@pytest.fixture
def broker(apache: Apache) -> Apache:
    """These are about Apache Kafka alone."""
    return apache


@pytest.mark.drill
async def test_standbys_make_no_second_writer(play):
    """Faust's default of one standby a table; a partition that turned into one kept what it had not written."""
    stays = play.start("detector", change="standbys")
    await ready(play, stays)
    for number in range(3):
        publishing = asyncio.create_task(publish(play, range(900 * number, 900 * number + 900)))
        guest = play.start("detector", change="standbys")
        await ready(play, guest)
        await publishing
        assert await asyncio.to_thread(guest.stop) == 0
    await caught_up(play, stays)
    assert await count(play) == 2700
    latest = []
    for partition in range(4):
        written = await epochs(play, partition)
        assert written == sorted(written), "after a later owner's first record there is none of an earlier one"
        latest.append(written[-1])
    assert max(latest) >= 3


async def generation(play: Play) -> int:
    """What the group's next generation is: joins it for a moment, with nobody else in it."""
    async with AIOKafkaConsumer(
        play.settings.topic(COMPLETIONS),
        **client_options(play.settings),
        group_id=play.settings.group("detector"),
        enable_auto_commit=False,
        session_timeout_ms=6000,
    ) as consumer:
        await consumer.seek_to_beginning()  # returns once there is an assignment
        number: int = consumer._coordinator.generation
        return number


@pytest.mark.drill
async def test_a_generation_that_begins_again_orders_nothing_and_an_epoch_does(play, broker):
    """The group is deleted: its generation begins at 1 again, and all is replayed."""
    await publish(play, range(50))
    for _ in range(3):
        detector = play.start("detector")
        await ready(play, detector)
        await caught_up(play, detector)
        assert await asyncio.to_thread(detector.stop) == 0
    before = await generation(play)
    assert before > 3
    command = [find_java(), "-cp", f"{broker.jars}/*", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"]
    command += ["--bootstrap-server", broker.address, "--delete", "--group", play.settings.group("detector")]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    assert await generation(play) == 1
    await publish(play, range(50, 60))
    detector = play.start("detector")
    await caught_up(play, detector)
    assert await count(play) == 60
    written = await epochs(play, HOME)
    assert written == sorted(written) and written[-1] == 4


async def test_a_topic_whose_head_is_gone_is_read_from_what_is_left(play, broker):
    """Without a commit Faust seeks nowhere, and the offset 0 is not there any more."""
    await publish(play, range(30))
    async with admin_of(broker) as admin:
        tp = TopicPartition(play.settings.topic(COMPLETIONS), HOME)
        await admin.delete_records({tp: RecordsToDelete(before_offset=20)})
    detector = play.start("detector")
    await caught_up(play, detector)
    assert await count(play) == 10


@pytest.mark.drill
async def test_state_is_recovered_from_a_changelog_whose_head_is_compacted(play, broker):
    names = [name for name in (f"flow-{number}" for number in range(200)) if owner_partition(name, 4) == HOME][:10]
    for turn in range(3):
        detector = play.start("detector")
        for name in names:
            await publish(play, range(10 * turn, 10 * turn + 10), name)
            await caught_up(play, detector)  # many checkpoints, each with a value of some key
        assert await asyncio.to_thread(detector.stop) == 0
        topic = play.settings.topic(BASELINES)
        left = await compact(broker, topic, HOME)
        await configure(broker, topic, BY_NAME[BASELINES].config())  # with others no role starts
    assert left[0] > len(names) and len(left) <= len(names) + 2, "each key once, a claim and watermarks"
    detector = play.start("detector")
    await publish(play, range(30, 31), names[0])
    await caught_up(play, detector)
    assert [await count(play, name) for name in names] == [31] + [30] * 9
    written = await epochs(play, HOME)
    assert max(written) == 4, "compaction took no claim that counts"


@pytest.mark.parametrize("lag", [pytest.param("none", marks=pytest.mark.drill), "ours"])
async def test_compaction_keeps_the_good_value_that_a_late_one_lies_behind(play, broker, lag):
    """An owner's value, then a former owner's late one, and nobody there to repair it. Without the lag it is lost."""
    topic = play.settings.topic(BASELINES)
    ours = (await configuration(broker, topic))["min.compaction.lag.ms"]
    segments = broker.folder / "broker-1" / "data" / f"{topic}-0"
    hours_ago = round(time.time() * 1000) - 2 * 3_600_000
    async with producer_of(play) as producer:

        async def write(key: bytes, epoch: int, payload: bytes, at_ms: int | None = None, to: int = 0) -> Any:
            value = changelog_record.encode_header(epoch, {COMPLETIONS: epoch}) + payload
            return await producer.send_and_wait(topic, value, key=key, partition=to, timestamp_ms=at_ms)

        async def is_create_time() -> bool:
            return (await write(b"other", 1, b"\x03", hours_ago, to=1)).timestamp_type == 0

        async def rolled() -> bool:
            nonlocal hours_ago
            hours_ago += 1000
            await write(b"old", 1, b"\x03%d" % hours_ago, hours_ago)
            return len(list(segments.glob("*.log"))) > 2

        # Segments are rolled by the times of their records; a first one with the broker's time is never rolled.
        given = {"min.compaction.lag.ms": ours, "message.timestamp.type": "CreateTime"}
        await configure(broker, topic, SOON | given)
        await until(is_create_time, "the settings to be in force")
        await until(rolled, "the first segments")
        await write(b"k", 2, GOOD)
        await write(b"k", 1, LATE)
    if lag == "none":
        await compact(broker, topic, 0)
    else:

        async def compacted() -> bool:
            async with producer_of(play) as producer:
                await producer.send_and_wait(topic, None, key=b"rolls", partition=0)
            await asyncio.sleep(0.2)
            return sum(key == b"old" for _, key in await offsets(broker, topic, 0)) == 1

        await clean_often(broker)
        await until(compacted, "what is older than the lag to be compacted")
    partition: StatePartition[Any] = StatePartition(BASELINE)
    async for record in read_topic(play.settings, BASELINES):
        partition.apply_changelog([record])
    assert changelog_record.payload_of(partition.packed[b"k"]) == {"none": LATE, "ours": GOOD}[lag]


@pytest.mark.drill
async def test_a_rebalance_that_takes_longer_than_it_may_costs_nothing(play):
    """A worker that holds its partitions too long is out of the group; what it did meanwhile is refused."""
    slow = play.start("detector", change="slow-revocation")
    await ready(play, slow)
    await publish(play, range(500))
    guest = play.start("detector")
    await until(lambda: said(slow, "HOLDS"), "the rebalance", play.last_words)
    await publish(play, range(500, 1000))
    await caught_up(play, guest)
    assert slow.alive, "it joins again"
    await ready(play, slow)
    await publish(play, range(1000, 1500))
    await caught_up(play, guest)
    assert await count(play) == 1500

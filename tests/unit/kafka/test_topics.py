"""Who owns a key: Kafka's default hash, so that a producer's own partitioner agrees."""

import random

import pytest
from aiokafka.partitioner import DefaultPartitioner

from stream_detector.kafka.topics import BY_NAME, TOPICS, owner_partition


@pytest.mark.parametrize(
    ("key", "java"),
    [
        # org.apache.kafka.common.utils.Utils.murmur2, from Kafka's own UtilsTest
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ],
)
def test_the_hash_is_that_of_the_java_client(key, java):
    for partitions in (1, 4, 16, 1000):
        assert owner_partition(key.decode(), partitions) == (java & 0x7FFFFFFF) % partitions


def test_aiokafkas_default_partitioner_agrees():
    rng = random.Random(1)
    choose = DefaultPartitioner()
    for number in range(500):
        name = "".join(chr(rng.randrange(33, 0x2FF)) for _ in range(rng.randrange(1, 40))) + str(number)
        partitions = list(range(rng.choice((1, 3, 4, 16))))
        assert owner_partition(name, len(partitions)) == choose(name.encode(), partitions, partitions)


def test_every_topic_is_declared_once():
    assert len(BY_NAME) == len(TOPICS)


def test_state_is_compacted_only_after_any_pause_of_a_worker():
    compacted = [topic.config() for topic in TOPICS if topic.cleanup == "compact"]
    assert len(compacted) == 3
    assert all(int(config["min.compaction.lag.ms"]) >= 3_600_000 for config in compacted)
    assert {config["message.timestamp.type"] for config in compacted} == {"LogAppendTime"}, "by one clock (X11)"


def test_what_we_keep_or_forward_finds_room_though_it_filled_its_own_topic():
    limits = {topic.name: int(topic.config().get("max.message.bytes", 1_048_588)) for topic in TOPICS}
    theirs = {topic.name for topic in TOPICS if "producers" in topic.written_by}
    assert min(limits[name] for name in limits.keys() - theirs) > 2 * max(limits[name] for name in theirs)

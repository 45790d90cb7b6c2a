"""X10: each record that once ended a role, on each topic of a real broker, and every role goes on."""

import asyncio
import random
import re
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from stream_detector.devstack.apache import Apache
from stream_detector.events.dead_letter import read_dead_letter
from stream_detector.events.encode import encode
from stream_detector.kafka import topics
from stream_detector.kafka.client import client_options
from stream_detector.kafka.dlq import read_dead_letters
from stream_detector.kafka.end_offsets import read_topic
from tests.drills.poison import completion, odd_records, put
from tests.drills.roles import Role
from tests.drills.stage import Play, until
from tests.events_made import anomaly
from tests.record_batches import RawBatch, Written
from tests.unit.roles.any_record import Maker

LARGE_BYTES = 20_000_000
INFLATED_BYTES = 400_000_000
DEPLOY = Path(__file__).parents[3] / "deploy" / "kubernetes"
ROLES = ("detector", "recorder", "notifier")


@pytest.fixture
async def play(play: Play, pool: asyncpg.Pool, postgres_url: str, broker: object) -> Play:
    """On Apache Kafka with topics that take any timestamp, as before version 4, and those of producers 64 MB."""
    play.settings = replace(play.settings, database_url=postgres_url)
    if not isinstance(broker, Apache):
        return play
    admin = AIOKafkaAdminClient(**client_options(play.settings))
    await admin.start()
    try:
        for topic in topics.TOPICS:
            any_time = {f"message.timestamp.{which}.max.ms": str(2**63 - 1) for which in ("before", "after")}
            large = {} if topic.is_ours else {"max.message.bytes": str(64 << 20)}
            config = topic.config() | any_time | large
            resource = ConfigResource(ConfigResourceType.TOPIC, play.settings.topic(topic.name), configs=config)
            await admin.alter_configs([resource])
    finally:
        await admin.close()
    return play


def peak_mb(role: Role) -> float:
    """The most memory that the process has had."""
    status = Path(f"/proc/{role.child.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def limit_mb(role: str) -> int:
    """What `deploy/` allows it."""
    (limit,) = re.findall(r"limits: \{memory: (\w+)\}", (DEPLOY / f"{role}.yaml").read_text())
    return int(limit[:-2]) * (1024 if limit.endswith("Gi") else 1)


async def applied(play: Play, pool: asyncpg.Pool, roles: list[Role], wanted: int) -> None:
    """All roles are ready, have read everything, and that many executions are stored."""

    async def ready() -> bool:
        assert all(role.alive for role in roles), play.last_words()
        return all(await asyncio.gather(*(asyncio.to_thread(lambda role=role: role.ready) for role in roles)))

    await until(ready, "the roles", play.last_words)
    await play.drained(*ROLES, alive=lambda: all(role.alive for role in roles))
    stored = await pool.fetchval("SELECT count(*) FROM executions WHERE execution_id LIKE 'x%'")
    assert stored == wanted, play.last_words()


async def test_x10_each_odd_record_on_each_topic_ends_no_role(play: Play, pool: asyncpg.Pool) -> None:
    settings = play.settings
    roles = [play.start(name) for name in ROLES]
    async with AIOKafkaProducer(**client_options(settings), acks="all") as producer:
        taken = 0
        for number in range(1, 6):
            await producer.send_and_wait(settings.topic(topics.COMPLETIONS), completion(number), partition=0)
        await applied(play, pool, roles, wanted=5)
        for topic in topics.BY_NAME:
            for record in odd_records(topic):
                taken += await put(producer, settings.topic(topic), [record])
        assert taken > 6 * len(topics.BY_NAME), "the broker takes most of them"
        for number in range(6, 11):
            await producer.send_and_wait(settings.topic(topics.COMPLETIONS), completion(number), partition=0)
        known = 1  # `completion(0)` came with a timestamp that is believed, too
        await applied(play, pool, roles, wanted=10 + known)
        for role in roles:
            role.kill()
        again = [play.start(name) for name in ROLES]  # they recover from what lies on the state topics
        for number in range(11, 16):
            await producer.send_and_wait(settings.topic(topics.COMPLETIONS), completion(number), partition=0)
        await applied(play, pool, again, wanted=15 + known)
    reasons = {letter.why.reason async for letter in read_dead_letters(settings)}
    assert {"not_utf8", "bad_time", "too_deep", "null_value"} <= reasons


@pytest.mark.parametrize(
    "codec", ["zstd", *(pytest.param(codec, marks=pytest.mark.drill) for codec in ("gzip", "snappy", "lz4"))]
)
async def test_x10_a_batch_of_400_mb_refuses_one_record_within_the_memory_of_each_role(
    play: Play, pool: asyncpg.Pool, codec: str
) -> None:
    settings, now_ms = play.settings, round(time.time() * 1000)
    roles = [play.start(name) for name in ROLES]
    zeros = Written(b"zeros", bytes(INFLATED_BYTES), [], now_ms)
    options = {**client_options(settings), "acks": "all", "max_request_size": 64 << 20, "request_timeout_ms": 120_000}
    async with AIOKafkaProducer(**options) as producer:
        for topic, first, last in (
            (topics.COMPLETIONS, completion(1), completion(2)),
            (topics.ALERTS, encode(anomaly("one")), encode(anomaly("two"))),
        ):
            records = [Written(None, first, [], now_ms), zeros, Written(None, last, [], now_ms)]
            batch = RawBatch(records, codec)
            try:
                await (await producer.send_batch(batch, settings.topic(topic), partition=0))
            except KafkaError:
                assert (topic, codec) == (topics.ALERTS, "snappy"), "19 MB are more than the topic takes"
    await applied(play, pool, roles, wanted=2)
    letters = [letter.why async for letter in read_dead_letters(settings)]
    assert {(why.reason, why.offset, why.whole_value_bytes) for why in letters} == {("too_large", 1, INFLATED_BYTES)}
    assert {why.topic for why in letters} >= {topics.COMPLETIONS}
    peaks = {role.name: peak_mb(role) for role in roles}
    print(codec, peaks)
    for role in roles:
        assert peaks[role.name] <= 0.75 * limit_mb(role.name), peaks


@pytest.mark.drill
async def test_x10_none_of_10_000_random_records_on_a_real_broker_ends_a_role(play: Play, pool: asyncpg.Pool) -> None:
    """On state topics before the roles start, and few: many are the state of a later version, which a role respects."""
    seed, settings = random.randrange(2**32), play.settings
    print(f"seed {seed}")
    made, sent, state = Maker(seed), 0, (topics.BASELINES, topics.RUNS_STATE, topics.NOTIFIER_STATE)
    others = [name for name in topics.BY_NAME if name not in (*state, topics.DETECTOR_SETTINGS)]
    async with AIOKafkaProducer(**client_options(settings), acks="all") as producer:
        for name in state:
            for _ in range(3):
                batch = made.batch([name])
                await put(producer, settings.topic(name), batch.records, batch.codec)
        roles = [play.start(name) for name in ROLES]
        while sent < 10_000:
            batch = made.batch(others)
            if await put(producer, settings.topic(batch.topic), batch.records, batch.codec):
                sent += len(batch.records)
            assert all(role.alive for role in roles), play.last_words()
        for number in range(1, 6):
            await producer.send_and_wait(settings.topic(topics.COMPLETIONS), completion(number), partition=0)
    await applied(play, pool, roles, wanted=5)


async def test_x10_what_is_too_large_for_dead_letters_is_kept_cut(play: Play, pool: asyncpg.Pool) -> None:
    settings = play.settings
    name = settings.topic(topics.COMPLETIONS)
    large = random.Random(1).randbytes(LARGE_BYTES)
    now_ms = round(time.time() * 1000)
    options = {**client_options(settings), "acks": "all", "max_request_size": 64 << 20, "request_timeout_ms": 120_000}
    async with AIOKafkaProducer(**options) as producer:
        bad = Written(b"k", b"{not json", [(b"trace", large)], now_ms)
        if not await put(producer, name, [bad]):
            pytest.fail("the broker does not take 20 MB: nothing was tested")
        await producer.send_and_wait(name, completion(1), partition=0)
    roles = [play.start(each) for each in ROLES]
    await applied(play, pool, roles, wanted=1)
    (letter,) = [record async for record in read_topic(settings, topics.DEAD_LETTERS)]
    why = read_dead_letter(letter.headers)
    ((header, kept),) = why.headers
    assert (letter.value, header, why.topic, why.partition, why.offset) == (
        b"{not json",
        "trace",
        topics.COMPLETIONS,
        0,
        0,
    )
    assert kept is not None and 900_000 < len(kept) < 1_000_000 and large.startswith(kept)
    whole = dict(letter.headers)
    digest = sha256(b"k" + b"{not json" + b"trace" + large).hexdigest()
    assert whole["__connect.errors.cut.sha256"] == digest.encode() and digest in why.message
    assert int(whole["__connect.errors.cut.bytes"] or 0) > LARGE_BYTES and why.whole_value_bytes == len(b"{not json")

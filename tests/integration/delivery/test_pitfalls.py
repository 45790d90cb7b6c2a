"""What the prototype of the checkpoint stumbled over, each forced once, on every kind of broker.

The emptied queues and the zombie between check and write are in `tests/drills`, a SIGTERM during the start in
`test_detector`, what only Apache Kafka can do in `test_pitfalls_apache`.
"""

import asyncio
import json
import random

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_detector.delivery.state.contents import CLAIM_KEY
from stream_detector.kafka.client import client_options
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.end_offsets import EndOffsets, read_topic
from stream_detector.kafka.topics import BASELINES, COMPLETIONS, SCORES, owner_partition
from tests.drills.ledger import counted, recovered
from tests.drills.stage import until
from tests.integration.roles.events import completion
from tests.integration.roles.watching import caught_up, count, dead, producer_of, said

HOME = owner_partition("nightly", 4)


@pytest.mark.drill
async def test_recovery_reads_to_the_end_that_fetches_report(play):
    """The embedded broker's ListOffsets counts batches: here one of 200 records."""
    settings = play.settings
    names = [name for name in (f"flow-{number}" for number in range(2000)) if owner_partition(name, 4) == HOME][:200]
    async with producer_of(play) as producer:
        for number, name in enumerate(names):
            await producer.send(settings.topic(COMPLETIONS), completion(number, name), key=name.encode())
        await producer.flush()
        first = play.start("detector", checkpoint_interval_s="5")
        await caught_up(play, first)
        assert await asyncio.to_thread(first.stop) == 0
        tp = TopicPartition(settings.topic(BASELINES), HOME)
        async with AIOKafkaConsumer(**client_options(settings)) as consumer, EndOffsets(settings) as ends:
            asked, fetched = (await consumer.end_offsets([tp]))[tp], (await ends.end_offsets())[tp]
        assert fetched > len(names) and asked <= fetched
        for number, name in enumerate(names):
            await producer.send(settings.topic(COMPLETIONS), completion(1000 + number, name), key=name.encode())
    second = play.start("detector")
    await caught_up(play, second)
    assert [await count(play, name) for name in names[::20]] == [2] * 10


@pytest.mark.drill
async def test_a_recovery_that_another_rebalance_interrupts_is_complete(play):
    """Workers come and go while thousands of keys are being read."""
    settings, keys = play.settings, 20_000
    names = [f"flow-{number}" for number in range(keys)]
    first = play.start("detector")
    async with producer_of(play) as producer:
        for number, name in enumerate(names):
            await producer.send(settings.topic(COMPLETIONS), completion(number % 50, name), key=name.encode())
        await producer.flush()
        await caught_up(play, first)
        assert await asyncio.to_thread(first.stop) == 0
        rng = random.Random(3)
        stays = play.start("detector", change="slow-recovery")
        for _ in range(3):
            guest = play.start("detector", change="slow-recovery")
            await until(lambda role=guest: said(role, "RECOVERS"), "a recovery under way", play.last_words)
            await asyncio.sleep(rng.uniform(0.0, 1.0))
            guest.kill() if rng.random() < 0.5 else await asyncio.to_thread(guest.stop)
        for number, name in enumerate(names):
            await producer.send(settings.topic(COMPLETIONS), completion(100 + number % 50, name), key=name.encode())
        await producer.flush()
    await caught_up(play, stays)
    state = await recovered(settings)
    counts = {name: counted(state.get(f"workflow:{name}"), f"workflow:{name}") for name in names}
    wrong = {name: count for name, count in counts.items() if count != 2}
    assert not wrong, (len(wrong), list(wrong.items())[:5], play.last_words())


@pytest.mark.drill
async def test_sixteen_partitions_and_several_sources_in_one_table_are_exact_after_kills(broker, make_settings, play):
    """Events of each workflow on any partition, so that most come by `rekeyed`, some directly; and scores."""
    settings = play.settings = make_settings(
        broker=broker.address,
        topic_prefix=play.settings.topic_prefix + "16.",
        partitions=16,
        checkpoint_interval_s=0.3,
    )
    await make_topics(settings)
    rng, names, entities = random.Random(5), [f"flow-{n}" for n in range(40)], [f"dao-{n}" for n in range(40)]
    async with producer_of(play) as producer:

        async def load(first: int) -> None:
            for number in range(first, first + 40 * 20):
                name = names[number % 40]
                await producer.send(
                    settings.topic(COMPLETIONS), completion(number // 40, name), partition=rng.randrange(16)
                )
                score = {"entity_id": entities[number % 40], "entity_name": "x", "score": 5 + number % 3 / 10}
                at = json.loads(completion(number // 40))["finished_at"]
                await producer.send(
                    settings.topic(SCORES),
                    json.dumps(score | {"scored_at": at}).encode(),
                    partition=rng.randrange(16),
                )
            await producer.flush()

        for turn, point in enumerate(("changelog-acked:2", "committed:1", "alerts-acked:3")):
            await load(turn * 800)
            await dead(play, play.start("detector", fault_point=point))
    last = play.start("detector")
    await caught_up(play, last)
    state = await recovered(settings)
    workflows = {name: counted(state[f"workflow:{name}"], f"workflow:{name}") for name in names}
    assert workflows == dict.fromkeys(names, 60)
    assert {f"score:{entity}" for entity in entities} <= state.keys()
    claims = [record.partition async for record in read_topic(settings, BASELINES) if record.key == CLAIM_KEY]
    assert sorted(set(claims)) == list(range(16))

"""Partitions that are added to an input topic. The embedded broker cannot add any."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from stream_detector.devstack.apache import Apache
from stream_detector.events import Completion
from stream_detector.events.encode import encode
from stream_detector.kafka.client import client_options
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.end_offsets import EndOffsets
from stream_detector.kafka.topics import COMPLETIONS, SCORES, owner_partition
from stream_detector.settings import Settings
from tests.drills.ledger import Verdict, compare_alerts, counted, folded, recovered
from tests.drills.load import completions
from tests.drills.roles import Role
from tests.drills.stage import Play
from tests.integration.roles.test_recreated_topics import create_again, ended
from tests.integration.roles.watching import ready

pytestmark = [pytest.mark.apache, pytest.mark.drill]
KEYS = 30
FOUND_WITHIN_S = 30.0


@pytest.fixture
def broker(apache: Apache) -> Apache:
    return apache


async def publish(settings: Settings, events: Sequence[Completion], partitions: int) -> None:
    """By Kafka's default hash over so many partitions, as a producer that knows as many."""
    async with AIOKafkaProducer(**client_options(settings), acks="all", linger_ms=20) as producer:
        for event in events:
            await producer.send(
                settings.topic(COMPLETIONS),
                encode(event),
                key=event.workflow_id.encode(),
                partition=owner_partition(event.workflow_id, partitions),
            )


async def add_partitions(settings: Settings, name: str, count: int) -> None:
    """As an operator does with kafka-topics.sh."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        await admin.create_partitions({settings.topic(name): NewPartitions(count)})
    finally:
        await admin.close()


async def assert_exact(play: Play, events: Sequence[Completion]) -> None:
    """Every baseline, byte for byte, and every anomaly is that of an independent fold over the topics."""
    fold, wanted = await folded(play.settings, (COMPLETIONS, SCORES))
    state, counts = await recovered(play.settings), Counter(event.workflow_id for event in events)
    got = {name: counted(state.get(f"workflow:{name}"), f"workflow:{name}") for name in counts}
    assert {name: (got[name], count) for name, count in counts.items() if got[name] != count} == {}
    assert {key: baseline.pack() for key, baseline in fold.baselines.items()} == state
    verdict = Verdict(events=len(events))
    await compare_alerts(play.settings, wanted, verdict)
    assert verdict.exact, verdict.findings


async def drained(play: Play, detector: Role) -> None:
    await ready(play, detector)
    await play.drained("detector", alive=lambda: detector.alive)


@pytest.mark.parametrize(
    ("before", "after"),
    [(4, 8), (2, 4)],
    ids=["more-than-ours", "as-many-as-ours"],
)
async def test_partitions_that_were_added_to_an_input_are_found_and_nothing_is_lost(play, before, after):
    """Twice as many, so that what a key has later lies on its own partition or on a later one: the fold's order."""
    settings, events = play.settings, [*islice(completions(1, 2_000, KEYS), 2_000)]
    if before != 4:
        await create_again(settings, COMPLETIONS, before)
    detector = play.start("detector")
    await publish(settings, events[:1_000], before)
    await drained(play, detector)
    async with EndOffsets(settings, [COMPLETIONS]) as asked:
        assert sum((await asked.end_offsets()).values()) == 1_000
        await add_partitions(settings, COMPLETIONS, after)
        began_s = time.monotonic()
        await publish(settings, events[1_000:], after)  # at once: what nobody has found yet is read from its beginning
        assert sum((await asked.end_offsets()).values()) == 2_000, "who waits for an end waits for those of all"
    await drained(play, detector)
    assert time.monotonic() - began_s < FOUND_WITHIN_S
    assert await make_topics(settings) == [], "an input may have any number of partitions"
    assert await asyncio.to_thread(detector.stop) == 0
    detector = play.start("detector")
    await drained(play, detector)
    assert await asyncio.to_thread(detector.stop) == 0
    await assert_exact(play, events)


@pytest.mark.parametrize("point", ["changelog-half", "changelog-acked"])
async def test_a_detector_that_died_before_its_commit_reads_again_what_is_passed_on_by_then(play, point):
    """Some keys have events that the group has not committed, and that now reach their owner another way."""
    settings, events = play.settings, [*islice(completions(2, 2_000, KEYS), 2_000)]
    await publish(settings, events[:1_000], 4)
    await ended(play.start("detector", fault_point=f"{point}:1"), 60.0)
    await add_partitions(settings, COMPLETIONS, 8)
    await ended(play.start("detector", fault_point="changelog-acked:1"), 60.0)
    detector = play.start("detector")
    await drained(play, detector)
    await publish(settings, events[1_000:], 8)
    await drained(play, detector)
    assert await asyncio.to_thread(detector.stop) == 0
    await assert_exact(play, events)

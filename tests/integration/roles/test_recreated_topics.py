"""A topic that was deleted, and that the broker creates again for whoever asks, with its own number of partitions."""

import asyncio
import time

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream_detector.kafka.client import client_options
from stream_detector.kafka.topics import ALERTS, BASELINES, COMPLETIONS, REKEYED, owner_partition
from stream_detector.settings import Settings
from tests.drills.roles import Role
from tests.drills.stage import until
from tests.integration.roles.events import completion

NAMES = [COMPLETIONS, *(pytest.param(name, marks=pytest.mark.drill) for name in (BASELINES, ALERTS, REKEYED))]


async def create_again(settings: Settings, name: str, count: int = 1) -> None:
    """What a broker does for whoever asks for a topic that was deleted."""
    admin, topic = AIOKafkaAdminClient(**client_options(settings)), settings.topic(name)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        while topic in await admin.list_topics():  # noqa: ASYNC110 - the broker does not report it
            await asyncio.sleep(0.02)
        await admin.create_topics([NewTopic(topic, count, 1)])
    finally:
        await admin.close()


async def ended(role: Role, within_s: float) -> str:
    """Its log, once it has ended by itself."""
    began_s = time.monotonic()

    async def gone() -> bool:
        return not role.alive

    await until(gone, f"the {role.name} to end", patience_s=within_s)
    assert time.monotonic() - began_s < within_s
    return role.child.log_path.read_text()


@pytest.mark.parametrize("name", NAMES)
async def test_a_topic_that_the_broker_created_again_is_noticed_and_named(play, producer, name):
    settings, detector = play.settings, play.start("detector")
    for number in range(100):
        flow = f"flow-{number % 20}"
        place = owner_partition(flow, 4)
        await producer.send(settings.topic(COMPLETIONS), completion(number, flow), key=flow.encode(), partition=place)
    await producer.flush()
    await play.drained("detector", alive=lambda: detector.alive)
    await create_again(settings, name)
    said = f"{settings.topic(name)} had 4 partitions and has 1: it was deleted, and the broker created it again"
    log = await ended(detector, 20.0)
    assert said in log and "delete this topic and run `stream-detector setup`" in log
    assert ("baselines restore" in log) == (name == BASELINES)
    detector.child.log_path.unlink()
    # How many it had is then known by the state, or by the other topics.
    said = (
        f"{settings.topic(name)} had 4 partitions and has 1"
        if name != ALERTS
        else f"{settings.topic(name)} has 1 partitions and the other topics have 4"
    )
    log = await ended(play.start("detector"), 20.0)
    assert said in log, f"it says so at each start: {log}"

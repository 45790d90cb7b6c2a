"""Publish to a running installation, and wait for what it does."""

import asyncio

from aiokafka import AIOKafkaProducer

from stream_detector.delivery.state import changelog_record
from stream_detector.kafka.client import client_options
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import BASELINES, COMPLETIONS
from tests.drills.ledger import counted, recovered
from tests.drills.roles import Role
from tests.drills.stage import Play, until
from tests.integration.roles.events import completion


def producer_of(play: Play) -> AIOKafkaProducer:
    return AIOKafkaProducer(**client_options(play.settings), acks="all")


async def publish(play: Play, numbers: range, workflow_id: str = "nightly") -> None:
    async with producer_of(play) as producer:
        for number in numbers:
            value = completion(number, workflow_id)
            await producer.send(play.settings.topic(COMPLETIONS), value, key=workflow_id.encode())


async def count(play: Play, workflow_id: str = "nightly") -> int:
    key = f"workflow:{workflow_id}"
    return counted((await recovered(play.settings)).get(key), key)


async def caught_up(play: Play, detector: Role) -> None:
    await play.drained("detector", alive=lambda: detector.alive)


async def ready(play: Play, role: Role) -> None:
    async def is_ready() -> bool:
        return await asyncio.to_thread(lambda: role.ready)

    await until(is_ready, "the detector", play.last_words)


async def dead(play: Play, role: Role) -> None:
    async def is_dead() -> bool:
        return not role.alive

    await until(is_dead, "the detector's end", play.last_words)


async def epochs(play: Play, partition: int) -> list[int]:
    """The epochs of the changelog's records, in their order; a test's own records without a value are none."""
    return [
        changelog_record.epoch_of(record.value)
        async for record in read_topic(play.settings, BASELINES)
        if record.partition == partition and record.value is not None
    ]


async def said(role: Role, words: str) -> bool:
    """Whether a harm within the role has printed this."""
    return f"{role.child.pid} {words}" in role.child.log_path.read_text()

"""Real compaction on Apache Kafka, now instead of in some hours."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from stream_detector.devstack.apache import Apache
from tests.drills.stage import until

SOON = {
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": "0",
    "min.cleanable.dirty.ratio": "0.0001",
    "segment.ms": "100",
    "delete.retention.ms": "0",
}
ROLLS = b"rolls a segment"
"""Key of the records that make the broker close its segment: the active one is never compacted."""


async def configure(broker: Apache, topic: str, config: dict[str, str]) -> None:
    """Set what a topic's settings are, nothing else of them stays."""
    async with admin_of(broker) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=config)])


async def configuration(broker: Apache, topic: str) -> dict[str, str]:
    """A topic's settings in force."""
    async with admin_of(broker) as admin:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return {entry[0]: entry[1] for entry in answer.resources[0][4]}


async def clean_often(broker: Apache) -> None:
    """The broker's cleaner looks every 15 s by default."""
    async with admin_of(broker) as admin:
        soon = ConfigResource(ConfigResourceType.BROKER, "1", configs={"log.cleaner.backoff.ms": "200"})
        await admin.alter_configs([soon])


def admin_of(broker: Apache) -> Any:
    """A client; use it with `async with`."""
    return _Admin(broker)


class _Admin:
    def __init__(self, broker: Apache) -> None:
        self._client = AIOKafkaAdminClient(bootstrap_servers=broker.address)

    async def __aenter__(self) -> AIOKafkaAdminClient:
        await self._client.start()
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


async def offsets(broker: Apache, topic: str, partition: int) -> list[tuple[int, bytes | None]]:
    """Offset and key of every record that the partition still holds."""
    found: list[tuple[int, bytes | None]] = []
    tp = TopicPartition(topic, partition)
    async with AIOKafkaConsumer(bootstrap_servers=broker.address, auto_offset_reset="earliest") as consumer:
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        await consumer.seek_to_beginning(tp)
        while await consumer.position(tp) < end:
            for record in (await consumer.getmany(tp, timeout_ms=200)).get(tp, []):
                found.append((record.offset, record.key))
    return found


async def compact(broker: Apache, topic: str, partition: int) -> list[int]:
    """Of each key only the last record is left afterwards, but for those that roll segments. Returns the offsets."""
    await clean_often(broker)
    await configure(broker, topic, SOON)
    left: list[tuple[int, bytes | None]] = []
    async with AIOKafkaProducer(bootstrap_servers=broker.address) as producer:

        async def compacted() -> bool:
            await producer.send_and_wait(topic, None, key=ROLLS, partition=partition)
            await asyncio.sleep(0.2)
            left[:] = [one for one in await offsets(broker, topic, partition) if one[1] != ROLLS]
            return len({key for _, key in left}) == len(left)

        await until(compacted, f"the compaction of {topic}-{partition}")
    return [offset for offset, _ in left]

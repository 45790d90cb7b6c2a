"""How far detector and recorder are, as the API asks Kafka: committed by the groups themselves."""

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from stream_detector.kafka.client import client_options, cluster_id
from stream_detector.settings import Settings
from stream_detector.store.epochs import stream_identity


async def identity_of(settings: Settings) -> str:
    """Of the stream that the settings name."""
    return stream_identity(await cluster_id(settings), settings.topic_prefix)


async def commit(settings: Settings, role: str, topic: str, offset: int, partition: int = 0) -> None:
    """The role's group has worked off the partition up to this offset."""
    place = TopicPartition(settings.topic(topic), partition)
    consumer = AIOKafkaConsumer(**client_options(settings), group_id=settings.group(role), enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([place])
        await consumer.commit({place: offset})
    finally:
        await consumer.stop()


async def publish(settings: Settings, topic: str, count: int = 1, partition: int = 0) -> None:
    """Records without meaning: the API looks at ends alone."""
    async with AIOKafkaProducer(**client_options(settings), acks="all") as producer:
        for _ in range(count):
            await producer.send_and_wait(settings.topic(topic), b"{}", partition=partition)

"""Ends and lag against real brokers, the embedded one included, whose own answer for the end is wrong."""

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from stream_detector.kafka.client import client_options
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.end_offsets import EndOffsets, total_lag
from stream_detector.kafka.topics import ALERTS, COMPLETIONS


async def test_lag_counts_records_until_the_group_has_committed_them(broker, make_settings):
    settings = make_settings(broker=broker.address, partitions=2)
    await make_topics(settings)
    producer = AIOKafkaProducer(**client_options(settings))
    await producer.start()
    consumer = AIOKafkaConsumer(
        **client_options(settings), group_id=settings.group("detector"), enable_auto_commit=False
    )
    await consumer.start()
    topic = settings.topic(COMPLETIONS)
    try:
        async with EndOffsets(settings) as ends:
            assert total_lag(await ends.lags()) == 0
            for number in (0, 1, 1, 1):
                await producer.send(topic, b"x" * 100, partition=number)
            await producer.flush()
            lags = await ends.lags()
            assert lags["detector"][COMPLETIONS] == lags["recorder"][COMPLETIONS] == 4
            assert lags["notifier"][ALERTS] == 0
            consumer.assign([TopicPartition(topic, 0), TopicPartition(topic, 1)])
            await consumer.commit({TopicPartition(topic, 0): 1, TopicPartition(topic, 1): 2})
            lags = await ends.lags()
            assert (total_lag(lags, "detector"), total_lag(lags, "recorder")) == (1, 4)
            assert (await ends.end_offsets())[TopicPartition(topic, 1)] == 3
    finally:
        await consumer.stop()
        await producer.stop()

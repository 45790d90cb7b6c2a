"""`setup` against real brokers."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from stream_detector.stream.broker import client_options
from stream_detector.stream.setup import TopicMismatchError, make_topics, read_topics
from stream_detector.stream.topics import BASELINES, NOTIFIER_IN, TOPICS


async def test_makes_every_topic_once(broker, make_settings):
    settings = make_settings(broker=broker.address, partitions=3)
    assert await make_topics(settings, dry_run=True) == [settings.topic(topic.name) for topic in TOPICS]
    assert len(await make_topics(settings)) == len(TOPICS), "a dry run makes nothing"
    assert await make_topics(settings) == []

    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    states = {state.topic.name: state for state in await read_topics(admin, settings)}
    wanted = ConfigResource(ConfigResourceType.TOPIC, settings.topic(BASELINES))
    (answer,) = await admin.describe_configs([wanted])
    await admin.close()
    config = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert config["cleanup.policy"] == "compact"
    assert config["min.compaction.lag.ms"] == "3600000"
    assert states[BASELINES].partitions == 3
    assert states[NOTIFIER_IN].partitions == 1
    assert {state.state for state in states.values()} == {"ok"}


async def test_refuses_another_number_of_partitions_and_makes_nothing(broker, make_settings):
    settings = make_settings(broker=broker.address, partitions=4)
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    await admin.create_topics([NewTopic(settings.topic(BASELINES), 2, 1)])
    while settings.topic(BASELINES) not in await admin.list_topics():  # noqa: ASYNC110 - the broker tells nobody
        await asyncio.sleep(0.01)
    with pytest.raises(
        TopicMismatchError, match=f"{settings.topic(BASELINES)} has 2 partitions and should have 4"
    ) as error:
        await make_topics(settings)
    names = await admin.list_topics()
    await admin.close()
    assert "STREAM_DETECTOR_PARTITIONS=2" in str(error.value)
    assert [name for name in names if name.startswith(settings.topic_prefix)] == [settings.topic(BASELINES)]


@pytest.mark.apache
async def test_three_brokers_get_three_copies(apache_cluster, make_settings):
    settings = make_settings(broker=apache_cluster.address)
    await make_topics(settings)
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    ours = [topic for topic in await admin.describe_topics() if topic["topic"].startswith(settings.topic_prefix)]
    wanted = ConfigResource(ConfigResourceType.TOPIC, settings.topic(BASELINES))
    (answer,) = await admin.describe_configs([wanted])
    await admin.close()
    assert {len(part["replicas"]) for topic in ours for part in topic["partitions"]} == {3}
    assert {entry[0]: entry[1] for entry in answer.resources[0][4]}["min.insync.replicas"] == "2"

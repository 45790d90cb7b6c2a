"""`setup` against real brokers."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from stream_detector.kafka.client import client_options
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.preflight import TopicMismatchError, read_topics, run_preflight
from stream_detector.kafka.topics import ALERTS, BASELINES, BY_NAME, NOTIFIER_IN, TOPICS
from tests.servers.secured import kafka_program


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
    assert config["message.timestamp.type"] == "LogAppendTime"
    assert states[BASELINES].partitions == 3
    assert states[NOTIFIER_IN].partitions == 1
    assert {state.state for state in states.values()} == {"ok"}


async def test_refuses_another_number_of_partitions_and_makes_nothing(broker, make_settings):
    settings = make_settings(broker=broker.address, partitions=4)
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    await admin.create_topics([NewTopic(settings.topic(BASELINES), 2, 1)])
    while settings.topic(BASELINES) not in await admin.list_topics():  # noqa: ASYNC110 - the broker does not report it
        await asyncio.sleep(0.01)
    with pytest.raises(
        TopicMismatchError, match=f"{settings.topic(BASELINES)} has 2 partitions and should have 4"
    ) as error:
        await make_topics(settings)
    names = await admin.list_topics()
    await admin.close()
    assert "STREAM_DETECTOR_PARTITIONS=2" in str(error.value)
    assert [name for name in names if name.startswith(settings.topic_prefix)] == [settings.topic(BASELINES)]


@pytest.mark.drill
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


async def make(settings, name, config, copies=1):
    """One topic as somebody else has made it."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    await admin.create_topics([NewTopic(settings.topic(name), settings.partitions, copies, topic_configs=config)])
    while settings.topic(name) not in await admin.list_topics():  # noqa: ASYNC110 - the broker does not report it
        await asyncio.sleep(0.01)
    await admin.close()


async def test_a_changelog_that_is_not_compacted_is_refused_by_setup_and_by_the_role(broker, make_settings):
    settings = make_settings(broker=broker.address)
    await make_topics(settings)
    other = make_settings(broker=broker.address, topic_prefix=settings.topic_prefix + "other.")
    await make(other, BASELINES, {"cleanup.policy": "delete"})
    with pytest.raises(TopicMismatchError, match=r"baselines has cleanup\.policy=delete") as error:
        await make_topics(other)
    assert "--add-config cleanup.policy=compact" in str(error.value)
    for topic in TOPICS:
        if topic.name != BASELINES and topic.partitions is None:
            await make(other, topic.name, topic.config())
    with pytest.raises(TopicMismatchError, match=r"baselines has cleanup\.policy=delete"):
        await run_preflight(other, "recorder")
    assert BASELINES in await run_preflight(settings, "recorder")


@pytest.mark.apache
async def test_what_it_says_to_do_about_a_setting_helps(apache, make_settings):
    settings = make_settings(broker=apache.address)
    await make(settings, BASELINES, {"cleanup.policy": "compact", "min.compaction.lag.ms": "1000"})
    with pytest.raises(TopicMismatchError, match=r"min\.compaction\.lag\.ms=1000") as error:
        await make_topics(settings)
    call = "kafka-configs.sh" + str(error.value).partition("kafka-configs.sh")[2]
    await asyncio.to_thread(kafka_program, apache.jars, call.replace("HOST:PORT", apache.address))

    async def made():
        try:
            return len(await make_topics(settings)) == len(TOPICS) - 1
        except TopicMismatchError:
            return False  # the brokers learn of it a moment later

    while not await made():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


@pytest.mark.drill
@pytest.mark.apache
@pytest.mark.parametrize(
    ("config", "copies", "said"),
    [
        ({"min.insync.replicas": "2"}, 1, "has 1 replicas and should have 3: .*STREAM_DETECTOR_REPLICATION=1"),
        ({"min.insync.replicas": "1"}, 3, "has min.insync.replicas=1"),
        ({"min.insync.replicas": "4"}, 3, "has min.insync.replicas=4"),
    ],
    ids=["copies", "acknowledged-by-one", "never-acknowledged"],
)
async def test_a_topic_that_could_lose_what_it_holds_is_refused(apache_cluster, make_settings, config, copies, said):
    settings = make_settings(broker=apache_cluster.address)
    await make(settings, ALERTS, BY_NAME[ALERTS].config() | config, copies)
    with pytest.raises(TopicMismatchError, match=said):
        await make_topics(settings)


@pytest.mark.drill
@pytest.mark.apache
async def test_fewer_copies_are_accepted_where_somebody_has_said_so(apache_cluster, make_settings):
    settings = make_settings(broker=apache_cluster.address, replication=1)
    assert len(await make_topics(settings)) == len(TOPICS)
    assert await make_topics(settings) == []

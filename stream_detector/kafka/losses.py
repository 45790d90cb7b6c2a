"""What each role's group cannot read any more, or could not: asked of the broker, so that also a role that is down has
its losses reported."""

from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError

from stream_detector.kafka.acls import GROUPED
from stream_detector.kafka.client import client_options
from stream_detector.kafka.commit_note import OffsetRange, read_note
from stream_detector.kafka.describe import describe_topics, wait_for_group
from stream_detector.kafka.end_offsets import TOPICS_READ_BY
from stream_detector.kafka.groupless_consumer import groupless_consumer
from stream_detector.settings import Settings


class PartitionLosses(NamedTuple):
    """One source partition of a role."""

    topic: str
    """Without its prefix."""
    partition: int
    start: int
    """Where its log starts."""
    lost: tuple[OffsetRange, ...]

    set_aside: tuple[int, ...] = ()
    """Offsets of records that ended the role and are on `dead-letters`."""


class Losses(NamedTuple):
    """What was found."""

    by_role: dict[str, list[PartitionLosses]]
    refused: list[str]
    """Roles whose group or topics the broker does not allow us to describe."""


async def find_losses(settings: Settings) -> Losses:
    """Of each role, each partition that it has committed: what it noted as lost when it passed it; and, while nobody is
    in the group, what lies between its commit and the start of the log. A role that runs may have fetched that.

    Raises:
        KafkaError: the broker does not answer.
    """
    found = Losses({}, [])
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        async with groupless_consumer(settings) as consumer:
            for role in GROUPED:
                try:
                    found.by_role[role] = await _of_role(settings, role, admin, consumer)
                except (GroupAuthorizationFailedError, TopicAuthorizationFailedError):
                    found.refused.append(role)
    finally:
        await admin.close()
    return found


async def _of_role(
    settings: Settings, role: str, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer
) -> list[PartitionLosses]:
    names = {settings.topic(name): name for name in TOPICS_READ_BY[role]}
    described, _ = await describe_topics(admin, list(names))
    if any(topic.operations is not None and "Describe" not in topic.operations for topic in described.values()):
        raise TopicAuthorizationFailedError
    places = [TopicPartition(name, number) for name, topic in described.items() for number in range(topic.partitions)]
    committed = await admin.list_consumer_group_offsets(settings.group(role), partitions=places)
    read = {place: at for place, at in committed.items() if at.offset >= 0}
    if not read:
        return []
    is_down = not (await wait_for_group(admin, settings.group(role))).members
    starts = await consumer.beginning_offsets(list(read))
    found = []
    for place, at in read.items():
        note, start = read_note(at.metadata), starts.get(place, 0)
        lost = note.lost
        if is_down and start > at.offset:
            lost = *lost, OffsetRange(at.offset, start)
        found.append(PartitionLosses(names[place.topic], place.partition, start, lost, note.set_aside))
    return found

"""`baselines` was lost and its sources were not: stored values with their positions, and the group back to where they
were complete, so that the detector reads again what came since."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncpg
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.contents import CLAIM_KEY, WATERMARKS_KEY
from stream_detector.kafka import topics
from stream_detector.kafka.client import client_options
from stream_detector.kafka.describe import wait_for_group
from stream_detector.kafka.end_offsets import TOPICS_READ_BY, EndOffsets
from stream_detector.kafka.preflight import run_preflight
from stream_detector.roles.restore.group import commit
from stream_detector.roles.restore.missing import Heads
from stream_detector.roles.restore.new_broker import HEAD, RestoreError, identity_of, owner_id
from stream_detector.roles.restore.writer import RecordWriter
from stream_detector.settings import Settings
from stream_detector.store import state_records
from stream_detector.store.connect import store_errors
from stream_detector.store.epochs import find_epoch
from stream_detector.store.state_records import StoredRecord


@dataclass
class RestoredTopics:
    """What was written, and from where the detector reads again."""

    values: dict[str, int] = field(default_factory=dict)
    """Topic -> keys."""
    read_again: int = 0
    """Records behind the positions that the group goes back to."""


async def restore_same_topics(settings: Settings, pool: asyncpg.Pool) -> RestoredTopics:
    """Write the values of `baselines`, and of `runs-state` if that is empty too, and set the detector group's offsets.

    Raises:
        RestoreError: it cannot be done. Nothing was written.
        SetupError: a topic is missing.
        StoreAwayError: the database is away.
    """
    partitions = await run_preflight(settings, "detector")
    await _refuse_members(settings)
    lost = await _empty_topics(settings)
    with store_errors():
        epoch = await find_epoch(pool, await identity_of(settings))
        if epoch is None or not await state_records.has_epoch(pool, epoch):
            raise RestoreError("the database has no state of these topics: it belongs to another cluster or prefix")
        heads = await Heads.read(pool, topics.BASELINES, epoch)
        stored = {topic: await _read(pool, topic, epoch) for topic in lost}
    n = partitions[topics.BASELINES]
    for topic, records in stored.items():
        _refuse_other_partitions(topic, records, n)
    offsets, read_again = await _offsets(settings, heads, n, partitions)
    restored = RestoredTopics(read_again=read_again)
    async with RecordWriter(settings) as writer:
        for topic, records in stored.items():
            await _write(writer, topic, records, n, epoch)
            restored.values[topic] = sum(_is_value(record) for record in records)
    await commit(settings, "detector", offsets)
    return restored


async def _empty_topics(settings: Settings) -> list[str]:
    async with EndOffsets(settings, (topics.BASELINES, topics.RUNS_STATE)) as asked:
        ends = await asked.end_offsets()
    held: dict[str, int] = {}
    for tp, end in ends.items():
        held[tp.topic] = held.get(tp.topic, 0) + end
    name = settings.topic(topics.BASELINES)
    if held.get(name, 0):
        raise RestoreError(
            f"the topic {name} holds {held[name]:,} records: nothing is restored over them. To replace them, stop "
            "every detector, delete the topic and run `stream-detector setup`"
        )
    return [topic for topic in (topics.BASELINES, topics.RUNS_STATE) if not held.get(settings.topic(topic), 0)]


async def _refuse_members(settings: Settings) -> None:
    name = settings.group("detector")
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        group = await wait_for_group(admin, name)
    finally:
        await admin.close()
    if not group.is_empty:
        raise RestoreError(f"{group.members or 'some'} detectors are in the group {name}: stop them first")


async def _read(pool: asyncpg.Pool, topic: str, epoch: int) -> list[StoredRecord]:
    return [
        record
        async for records in state_records.stored_records(pool, topic)
        for record in records
        if record.stream_epoch <= epoch and (record.stream_epoch == epoch or _is_value(record))
    ]


def _is_value(record: StoredRecord) -> bool:
    return record.key not in (CLAIM_KEY, WATERMARKS_KEY)


def _refuse_other_partitions(topic: str, records: list[StoredRecord], n: int) -> None:
    for record in records:
        is_deleted = changelog_record.is_deleted(record.value)  # also what was moved by `setup --repartition`
        if (
            _is_value(record)
            and not is_deleted
            and topics.owner_partition(owner_id(topic, record.key.decode()), n) != record.partition
        ):
            raise RestoreError(
                f"the stored values of {topic} were made with another number of partitions than the {n} of now: set "
                "STREAM_DETECTOR_PARTITIONS to what it was, or use another TOPIC_PREFIX, which restores each key at "
                "its new owner"
            )


async def _offsets(
    settings: Settings, heads: Heads, n: int, partitions: Mapping[str, int]
) -> tuple[dict[TopicPartition, int], int]:
    """Where the stored values are complete, per partition; and how many records lie behind that.

    Raises:
        RestoreError: the topics do not have these offsets any more.
    """
    names = [name for name in TOPICS_READ_BY["detector"] if name in partitions and name in changelog_record.SOURCES]
    wanted = {
        TopicPartition(settings.topic(name), number): offset
        for name in names
        for number in range(min(n, partitions[name]))
        if (offset := _whole_until(heads, number, name, is_home=partitions[name] == n)) is not None
    }
    async with EndOffsets(settings, names) as asked:
        ends, first = await asked.end_offsets(), await asked.start_offsets()
    gone = {tp: first[tp] - offset for tp, offset in wanted.items() if first[tp] > offset and ends[tp] > offset}
    short = {tp: offset - ends[tp] for tp, offset in wanted.items() if offset > ends[tp]}
    if gone or short:
        listed = [f"{tp.topic}-{tp.partition}: {count:,} records deleted by retention" for tp, count in gone.items()]
        listed += [f"{tp.topic}-{tp.partition}: ends {count:,} records before it" for tp, count in short.items()]
        raise RestoreError(
            f"the topics do not hold the offsets that the stored values name ({'; '.join(listed)}): the baselines "
            "would lack these records. Use another TOPIC_PREFIX to restore without positions"
        )
    return wanted, sum(max(0, ends[tp] - offset) for tp, offset in wanted.items())


def _whole_until(heads: Heads, number: int, name: str, *, is_home: bool) -> int | None:
    """Where the group goes back to; None where it stays.

    Of a topic with another number of partitions than the state (`is_home` is false), the detector passes each event on
    to its owner by `rekeyed`, and what it has committed lies there: the group goes back on that topic.
    """
    return heads.whole_until(number, name) if is_home else heads.named_until(number, name)


async def _write(writer: RecordWriter, topic: str, records: list[StoredRecord], n: int, epoch: int) -> None:
    """Every partition begins with a claim above all owners that were known, so none of them counts any more."""
    owner_epoch = max((_owner_epoch(record) for record in records if record.stream_epoch == epoch), default=0)
    claim = changelog_record.encode_header(owner_epoch, {}) + b"-"
    for number in range(n):
        await writer.add((topic, number), CLAIM_KEY, claim)
    for record in sorted(records, key=lambda record: (record.key == WATERMARKS_KEY, record.offset)):
        # One of an earlier stream was restored into this one without positions, and nothing has changed it since.
        value = record.value
        if record.stream_epoch < epoch:
            value = HEAD + changelog_record.payload_of(value)
        await writer.add((topic, record.partition), record.key, value)
    await writer.flush()


def _owner_epoch(record: StoredRecord) -> int:
    return changelog_record.epoch_of(record.value)

"""`setup --repartition N`: more partitions for our topics, and each key's state at its new owner.

Nothing may be unread and no role may run, so that every event which the old owners were to apply is applied. Then

1. our topics get N partitions, all but `alerts`: a role does not start while their numbers differ;
2. every partition of the state topics gets a claim above all owners that were known, so none of them counts any more;
3. each key that another partition owns by now is written there, and once that is acknowledged, an empty payload where
   it was. The epoch of the value is above that of the empty payload: the recorder reads both in any order;
4. every partition of `baselines` gets the watermarks of what was read;
5. `alerts` gets N partitions: from here on N holds.

Each step may be done twice, so a run that was interrupted is repeated from the beginning. What a value names is not
what its old owner had read, but what the group has committed of the new owner's partitions: all of that is in it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError

from stream_detector.delivery import faults
from stream_detector.delivery.claims import MOST_LEFT_OUT
from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.contents import CLAIM_KEY, WATERMARKS_KEY, Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.detect.codec.packed import check_version
from stream_detector.events.headers import MOVED
from stream_detector.kafka import topics
from stream_detector.kafka.acls import GROUPED
from stream_detector.kafka.client import client_options
from stream_detector.kafka.describe import describe_topics, wait_for_group
from stream_detector.kafka.end_offsets import TOPICS_READ_BY, EndOffsets, read_topic
from stream_detector.roles.restore.new_broker import owner_id
from stream_detector.roles.restore.writer import RecordWriter
from stream_detector.settings import Settings

STATE = (topics.BASELINES, topics.RUNS_STATE)
OURS = tuple(topic.name for topic in topics.TOPICS if topic.is_ours and not topic.partitions)
"""Those of N partitions. Producers' topics may have any number."""
PASSED_ON = (topics.COMPLETIONS, topics.SCORES, topics.SCORE_RUNS, topics.ACTIONS)
"""Those whose events go on to the owner of their key."""
ORDER = (
    "stop intake first (producers and the API), let the roles catch up (`stream-detector doctor` shows their lag), "
    "then stop them, and run this command again"
)
_KEYS_AT_ONCE = 1_000
_KNOWN_WITHIN_S = 30.0
_PACKED: dict[str, Codec[bytes]] = {
    topics.BASELINES: Codec(bytes, lambda _, packed: packed, max_unpacked=0, check=check_version),
    topics.RUNS_STATE: Codec(bytes, lambda _, packed: packed, max_unpacked=0),
}


class RepartitionError(Exception):
    """It cannot be done now. The text says why, and what to do."""


@dataclass
class Repartitioned:
    """What was done, or would be."""

    before: int
    after: int
    keys: dict[str, int] = field(default_factory=dict)
    """State topic -> keys that it has."""
    moved: dict[str, int] = field(default_factory=dict)
    """State topic -> those that another partition owns by now."""


@dataclass(frozen=True)
class _Ground:
    """What holds while nobody reads or writes."""

    n: int
    counts: Mapping[str, int]
    """Topic -> partitions."""
    committed: Mapping[tuple[str, int], int]
    """Topic and partition -> what the detectors have committed."""

    def positions(self, number: int) -> dict[str, int]:
        """Up to where everything on these partitions is in the state."""
        found = {name: self.committed.get((name, number), -1) for name in TOPICS_READ_BY["detector"]}
        return {name: offset for name, offset in found.items() if offset >= 0}

    def watermarks(self, number: int) -> dict[str, int]:
        """The same of all partitions whose events are passed on to this one; the owner reads its own by itself, where
        a topic has as many partitions as the state."""
        return {
            f"{name}/{other}": offset
            for (name, other), offset in self.committed.items()
            if offset >= 0 and name in PASSED_ON and not (other == number and self.counts[name] == self.n)
        }


async def repartition(settings: Settings, n: int, *, dry_run: bool = False) -> Repartitioned:
    """Give our topics N partitions and move the keys. Again after any interruption, it does what is left.

    Raises:
        RepartitionError: a role runs, something is unread, a topic is missing or has more than N partitions. Nothing
            was changed.
        KafkaError: the broker does not answer, or refuses. To be run again.
    """
    faults.arm(settings.fault_point)
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        counts = await _counts(admin, settings)
        _refuse_numbers(settings, counts, n)
        await _refuse_members(admin, settings)
        ground = _Ground(n, counts, await _refuse_unread(settings))
        done = Repartitioned(counts[topics.ALERTS], n)
        epochs = {topic: await _scan(settings, topic, n, done) for topic in STATE}
        if dry_run or (not any(done.moved.values()) and all(counts[name] == n for name in OURS)):
            return done
        await _grow(admin, settings, [name for name in OURS if name != topics.ALERTS], n)
        async with RecordWriter(settings) as writer:
            for topic, epoch in epochs.items():
                await _move(settings, writer, topic, epoch + 1, ground)
        await _grow(admin, settings, [topics.ALERTS], n)
    finally:
        await admin.close()
    return done


# -- what must be so -----------------------------------------------------------------------------------------------


async def _counts(admin: AIOKafkaAdminClient, settings: Settings) -> dict[str, int]:
    names = {settings.topic(topic.name): topic.name for topic in topics.TOPICS}
    found, _ = await describe_topics(admin, list(names))
    return {names[name]: topic.partitions for name, topic in found.items()}


def _refuse_numbers(settings: Settings, counts: Mapping[str, int], n: int) -> None:
    if missing := [settings.topic(name) for name, count in counts.items() if not count]:
        raise RepartitionError(f"not on the broker: {', '.join(missing)}. Run `stream-detector setup`")
    if larger := {settings.topic(name): counts[name] for name in OURS if counts[name] > n}:
        listed = ", ".join(f"{name} has {count}" for name, count in larger.items())
        raise RepartitionError(
            f"{listed}: Kafka cannot remove partitions, so it takes at least --repartition {max(larger.values())}"
        )


async def _refuse_members(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    for role in GROUPED:
        group = await wait_for_group(admin, settings.group(role))
        # The embedded broker goes on listing those that have left.
        if group.is_certain and not group.is_empty:
            raise RepartitionError(
                f"{group.members or 'some'} {role}s are in the group {settings.group(role)}: {ORDER}. One with a "
                "GROUP_INSTANCE_ID leaves when its session times out"
            )


async def _refuse_unread(settings: Settings) -> dict[tuple[str, int], int]:
    """What the detectors have committed, by topic and partition; everything that a role reads is read to its end."""
    unread: list[str] = []
    async with EndOffsets(settings) as asked:
        ends = await asked.end_offsets()
        committed = {role: await asked.committed(role) for role in GROUPED}
        has_state = any(ends[tp] for tp in ends if tp.topic == settings.topic(topics.BASELINES))
        for role, offsets in committed.items():
            if all(offset < 0 for offset in offsets.values()) and not (role == "detector" and has_state):
                continue  # it has never run: it will read everything, in any order
            applied = await asked.applied(role, TOPICS_READ_BY[role])
            behind: dict[str, int] = {}
            for tp, offset in applied.items():
                behind[tp.topic] = behind.get(tp.topic, 0) + max(0, ends[tp] - offset)
            unread += [f"{count:,} records of {topic} by the {role}" for topic, count in behind.items() if count]
    if unread:
        raise RepartitionError(f"not everything is read: {'; '.join(unread)}. So {ORDER}")
    start = len(settings.topic_prefix)
    return {(tp.topic[start:], tp.partition): offset for tp, offset in committed["detector"].items()}


# -- the state -----------------------------------------------------------------------------------------------------


async def _partitions(settings: Settings, topic: str) -> AsyncIterator[tuple[int, StatePartition[bytes]]]:
    """Each partition that has records, read as its owner would; one at a time is in memory."""
    number, partition, records = -1, StatePartition(_PACKED[topic]), list[ConsumerRecord]()
    async for record in read_topic(settings, topic):
        if record.partition != number or len(records) == _KEYS_AT_ONCE:
            if records:
                partition.apply_changelog(records)
            if record.partition != number:
                if number >= 0:
                    yield number, _readable(settings.topic(topic), number, partition)
                number, partition = record.partition, StatePartition(_PACKED[topic])
                partition.name = topic
            records = []
        records.append(record)
    if number >= 0:
        partition.apply_changelog(records)
        yield number, _readable(settings.topic(topic), number, partition)


def _readable(name: str, number: int, partition: StatePartition[Any]) -> StatePartition[Any]:
    if partition.left_out > max(MOST_LEFT_OUT, len(partition.packed)):
        raise RepartitionError(
            f"{name}-{number}: {partition.left_out} of its records cannot be read: a later version wrote them. Use "
            "that version"
        )
    return partition


def _strays(topic: str, number: int, partition: StatePartition[bytes], n: int) -> dict[bytes, int]:
    """Key -> the partition that owns it, where that is another one."""
    owners = {
        key: topics.owner_partition(owner_id(topic, key.decode()), n)
        for key, value in partition.packed.items()
        if not changelog_record.is_deleted(value) and _has_owner(topic, key)
    }
    return {key: owner for key, owner in owners.items() if owner != number}


def _has_owner(topic: str, key: bytes) -> bool:
    """False for what a partition keeps for itself, also a later version's."""
    return not key.startswith(b"\0") and (topic != topics.BASELINES or b":" in key)


async def _scan(settings: Settings, topic: str, n: int, done: Repartitioned) -> int:
    """Count what there is and what moves; returns the largest epoch of an owner."""
    epoch, keys, moved = 0, 0, 0
    async for number, partition in _partitions(settings, topic):
        epoch = max(epoch, partition.epoch)
        keys += sum(not changelog_record.is_deleted(value) for value in partition.packed.values())
        moved += len(_strays(topic, number, partition, n))
    done.keys[topic], done.moved[topic] = keys, moved
    return epoch


async def _move(settings: Settings, writer: RecordWriter, topic: str, epoch: int, ground: _Ground) -> None:
    for number in range(ground.n):
        await writer.add((topic, number), CLAIM_KEY, changelog_record.encode_header(epoch, {}) + b"-", headers=())
        await writer.flush()
        faults.reach("repartition")
    heads = [changelog_record.encode_header(epoch + 1, ground.positions(number)) for number in range(ground.n)]
    async for number, partition in _partitions(settings, topic):
        strays = [*_strays(topic, number, partition, ground.n).items()]
        empty = changelog_record.encode_header(epoch, ground.positions(number))
        for at in range(0, len(strays), _KEYS_AT_ONCE):
            some = strays[at : at + _KEYS_AT_ONCE]
            for key, owner in some:
                payload = changelog_record.payload_of(partition.packed[key])
                await writer.add((topic, owner), key, heads[owner] + payload, headers=())
            await writer.flush()
            faults.reach("repartition")
            for key, _ in some:
                await writer.add((topic, number), key, empty, headers=(MOVED,))
            await writer.flush()
            faults.reach("repartition")
    if topic == topics.BASELINES:
        header = changelog_record.encode_header(epoch + 1, {})
        for number in range(ground.n):
            marks = changelog_record.encode_watermarks(ground.watermarks(number))
            await writer.add((topic, number), WATERMARKS_KEY, header + marks, headers=())
            await writer.flush()
            faults.reach("repartition")


# -- the topics ----------------------------------------------------------------------------------------------------


async def _grow(admin: AIOKafkaAdminClient, settings: Settings, names: list[str], n: int) -> None:
    counts = await _counts(admin, settings)
    for name in names:
        if counts[name] < n:
            try:
                await admin.create_partitions({settings.topic(name): NewPartitions(n)})
            except IncompatibleBrokerVersion as error:
                raise RepartitionError(
                    "this broker cannot add partitions. After the embedded one set STREAM_DETECTOR_PARTITIONS: at its "
                    "next start `up` restores each key at its new owner"
                ) from error
            except KafkaError as error:
                raise RepartitionError(
                    f"the broker did not add partitions to {settings.topic(name)}: {error or type(error).__name__}. It "
                    "takes an account with Alter on the topics. Run the command again: it does what is left"
                ) from error
            faults.reach("repartition")
    deadline_s = time.monotonic() + _KNOWN_WITHIN_S
    while min(counts[name] for name in names) < n:
        counts = await _counts(admin, settings)
        if time.monotonic() > deadline_s:
            raise RepartitionError("the broker added partitions but does not list them. Run the command again")
        await asyncio.sleep(0.05)

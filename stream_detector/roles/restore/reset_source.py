"""A source partition does not hold what was applied of it: its positions are taken out of the state, and nothing else.

In this order, so that whatever ends it in between leaves the role as it was, unable to start, and it can run again:

1. Nobody is in the group, and nothing that was passed on from the partition is unread.
2. A claim above all owners, so that no late write of a former one counts.
3. Values, deleted keys and watermarks once more, without this position; then a claim that sets it back.
4. PostgreSQL: rows of the partition are moved below the offset at which it goes on.
5. The group's committed offset.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import asyncpg
from aiokafka import TopicPartition

from stream_detector.delivery.repartition import find_origin, index_place
from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.contents import CLAIM_KEY, WATERMARKS_KEY, Codec, Records
from stream_detector.delivery.state.journaled_partition import JournaledPartition
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.events.headers import UnreadableHeaders
from stream_detector.kafka import topics
from stream_detector.kafka.acls import GROUPED
from stream_detector.kafka.end_offsets import TOPICS_READ_BY, EndOffsets, first_record, read_topic
from stream_detector.roles.restore.group import commit, refuse_members
from stream_detector.roles.restore.missing import TABLES
from stream_detector.roles.restore.new_broker import RestoreError, identity_of
from stream_detector.roles.restore.writer import RecordWriter
from stream_detector.settings import Settings
from stream_detector.store.connect import store_errors
from stream_detector.store.epochs import find_epoch
from stream_detector.store.source_positions import move_below, move_letters_below, set_position

_AS_IT_IS: Codec[bytes] = Codec(bytes, lambda _, packed: packed, max_unpacked=0)
_TABLES: Mapping[str, tuple[tuple[str, type[StatePartition[bytes]]], ...]] = {
    "detector": ((topics.BASELINES, StatePartition), (topics.RUNS_STATE, StatePartition)),
    "notifier": ((topics.NOTIFIER_STATE, JournaledPartition),),
    "recorder": (),
}
_PASSED_ON_TO = {"detector": topics.REKEYED, "notifier": topics.NOTIFIER_IN}
_State = dict[str, dict[int, StatePartition[bytes]]]
"""State topic -> partition -> what it holds."""


@dataclass
class RoleReset:
    """What is reset of one role."""

    role: str
    applied: int
    """Up to where it has the partition."""
    keys: int = 0
    """Values, deleted keys and watermarks that name the position."""
    writes: dict[tuple[str, int], Records] = field(default_factory=dict)
    """State topic and partition -> records, the claim first."""
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    """Where the claim must lie."""


@dataclass
class Reset:
    """What was done, or with `dry_run` would be."""

    place: TopicPartition
    log_start: int
    log_end: int
    """-1 where the topic has no such partition any more."""
    target: int
    roles: list[RoleReset]
    moved_rows: int = 0


async def reset_source(
    settings: Settings,
    pool: asyncpg.Pool | None,
    topic: str,
    partition: int,
    to: str,
    *,
    roles: Collection[str] = (),
    dry_run: bool = False,
) -> Reset:
    """Have roles go on at another offset of one partition, whatever they have applied of it.

    Args:
        settings: with the broker.
        pool: of the database; None where there is none.
        topic: without its prefix.
        partition: its number.
        to: `earliest`, `latest` or an offset that the log holds.
        roles: of which; where none is named, of those that have applied more than the log holds.
        dry_run: find out, write nothing.

    Raises:
        RestoreError: it cannot be done; nothing was written.
        KafkaError: the broker does not answer.
        StoreAwayError: the database does not answer.
    """
    readers = [role for role in GROUPED if topic in TOPICS_READ_BY[role]]
    if unknown := set(roles) - set(readers) or (not readers and {topic}):
        raise RestoreError(
            f"{', '.join(sorted(unknown))}: nothing to reset. {topic} is read by {', '.join(readers) or 'no role'}"
        )
    place = TopicPartition(settings.topic(topic), partition)
    start, end = await _log_of(settings, topic, place)
    target = _target(to, start, end, place) if end >= 0 else 0
    resets = [
        reset
        for role in roles or readers
        if (reset := await _plan(settings, role, topic, place, end, is_named=role in roles))
    ]
    if not resets:
        raise RestoreError(
            f"{place.topic}-{partition} ends at {end}, and no role has applied more of it. To move one anyway, "
            "name it with --role"
        )
    done = Reset(place, start, end, target, resets)
    if dry_run:
        return done
    for reset in resets:
        await _write(settings, reset)  # 2, 3
    if pool is not None:
        has_recorder = any(reset.role == "recorder" for reset in resets)
        done.moved_rows = await _move_rows(settings, pool, topic, partition, target, set_too=has_recorder)  # 4
    for reset in resets if end >= 0 else ():
        await commit(settings, reset.role, {place: target})  # 5
    return done


async def _log_of(settings: Settings, topic: str, place: TopicPartition) -> tuple[int, int]:
    async with EndOffsets(settings, [topic]) as asked:
        ends, starts = await asked.end_offsets(), await asked.start_offsets()
    if not ends:
        raise RestoreError(f"there is no topic {place.topic}: run `stream-detector setup`")
    return starts.get(place, 0), ends.get(place, -1)


def _target(to: str, start: int, end: int, place: TopicPartition) -> int:
    if to in ("earliest", "latest"):
        return start if to == "earliest" else end
    if not to.isascii() or not to.isdigit() or not start <= int(to) <= end:
        raise RestoreError(
            f"--to {to}: {place.topic}-{place.partition} holds the offsets {start} to {end}: name earliest, latest or "
            "one of these"
        )
    return int(to)


async def _plan(
    settings: Settings, role: str, topic: str, place: TopicPartition, end: int, *, is_named: bool
) -> RoleReset | None:
    """What is to be written; None where the role is well."""
    async with EndOffsets(settings, [topic]) as asked:
        committed = (await asked.committed(role, [topic])).get(place, -1)
    state = {name: await _read_state(settings, name, kind) for name, kind in _TABLES[role]}
    reset = RoleReset(role, max(committed, _position_in_state(state, topic, place.partition)))
    if not is_named and reset.applied <= end:
        return None
    await refuse_members(settings, role)
    await _refuse_passed_on(settings, role, topic, place.partition)
    for name, partitions in state.items():
        for number, partition in partitions.items():
            _take_out(reset, name, number, partition, topic, place.partition)
    return reset


async def _refuse_passed_on(settings: Settings, role: str, topic: str, partition: int) -> None:
    """What was passed on with an offset of the former log, and is unread, would set the watermark again."""
    name = _PASSED_ON_TO.get(role)
    if name is None or name == topic:
        return
    async with EndOffsets(settings, [name]) as asked:
        committed, ends = await asked.applied(role, [name]), await asked.end_offsets()
    if all(committed[tp] >= end for tp, end in ends.items()):
        return
    async for record in read_topic(settings, name):
        if record.offset < committed[TopicPartition(record.topic, record.partition)]:
            continue
        origin = None if isinstance(record.headers, UnreadableHeaders) else find_origin(record.headers)
        if origin is not None and (origin.topic, origin.partition) == (topic, partition):
            raise RestoreError(
                f"{settings.topic(name)} has unread records that came from {topic}-{partition}. Start the {role} until "
                f"it ends again: it reads them before that. Then run this once more"
            )


async def _read_state(
    settings: Settings, name: str, kind: type[StatePartition[bytes]]
) -> dict[int, StatePartition[bytes]]:
    partitions: dict[int, StatePartition[bytes]] = defaultdict(lambda: kind(_AS_IT_IS))
    async for record in read_topic(settings, name):
        partitions[record.partition].apply_changelog([record])
    for partition in partitions.values():
        partition.finish_recovery(-1)
    return partitions


def _position_in_state(state: _State, topic: str, number: int) -> int:
    found = [0]
    for partitions in state.values():
        if number in partitions:
            found.append(partitions[number].replay_until.get(topic, 0))
        found += [partition.watermarks.get(f"{topic}/{number}", 0) for partition in partitions.values()]
    return max(found)


def _take_out(
    reset: RoleReset, name: str, number: int, partition: StatePartition[bytes], topic: str, source_number: int
) -> None:
    """Add what is to be written to this partition; nothing where it does not name the position."""
    records: Records = []
    is_named = number == source_number and topic in partition.replay_until
    if is_named:
        values: Iterable[tuple[bytes, bytes]] = [*partition.packed.items(), *partition.tombstones.items()]
        records += [(key, _without(value, topic, partition.epoch)) for key, value in values if _names(value, topic)]
    place = f"{topic}/{source_number}"
    marks = {place, index_place(place), *([f"{topic}/home"] if number == source_number else [])}
    if not marks.isdisjoint(partition.watermarks):
        others = {place: offset for place, offset in partition.watermarks.items() if place not in marks}
        head = changelog_record.encode_header(partition.epoch, {})
        records.append((WATERMARKS_KEY, head + changelog_record.encode_watermarks(others)))
    if is_named or records:
        reset.keys += len(records)
        # Records that are superseded name the position until compaction removes them, so a further claim sets it back.
        # It comes last: until it is there the role refuses to start, and this can be done again.
        last = changelog_record.encode_header(partition.epoch, {topic: 0}) + b"-"
        reset.writes[name, number] = [partition.claim_record(), *records, *([(CLAIM_KEY, last)] if is_named else [])]
        reset.ends[name, number] = partition.end_offset


def _names(value: bytes, topic: str) -> bool:
    return topic in changelog_record.positions_of(value)


def _without(value: bytes, topic: str, epoch: int) -> bytes:
    positions = {name: at for name, at in changelog_record.positions_of(value).items() if name != topic}
    return changelog_record.encode_header(epoch, positions) + changelog_record.payload_of(value)


async def _write(settings: Settings, reset: RoleReset) -> None:
    async with RecordWriter(settings) as writer:
        for target, records in reset.writes.items():
            for number, (key, value) in enumerate(records):
                await writer.add(target, key, value, headers=())
                if number == 0:
                    await writer.flush()
                    if writer.offsets[target][0] != reset.ends[target]:
                        raise RestoreError(f"a {reset.role} wrote to {target[0]}-{target[1]} meanwhile: stop it first")
        await writer.flush()


async def _move_rows(
    settings: Settings, pool: asyncpg.Pool, topic: str, partition: int, target: int, *, set_too: bool
) -> int:
    with store_errors():
        epoch = await find_epoch(pool, await identity_of(settings))
        if epoch is None:
            return 0
        if set_too:
            await set_position(pool, epoch, topic, partition, target)
        await move_letters_below(pool, epoch, topic, partition, target)
        table = "dead_letters" if topic == topics.DEAD_LETTERS else TABLES[topic].name if topic in TABLES else ""
        if not table:
            return 0
        first = await first_record(settings, TopicPartition(settings.topic(topic), partition), 0)
        stamp = (first.offset, first.timestamp) if first is not None else None
        return await move_below(pool, epoch, table, partition, target, stamp)

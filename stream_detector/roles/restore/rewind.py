"""PostgreSQL is older than what the recorder has committed: the recorder's group goes back, and what Kafka still has is
stored again. What is stored already stays one row.

First the positions in the database, then the committed offsets: ended in between, the database is still behind, and
the same command does the rest.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg
from aiokafka import TopicPartition

from stream_detector.kafka.end_offsets import TOPICS_READ_BY, EndOffsets, first_records
from stream_detector.kafka.groupless_consumer import groupless_consumer
from stream_detector.roles.restore.group import commit, refuse_members
from stream_detector.roles.restore.new_broker import identity_of
from stream_detector.settings import Settings
from stream_detector.store.connect import store_errors
from stream_detector.store.epochs import epoch_of, find_epoch
from stream_detector.store.source_positions import Gap, find_gaps, set_position

Places = dict[TopicPartition, int]


@dataclass
class Missing:
    """What PostgreSQL lacks of what the recorder had stored."""

    gaps: list[Gap] = field(default_factory=list)
    """Ranges of which Kafka still has records."""
    gone: list[Gap] = field(default_factory=list)
    """Ranges that Kafka does not have any more."""
    since: datetime | None = None
    """The time of the oldest record of `gaps`; to go back to it stores all of them."""


@dataclass
class Rewound:
    """What was done, or with `dry_run` would be."""

    records: int = 0
    """Offsets that are read again."""
    partitions: int = 0
    gone: list[Gap] = field(default_factory=list)
    still_missing: list[Gap] = field(default_factory=list)
    """What lies before the time that was named."""


async def find_missing_rows(settings: Settings, pool: asyncpg.Pool) -> Missing:
    """What PostgreSQL lacks, by its own positions, the recorder's commits, and what Kafka has there.

    Raises:
        KafkaError: the broker does not answer.
        StoreAwayError: the database does not answer.
    """
    async with EndOffsets(settings, TOPICS_READ_BY["recorder"]) as asked:
        committed, starts = await asked.committed("recorder"), await asked.start_offsets()
    found = Missing()
    with store_errors():
        epoch = await find_epoch(pool, await identity_of(settings))
        gaps = await find_gaps(pool, epoch, _named(settings, committed))
    places = [TopicPartition(settings.topic(gap.topic), gap.partition) for gap in gaps]
    wanted = [(place, gap.first) for place, gap in zip(places, gaps, strict=True)]
    records = await first_records(settings, wanted) if gaps else []
    oldest_ms: list[int] = []
    for place, gap, record in zip(places, gaps, records, strict=True):
        if (first_left := starts.get(place, 0)) > gap.first and epoch is not None:
            found.gone.append(gap._replace(end=min(gap.end, first_left)))
        if record is not None and record.offset < gap.end:
            found.gaps.append(gap._replace(first=max(gap.first, first_left)))
            oldest_ms.append(record.timestamp)
    if oldest_ms:
        found.since = datetime.fromtimestamp(max(0, min(oldest_ms)) // 1000, UTC)
    return found


async def rewind(settings: Settings, pool: asyncpg.Pool, to: datetime, *, dry_run: bool = False) -> Rewound:
    """Have the recorder read again from a time on, and forget what is noted as missing from there.

    Args:
        settings: with broker and database.
        pool: of the database, migrated.
        to: of the records' timestamps.
        dry_run: find out, change nothing.

    Raises:
        RestoreError: a recorder runs; nothing was changed.
        KafkaError: the broker does not answer.
        StoreAwayError: the database does not answer.
    """
    await refuse_members(settings, "recorder")
    async with EndOffsets(settings, TOPICS_READ_BY["recorder"]) as asked:
        committed, starts = await asked.committed("recorder"), await asked.start_offsets()
    targets = await _targets(settings, committed, starts, to)
    done = Rewound()
    with store_errors():
        identity = await identity_of(settings)
        epoch = await find_epoch(pool, identity)
        gaps = await find_gaps(pool, epoch, _named(settings, committed))
        if epoch is None and not dry_run:
            epoch = await epoch_of(pool, identity)
    offsets: Places = {}
    for place, target in targets.items():
        name, start = place.topic.removeprefix(settings.topic_prefix), starts[place]
        missing = [gap for gap in gaps if (gap.topic, gap.partition) == (name, place.partition)]
        left = _left_before(missing, target, start, done)
        if target == committed[place] and not missing:
            continue
        done.records += committed[place] - target
        done.partitions += target < committed[place]
        offsets[place] = target
        if epoch is not None and not dry_run:
            with store_errors():
                await set_position(pool, epoch, name, place.partition, target, left)
    if offsets and not dry_run:
        await commit(settings, "recorder", offsets)
    return done


def _left_before(missing: list[Gap], target: int, start: int, done: Rewound) -> Gap | None:
    """What is missing before the target: noted as gone where Kafka has nothing of it, else still missing."""
    before = [gap._replace(end=min(gap.end, target)) for gap in missing if gap.first < target]
    done.gone += [gap._replace(end=min(gap.end, start)) for gap in before if gap.first < start]
    left = [gap._replace(first=max(gap.first, start)) for gap in before if gap.end > start]
    done.still_missing += left
    return left[0]._replace(end=left[-1].end) if left else None


async def _targets(settings: Settings, committed: Places, starts: Places, to: datetime) -> Places:
    """Where each partition goes on: at the first record of that time or later, and never further than it is."""
    read = {place: offset for place, offset in committed.items() if offset >= 0}
    async with groupless_consumer(settings) as consumer:
        found = await consumer.offsets_for_times(dict.fromkeys(read, max(0, round(to.timestamp() * 1000))))
    targets = {}
    for place, offset in read.items():
        first = found.get(place)
        targets[place] = offset if first is None else max(starts[place], min(offset, first.offset))
    return targets


def _named(settings: Settings, offsets: Places) -> dict[tuple[str, int], int]:
    return {(tp.topic.removeprefix(settings.topic_prefix), tp.partition): offset for tp, offset in offsets.items()}

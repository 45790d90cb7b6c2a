"""Stored events that the restored state lacks, onto their topics once more, in order and with their first times."""

from collections.abc import Mapping

import asyncpg

from stream_detector.events.headers import RESTORED
from stream_detector.events.times import epoch_ms
from stream_detector.kafka import topics
from stream_detector.kafka.publish import BACKFILL_HEADERS
from stream_detector.roles.restore.missing import TABLES, Missing
from stream_detector.roles.restore.writer import RecordWriter, Target
from stream_detector.store import state_records
from stream_detector.store.state_records import EventTable, Place

Moved = dict[EventTable, list[tuple[Place, int, int]]]
"""Table -> where each event lay, its partition and its offset now."""


async def republish(pool: asyncpg.Pool, writer: RecordWriter, partitions: Mapping[str, int], missing: Missing) -> Moved:
    """Publish what is missing; everything is acknowledged afterwards.

    What was learned without an alert before (`mode: backfill`) is learned so again.
    """
    moved: Moved = {}
    for topic, places in missing.places.items():
        table, n = TABLES[topic], partitions[topic]
        before: dict[Target, list[Place]] = {}
        for event in await state_records.events_at(pool, table, places):
            target = topic, topics.owner_partition(event.owner, n) if event.owner else 0
            await writer.add(
                target,
                event.key.encode() or None,
                event.event,
                headers=BACKFILL_HEADERS if event.backfill else [RESTORED],
                timestamp_ms=epoch_ms(event.record_at),
            )
            before.setdefault(target, []).append(event.place)
        await writer.flush()
        moved[table] = [
            (place, target[1], offset)
            for target, listed in before.items()
            for place, offset in zip(listed, writer.offsets[target], strict=True)
        ]
    return moved

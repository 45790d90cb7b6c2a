"""Where dead letters lie and why; their payloads are on Kafka alone."""

from typing import NamedTuple

import asyncpg
import msgspec

from stream_detector.store.paging import Cursor, CursorError, Page
from stream_detector.store.position import Position
from stream_detector.store.where import Where

_FIND = """
    SELECT source_partition AS partition, source_offset AS "offset", original_topic AS topic, original_partition,
        original_offset, original_at, stage, reason, message, value_bytes, record_at, stream_epoch
    FROM dead_letters WHERE {where}
    ORDER BY record_at DESC, stream_epoch DESC, source_partition DESC, source_offset DESC LIMIT {limit}
"""


async def find(
    pool: asyncpg.Pool, *, reason: str | None, topic: str | None, limit: int, cursor: str | None = None
) -> Page:
    """The newest first. Raises `CursorError`."""
    where = Where()
    if reason is not None:
        where.add("reason = {}", reason)
    if topic is not None:
        where.add("original_topic = {}", topic)
    if cursor is not None:
        after = Cursor.parse(cursor)
        try:
            epoch, partition, offset = map(int, after.id.split("-"))
        except ValueError:
            raise CursorError("not a cursor of this list") from None
        where.add(
            "(record_at, stream_epoch, source_partition, source_offset) < ({}, {}, {}, {})",
            after.at, epoch, partition, offset,
        )  # fmt: skip
    found = await pool.fetch(
        _FIND.format(where=where.text(), limit=f"${len(where.values) + 1}"), *where.values, limit + 1
    )
    items = [
        msgspec.json.encode({name: value for name, value in each.items() if name != "stream_epoch"})
        for each in found[:limit]
    ]
    last = found[limit - 1] if len(found) > limit else None
    if last is None:
        return Page(items, None)
    place = f"{last['stream_epoch']}-{last['partition']}-{last['offset']}"
    return Page(items, Cursor(last["record_at"], place).text())


class Refusal(NamedTuple):
    """Why the detector did not apply an event, and where the event lies on `dead-letters`."""

    reason: str
    message: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.message or self.reason} ({self.reason}, dead letter {self.partition}-{self.offset})"


async def refusal(pool: asyncpg.Pool, topic: str, position: Position) -> Refusal | None:
    """Why the detector refused the record of this position; None where it did not."""
    found = await pool.fetchrow(
        "SELECT reason, message, source_partition, source_offset FROM dead_letters"
        " WHERE stream_epoch = $1 AND original_topic = $2 AND original_partition = $3 AND original_offset = $4"
        " AND coalesce(original_index = $5, true) AND stage <> 'store' ORDER BY source_offset DESC LIMIT 1",
        position.epoch, topic, position.partition, position.offset, position.event_index,
    )  # fmt: skip
    return Refusal(*found.values()) if found else None

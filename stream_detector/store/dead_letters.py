"""Where dead letters lie and why; their payloads are on Kafka alone."""

import asyncpg
import msgspec

from stream_detector.store.paging import Cursor, CursorError, Page
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

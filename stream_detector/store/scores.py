"""Scores: one, and all of an entity in the order of the stream."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

import asyncpg
import msgspec

from stream_detector.events import Score
from stream_detector.events.times import epoch_ms
from stream_detector.store.position import BEGINNING, ROWS_AT_ONCE, Position

_SCORE = msgspec.json.Decoder(Score)


class StoredScore(NamedTuple):
    """One score as it came."""

    event: Score
    position: Position
    backfill: bool
    record_ms: int
    """The timestamp of its record, epoch ms."""


async def score(pool: asyncpg.Pool, entity_id: str, event_id: str) -> StoredScore | None:
    """One score by its id within its entity (`tables.event_id`); None where there is none."""
    found = await pool.fetchrow(
        "SELECT event, stream_epoch, source_partition, source_offset, source_index, backfill, record_at FROM scores"
        " WHERE entity_id = $1 AND event_id = $2",
        entity_id, event_id,
    )  # fmt: skip
    return _stored(found) if found else None


async def scores_in_order(pool: asyncpg.Pool, entity_id: str, until: datetime) -> AsyncIterator[StoredScore]:
    """Every stored score of the entity with `scored_at` up to and with `until`, in the order of the stream."""
    after = BEGINNING
    while True:
        found = await pool.fetch(
            "SELECT event, stream_epoch, source_partition, source_offset, source_index, backfill, record_at FROM scores"
            " WHERE entity_id = $1 AND (stream_epoch, source_partition, source_offset, source_index) > ($2, $3, $4, $5)"
            " AND scored_at <= $6 ORDER BY stream_epoch, source_partition, source_offset, source_index LIMIT $7",
            entity_id, *after, until, ROWS_AT_ONCE,
        )  # fmt: skip
        for each in found:
            yield _stored(each)
        if len(found) < ROWS_AT_ONCE:
            return
        after = Position(*found[-1][1:5])


def _stored(row: asyncpg.Record) -> StoredScore:
    return StoredScore(_SCORE.decode(row["event"]), Position(*row[1:5]), row["backfill"], epoch_ms(row["record_at"]))

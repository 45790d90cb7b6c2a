"""Messages: the inbox of each reader, and what became of the messages about an anomaly."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg
import msgspec

from stream_detector.store.paging import Cursor, Page

_INBOX = """
    SELECT n.id, n.at, n.event, m.read_at FROM notifications n
    LEFT JOIN inbox_marks m ON m.notification_id = n.id AND m.reader = $1
    WHERE n.channel = 'inbox' AND n.outcome = 'delivered'
    AND ($2::timestamptz IS NULL OR (n.at, n.id) < ($2, $3))
    AND ($5::boolean IS NULL OR (m.read_at IS NULL) = $5)
    AND (cardinality($6::text[]) = 0 OR n.severity = ANY($6)) ORDER BY n.at DESC, n.id DESC LIMIT $4
"""


async def inbox(
    pool: asyncpg.Pool,
    *,
    reader: str,
    limit: int,
    cursor: str | None = None,
    is_unread: bool | None = None,
    severities: Sequence[str] = (),
) -> Page:
    """In-app messages, newest first, each with `read`. Raises `CursorError`."""
    after = Cursor.parse(cursor) if cursor is not None else None
    found = await pool.fetch(
        _INBOX, reader, after and after.at, after and after.id, limit + 1, is_unread, list(severities)
    )
    listed = found[:limit]
    items = [each["event"][:-1] + (b',"read":true}' if each["read_at"] else b',"read":false}') for each in listed]
    last = listed[-1] if len(found) > limit else None
    return Page(items, Cursor(last["at"], last["id"]).text() if last else None)


async def unread_count(pool: asyncpg.Pool, *, reader: str) -> int:
    """How many in-app messages the reader has not read, counted up to 1,000."""
    return int(
        await pool.fetchval(
            "SELECT count(*) FROM (SELECT 1 FROM notifications n WHERE n.channel = 'inbox' AND n.outcome = 'delivered'"
            " AND NOT EXISTS (SELECT 1 FROM inbox_marks m WHERE m.notification_id = n.id AND m.reader = $1)"
            " LIMIT 1000) AS waiting",
            reader,
        )
    )


async def mark_read(pool: asyncpg.Pool, notification_id: str, *, reader: str) -> bool:
    """The message counts as read by the reader. False where there is no such message."""
    known = await pool.fetchval("SELECT true FROM notifications WHERE id = $1 AND channel = 'inbox'", notification_id)
    if known:
        await pool.execute(
            "INSERT INTO inbox_marks (notification_id, reader) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            notification_id, reader,
        )  # fmt: skip
    return bool(known)


async def mark_all_read(pool: asyncpg.Pool, until: datetime, *, reader: str) -> int:
    """Every message up to `until` counts as read by the reader; how many did not before."""
    marked = await pool.fetch(
        "INSERT INTO inbox_marks (notification_id, reader) SELECT n.id, $1 FROM notifications n"
        " WHERE n.channel = 'inbox' AND n.outcome = 'delivered' AND n.at <= $2"
        " AND NOT EXISTS (SELECT 1 FROM inbox_marks m WHERE m.notification_id = n.id AND m.reader = $1)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        reader, until,
    )  # fmt: skip
    return len(marked)


async def messages_about(pool: asyncpg.Pool, anomaly_ids: list[str], run_id: str | None) -> list[bytes]:
    """What became of the messages about these anomalies or their run as a whole, oldest first, as notification v1."""
    found = await pool.fetch(
        "SELECT event FROM (SELECT id, at, event FROM notifications WHERE anomaly_id = ANY($1::text[])"
        " UNION SELECT id, at, event FROM notifications WHERE run_id = $2 AND anomaly_id IS NULL) AS about"
        " ORDER BY at, id LIMIT 500",
        anomaly_ids, run_id,
    )  # fmt: skip
    return [each["event"] for each in found]


class ChannelAnswer(NamedTuple):
    """What one channel answered last."""

    outcome: str
    """delivered, retrying or failed."""
    reason: str
    age: timedelta
    """By the database's clock."""
    failing_for: timedelta | None
    """Since the first message after the last delivered one that was not delivered."""


_ANSWERS = """
    SELECT c.channel, n.outcome, n.event, now() - n.at AS age, now() - (
        SELECT min(f.at) FROM notifications f WHERE f.channel = c.channel AND f.channel <> 'inbox'
        AND f.outcome IN ('retrying', 'failed') AND f.at > coalesce((
            SELECT max(d.at) FROM notifications d WHERE d.channel = c.channel AND d.channel <> 'inbox'
            AND d.outcome = 'delivered'), '-infinity')
    ) AS failing_for
    FROM unnest($1::text[]) AS c (channel) CROSS JOIN LATERAL (
        SELECT outcome, event, at FROM notifications n WHERE n.channel = c.channel AND n.channel <> 'inbox'
        AND n.outcome IN ('delivered', 'retrying', 'failed') ORDER BY at DESC, id DESC LIMIT 1
    ) n
"""


async def channel_answers(pool: asyncpg.Pool, channels: Sequence[str]) -> dict[str, ChannelAnswer]:
    """The last answer of each of these channels that has ever had a message to send."""
    return {
        each["channel"]: ChannelAnswer(
            each["outcome"], _OUTCOME.decode(each["event"]).reason, each["age"], each["failing_for"]
        )
        for each in await pool.fetch(_ANSWERS, list(channels), timeout=2)
    }


class _Outcome(msgspec.Struct):
    reason: str = ""


_OUTCOME = msgspec.json.Decoder(_Outcome)


async def has_any(pool: asyncpg.Pool) -> bool:
    """Whether the notifier has ever decided anything."""
    return bool(await pool.fetchval("SELECT EXISTS (SELECT FROM notifications)"))

"""Publishes a spool as backfill, each execution once, whatever came before: a crash, an earlier import, a webhook.

A baseline recognises a repeat among the last events of its key only, so what is known is left out here: what the
database has, and what lies on the topic since this import began, which the database may not have yet.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import asyncpg
import msgspec
from msgspec import Struct

from stream_detector.cli.publish import PublishProgress
from stream_detector.history.spool import Spool
from stream_detector.kafka.end_offsets import EndOffsets, read_topic
from stream_detector.kafka.preflight import MissingAclsError
from stream_detector.kafka.publish import Published, publish
from stream_detector.kafka.topics import COMPLETIONS
from stream_detector.settings import Settings
from stream_detector.store.connect import StoreAwayError, open_pool, store_errors
from stream_detector.store.executions import stored_attempts

_IDS_AT_ONCE = 5_000

Known = set[tuple[str, int]]
"""(execution id, attempt)."""


@dataclass(frozen=True)
class PublishedHistory:
    """What became of the events."""

    published: int = 0
    known: int = 0
    seconds: float = 0.0
    notes: Sequence[str] = field(default=())


class _Message(NamedTuple):
    topic: str
    key: bytes
    value: bytes


class _Id(Struct):
    execution_id: str
    attempt: int = 1


class _Key(Struct):
    workflow_id: str


_id = msgspec.json.Decoder(_Id).decode
_key = msgspec.json.Decoder(_Key).decode


async def publish_history(
    settings: Settings, spool: Spool, order: Sequence[int], events: Sequence[tuple[str, int]]
) -> PublishedHistory:
    """Every event is on the topic afterwards, once, in the order of time.

    Args:
        order: the offset of each event in the spool.
        events: (execution id, attempt) of each.

    Raises what `publish` raises; what was acknowledged stays published, and the same call later continues.
    """
    notes: list[str] = []
    known = await _stored(settings, events, notes)
    known |= await _on_topic(settings, spool, notes)
    left = [at for at, event in zip(order, events, strict=True) if event not in known]
    progress = PublishProgress()
    try:
        done = (
            await publish(settings, messages_of(spool, left), backfill=True, progress=progress) if left else Published()
        )
    finally:
        progress.end()
    return PublishedHistory(done.events, len(order) - len(left), done.seconds, notes)


def messages_of(spool: Spool, order: Sequence[int]) -> Iterator[_Message]:
    """The events at these offsets of the spool, for `publish`."""
    for value in spool.read(order):
        yield _Message(COMPLETIONS, _key(value).workflow_id.encode(), value)


async def _stored(settings: Settings, events: Sequence[tuple[str, int]], notes: list[str]) -> Known:
    """Those that the database has."""
    if not settings.database_url:
        notes.append("no database is named (--database-url): runs that were published before this import count twice")
        return set()
    found: Known = set()
    try:
        pool = await open_pool(settings.database_url, name="import", size=1)
        try:
            with store_errors(), suppress(asyncpg.UndefinedTableError):
                for at in range(0, len(events), _IDS_AT_ONCE):
                    found |= await stored_attempts(pool, [name for name, _ in events[at : at + _IDS_AT_ONCE]])
        finally:
            await pool.close()
    except StoreAwayError as error:
        notes.append(f"the database does not answer ({error}): runs that were known before may count twice")
    return found


async def _on_topic(settings: Settings, spool: Spool, notes: list[str]) -> Known:
    """Those that an earlier process of this import has published; in the first, note where the topic ended."""
    progress = spool.progress
    try:
        async with EndOffsets(settings, [COMPLETIONS]) as asked:
            cluster = await asked.cluster_id()
            ends = {str(place.partition): end for place, end in (await asked.end_offsets()).items()}
    except MissingAclsError:
        notes.append(f"{settings.topic(COMPLETIONS)} cannot be read: after an interruption, runs may count twice")
        return set()
    if not progress.is_publishing or progress.cluster != cluster:
        progress.cluster, progress.offsets, progress.is_publishing = cluster, ends, True
        spool.save()
        return set()

    def first(partition: int, end: int) -> int:
        begun = progress.offsets.get(str(partition), 0)
        return begun if begun <= end else 0  # the topic was made anew

    found: Known = set()
    async for record in read_topic(settings, COMPLETIONS, first):
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            event = _id(record.value or b"")
            found.add((event.execution_id, event.attempt))
    return found

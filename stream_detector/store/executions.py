"""Executions: one, the newest, and all of a workflow in the order of the stream."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

import asyncpg
import msgspec
from msgspec.structs import replace

from stream_detector.events import Completion
from stream_detector.events.completion import with_start
from stream_detector.events.fields import Instant
from stream_detector.events.times import epoch_ms
from stream_detector.events.variant import names_of, workflow_key
from stream_detector.store.position import BEGINNING, END, ROWS_AT_ONCE, Position

_E = TypeVar("_E", bound=Completion)
_COMPLETION = msgspec.json.Decoder(Completion)


class StoredCompletion(NamedTuple):
    """One execution as it came."""

    event: Completion
    position: Position
    backfill: bool
    record_ms: int
    """The timestamp of its record, epoch ms."""


async def execution(pool: asyncpg.Pool, execution_id: str, attempt: int | None = None) -> StoredCompletion | None:
    """One execution; without `attempt` its last one. None where there is none."""
    found = await pool.fetchrow(
        "SELECT event, stream_epoch, source_partition, source_offset, source_index, backfill, record_at, variant,"
        " workflow_id, started_at"
        " FROM executions WHERE execution_id = $1 AND ($2::integer IS NULL OR attempt = $2)"
        " ORDER BY attempt DESC LIMIT 1",
        execution_id, attempt,
    )  # fmt: skip
    return _stored(found) if found else None


async def stored_attempts(pool: asyncpg.Pool, execution_ids: Sequence[str]) -> set[tuple[str, int]]:
    """(execution id, attempt) of all that are stored of these executions."""
    found = await pool.fetch(
        "SELECT execution_id, attempt FROM executions WHERE execution_id = ANY($1::text[])", list(execution_ids)
    )
    return {(each["execution_id"], each["attempt"]) for each in found}


Ends = dict[tuple[str, int], tuple[str, datetime]]
"""(execution id, attempt) -> its outcome, and when it ended."""


async def stored_ends(pool: asyncpg.Pool, events: Iterable[Completion]) -> Ends:
    """What is stored of these executions."""
    found = await pool.fetch(
        "SELECT execution_id, attempt, status, finished_at FROM executions WHERE execution_id = ANY($1::text[])",
        [event.execution_id for event in events],
    )
    return {(each["execution_id"], each["attempt"]): (each["status"], each["finished_at"]) for each in found}


def is_repeat(event: Completion, stored: Ends) -> bool:
    """Whether the execution came before, with this outcome and end.

    A baseline itself recognises a repeat only among the last executions of its key. One that is stored with another
    outcome is none: the detector reports what has changed.
    """
    return stored.get((event.execution_id, event.attempt)) == (event.status, event.finished_at)


async def has_executions(pool: asyncpg.Pool, workflow_id: str) -> bool:
    """Whether an execution of the workflow is stored."""
    return bool(await pool.fetchval("SELECT EXISTS (SELECT FROM executions WHERE workflow_id = $1)", workflow_id))


async def completions_in_order(
    pool: asyncpg.Pool, workflow_id: str, until: Position = END
) -> AsyncIterator[StoredCompletion]:
    """Every stored execution of the workflow up to and with `until`, in the order of the stream."""
    after = BEGINNING
    while True:
        found = await pool.fetch(
            "SELECT event, stream_epoch, source_partition, source_offset, source_index, backfill, record_at, variant,"
            " workflow_id, started_at FROM executions WHERE workflow_id = $1"
            " AND (stream_epoch, source_partition, source_offset, source_index) > ($2, $3, $4, $5)"
            " AND (stream_epoch, source_partition, source_offset, source_index) <= ($6, $7, $8, $9)"
            " ORDER BY stream_epoch, source_partition, source_offset, source_index LIMIT $10",
            workflow_id, *after, *until, ROWS_AT_ONCE,
        )  # fmt: skip
        for each in found:
            yield _stored(each)
        if len(found) < ROWS_AT_ONCE:
            return
        after = Position(*found[-1][1:5])


def _stored(row: asyncpg.Record) -> StoredCompletion:
    return StoredCompletion(_event(row), Position(*row[1:5]), row["backfill"], epoch_ms(row["record_at"]))


def _event(row: asyncpg.Record) -> Completion:
    return _as_stored(_COMPLETION.decode(row["event"]), row)


def _as_stored(event: _E, row: asyncpg.Record) -> _E:
    """As it came, with what it was stored with: the duration that its start event gives it, the variant, the workflow.

    VARIANT_BY may have given it the variant, and a rename the workflow.
    """
    if row["started_at"] is not None:
        event = with_start(event, row["started_at"])
    if event.variant == row["variant"] and event.workflow_id == row["workflow_id"]:
        return event
    return replace(event, variant=row["variant"], workflow_id=row["workflow_id"])


class PastExecution(Completion, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One execution as it is listed: its completion, and what its start event has beyond that."""

    queued_at: Instant | None = None
    """Since when it waited to be started."""


_past = msgspec.json.Decoder(PastExecution).decode


async def newest_completions(
    pool: asyncpg.Pool,
    workflow_id: str,
    *,
    variant: str | None = None,
    limit: int = 30,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[PastExecution]:
    """Executions of one workflow, newest first: the last `limit` that ended from `since` on and before `until`.

    Of all of its variants, or of the one given; each has the variant that it was stored with.
    """
    found = await pool.fetch(
        "SELECT event, variant, workflow_id, started_at, queued_at FROM executions WHERE workflow_id = $1"
        " AND ($5::text IS NULL OR variant = $5) AND finished_at >= coalesce($2::timestamptz, '-infinity')"
        " AND finished_at < coalesce($3::timestamptz, 'infinity') ORDER BY finished_at DESC LIMIT $4",
        workflow_id, since, until, limit, variant,
    )  # fmt: skip
    return [replace(_as_stored(_past(each["event"]), each), queued_at=each["queued_at"]) for each in found]


APPLIED_ACTIONS = ["resolve", "expected", "not_an_anomaly", "relearn", "retire"]
"""The kinds of action that the detector applies; acknowledge and silence only change who is notified."""


class Completeness(NamedTuple):
    """What may make a replay of stored history differ from what the live detector found."""

    epochs: int
    """Streams that the history lies in; each new one began with what the detector then knew."""
    partitions: int
    """With more than one, the order between them is not stored."""
    trimmed_until: datetime | None
    """Retention has deleted history up to here."""
    actions: int
    """Decisions of people that the detector applied."""


async def completeness(
    pool: asyncpg.Pool, workflow_id: str, variant: str | None, until: Position, at: datetime
) -> Completeness:
    """How complete the stored history of a workflow is, up to a position in the stream and a time of decisions.

    Decisions count that mean the variant; the history is that of all variants, from which each has begun.
    """
    names = names_of(workflow_key(workflow_id, variant))
    found = await pool.fetchrow(
        "SELECT count(DISTINCT stream_epoch) AS epochs, count(DISTINCT source_partition) AS partitions,"
        " (SELECT until FROM trimmed WHERE entity = $6) AS trimmed_until,"
        " (SELECT count(*) FROM actions WHERE entity = ANY($9::text[])"
        " AND kind = ANY($7::text[]) AND at <= $8) AS actions"
        " FROM executions WHERE workflow_id = $1"
        " AND (stream_epoch, source_partition, source_offset, source_index) <= ($2, $3, $4, $5)",
        workflow_id, *until, workflow_key(workflow_id), APPLIED_ACTIONS, at, names,
    )  # fmt: skip
    assert found is not None, "an aggregate has a row"
    return Completeness(*found.values())

"""What is stored of executions, scores, baselines, runs and messages."""

import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
import msgspec

from stream_detector.events import Completion, RunSummary, Score
from stream_detector.store.paging import Cursor, Page

_COMPLETION = msgspec.json.Decoder(Completion)
_SCORE = msgspec.json.Decoder(Score)
_SUMMARY = msgspec.json.Decoder(RunSummary)
_CHUNK = 2_000
APPLIED_ACTIONS = ["resolve", "expected", "not_an_anomaly", "relearn", "retire"]
"""The kinds of action that change what the detector says; acknowledge and silence change only who is told."""


class Place(NamedTuple):
    """Where an event lay in its stream; places compare in the order in which history is folded."""

    epoch: int
    partition: int
    offset: int


class StoredCompletion(NamedTuple):
    """One execution as it came."""

    event: Completion
    place: Place
    backfill: bool


class StoredScore(NamedTuple):
    """One score as it came."""

    event: Score
    place: Place
    backfill: bool


async def execution(pool: asyncpg.Pool, execution_id: str, attempt: int | None = None) -> StoredCompletion | None:
    """One execution; without `attempt` its last one. None where there is none."""
    found = await pool.fetchrow(
        "SELECT event, stream_epoch, source_partition, source_offset, backfill FROM executions"
        " WHERE execution_id = $1 AND ($2::integer IS NULL OR attempt = $2) ORDER BY attempt DESC LIMIT 1",
        execution_id, attempt,
    )  # fmt: skip
    return (
        StoredCompletion(_COMPLETION.decode(found["event"]), Place(*found[1:4]), found["backfill"]) if found else None
    )


async def score(pool: asyncpg.Pool, entity_id: str, event_id: str) -> StoredScore | None:
    """One score by its id within its entity (`tables.event_id`); None where there is none."""
    found = await pool.fetchrow(
        "SELECT event, stream_epoch, source_partition, source_offset, backfill FROM scores"
        " WHERE entity_id = $1 AND event_id = $2",
        entity_id, event_id,
    )  # fmt: skip
    return StoredScore(_SCORE.decode(found["event"]), Place(*found[1:4]), found["backfill"]) if found else None


async def messages_about(pool: asyncpg.Pool, anomaly_ids: list[str], run_id: str | None) -> list[bytes]:
    """What became of the messages about these anomalies or their run as a whole, oldest first, as notification v1."""
    found = await pool.fetch(
        "SELECT event FROM (SELECT id, at, event FROM notifications WHERE anomaly_id = ANY($1::text[])"
        " UNION SELECT id, at, event FROM notifications WHERE run_id = $2 AND anomaly_id IS NULL) AS about"
        " ORDER BY at, id LIMIT 500",
        anomaly_ids, run_id,
    )  # fmt: skip
    return [each["event"] for each in found]


LAST = Place(2**31 - 1, 2**31 - 1, 2**63 - 1)


async def completions_in_order(
    pool: asyncpg.Pool, workflow_id: str, upto: Place = LAST
) -> AsyncIterator[StoredCompletion]:
    """Every stored execution of the workflow up to and with `upto`, in the order of the stream."""
    after = Place(-1, -1, -1)
    while True:
        found = await pool.fetch(
            "SELECT event, stream_epoch, source_partition, source_offset, backfill FROM executions"
            " WHERE workflow_id = $1 AND (stream_epoch, source_partition, source_offset) > ($2, $3, $4)"
            " AND (stream_epoch, source_partition, source_offset) <= ($5, $6, $7)"
            " ORDER BY stream_epoch, source_partition, source_offset LIMIT $8",
            workflow_id, *after, *upto, _CHUNK,
        )  # fmt: skip
        for each in found:
            yield StoredCompletion(_COMPLETION.decode(each["event"]), Place(*each[1:4]), each["backfill"])
        if len(found) < _CHUNK:
            return
        after = Place(*found[-1][1:4])


async def scores_in_order(pool: asyncpg.Pool, entity_id: str, upto: datetime) -> AsyncIterator[StoredScore]:
    """Every stored score of the entity with `scored_at` up to and with `upto`, in the order of the stream."""
    after = Place(-1, -1, -1)
    while True:
        found = await pool.fetch(
            "SELECT event, stream_epoch, source_partition, source_offset, backfill FROM scores"
            " WHERE entity_id = $1 AND (stream_epoch, source_partition, source_offset) > ($2, $3, $4)"
            " AND scored_at <= $5 ORDER BY stream_epoch, source_partition, source_offset LIMIT $6",
            entity_id, *after, upto, _CHUNK,
        )  # fmt: skip
        for each in found:
            yield StoredScore(_SCORE.decode(each["event"]), Place(*each[1:4]), each["backfill"])
        if len(found) < _CHUNK:
            return
        after = Place(*found[-1][1:4])


async def newest_completions(
    pool: asyncpg.Pool,
    workflow_id: str,
    *,
    limit: int = 30,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Completion]:
    """Executions of one workflow, newest first: the last `limit` that ended from `since` on and before `until`."""
    found = await pool.fetch(
        "SELECT event FROM executions WHERE workflow_id = $1"
        " AND finished_at >= coalesce($2::timestamptz, '-infinity')"
        " AND finished_at < coalesce($3::timestamptz, 'infinity') ORDER BY finished_at DESC LIMIT $4",
        workflow_id, since, until, limit,
    )  # fmt: skip
    return [_COMPLETION.decode(each["event"]) for each in found]


class Wholeness(NamedTuple):
    """What may make a fold over stored history differ from what the live detector said."""

    epochs: int
    """Streams that the history lies in; each new one began with what the detector then knew."""
    partitions: int
    """With more than one, the order between them is not stored."""
    trimmed_until: datetime | None
    """Retention has deleted history up to here."""
    actions: int
    """Decisions of people that the detector applied."""


async def wholeness(pool: asyncpg.Pool, workflow_id: str, upto: Place, at: datetime) -> Wholeness:
    """How whole the stored history of a workflow is, up to a place in the stream and a time of decisions."""
    found = await pool.fetchrow(
        "SELECT count(DISTINCT stream_epoch) AS epochs, count(DISTINCT source_partition) AS partitions,"
        " (SELECT until FROM trimmed WHERE entity = $5) AS trimmed_until,"
        " (SELECT count(*) FROM actions WHERE entity = $5 AND kind = ANY($6::text[]) AND at <= $7) AS actions"
        " FROM executions WHERE workflow_id = $1"
        " AND (stream_epoch, source_partition, source_offset) <= ($2, $3, $4)",
        workflow_id, *upto, f"workflow:{workflow_id}", APPLIED_ACTIONS, at,
    )  # fmt: skip
    return Wholeness(*found)


_NEWEST_NAMED = {
    "workflow": "SELECT event, 'workflow_name' AS field FROM executions WHERE workflow_id = b.entity_id"
    " ORDER BY finished_at DESC LIMIT 1",
    "score": "SELECT event, 'entity_name' AS field FROM scores WHERE entity_id = b.entity_id"
    " ORDER BY scored_at DESC LIMIT 1",
}
_BASELINES = """
    SELECT b.key, b.entity_id, coalesce(nullif(n.name, ''), b.entity_id) AS entity_name, b.state,
        b.named::text AS named, b.recorded_at
    FROM baselines b LEFT JOIN LATERAL (
        SELECT convert_from(e.event, 'UTF8')::json ->> e.field AS name FROM ({newest}) e
    ) n ON true
    WHERE b.entity_kind = $1 AND b.entity_id > $2 AND ($4::text IS NULL OR b.state = $4)
    AND ($5::text IS NULL OR strpos(lower(b.entity_id), lower($5)) > 0 OR strpos(lower(n.name), lower($5)) > 0)
    ORDER BY b.entity_id LIMIT $3
"""


async def baselines(
    pool: asyncpg.Pool, kind: str, *, limit: int, after: str = "", q: str | None = None, state: str | None = None
) -> list[dict[str, Any]]:
    """Baselines of one kind of entity by id, from the one after `after`: key, name, state, the named values.

    `kind` is workflow or score; `q` a part of the id or name in any case; `state` learning, normal or anomalous. The
    name is that of the newest event stored, else the id.
    """
    statement = _BASELINES.format(newest=_NEWEST_NAMED[kind])
    found = await pool.fetch(statement, kind, after, limit, state, q)
    return [dict(each) | {"named": msgspec.json.decode(each["named"])} for each in found]


async def baseline(pool: asyncpg.Pool, key: str) -> dict[str, Any] | None:
    """One baseline by its state key, with the packed bytes; None where there is none."""
    found = await pool.fetchrow(
        "SELECT key, entity_id, state, named::text AS named, packed, recorded_at FROM baselines WHERE key = $1", key
    )
    return dict(found) | {"named": msgspec.json.decode(found["named"])} if found else None


async def runs(pool: asyncpg.Pool, *, limit: int, cursor: str | None = None) -> Page:
    """Score runs, newest first, each with its anomalies. Raises `CursorError`."""
    after = Cursor.parse(cursor) if cursor is not None else None
    found = await pool.fetch(
        "SELECT * FROM runs WHERE $1::timestamptz IS NULL OR (newest_at, run_id) < ($1, $2)"
        " ORDER BY newest_at DESC, run_id DESC LIMIT $3",
        after and after.at, after and after.id, limit + 1,
    )  # fmt: skip
    listed = found[:limit]
    changes = await _changes(pool, [each["run_id"] for each in listed])
    items = [msgspec.json.encode(_run(each) | {"anomalies": changes[each["run_id"]]}) for each in listed]
    last = listed[-1] if len(found) > limit else None
    return Page(items, Cursor(last["newest_at"], last["run_id"]).text() if last else None)


async def run(pool: asyncpg.Pool, run_id: str) -> dict[str, Any] | None:
    """One scoring run with its anomalies; None where there is none."""
    found = await pool.fetchrow("SELECT * FROM runs WHERE run_id = $1", run_id)
    return _run(found) | {"anomalies": (await _changes(pool, [run_id]))[run_id]} if found else None


def _run(found: asyncpg.Record) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "newest_at"}


async def _changes(pool: asyncpg.Pool, run_ids: list[str]) -> dict[str, list[Any]]:
    """The anomalies of runs: as the summary lists them, or of a run that has none yet, those found so far."""
    changes: dict[str, list[Any]] = {run_id: [] for run_id in run_ids}
    summarised = set()
    for each in await pool.fetch(
        "SELECT run_id, event FROM run_summaries WHERE run_id = ANY($1::text[]) ORDER BY run_id, part", run_ids
    ):
        summarised.add(each["run_id"])
        changes[each["run_id"]] += [
            {
                "id": change.id,
                "entity_id": change.entity_id,
                "entity_name": change.entity_name,
                "previous": float(change.previous),
                "current": float(change.current),
                "delta": float(change.delta),
                "direction": change.direction,
                "threshold": float(change.threshold),
            }
            for change in _SUMMARY.decode(each["event"]).anomalies
        ]
    for each in await pool.fetch(
        "SELECT run_id, id::text, entity_id, entity_name, baseline_value AS previous, current_value AS current,"
        " deviation AS delta, direction, threshold FROM anomalies"
        " WHERE run_id = ANY($1::text[]) AND anomaly_type = 'SignificantScoreChange' ORDER BY run_id, detected_at, id",
        [run_id for run_id in run_ids if run_id not in summarised],
    ):
        changes[each["run_id"]].append({name: value for name, value in each.items() if name != "run_id"})
    return changes


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


async def unread(pool: asyncpg.Pool, *, reader: str) -> int:
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


class Progress(NamedTuple):
    """How far the recorder is."""

    recorded_at: datetime | None
    """When it last stored something."""
    newest_event_at: datetime | None
    """The newest time of an event stored."""
    events_at: datetime | None
    """When an execution or score was stored last that was not stored before."""
    baselines_at: datetime | None
    """When the detector's changelog last brought something."""
    database_ms: float


async def progress(pool: asyncpg.Pool) -> Progress:
    """For health. Raises what asyncpg raises where the database is away."""
    started = time.perf_counter()
    found = await pool.fetchrow(
        "SELECT recorded_at, newest_event_at, events_at, baselines_at FROM recorder_progress", timeout=2
    )
    took_ms = (time.perf_counter() - started) * 1000
    if found is None:
        return Progress(None, None, None, None, took_ms)
    return Progress(found["recorded_at"], found["newest_event_at"], found["events_at"], found["baselines_at"], took_ms)

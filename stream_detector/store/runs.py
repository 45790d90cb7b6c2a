"""Scoring runs, each with its anomalies."""

from typing import Any

import asyncpg
import msgspec

from stream_detector.events import RunSummary
from stream_detector.store.paging import Cursor, Page

_SUMMARY = msgspec.json.Decoder(RunSummary)


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

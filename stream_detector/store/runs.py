"""Scoring runs, each with its anomalies."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from stream_detector.events import RunSummary, SummaryAnomaly
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
    details = await _details(pool, listed)
    items = [msgspec.json.encode(_run(each) | details[each["run_id"]]) for each in listed]
    last = listed[-1] if len(found) > limit else None
    return Page(items, Cursor(last["newest_at"], last["run_id"]).text() if last else None)


async def run(pool: asyncpg.Pool, run_id: str) -> dict[str, Any] | None:
    """One scoring run with its anomalies; None where there is none."""
    found = await pool.fetchrow("SELECT * FROM runs WHERE run_id = $1", run_id)
    return _run(found) | (await _details(pool, [found]))[run_id] if found else None


def _run(found: asyncpg.Record) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "newest_at"}


async def _details(pool: asyncpg.Pool, found: Sequence[asyncpg.Record]) -> dict[str, dict[str, Any]]:
    """Of each run its anomalies, how its entities moved, and what its end did not wait for.

    The anomalies are those of the newest summary; where it counts more than it lists, which one does of a run whose
    entities are forgotten, those of earlier ones too. Of a run that has no summary yet, those found so far.
    """
    summaries: dict[str, list[RunSummary]] = {each["run_id"]: [] for each in found}
    for each in await pool.fetch(
        "SELECT run_id, event FROM run_summaries WHERE run_id = ANY($1::text[]) ORDER BY run_id, revision DESC, part",
        [*summaries],
    ):
        summaries[each["run_id"]].append(_SUMMARY.decode(each["event"]))
    details: dict[str, dict[str, Any]] = {}
    for run_id, made in summaries.items():
        listed: dict[str, Any] = {}
        for summary in made:
            if summary.revision == made[0].revision or len(listed) < made[0].anomaly_count:
                listed |= {one.id: _change(one) for one in summary.anomalies if one.id not in listed}
        not_waited_for = made[-1].not_waited_for if made else []
        details[run_id] = {
            "anomalies": [*listed.values()],
            "not_waited_for": not_waited_for,
            "movement": made[0].movement if made else None,
        }
    for each in await pool.fetch(
        "SELECT run_id, id::text, entity_id, entity_name, baseline_value AS previous, current_value AS current,"
        " deviation AS delta, direction, threshold FROM anomalies"
        " WHERE run_id = ANY($1::text[]) AND anomaly_type = 'SignificantScoreChange' ORDER BY run_id, detected_at, id",
        [run_id for run_id, made in summaries.items() if not made],
    ):
        changes = details[each["run_id"]]["anomalies"]
        changes.append({name: value for name, value in each.items() if name != "run_id"})
    return details


def _change(change: SummaryAnomaly) -> dict[str, Any]:
    return {
        "id": change.id,
        "entity_id": change.entity_id,
        "entity_name": change.entity_name,
        "previous": float(change.previous),
        "current": float(change.current),
        "delta": float(change.delta),
        "direction": change.direction,
        "threshold": float(change.threshold),
    }

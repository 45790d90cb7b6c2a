"""How many anomalies there are of each value of each filter: a count of all, then added up for each filter."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import asyncpg

from stream_detector.store.anomalies import conditions
from stream_detector.store.filter import Filter

MOST = 10_000
"""How incidents stand is counted over so many anomalies at most, the newest: each is looked up."""
MOST_VARIANTS = 100
_FACETS = ("severity", "type", "state", "variant", "incident")
_ALL = """
    SELECT severity, anomaly_type AS type, state, variant, count(*) AS count FROM anomalies
    WHERE {where} GROUP BY 1, 2, 3, 4
"""
_WITH_INCIDENTS = """
    SELECT a.severity, a.type, a.state, a.variant, i.state <> 'resolved' AS is_open,
        i.acknowledged_at IS NOT NULL AS is_acknowledged, count(*) AS count
    FROM (
        SELECT severity, anomaly_type AS type, state, variant, incident_id FROM anomalies
        WHERE {where} ORDER BY detected_at DESC LIMIT {limit}
    ) a LEFT JOIN LATERAL (
        SELECT state, acknowledged_at FROM incidents WHERE id = a.incident_id OFFSET 0
    ) i ON true GROUP BY 1, 2, 3, 4, 5, 6
"""
"""OFFSET 0 keeps the planner at looking up each: a hash of all incidents costs three times as much at 100,000."""


class Facets(NamedTuple):
    """For each filter how many match all the others, by its values; a value without any is left out."""

    counts: dict[str, dict[str, int]]
    """By `severity`, `type`, `state` and `variant`, and `incident`: unacknowledged, acknowledged or resolved.

    Of the variants the `MOST_VARIANTS` with the most anomalies; what has none is in no count of them.
    """
    total: int
    """How many match every filter."""
    whole: bool
    """False where more than `MOST` match: `incident` then counts the newest, as all do where it is filtered by."""


async def facets(pool: asyncpg.Pool, wanted: Filter) -> Facets:
    """Count what the filter lets through, and for each of its filters what another value would find."""
    where = conditions(
        replace(wanted, types=(), severities=(), states=(), variant=None, is_open=None, is_acknowledged=None)
    )
    with_incidents = await pool.fetch(
        _WITH_INCIDENTS.format(where=where.text(), limit=f"${len(where.values) + 1}"), *where.values, MOST
    )
    counts, total = _add_up(with_incidents, wanted)
    if wanted.is_open is None and wanted.is_acknowledged is None:
        exact, total = _add_up(await pool.fetch(_ALL.format(where=where.text()), *where.values), wanted)
        counts = exact | {"incident": counts["incident"]}
    return Facets(counts, total, sum(cell["count"] for cell in with_incidents) < MOST)


def _add_up(cells: Iterable[asyncpg.Record], wanted: Filter) -> tuple[dict[str, dict[str, int]], int]:
    """The counts by facet, each of the cells that miss no other filter; and the total of those that miss none."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in _FACETS}
    total = 0
    for cell in cells:
        missed = _missed(cell, wanted)
        if not missed:
            total += cell["count"]
        for name in missed or _FACETS:
            value = _incident_status(cell) if name == "incident" else cell[name]
            if len(missed) <= 1 and value is not None:
                counts[name][value] += cell["count"]
    counts["variant"] = Counter(dict(counts["variant"].most_common(MOST_VARIANTS)))
    return {name: dict(counted) for name, counted in counts.items()}, total


def _missed(cell: asyncpg.Record, wanted: Filter) -> list[str]:
    """The filters that this cell does not pass."""
    chosen = {
        "severity": wanted.severities,
        "type": wanted.types,
        "state": wanted.states,
        "variant": () if wanted.variant is None else (wanted.variant,),
    }
    missed = [name for name, values in chosen.items() if values and cell[name] not in values]
    pairs = (
        (wanted.is_open, cell.get("is_open")),
        (wanted.is_acknowledged, cell.get("is_acknowledged")),
    )
    if any(expected is not None and expected != actual for expected, actual in pairs):
        missed.append("incident")
    return missed


def _incident_status(cell: asyncpg.Record) -> str:
    if not cell.get("is_open"):
        return "resolved"
    return "acknowledged" if cell["is_acknowledged"] else "unacknowledged"

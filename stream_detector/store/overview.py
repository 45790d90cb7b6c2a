"""What a person sees first: how much opened, where and when. Openings are counted, so that an incident counts once."""

from datetime import datetime, timedelta
from typing import Any

import asyncpg

from stream_detector.events.anomaly_types import SEVERITIES
from stream_detector.events.variant import state_key
from stream_detector.store.anomalies import trends, with_recorded_at
from stream_detector.store.filter import Filter
from stream_detector.store.precedence import ranked_severity

MOST_UNACKNOWLEDGED = 10_000
_NEWEST = 10


_SPANS = {"24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}


async def counts(pool: asyncpg.Pool, now: datetime) -> dict[str, dict[str, int]]:
    """Openings of the last 24 hours, 7 and 30 days, by severity; every span has the same severities."""
    found = {span: (await trends(pool, Filter(from_at=now - length))).by_severity for span, length in _SPANS.items()}
    known = dict.fromkeys((*SEVERITIES, *found["30d"]), 0)
    return {span: known | by_severity for span, by_severity in found.items()}


async def facets(pool: asyncpg.Pool, from_at: datetime, to_at: datetime) -> dict[str, dict[str, int]]:
    """Openings of a span by severity and by type, and how its incidents stand now. Words without any are left out."""
    opened = await trends(pool, Filter(from_at=from_at, to_at=to_at))
    # By the openings, as the others: an incident whose opening was deleted goes on without one.
    states = await pool.fetch(
        "SELECT i.state, count(*) AS count FROM anomalies a JOIN incidents i ON i.id = a.incident_id"
        " WHERE a.state = 'opened' AND a.detected_at >= $1 AND a.detected_at < $2 GROUP BY 1",
        from_at, to_at,
    )  # fmt: skip
    by_state = {each["state"]: each["count"] for each in states}
    return {"severity": opened.by_severity, "type": opened.by_type, "state": by_state}


_LANES = """
    WITH openings AS MATERIALIZED (
        SELECT entity_kind, entity_id, coalesce(variant, '') AS variant,
            floor(extract(epoch FROM detected_at - $1) / $3::float8)::integer AS bucket,
            {severity} AS ranked
        FROM anomalies WHERE state = 'opened' AND detected_at >= $1 AND detected_at < $2
    ), worst AS (
        SELECT entity_kind, entity_id, variant, max(ranked) AS ranked, count(*) AS count, count(*) OVER () AS entities
        FROM openings GROUP BY 1, 2, 3 ORDER BY 4 DESC, 5 DESC, 1, 2, 3 LIMIT $4
    )
    SELECT w.entity_kind, w.entity_id, w.variant, w.ranked AS worst, w.count AS total, o.bucket, w.entities,
        max(o.ranked) AS ranked, count(*) AS count,
        (SELECT entity_name FROM anomalies a WHERE a.entity_id = w.entity_id AND a.entity_kind = w.entity_kind
            ORDER BY detected_at DESC LIMIT 1) AS entity_name
    FROM worst w JOIN openings o USING (entity_kind, entity_id, variant)
    GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY worst DESC, total DESC, 1, 2, 3, bucket
""".format(severity=ranked_severity("severity"))  # noqa: S608 - a constant of ours


async def lanes(
    pool: asyncpg.Pool, from_at: datetime, to_at: datetime, bucket_s: float, rows: int
) -> tuple[list[dict[str, Any]], int]:
    """One lane an entity, or a variant, the worst first: in which buckets of the span something opened, and how bad.

    Returns:
        The first `rows` lanes, and how many there are.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    entities = 0
    for each in await pool.fetch(_LANES, from_at, to_at, bucket_s, rows):
        lane = found.setdefault(
            (each["entity_kind"], each["entity_id"], each["variant"]),
            {
                "entity": state_key(each["entity_kind"], each["entity_id"], each["variant"] or None),
                "entity_id": each["entity_id"],
                "entity_kind": each["entity_kind"],
                "entity_name": each["entity_name"],
                "variant": each["variant"] or None,
                "worst": each["worst"][1:],
                "count": each["total"],
                "cells": [],
            },
        )
        lane["cells"].append(_cell(each))
        entities = each["entities"]
    return list(found.values()), entities


_EVERYTHING = """
    SELECT floor(extract(epoch FROM detected_at - $1) / $3::float8)::integer AS bucket,
        max({severity}) AS ranked, count(*) AS count
    FROM anomalies WHERE state = 'opened' AND detected_at >= $1 AND detected_at < $2 GROUP BY 1 ORDER BY 1
""".format(severity=ranked_severity("severity"))  # noqa: S608 - a constant of ours


async def all_entities(pool: asyncpg.Pool, from_at: datetime, to_at: datetime, bucket_s: float) -> list[dict[str, Any]]:
    """The lane of all entities together."""
    return [_cell(each) for each in await pool.fetch(_EVERYTHING, from_at, to_at, bucket_s)]


def _cell(found: asyncpg.Record) -> dict[str, Any]:
    return {"bucket": found["bucket"], "severity": found["ranked"][1:], "count": found["count"]}


async def unacknowledged(pool: asyncpg.Pool) -> int:
    """Incidents that are open and that nobody has acknowledged, counted up to 10,000."""
    return int(
        await pool.fetchval(
            "SELECT count(*) FROM (SELECT 1 FROM incidents WHERE state <> 'resolved' AND acknowledged_at IS NULL"
            " LIMIT $1) AS waiting",
            MOST_UNACKNOWLEDGED,
        )
    )


async def newest(pool: asyncpg.Pool) -> list[bytes]:
    """The ten newest openings, as anomaly v1 with `recorded_at`."""
    found = await pool.fetch(
        "SELECT event, recorded_at FROM anomalies WHERE state = 'opened' ORDER BY detected_at DESC LIMIT $1", _NEWEST
    )
    return [with_recorded_at(each["event"], each["recorded_at"]) for each in found]

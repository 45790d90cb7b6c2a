"""How the entities of one score run moved: from its summary, or so far."""

from typing import NamedTuple

import asyncpg
import msgspec

from stream_detector.events import Movement


class RunMovement(NamedTuple):
    """What is stored about a run's movement."""

    movement: Movement | None
    """What its newest summary counts; None where it has none, or does not know."""
    moved_so_far: dict[str, int]
    """Until it has a summary, how many entities had a significant change, by "up" and "down"."""
    expected: int | None


class _Summary(msgspec.Struct):
    movement: Movement | None = None


_decode = msgspec.json.Decoder(_Summary).decode


async def run_movement(pool: asyncpg.Pool, run_id: str) -> RunMovement | None:
    """How the entities of the run moved; None for one of which neither an event nor a score is stored."""
    summary = await pool.fetchval(
        "SELECT event FROM run_summaries WHERE run_id = $1 ORDER BY revision DESC, part LIMIT 1", run_id
    )
    if summary is not None:
        return RunMovement(_decode(summary).movement, {}, None)
    run = await pool.fetchrow("SELECT expected FROM runs WHERE run_id = $1", run_id)
    if run is None:
        return None
    found = await pool.fetch(
        "SELECT direction, count(DISTINCT entity_id) AS count FROM anomalies"
        " WHERE run_id = $1 AND anomaly_type = 'SignificantScoreChange' GROUP BY direction",
        run_id,
    )
    return RunMovement(None, {each["direction"]: each["count"] for each in found}, run["expected"])

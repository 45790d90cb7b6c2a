"""How the entities of one score run moved: from its summary, or so far."""

from typing import NamedTuple

import asyncpg
import msgspec

from stream_detector.events import Movement


class RunMovement(NamedTuple):
    """What is stored about a run's movement."""

    has_ended: bool
    """Whether a summary is stored."""
    movement: Movement | None
    """What its newest summary counts; None where it has none, or does not know."""
    moved_so_far: dict[str, int]
    """"up" and "down": the entities with a significant change."""
    expected: int | None


class _Summary(msgspec.Struct):
    movement: Movement | None = None


_decode = msgspec.json.Decoder(_Summary).decode


async def run_movement(pool: asyncpg.Pool, run_id: str) -> RunMovement:
    """How the entities of the run moved; of a run that nothing is stored of, nothing."""
    summary = await pool.fetchval(
        "SELECT event FROM run_summaries WHERE run_id = $1 ORDER BY revision DESC, part LIMIT 1", run_id
    )
    if summary is not None:
        return RunMovement(True, _decode(summary).movement, {}, None)
    found = await pool.fetch(
        "SELECT direction, count(DISTINCT entity_id) AS count FROM anomalies"
        " WHERE run_id = $1 AND anomaly_type = 'SignificantScoreChange' GROUP BY direction",
        run_id,
    )
    expected = await pool.fetchval("SELECT expected FROM runs WHERE run_id = $1", run_id)
    return RunMovement(False, None, {each["direction"]: each["count"] for each in found}, expected)

"""What its score run shows about an anomaly of a score: whether many entities moved the same way, or it alone did."""

from datetime import UTC

import asyncpg

from stream_detector.detect.runs import window_run_id
from stream_detector.events import Anomaly
from stream_detector.events.anomaly_types import describe
from stream_detector.events.movement import movement_words, words_so_far
from stream_detector.store import scores
from stream_detector.store.run_movement import run_movement
from stream_detector.store.scores import StoredScore


async def score_of(pool: asyncpg.Pool, anomaly: Anomaly) -> StoredScore | None:
    """The score that an anomaly was found in, if it is stored."""
    at = anomaly.detected_at.astimezone(UTC).isoformat()
    event_id = f"run:{anomaly.run_id}" if anomaly.run_id is not None else f"at:{at}"
    return await scores.score(pool, anomaly.entity_id, event_id)


async def run_evidence(pool: asyncpg.Pool, anomaly: Anomaly) -> str | None:
    """In one sentence; None for what is no score, and where the run has nothing to compare it with.

    Until the summary of the run is stored, by the anomalies found so far.
    """
    if anomaly.entity_kind != "score":
        return None
    is_change, run_id = describe(anomaly.anomaly_type).in_run_summary, anomaly.run_id
    if run_id is None and is_change:  # its change is summed up with those of its minute
        stored = await score_of(pool, anomaly)
        run_id = window_run_id(stored.event) if stored is not None else None
    if run_id is None:
        return None
    run, direction = await run_movement(pool, run_id), anomaly.metrics.direction
    if run is None:
        return None
    if run.movement is not None:
        return movement_words(run.movement, direction, is_change=is_change) or None
    moved = run.moved_so_far.get(direction, 0)
    return words_so_far(moved, direction, run.expected) if moved and is_change else None

"""Stored history replayed through the detector's own `step`: the check of one execution or score."""

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg
from msgspec import Struct

from stream_detector.detect import Baseline, Outcome, step
from stream_detector.detect.anomaly import of_execution
from stream_detector.detect.loading import wait_until_loaded
from stream_detector.detect.outcome import OutcomeKind
from stream_detector.detect.replay import Baselines
from stream_detector.events import Anomaly, Completion, Score
from stream_detector.events.ids import score_key
from stream_detector.kafka.topics import COMPLETIONS, SCORES
from stream_detector.serve.detection_settings import DetectionSettings
from stream_detector.store import executions, scores
from stream_detector.store.executions import StoredCompletion
from stream_detector.store.scores import StoredScore

_EVER = datetime(9999, 1, 1, tzinfo=UTC)


class Checked(Struct, frozen=True):
    """What the detector finds in one event, and why that may differ from what it found when the event came."""

    anomalies: Sequence[Anomaly]
    approximate: str | None
    outcome: OutcomeKind
    event: Completion | Score | None = None


async def check(
    pool: asyncpg.Pool, target: StoredCompletion, in_force: DetectionSettings, *, explain: list[str] | None = None
) -> Checked:
    """Replay the stored executions of its workflow up to this one, each under the settings it was judged under.

    Read-only. With complete history and no operator's feedback it finds exactly what the live detector found. Every
    decision about it is appended to `explain`, in plain words.
    """
    workflow_id = target.event.workflow_id
    baselines = Baselines()
    outcome = Outcome("applied")
    async for stored in executions.completions_in_order(pool, workflow_id, target.position):
        explanation = explain if stored.position == target.position else None
        config = in_force.config_at(COMPLETIONS, stored.position)
        event, baseline, _ = baselines.before(stored.event, config, backfill=stored.backfill)
        outcome = step(baseline, event, config, stored.record_ms, backfill=stored.backfill, explain=explanation)
    about = workflow_id, target.event.variant
    history = await executions.completeness(pool, *about, target.position, target.event.finished_at)
    found = of_execution(outcome.anomalies, target.event)
    return Checked(found, why_approximate(history), outcome.kind, target.event)


async def check_score(
    pool: asyncpg.Pool, target: StoredScore, in_force: DetectionSettings, *, explain: list[str] | None = None
) -> Checked:
    """The same of one score."""
    entity_id = target.event.entity_id
    await wait_until_loaded()
    baseline = Baseline.new(score_key(entity_id))
    outcome = Outcome("applied")
    async for stored in scores.scores_in_order(pool, entity_id, _EVER):
        explanation = explain if stored.position == target.position else None
        config = in_force.config_at(SCORES, stored.position)
        outcome = step(baseline, stored.event, config, stored.record_ms, backfill=stored.backfill, explain=explanation)
        if stored.position == target.position:
            break
    return Checked(outcome.anomalies, None, outcome.kind, target.event)


def why_approximate(history: executions.Completeness) -> str | None:
    """Why a replay of this history may differ from what the live detector found; None where it cannot.

    >>> why_approximate(executions.Completeness(1, 2, None, 0))
    'the executions are on 2 partitions, whose order is not stored'
    """
    reasons = []
    if history.epochs > 1:
        reasons.append("the topics were recreated within this history")
    if history.partitions > 1:
        reasons.append(f"the executions are on {history.partitions} partitions, whose order is not stored")
    if history.trimmed_until is not None:
        reasons.append(f"history up to {history.trimmed_until:%Y-%m-%dT%H:%M:%SZ} is deleted")
    if history.actions:
        reasons.append(f"the detector applied {history.actions} operator actions")
    return "; ".join(reasons) or None

"""What `step` says of stored history: the check of one execution or score."""

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg
from msgspec import Struct

from stream_detector.detect import Baseline, Config, Outcome, step
from stream_detector.detect.loading import wait_until_loaded
from stream_detector.detect.outcome import OutcomeKind
from stream_detector.events import Anomaly, Completion, Score
from stream_detector.events.ids import score_key, workflow_key
from stream_detector.store import read

_EVER = datetime(9999, 1, 1, tzinfo=UTC)


class Checked(Struct, frozen=True):
    """What the detector says of one event, and why that may differ from what it said when it came."""

    anomalies: Sequence[Anomaly]
    approximate: str | None
    outcome: OutcomeKind
    event: Completion | Score | None = None


async def check(
    pool: asyncpg.Pool, execution_id: str, attempt: int | None, config: Config, *, explain: list[str] | None = None
) -> Checked | None:
    """Replay the stored executions of its workflow up to the one asked about; None where it is not stored.

    Read-only. With whole history and no operator's feedback it is exactly what the live detector said. Every decision
    about the one asked for is appended to `explain`, in plain words.
    """
    asked = await read.execution(pool, execution_id, attempt)
    if asked is None:
        return None
    workflow_id = asked.event.workflow_id
    baseline = Baseline.new(workflow_key(workflow_id))
    outcome = Outcome("applied")
    async for stored in read.completions_in_order(pool, workflow_id, asked.place):
        told = explain if stored.place == asked.place else None
        outcome = step(baseline, stored.event, config, backfill=stored.backfill, explain=told)
    whole = await read.wholeness(pool, workflow_id, asked.place, asked.event.finished_at)
    return Checked(outcome.anomalies, why_approximate(whole), outcome.kind, asked.event)


async def check_score(
    pool: asyncpg.Pool, entity_id: str, event_id: str, config: Config, *, explain: list[str] | None = None
) -> Checked | None:
    """The same of one score: `event_id` is `run:<run id>`, or `at:<instant>` where it came without a run."""
    asked = await read.score(pool, entity_id, event_id)
    if asked is None:
        return None
    await wait_until_loaded()
    baseline = Baseline.new(score_key(entity_id))
    outcome = Outcome("applied")
    async for stored in read.scores_in_order(pool, entity_id, _EVER):
        told = explain if stored.place == asked.place else None
        outcome = step(baseline, stored.event, config, backfill=stored.backfill, explain=told)
        if stored.place == asked.place:
            break
    return Checked(outcome.anomalies, None, outcome.kind, asked.event)


def why_approximate(whole: read.Wholeness) -> str | None:
    """Why a fold over this history may differ from what the live detector said; None where it cannot.

    >>> why_approximate(read.Wholeness(1, 2, None, 0))
    'the executions lie on 2 partitions, whose order is not stored'
    """
    reasons = []
    if whole.epochs > 1:
        reasons.append("the topics were recreated within this history")
    if whole.partitions > 1:
        reasons.append(f"the executions are on {whole.partitions} partitions, whose order is not stored")
    if whole.trimmed_until is not None:
        reasons.append(f"history up to {whole.trimmed_until:%Y-%m-%dT%H:%M:%SZ} is deleted")
    if whole.actions:
        reasons.append(f"the detector applied {whole.actions} operator actions")
    return "; ".join(reasons) or None

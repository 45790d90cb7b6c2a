"""What `step` says of stored history: the check of one execution, and the series of one entity with its band."""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module

import asyncpg
from msgspec import Struct

from stream_detector.detect import Baseline, Config, Outcome, ScoreBaseline, WorkflowBaseline, step
from stream_detector.detect.baseline import LEAST_TIMED
from stream_detector.detect.classic import mean_and_spread
from stream_detector.detect.level import WARM
from stream_detector.detect.outcome import OutcomeKind
from stream_detector.events import Anomaly, Completion, Score
from stream_detector.events.ids import score_key, workflow_key
from stream_detector.events.times import epoch_ms
from stream_detector.store import read

GATE = 2.0
_EVER = datetime(9999, 1, 1, tzinfo=UTC)


def load_detection() -> None:
    """Have what `step` imports at its first score: river brings scipy along, seconds of work."""
    import_module("river.drift.page_hinkley")


async def detection_loaded() -> None:
    """Wait for it without keeping others waiting. Loaded already, it takes a moment."""
    await asyncio.to_thread(load_detection)


class Checked(Struct, frozen=True):
    """What the detector says of one event, and why that may differ from what it said when it came."""

    anomalies: Sequence[Anomaly]
    approximate: str | None
    outcome: OutcomeKind
    event: Completion | Score | None = None


async def check(
    pool: asyncpg.Pool, execution_id: str, attempt: int | None, config: Config, *, explain: list[str] | None = None
) -> Checked | None:
    """Fold the stored executions of its workflow up to the one asked about; None where it is not stored.

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
    await detection_loaded()
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
        reasons.append("the stream was made anew within this history")
    if whole.partitions > 1:
        reasons.append(f"the executions lie on {whole.partitions} partitions, whose order is not stored")
    if whole.trimmed_until is not None:
        reasons.append(f"history up to {whole.trimmed_until:%Y-%m-%dT%H:%M:%SZ} is deleted")
    if whole.actions:
        reasons.append(f"the detector was told {whole.actions} decisions of people")
    return "; ".join(reasons) or None


class Point(Struct, frozen=True, kw_only=True):
    """One reading, with what was expected before it came; the three are null while there is too little history."""

    t: datetime
    value: float
    lower: float | None
    mean: float | None
    upper: float | None
    anomalous: bool
    anomaly: str | None
    """Its id."""
    execution_id: str | None = None
    status: str | None = None


class Series(Struct, frozen=True, kw_only=True):
    """The readings of one entity in the order of their times."""

    entity: str
    unit: str
    points: list[Point]


async def series(pool: asyncpg.Pool, entity: str, until: datetime, limit: int, config: Config) -> Series | None:
    """The last `limit` readings up to `until`, each with the band that the same `step` judged it by.

    None where nothing is stored of the entity. `entity` is a state key; a bare id means the workflow of that id, else
    the scored entity.
    """
    kind, _, rest = entity.partition(":")
    entity_id = rest if kind in ("workflow", "score") else entity
    if kind != "score":
        points = await _durations(pool, entity_id, until, limit, config)
        if points or kind == "workflow":
            return _sorted(workflow_key(entity_id), "s", points)
    return _sorted(score_key(entity_id), "points", await _scores(pool, entity_id, until, limit, config))


def _sorted(key: str, unit: str, points: "deque[Point]") -> Series | None:
    if not points:
        return None
    return Series(entity=key, unit=unit, points=sorted(points, key=lambda point: point.t))


async def _durations(
    pool: asyncpg.Pool, workflow_id: str, until: datetime, limit: int, config: Config
) -> "deque[Point]":
    baseline = Baseline.new(workflow_key(workflow_id))
    assert isinstance(baseline, WorkflowBaseline)
    kept: deque[tuple[Completion, tuple[float, float, float] | None, str | None]] = deque(maxlen=limit)
    async for stored in read.completions_in_order(pool, workflow_id):
        event = stored.event
        band_of = _band if config.profile == "classic" else _level_band
        band = band_of(baseline, event.finished_at)
        anomalies = step(baseline, event, config, backfill=stored.backfill).anomalies
        if event.duration_s and event.finished_at <= until:
            found = next((each.id for each in anomalies if each.state != "resolved"), None)
            kept.append((event, band, found))
    return deque(
        Point(
            t=event.finished_at,
            value=event.duration_s or 0.0,
            lower=band and band[0],
            mean=band and band[1],
            upper=band and band[2],
            anomalous=found is not None,
            anomaly=found,
            execution_id=event.execution_id,
            status=event.status,
        )
        for event, band, found in kept
    )


def _band(baseline: WorkflowBaseline, at: datetime) -> tuple[float, float, float] | None:
    """(lower, mean, upper) between which a duration at that time is nothing unusual; None while learning."""
    times = baseline.history.recorded(baseline.history.within(int(at.timestamp() * 1000)))
    if len(times) < LEAST_TIMED:
        return None
    mean, spread = mean_and_spread(times)
    if not spread:
        return None
    reach = GATE * float(baseline.widening) * spread
    return max(0.0, mean - reach), mean, mean + reach


def _level_band(baseline: WorkflowBaseline, at: datetime) -> tuple[float, float, float] | None:
    """The same of profile `robust`; None while its level is learning."""
    level = baseline.level
    return None if level.n < WARM else level.expected(epoch_ms(at))


async def _scores(pool: asyncpg.Pool, entity_id: str, until: datetime, limit: int, config: Config) -> "deque[Point]":
    await detection_loaded()
    baseline = Baseline.new(score_key(entity_id))
    assert isinstance(baseline, ScoreBaseline)
    points: deque[Point] = deque(maxlen=limit)
    async for stored in read.scores_in_order(pool, entity_id, until):
        event, previous = stored.event, baseline.previous
        anomalies = step(baseline, event, config, backfill=stored.backfill).anomalies
        mean = reach = None
        if previous is not None:
            mean, rule = float(previous), config.score_rule(event.entity_type)
            reach = float(rule.threshold) * (abs(mean) if rule.relative else 1.0)
        points.append(
            Point(
                t=event.scored_at,
                value=float(event.score),
                lower=None if mean is None or reach is None else mean - reach,
                mean=mean,
                upper=None if mean is None or reach is None else mean + reach,
                anomalous=bool(anomalies),
                anomaly=anomalies[0].id if anomalies else None,
            )
        )
    return points

"""The series of one entity: its stored readings, each with the band that the same `step` judged it by."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import asyncpg
from msgspec import Struct

from stream_detector.detect import Baseline, Config, ScoreBaseline, WorkflowBaseline, step
from stream_detector.detect.baseline import LEAST_TIMED
from stream_detector.detect.classic import mean_and_spread
from stream_detector.detect.loading import wait_until_loaded
from stream_detector.detect.rules import spike_in_failures
from stream_detector.detect.statistics.failures import LEAST, PRIOR_FAILURES, PRIOR_SUCCESSES, RECENT, upper_tail, z_of
from stream_detector.detect.statistics.failures import WARM as OUTCOMES_WARM
from stream_detector.detect.statistics.level import WARM
from stream_detector.events import Anomaly, Completion
from stream_detector.events.completion import COUNTED, FAILED
from stream_detector.events.ids import score_key, workflow_key
from stream_detector.events.times import epoch_ms
from stream_detector.store import read

Of = Literal["value", "failures"]
Band = tuple[float, float, float]
"""(lower, mean, upper) between which a reading is nothing unusual."""
GATE = 2.0
_OF_FAILURES = ("SpikeInFailures", "ConsecutiveFailures")


class Point(Struct, frozen=True, kw_only=True):
    """One reading with the band expected before it, which is null while there is too little history."""

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
    """The readings of one entity in order of time."""

    entity: str
    unit: str
    points: list[Point]


async def series(
    pool: asyncpg.Pool, entity: str, until: datetime, limit: int, config: Config, of: Of = "value"
) -> Series | None:
    """The last `limit` readings up to `until`, each with the band that the same `step` judged it by.

    Of a workflow the durations, or with `of` failures the share of its last 10 executions that failed. None where
    nothing is stored of the entity. `entity` is a state key; a bare id means the workflow of that id, else the scored
    entity.
    """
    kind, _, rest = entity.partition(":")
    entity_id = rest if kind in ("workflow", "score") else entity
    if kind != "score":
        read_points, unit = (_durations, "s") if of == "value" else (_failure_rates, "ratio")
        points = await read_points(pool, entity_id, until, limit, config)
        if points or kind == "workflow":
            return _sorted(workflow_key(entity_id), unit, points)
    if of == "failures":
        return None
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
    kept: deque[tuple[Completion, float, Band | None, str | None]] = deque(maxlen=limit)
    async for stored in read.completions_in_order(pool, workflow_id):
        event, classic = stored.event, config.for_execution(stored.event).profile == "classic"
        band = _band(baseline, event.finished_at) if classic else _level_band(baseline, event.finished_at)
        anomalies = step(baseline, event, config, backfill=stored.backfill).anomalies
        if event.duration_s and event.finished_at <= until:
            kept.append((event, event.duration_s, band, _told(anomalies)))
    return _points(kept)


async def _failure_rates(
    pool: asyncpg.Pool, workflow_id: str, until: datetime, limit: int, config: Config
) -> "deque[Point]":
    baseline = Baseline.new(workflow_key(workflow_id))
    assert isinstance(baseline, WorkflowBaseline)
    kept: deque[tuple[Completion, float, Band | None, str | None]] = deque(maxlen=limit)
    lately: deque[bool] = deque(maxlen=RECENT)
    async for stored in read.completions_in_order(pool, workflow_id):
        event, classic = stored.event, config.for_execution(stored.event).profile == "classic"
        band = _classic_rates(baseline, event.finished_at) if classic else _robust_rates(baseline)
        outcome = step(baseline, event, config, backfill=stored.backfill)
        if event.status not in COUNTED or outcome.kind not in ("applied", "backfilled"):
            continue
        lately.append(event.status in FAILED)
        if event.finished_at <= until:
            told = [each for each in outcome.anomalies if each.anomaly_type in _OF_FAILURES]
            kept.append((event, sum(lately) / len(lately), band, _told(told)))
    return _points(kept)


def _told(anomalies: Sequence[Anomaly]) -> str | None:
    """The id of the first that is no ending."""
    return next((each.id for each in anomalies if each.state != "resolved"), None)


def _points(kept: "deque[tuple[Completion, float, Band | None, str | None]]") -> "deque[Point]":
    return deque(
        Point(
            t=event.finished_at,
            value=value,
            lower=band and band[0],
            mean=band and band[1],
            upper=band and band[2],
            anomalous=found is not None,
            anomaly=found,
            execution_id=event.execution_id,
            status=event.status,
        )
        for event, value, band, found in kept
    )


def _robust_rates(baseline: WorkflowBaseline) -> Band | None:
    """The failure rates that are nothing unusual in profile `robust`; None while it is learning."""
    failures = baseline.failures
    if failures.n < OUTCOMES_WARM:
        return None
    a, b = failures.failed + PRIOR_FAILURES, failures.counted - failures.failed + PRIOR_SUCCESSES
    gate = GATE * float(baseline.threshold_multiplier)
    least = next((k for k in range(LEAST, RECENT + 1) if z_of(upper_tail(k, a, b)) > gate), RECENT + 1)
    return 0.0, failures.rate, (least - 1) / RECENT


def _classic_rates(baseline: WorkflowBaseline, at: datetime) -> Band | None:
    """The same of profile `classic`; None while there are too few executions before the last 10."""
    history = baseline.history
    before = min(history.within(int(at.timestamp() * 1000)) - (RECENT - 1), spike_in_failures.BEFORE)
    if before < spike_in_failures.LEAST_BEFORE:
        return None
    failed = (history.outcomes >> RECENT - 1 & (1 << before) - 1).bit_count()
    gate = GATE * float(baseline.threshold_multiplier)
    least = next((k for k in range(1, RECENT + 1) if spike_in_failures.z_of(k, failed, before) > gate), RECENT + 1)
    return 0.0, (failed + 1) / (before + 2), (least - 1) / RECENT


def _band(baseline: WorkflowBaseline, at: datetime) -> Band | None:
    """(lower, mean, upper) between which a duration at that time is nothing unusual; None while learning."""
    times = baseline.history.recorded(baseline.history.within(int(at.timestamp() * 1000)))
    if len(times) < LEAST_TIMED:
        return None
    mean, spread = mean_and_spread(times)
    if not spread:
        return None
    reach = GATE * float(baseline.threshold_multiplier) * spread
    return max(0.0, mean - reach), mean, mean + reach


def _level_band(baseline: WorkflowBaseline, at: datetime) -> Band | None:
    """The same of profile `robust`; None while its level is learning."""
    level = baseline.level
    return None if level.n < WARM else level.expected_range(epoch_ms(at))


async def _scores(pool: asyncpg.Pool, entity_id: str, until: datetime, limit: int, config: Config) -> "deque[Point]":
    await wait_until_loaded()
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

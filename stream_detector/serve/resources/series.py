"""The series of one entity: its stored readings, each with the band that the same `step` judged it by."""

from collections import deque
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import asyncpg
from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.detect import Baseline, ScoreBaseline, WorkflowBaseline, step
from stream_detector.detect.anomaly import of_execution
from stream_detector.detect.loading import wait_until_loaded
from stream_detector.detect.replay import Baselines
from stream_detector.detect.statistics.failures import RECENT
from stream_detector.events import Anomaly, Completion
from stream_detector.events.anomaly_types import TYPES
from stream_detector.events.completion import COUNTED, FAILED, recorded_duration_s
from stream_detector.events.fields import Instant
from stream_detector.events.ids import score_key
from stream_detector.events.variant import key_parts, workflow_key
from stream_detector.kafka.topics import COMPLETIONS, SCORES
from stream_detector.serve.app_keys import DATABASE, SETTINGS
from stream_detector.serve.bands import (
    Band,
    classic_duration_band,
    classic_failure_band,
    robust_duration_band,
    robust_failure_band,
)
from stream_detector.serve.detection_settings import DetectionSettings, detection_settings
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import Entity, read_query
from stream_detector.serve.responses import json_response
from stream_detector.store.anomaly_edits import deleted_of
from stream_detector.store.executions import completions_in_order
from stream_detector.store.scores import scores_in_order


class SeriesQuery(Struct, kw_only=True):
    """The values of one entity up to a time."""

    entity: Entity
    until: Annotated[Instant, Meta(description="Inclusive; default: now.")] | None = None
    limit: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="For earlier readings, repeat the request with the `t` of the first as `until`.",
        ),
    ] = 200
    of: Annotated[
        Literal["value", "failures"],
        Meta(description="`value`: durations or scores; `failures`: the failure rate of a workflow's last 10."),
    ] = "value"


Of = Literal["value", "failures"]

_OF_FAILURES = frozenset(name for name, entry in TYPES.items() if entry.is_failure)


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
    variant: str | None = None
    """Of the workflow; each is judged by itself."""


class Series(Struct, frozen=True, kw_only=True):
    """The readings of one entity in order of time; of a workflow those of all variants, unless one is named."""

    entity: str
    unit: str
    points: list[Point]


async def entity_series(request: web.Request) -> web.Response:
    """The readings of one entity with the expected band of each."""
    query = read_query(request, SeriesQuery)
    until, database = query.until or datetime.now(UTC), request.app[DATABASE]
    in_force = await database.query(detection_settings, request.app[SETTINGS])
    found = await database.query(series, query.entity, until, query.limit, in_force, query.of)
    if found is None:
        raise ProblemError(404, "No data is stored for this entity up to that time.")
    return json_response(found)


async def series(
    pool: asyncpg.Pool, entity: str, until: datetime, limit: int, in_force: DetectionSettings, of: Of = "value"
) -> Series | None:
    """The last `limit` readings up to `until`, each with the band that the same `step` judged it by.

    Of a workflow the durations, or with `of` failures the share of its last 10 executions that failed; each variant is
    judged by itself. None where nothing is stored of the entity. `entity` is a state key; a bare id means the workflow
    of that id, else the scored entity.
    """
    try:
        kind, entity_id, variant = key_parts(entity)
    except ValueError:
        kind, entity_id, variant = "", entity, None
    if kind != "score":
        read_points, unit = (_durations, "s") if of == "value" else (_failure_rates, "ratio")
        readings = await read_points(pool, entity_id, until, limit, in_force)
        points = readings.points(variant)
        if points or kind == "workflow":
            return _sorted(workflow_key(entity_id, variant), unit, points)
    if of == "failures":
        return None
    return _sorted(score_key(entity_id), "points", await _scores(pool, entity_id, until, limit, in_force))


def _sorted(key: str, unit: str, points: Collection[Point]) -> Series | None:
    if not points:
        return None
    return Series(entity=key, unit=unit, points=sorted(points, key=lambda point: point.t))


async def _durations(
    pool: asyncpg.Pool, workflow_id: str, until: datetime, limit: int, in_force: DetectionSettings
) -> "_Readings":
    readings = _Readings(workflow_id, limit)
    deleted = await deleted_of(pool, workflow_key(workflow_id))
    async for stored in completions_in_order(pool, workflow_id):
        config = in_force.config_at(COMPLETIONS, stored.position)
        event, baseline, _ = readings.baselines.before(stored.event, config, backfill=stored.backfill)
        classic = config.for_execution(event).profile == "classic"
        band = (
            classic_duration_band(baseline, event.finished_at)
            if classic
            else robust_duration_band(baseline, event.finished_at)
        )
        outcome = step(baseline, event, config, stored.record_ms, backfill=stored.backfill)
        anomalies = of_execution(outcome.anomalies, event)
        took_s = recorded_duration_s(event, config.duration_from_times)
        if took_s and event.finished_at <= until:
            readings.add(baseline, event, took_s, band, _opening_id(anomalies, deleted))
    return readings


async def _failure_rates(
    pool: asyncpg.Pool, workflow_id: str, until: datetime, limit: int, in_force: DetectionSettings
) -> "_Readings":
    readings = _Readings(workflow_id, limit)
    deleted = await deleted_of(pool, workflow_key(workflow_id))
    recents: dict[int, deque[bool]] = {}
    async for stored in completions_in_order(pool, workflow_id):
        config = in_force.config_at(COMPLETIONS, stored.position)
        event, baseline, _ = readings.baselines.before(stored.event, config, backfill=stored.backfill)
        classic = config.for_execution(event).profile == "classic"
        band = classic_failure_band(baseline, event.finished_at) if classic else robust_failure_band(baseline)
        outcome = step(baseline, event, config, stored.record_ms, backfill=stored.backfill)
        if event.status not in COUNTED or outcome.kind not in ("applied", "backfilled"):
            continue
        recent = recents.setdefault(id(baseline), deque(maxlen=RECENT))
        recent.append(event.status in FAILED)
        if event.finished_at <= until:
            about_failures = [each for each in outcome.anomalies if each.anomaly_type in _OF_FAILURES]
            readings.add(baseline, event, sum(recent) / len(recent), band, _opening_id(about_failures, deleted))
    return readings


def _opening_id(anomalies: Sequence[Anomaly], deleted: Collection[str]) -> str | None:
    """The id of the first that is not the end of an incident, and that no operator has deleted."""
    return next((each.id for each in anomalies if each.state != "resolved" and each.id not in deleted), None)


class _Readings:
    """The last readings of a workflow: of each baseline that it has, or had before another took it over."""

    def __init__(self, workflow_id: str, limit: int) -> None:
        self.baselines, self._workflow_id, self._limit = Baselines(), workflow_id, limit
        self._of: dict[int, tuple[WorkflowBaseline, deque[Point]]] = {}

    def add(
        self, baseline: WorkflowBaseline, event: Completion, value: float, band: Band | None, anomaly: str | None
    ) -> None:
        """One reading, after those before it."""
        _, points = self._of.setdefault(id(baseline), (baseline, deque(maxlen=self._limit)))
        points.append(
            Point(
                t=event.finished_at,
                value=value,
                lower=band and band[0],
                mean=band and band[1],
                upper=band and band[2],
                anomalous=anomaly is not None,
                anomaly=anomaly,
                execution_id=event.execution_id,
                status=event.status,
                variant=event.variant,
            )
        )

    def points(self, variant: str | None) -> list[Point]:
        """The last ones of a variant; with None those of all."""
        if variant is not None:
            baseline = self.baselines.get(workflow_key(self._workflow_id, variant))
            return list(self._of.get(id(baseline), (baseline, ()))[1])
        if len(self._of) == 1:
            ((_, points),) = self._of.values()
            return list(points)
        found = [point for _, points in self._of.values() for point in points]
        return sorted(found, key=lambda point: point.t)[-self._limit :]


async def _scores(
    pool: asyncpg.Pool, entity_id: str, until: datetime, limit: int, in_force: DetectionSettings
) -> "deque[Point]":
    await wait_until_loaded()
    baseline = Baseline.new(score_key(entity_id))
    assert isinstance(baseline, ScoreBaseline)
    points: deque[Point] = deque(maxlen=limit)
    deleted = await deleted_of(pool, baseline.key)
    async for stored in scores_in_order(pool, entity_id, until):
        event, previous = stored.event, baseline.previous
        config = in_force.config_at(SCORES, stored.position)
        found = _opening_id(
            step(baseline, event, config, stored.record_ms, backfill=stored.backfill).anomalies, deleted
        )
        mean = reach = None
        if previous is not None:
            mean, rule = float(previous), config.score_rule(event)
            reach = float(rule.threshold) * (abs(mean) if rule.relative else 1.0)
        points.append(
            Point(
                t=event.scored_at,
                value=float(event.score),
                lower=None if mean is None or reach is None else mean - reach,
                mean=mean,
                upper=None if mean is None or reach is None else mean + reach,
                anomalous=found is not None,
                anomaly=found,
            )
        )
    return points

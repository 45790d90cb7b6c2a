"""The settings in force, and what others would have given."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import asyncpg
from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.composition import detection_config
from stream_detector.detect import Config, WorkflowBaseline
from stream_detector.detect.loading import wait_until_loaded
from stream_detector.detect.replay import Baselines
from stream_detector.events import Anomaly, Completion
from stream_detector.events.anomaly import AnomalyTypeName, SeverityName
from stream_detector.events.ids import score_key
from stream_detector.events.variant import workflow_key
from stream_detector.serve.app_keys import DATABASE, SETTINGS
from stream_detector.serve.detection_settings import detection_settings
from stream_detector.serve.requests import (
    read_query,
)
from stream_detector.serve.responses import json_response
from stream_detector.settings import PREFIX, SPECS, Settings
from stream_detector.store import history
from stream_detector.store.connect import StoreAwayError
from stream_detector.store.executions import StoredCompletion
from stream_detector.store.scores import StoredScore


class PreviewQuery(Struct, kw_only=True):
    """What to try out; what is left out is as it is in force."""

    profile: Literal["classic", "robust"] | None = None
    score_threshold: Annotated[float, Meta(gt=0, le=1e12)] | None = None
    days: Annotated[int, Meta(ge=1, le=90)] = 30


class SettingInForce(Struct, kw_only=True):
    """One setting. A secret only shows whether it is set."""

    name: str
    value: str
    default: str
    unit: str
    doc: str
    group: str
    origin: Literal["default", "file", "environment", "flag", "detector"]
    secret: bool


class SettingsInForce(Struct):
    """Every setting of the api role, in the order of the settings page."""

    items: list[SettingInForce]


class Alerts(Struct, kw_only=True):
    """Alerts that would be notified by default: opened anomalies of `warning` and above."""

    alerts: int
    by_type: dict[AnomalyTypeName, int]
    by_severity: dict[SeverityName, int]


class Preview(Struct, kw_only=True):
    """Alerts of the last days with the current and with the given settings."""

    days: int
    now: Alerts
    then: Alerts
    events: int
    """How many stored events were folded."""
    whole: bool
    """False where there was more history than is folded at once: the oldest keys by name come first."""


MOST_EVENTS = 200_000
"""So many are folded at once: some seconds of one core."""

_BREATHE_EVERY = 500
"""Events between two turns of everybody else: some milliseconds."""


async def read_settings(request: web.Request) -> web.Response:
    """Every setting with its value, default and source. Secrets only show whether they are set.

    Of the detection settings, the values are those that the detector has published.
    """
    own, defaults = request.app[SETTINGS], Settings()
    try:
        settings = (await request.app[DATABASE].query(detection_settings, own)).newest
    except StoreAwayError:
        settings = own
    items = [
        SettingInForce(
            name=PREFIX + name.upper(),
            value=settings.shown(name),
            default=defaults.shown(name),
            unit=spec["unit"],
            doc=spec["doc"],
            group=spec["group"],
            origin="detector" if getattr(settings, name) != getattr(own, name) else own.origin.get(name, "default"),  # type: ignore[arg-type]
            secret=bool(spec["secret"]),
        )
        for name, spec in SPECS.items()
    ]
    return json_response(SettingsInForce(items))


async def preview(request: web.Request) -> web.Response:
    """Replay the stored history with the current and with the given settings. Changes nothing."""
    query = read_query(request, PreviewQuery)
    settings = (await request.app[DATABASE].query(detection_settings, request.app[SETTINGS])).newest
    changes: dict[str, Any] = {}
    if query.profile is not None:
        changes["profile"] = query.profile
    if query.score_threshold is not None:
        changes["score_threshold"] = Decimal(str(query.score_threshold))
    configs = [detection_config(settings), detection_config(replace(settings, **changes))]
    since = datetime.now(UTC) - timedelta(days=query.days)
    found = await request.app[DATABASE].query(_fold, configs, since)
    return json_response(Preview(days=query.days, now=found[0], then=found[1], events=found[2], whole=found[3]))


async def _fold(pool: asyncpg.Pool, configs: list[Config], since: datetime) -> tuple[Alerts, Alerts, int, bool]:
    """Each key by itself; then what had not come by the newest of all events, as the clock would have found it."""
    await wait_until_loaded()
    folds = [_Folded(config, since) for config in configs]
    events, key, newest_ms, whole = 0, "", -1, True
    async for stored in history.everything(pool):
        event = stored.event
        own = workflow_key(event.workflow_id) if isinstance(event, Completion) else score_key(event.entity_id)
        if own != key:
            key = own
            for fold in folds:
                fold.begin()
        for fold in folds:
            fold.apply(stored)
        newest_ms = max(newest_ms, stored.record_ms)
        events += 1
        if events % _BREATHE_EVERY == 0:
            await asyncio.sleep(0)
        if events == MOST_EVENTS:
            whole = False
            break
    now, then = (fold.finish(newest_ms) for fold in folds)
    return now, then, events, whole


class _Folded:
    """The history under one configuration."""

    def __init__(self, config: Config, since: datetime) -> None:
        self._config, self._since, self._counted = config, since, _Counted()
        self._baselines, self._due = Baselines(), Baselines()
        """Those of the key that is being folded, and of the keys before it those of which something is due."""

    def begin(self) -> None:
        """The next key."""
        for key, baseline in self._baselines.items():
            if isinstance(baseline, WorkflowBaseline) and baseline.due_s:
                self._due[key] = baseline
        self._baselines = Baselines()

    def apply(self, stored: StoredCompletion | StoredScore) -> None:
        """One event."""
        event = stored.event
        found = self._baselines.apply(event, self._config, stored.record_ms, backfill=stored.backfill).anomalies
        if found and (event.finished_at if isinstance(event, Completion) else event.scored_at) >= self._since:
            self._counted.add(found)

    def finish(self, now_ms: int) -> Alerts:
        """What was found by then."""
        self.begin()
        self._counted.add(each for each in self._due.due(self._config, now_ms) if each.detected_at >= self._since)
        return self._counted.alerts()


class _Counted:
    """Openings that would be sent by default."""

    def __init__(self) -> None:
        self.types: Counter[Any] = Counter()
        self.severities: Counter[Any] = Counter()

    def add(self, anomalies: Iterable[Anomaly]) -> None:
        for each in anomalies:
            if each.state != "opened" or each.severity == "info":
                continue
            self.types[each.anomaly_type] += 1
            self.severities[each.severity] += 1

    def alerts(self) -> Alerts:
        return Alerts(alerts=self.types.total(), by_type=dict(self.types), by_severity=dict(self.severities))

"""The settings in force, what others would have given, and the schemas of the events."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
from aiohttp import web

from stream_detector.detect import Baseline, Config, step
from stream_detector.detect.loading import wait_until_loaded
from stream_detector.events import Anomaly, Completion
from stream_detector.events.ids import score_key, workflow_key
from stream_detector.events.schema import schemas
from stream_detector.serve import ask
from stream_detector.serve.answers import Alerts, Preview, SettingInForce, SettingsInForce
from stream_detector.serve.handlers import DATABASE, SETTINGS, answer, config_of
from stream_detector.serve.problems import ProblemError
from stream_detector.settings import PREFIX, SPECS, Settings
from stream_detector.store import history

MOST_EVENTS = 200_000
"""So many are folded at once: some seconds of one core."""
_BREATHE_EVERY = 500
"""Events between two turns of everybody else: some milliseconds."""


async def read_settings(request: web.Request) -> web.Response:
    """Every setting with its value, default and source. Secrets only show whether they are set."""
    settings, usual = request.app[SETTINGS], Settings()
    items = [
        SettingInForce(
            name=PREFIX + name.upper(),
            value=settings.shown(name),
            default=usual.shown(name),
            unit=spec["unit"],
            doc=spec["doc"],
            group=spec["group"],
            origin=settings.origin.get(name, "default"),  # type: ignore[arg-type]
            secret=bool(spec["secret"]),
        )
        for name, spec in SPECS.items()
    ]
    return answer(SettingsInForce(items))


async def preview(request: web.Request) -> web.Response:
    """Replay the stored history with the current and with the given settings. Changes nothing."""
    asked = ask.read_query(request, ask.PreviewQuestion)
    now = config_of(request.app[SETTINGS])
    changes: dict[str, Any] = {}
    if asked.profile is not None:
        changes["profile"] = asked.profile
    if asked.score_threshold is not None:
        changes["score_threshold"] = Decimal(str(asked.score_threshold))
    since = datetime.now(UTC) - timedelta(days=asked.days)
    found = await request.app[DATABASE].ask(_fold, [now, replace(now, **changes)], since)
    return answer(Preview(days=asked.days, now=found[0], then=found[1], events=found[2], whole=found[3]))


async def _fold(pool: asyncpg.Pool, configs: list[Config], since: datetime) -> tuple[Alerts, Alerts, int, bool]:
    await wait_until_loaded()
    counted = [_Counted(), _Counted()]
    baselines: list[Baseline] = []
    events, key = 0, ""
    async for stored in history.everything(pool):
        event = stored.event
        if isinstance(event, Completion):
            own, at = workflow_key(event.workflow_id), event.finished_at
        else:
            own, at = score_key(event.entity_id), event.scored_at
        if own != key:
            key, baselines = own, [Baseline.new(own) for _ in configs]
        for baseline, config, count in zip(baselines, configs, counted, strict=True):
            found = step(baseline, event, config, backfill=stored.backfill).anomalies
            if found and at >= since:
                count.add(found)
        events += 1
        if events % _BREATHE_EVERY == 0:
            await asyncio.sleep(0)
        if events == MOST_EVENTS:
            return counted[0].alerts(), counted[1].alerts(), events, False
    return counted[0].alerts(), counted[1].alerts(), events, True


class _Counted:
    """Openings that would be sent by default."""

    def __init__(self) -> None:
        self.types: Counter[Any] = Counter()
        self.severities: Counter[Any] = Counter()

    def add(self, anomalies: Sequence[Anomaly]) -> None:
        for each in anomalies:
            if each.state != "opened" or each.severity == "info":
                continue
            self.types[each.anomaly_type] += 1
            self.severities[each.severity] += 1

    def alerts(self) -> Alerts:
        return Alerts(alerts=self.types.total(), by_type=dict(self.types), by_severity=dict(self.severities))


async def list_schemas(_: web.Request) -> web.Response:
    """The names of the JSON Schemas of every event."""
    return answer({"items": sorted(schemas())})


async def one_schema(request: web.Request) -> web.Response:
    """The JSON Schema of one event."""
    found = schemas().get(request.match_info["id"])
    if found is None:
        raise ProblemError(404, "There is no schema with this name.", allowed=sorted(schemas()))
    return answer(json.dumps(found).encode())

"""The dashboard as tests see it: the built page, the real server with a real database, and what is stored in it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from playwright.async_api import Page

import hatch_build
from stream_detector.detect import Baseline, Config, step
from stream_detector.events import Anomaly, Completion, Metrics
from stream_detector.serve.app import make_app
from stream_detector.serve.database import Database
from stream_detector.settings import Settings
from stream_detector.store.rows import Rows
from stream_detector.store.write import Writer
from tests.events_made import anomaly, completion, row, score_change

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "test-output" / "dashboard"
HOSTILE = "<img src=x onerror=document.title='owned'>"


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    """The page is that of the sources, whatever was built before."""
    if hatch_build.is_stale(ROOT):
        hatch_build.build(ROOT)


def ago(**span: float) -> datetime:
    return (datetime.now(UTC) - timedelta(**span)).replace(microsecond=0)


@asynccontextmanager
async def serving(settings: Settings, *, connected: bool = True) -> AsyncIterator[str]:
    """The address of the real application. Not `connected`: as it is while PostgreSQL is away."""
    database = Database(settings)
    runner = web.AppRunner(make_app(settings, database), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        if connected:
            await database.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
        await database.stop()


@pytest.fixture
async def root(postgres_url: str, pool: asyncpg.Pool, make_settings: Callable[..., Settings]) -> AsyncIterator[str]:
    async with serving(make_settings(database_url=postgres_url)) as address:
        yield address


Write = Callable[..., Awaitable[None]]


@pytest.fixture
def write(pool: asyncpg.Pool) -> Write:
    """Stores events as the recorder does."""

    async def stored(**lists: Sequence[Any]) -> None:
        rows = {name: [row(event, offset) for offset, event in enumerate(events)] for name, events in lists.items()}
        assert await Writer(pool).write(Rows(**rows)) == []

    return stored


def three() -> list[Anomaly]:
    """One of the last hour, one of this week, one of this month."""
    return [
        anomaly("now", detected_at=ago(minutes=30), severity="critical"),
        anomaly(
            "week",
            detected_at=ago(days=3),
            anomaly_type="SpikeInFailures",
            entity_id="weekly",
            entity_name="Weekly report",
            metrics=Metrics(
                current_value=0.4,
                baseline_value=0.05,
                deviation=0.35,
                z_score=5.0,
                confidence=0.99,
                unit="ratio",
                direction="up",
            ),
        ),
        score_change("month", detected_at=ago(days=20), severity="info"),
    ]


def slow_after(good: int) -> tuple[list[Completion], list[Anomaly]]:
    """A workflow of about 100 s that takes 4 m 12 s at last, and what detection says of it."""
    last = ago(minutes=5)
    runs = [
        completion(
            f"build-{number}",
            "nightly",
            workflow_name="Nightly build",
            finished_at=last - timedelta(hours=good - number),
            duration_s=252.0 if number == good else 95.0 + (number * 37) % 11,
            status="failure" if number == good // 2 else "success",
            labels={"branch": "main"},
            url="https://ci.example.org/nightly",
        )
        for number in range(good + 1)
    ]
    baseline, found = Baseline.new("workflow:nightly"), []
    for run in runs:
        found += step(baseline, run, Config(profile="classic")).anomalies
    return runs, found


async def violations(page: Page) -> list[str]:
    """What axe-core complains of on the page as it is now."""
    hatch_build.install(ROOT / "dashboard", "axe-core")
    await page.evaluate((ROOT / "dashboard/node_modules/axe-core/axe.min.js").read_text("utf-8"))
    ran = await page.evaluate("axe.run()")
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in ran["violations"]]


async def no_sideways_scroll(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))

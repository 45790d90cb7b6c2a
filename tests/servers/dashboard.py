"""The dashboard as tests see it: the built page, the real server with a real database, and what is stored in it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page, Route

import hatch_build
from stream_detector.devstack.postgres import Postgres
from stream_detector.devstack.tansu import Tansu
from stream_detector.events import Step
from stream_detector.kafka.create_topics import make_topics
from stream_detector.serve.app import make_app
from stream_detector.serve.database import Database
from stream_detector.settings import Settings
from stream_detector.store.connect import open_pool
from stream_detector.store.migrate import migrate
from stream_detector.store.rows import BaselineState, Rows
from stream_detector.store.write import Writer
from tests.events_made import completion, notification, row, score, summary
from tests.events_made.histories import ago, learned, slow_after, three
from tests.fixtures import API_TOKEN, psql
from tests.servers.browser import a_browser, a_page

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "test-output" / "dashboard"
HOSTILE = "<img src=x onerror=document.title='owned'>"


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


class Site(NamedTuple):
    """One server with its database and broker, for every test of the session."""

    root: str
    database_url: str
    broker: str
    topic_prefix: str
    pool: asyncpg.Pool


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(postgres_server: Postgres, tansu: Tansu) -> AsyncIterator[Site]:
    """The page is that of the sources, whatever was built before."""
    if hatch_build.is_stale(ROOT):
        hatch_build.build(ROOT)
    name = f"site_{uuid4().hex[:8]}"
    psql(postgres_server, f"CREATE DATABASE {name}")
    url, prefix = postgres_server.url(name), f"{name}."
    settings = Settings(database_url=url, broker=tansu.address, topic_prefix=prefix, api_port=0, api_token=API_TOKEN)
    await make_topics(settings)
    pool = await open_pool(url, name="test", size=4)
    await migrate(pool)
    async with serving(settings) as root:
        yield Site(root, url, tansu.address, prefix, pool)
    await pool.close()
    psql(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for every test of the session."""
    async with a_browser() as started:
        yield started


OpenPage = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture
def open_page(browser: Browser) -> OpenPage:
    """Opens a page with a fresh profile; see `a_page`."""
    return partial(a_page, browser)


@pytest_asyncio.fixture(loop_scope="session")
async def root(site: Site) -> str:
    """The address of the server, with nothing stored."""
    tables = await site.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    names = ", ".join(each["tablename"] for each in tables if each["tablename"] != "schema_migrations")
    await site.pool.execute(f"TRUNCATE {names}")
    return site.root


Write = Callable[..., Awaitable[None]]


@pytest.fixture
def write(site: Site) -> Write:
    """Stores events as the recorder does."""

    async def stored(**lists: Sequence[Any]) -> None:
        rows = {name: [row(event, offset) for offset, event in enumerate(events)] for name, events in lists.items()}
        assert await Writer(site.pool).write(Rows(**rows)) == []

    return stored


def held_until(answer: asyncio.Event) -> Callable[[Route], Awaitable[None]]:
    """For `page.route`: each request goes on once the event is set."""

    async def hold(route: Route) -> None:
        await answer.wait()
        await route.continue_()

    return hold


async def everything(write: Write) -> str:
    """Something on every page; returns the id of an anomaly with a history."""
    executions, found = slow_after(40)
    executions[-1] = completion(
        executions[-1].execution_id,
        "nightly",
        workflow_name="Nightly build",
        finished_at=executions[-1].finished_at,
        duration_s=252.0,
        steps=[Step("compile", "success", 41.0), Step("test", "failure", 201.0)],
    )
    executions[-2] = completion(
        executions[-2].execution_id,
        "nightly",
        finished_at=executions[-2].finished_at,
        steps=[Step("compile", "success", 40.0), Step("test", "success", 55.0)],
    )
    await write(
        executions=executions,
        anomalies=[*three(), *found],
        notifications=[
            notification("m1", at=ago(minutes=4), incident_id=found[0].incident_id, title="Nightly is slow")
        ],
        scores=[score(value=value, scored_at=ago(hours=9 - n)) for n, value in enumerate(["7.4", "7.5", "5.8"])],
        summaries=[summary(started_at=ago(minutes=50), ended_at=ago(minutes=45))],
        baselines=[*learned("nightly", "team/build"), BaselineState(key="score:lido", packed=b"", state="anomalous")],
    )
    return found[0].id


async def violations(page: Page, *, contrast_alone: bool = False) -> list[str]:
    """What axe-core complains of on the page as it is now; with `contrast_alone` of colours and nothing else."""
    if not await page.evaluate("'axe' in window"):
        hatch_build.install(ROOT / "dashboard", "axe-core")
        await page.evaluate((ROOT / "dashboard/node_modules/axe-core/axe.min.js").read_text("utf-8"))
    only = {"runOnly": ["color-contrast"]} if contrast_alone else {}
    ran = await page.evaluate("options => axe.run(options)", {"resultTypes": ["violations"], **only})
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in ran["violations"]]


async def no_sideways_scroll(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))

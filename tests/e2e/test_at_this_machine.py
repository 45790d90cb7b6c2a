"""The person at the machine meets no login wall; a page of somebody else gets nothing. In a real Chromium."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest
from aiohttp import web
from playwright.async_api import Page, expect

from stream_detector.settings import Settings
from tests.servers.browser import a_page
from tests.servers.dashboard import Write, built, serving, three, write
from tests.servers.database import pool

__all__ = ["built", "pool", "write"]
pytestmark = pytest.mark.browser

ATTACKS = """async root => {
    const tries = {};
    const ask = async (name, path, options) => {
        try { const answer = await fetch(root + path, options); tries[name] = answer.type + " " + answer.status; }
        catch (error) { tries[name] = "failed"; }
    };
    await ask("read", "/api/v1/ai/anomalies", {credentials: "include"});
    await ask("blind", "/api/v1/ai/anomalies", {credentials: "include", mode: "no-cors"});
    await ask("page", "/anomalies", {credentials: "include", mode: "no-cors"});
    return tries;
}"""


@asynccontextmanager
async def another_site() -> AsyncIterator[str]:
    """A page on another port of this machine: of the same site, as browsers count, but another origin."""

    async def page(request: web.Request) -> web.Response:
        frame = f'<iframe src="{request.query["root"]}/anomalies"></iframe>'
        return web.Response(text=f"<!doctype html><title>Elsewhere</title>{frame}", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def root(postgres_url: str, pool: asyncpg.Pool, make_settings: Callable[..., Settings]) -> AsyncIterator[str]:
    async with serving(make_settings(database_url=postgres_url, api_local_session="on")) as address:
        yield address


async def cookies(page: Page) -> list[str]:
    return [cookie["name"] for cookie in await page.context.cookies()]


async def test_a_fresh_browser_is_signed_in_by_loading_the_page(root: str, write: Write) -> None:
    await write(anomalies=three())
    async with a_page(signed_in=False) as page:
        await page.goto(f"{root}/anomalies")
        await expect(page.locator("tbody tr")).to_have_count(2)
        await expect(page.get_by_label("Token")).to_have_count(0)
        assert await page.evaluate("document.cookie") == ""  # out of reach of scripts
        (name,) = await cookies(page)
        assert name == f"stream_detector_session_{root.rpartition(':')[2]}"


async def test_another_page_in_the_same_browser_gets_no_session_and_reads_nothing(root: str, write: Write) -> None:
    await write(anomalies=three())
    async with another_site() as elsewhere, a_page(signed_in=False) as page:
        await page.goto(f"{elsewhere}/?root={root}")
        await page.evaluate(ATTACKS, root)
        assert await cookies(page) == []  # neither its frame nor its requests opened a session
        await page.goto(f"{root}/anomalies")
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.goto(f"{elsewhere}/?root={root}")
        assert set((await page.evaluate(ATTACKS, root)).values()) == {"failed"}
        assert page.frames[1].url != f"{root}/anomalies" or not await page.frames[1].locator("tbody tr").count()

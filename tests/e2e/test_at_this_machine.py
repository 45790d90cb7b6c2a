"""The person at the machine meets no login wall; a page of somebody else gets nothing. In a real Chromium."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Page, expect

from stream_detector.settings import Settings
from tests.events_made.histories import three
from tests.servers.dashboard import OpenPage, Site, Write, serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

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


@pytest_asyncio.fixture(loop_scope="session")
async def root(root: str, site: Site, make_settings: Callable[..., Settings]) -> AsyncIterator[str]:
    """A server that signs in the person at the machine."""
    async with serving(make_settings(database_url=site.database_url, api_local_session="on")) as address:
        yield address


async def cookies(page: Page) -> list[str]:
    return [cookie["name"] for cookie in await page.context.cookies()]


async def test_a_fresh_browser_is_signed_in_by_loading_the_page(root: str, write: Write, open_page: OpenPage) -> None:
    await write(anomalies=three())
    async with open_page(signed_in=False) as page:
        await page.goto(f"{root}/anomalies")
        await expect(page.locator("tbody tr")).to_have_count(2)
        await expect(page.get_by_label("Token")).to_have_count(0)
        assert await page.evaluate("document.cookie") == ""  # out of reach of scripts
        (name,) = await cookies(page)
        assert name == f"stream_detector_session_{root.rpartition(':')[2]}"


async def test_another_page_in_the_same_browser_gets_no_session_and_reads_nothing(
    root: str, write: Write, open_page: OpenPage
) -> None:
    await write(anomalies=three())
    async with another_site() as elsewhere, open_page(signed_in=False) as page:
        await page.goto(f"{elsewhere}/?root={root}")
        await page.evaluate(ATTACKS, root)
        assert await cookies(page) == []  # neither its frame nor its requests opened a session
        await page.goto(f"{root}/anomalies")
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.goto(f"{elsewhere}/?root={root}")
        assert set((await page.evaluate(ATTACKS, root)).values()) == {"failed"}
        assert page.frames[1].url != f"{root}/anomalies" or not await page.frames[1].locator("tbody tr").count()

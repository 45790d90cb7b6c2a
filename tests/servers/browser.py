"""A real Chromium, headless, with a fresh profile; it talks to nobody but the page's own host."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from tests.fixtures import API_TOKEN

_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_ENTERED = f"""
try {{ sessionStorage.setItem("stream-detector.token", "{API_TOKEN}"); }} catch {{}}  // about:blank has no storage
"""


def chromium() -> str | None:
    """Where Chromium is. Without windows it takes a third of the CPU time (8 pages opened and drawn: 1.5 to 2.0 s
    instead of 5.2 to 6.2 s), which was most of what the tests of the page took."""
    return shutil.which("chromium-headless-shell") or shutil.which("chromium")


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """One Chromium; every page of it has a profile of its own."""
    flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=flags)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def a_page(browser: Browser | None = None, *, signed_in: bool = True, **context: Any) -> AsyncIterator[Page]:
    """One page, in which the token of the tests was entered; in a Chromium of its own unless one is given.

    Keyword arguments are Playwright's of a context: viewport, color_scheme, ...

    Uncaught exceptions of the page fail the test when it closes.
    """
    problems: list[str] = []
    async with AsyncExitStack() as stack:
        opened = browser or await stack.enter_async_context(a_browser())
        page = await (await opened.new_context(**context)).new_page()
        if signed_in:
            await page.add_init_script(_ENTERED)
        page.on("pageerror", lambda error: problems.append(str(error)))
        try:
            yield page
        finally:
            await page.context.close()
    assert not problems, problems

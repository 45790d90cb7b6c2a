"""A real Chromium, headless, with a fresh profile; it talks to nobody but the page's own host."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Page, async_playwright

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


@asynccontextmanager
async def a_page(*, signed_in: bool = True, **context: Any) -> AsyncIterator[Page]:
    """One page, in which the token of the tests was entered.

    Keyword arguments are Playwright's of a context: viewport, color_scheme, ...

    Console errors and uncaught exceptions of the page fail the test when it closes.
    """
    flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    problems: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = await (await browser.new_context(**context)).new_page()
        if signed_in:
            await page.add_init_script(_ENTERED)
        page.on("pageerror", lambda error: problems.append(str(error)))
        try:
            yield page
        finally:
            await browser.close()
    assert not problems, problems

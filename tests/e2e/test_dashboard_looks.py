"""W50: every page and state at a desk and on a phone, light and dark: usable, accessible, and a picture of each.

The pictures are in `test-output/dashboard`, to be looked at. Each page is loaded once; width and theme change under it,
as they do for people who turn their phone or whose system turns dark.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page, expect

from stream_detector.settings import Settings
from stream_detector.store.credentials import create_token
from stream_detector.store.rows import DeadLetterNote
from tests.events_made import action, anomaly, notification, uuid
from tests.events_made.histories import ago, failing, slow_after, three
from tests.servers.dashboard import (
    OUTPUT,
    OpenPage,
    Site,
    Write,
    everything,
    held_until,
    no_sideways_scroll,
    serving,
    violations,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
IN_ONE_ROW = """() => {
    const shown = [...document.querySelectorAll("nav.pages > *")].filter(each => each.getClientRects().length > 0);
    const tops = shown.map(each => each.getBoundingClientRect().top);
    return tops.length > 3 && Math.max(...tops) - Math.min(...tops) < 10;
}"""
LOADED_MS = 15_000
"""The server's first series of a score imports river, seconds on a busy machine."""
EVERY = ((1280, "light"), (1280, "dark"), (375, "light"), (375, "dark"))
CORNERS = ((1280, "light"), (375, "dark"))
"""For what opens over a page and for states: each width and each theme once."""


@pytest.fixture
def walking(open_page: OpenPage) -> "Callable[[], AsyncIterator[Page]]":
    """A page without motion, so that a picture is the same twice."""
    OUTPUT.mkdir(parents=True, exist_ok=True)

    @asynccontextmanager
    async def opened(*, signed_in: bool = True) -> AsyncIterator[Page]:
        wide = {"width": 1280, "height": 900}
        async with open_page(signed_in=signed_in, viewport=wide, reduced_motion="reduce") as page:
            yield page

    return opened  # type: ignore[return-value]


async def look(page: Page, name: str, views: Sequence[tuple[int, str]] = CORNERS) -> None:
    """In each view: nothing to scroll sideways, nothing that axe complains of, and a picture.

    What axe finds beside contrast does not depend on the theme, so it is looked for once a width.
    """
    await expect(page.locator(".skeleton")).to_have_count(0, timeout=LOADED_MS)
    await look_as_it_is(page, name, views)


async def look_as_it_is(page: Page, name: str, views: Sequence[tuple[int, str]] = CORNERS) -> None:
    """The same, of a page that may still be loading."""
    seen: set[int] = set()
    for width, theme in views:
        await page.set_viewport_size({"width": width, "height": 900})
        await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        assert await no_sideways_scroll(page), f"{name} at {width}"
        assert await page.evaluate(IN_ONE_ROW), f"{name} at {width}: the pages' line is broken"
        assert await violations(page, contrast_alone=width in seen) == [], f"{name} at {width}, {theme}"
        seen.add(width)
        await page.screenshot(path=OUTPUT / f"{name}-{width}-{theme}.png", full_page=True)
    await page.set_viewport_size({"width": 1280, "height": 900})
    await page.emulate_media(color_scheme="light")


PAGES = (
    "overview", "workflows", "workflows/nightly", "entities", "entities/lido", "runs", "runs/r1", "inbox", "silences",
    "settings", "dead-letters",
)  # fmt: skip


async def test_w50_every_page(root: str, write: Write, walking: OpenPage) -> None:
    await everything(write)
    letters = [
        DeadLetterNote(
            topic="workflow-completions", partition=0, offset=n, timestamp_ms=None, stage=stage, reason=reason,
            message=message,
        )
        for n, (stage, reason, message) in enumerate(
            (("decode", "not_json", "line 1, column 14: a comma is missing"),
             ("check", "bad_value", "duration_s: -3 is below 0"))
        )
    ]  # fmt: skip
    silences = [
        action("s1", "silence", at=ago(hours=1), until=ago(hours=-3), comment="known outage of the runners"),
        action("s2", "silence", at=ago(hours=2), until=ago(days=-7), entity="", matchers={"type": "SpikeInFailures"}),
    ]
    await write(dead_letters=letters, actions=silences)
    async with walking() as page:
        for name in PAGES:
            await page.goto(f"{root}/{name}")
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
            await look(page, name.replace("/", "-"), EVERY)
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await look(page, "keys")


@pytest.mark.drill
async def test_w50_every_page_while_it_is_loading(root: str, write: Write, walking: OpenPage) -> None:
    shown = await everything(write)
    answer = asyncio.Event()

    async with walking() as page:
        await page.route("**/api/**", held_until(answer))
        for name in ("anomalies", f"anomalies/{shown}", *PAGES):
            answer.clear()
            await page.goto(f"{root}/{name}")
            await expect(page.locator(".skeleton").first).to_be_visible()
            await expect(page.get_by_role("main").get_by_role("status").first).to_be_attached()
            await look_as_it_is(page, f"loading-{name.split('/')[0]}{'-one' if '/' in name else ''}")
            answer.set()
            await expect(page.locator(".skeleton")).to_have_count(0, timeout=LOADED_MS)


async def test_w50_the_list_with_the_longest_names_and_all_that_opens_over_it(
    root: str, write: Write, walking: OpenPage
) -> None:
    executions, found = slow_after(40)
    long = anomaly(
        "long", detected_at=ago(hours=2), severity="info", entity_name="averylongname" * 20, entity_id="x" * 256,
        description="y" * 900,
    )  # fmt: skip
    messages = [notification(f"m{n}", at=ago(minutes=n)) for n in range(120)]  # the widest count on the bell
    await write(executions=executions, anomalies=[*three(), *found, long], notifications=messages)
    async with walking() as page:
        await page.goto(f"{root}/anomalies?range=30d")
        await expect(page.locator("tbody tr")).to_have_count(6)
        await expect(page.locator(".inbox-count")).to_have_text("99+")
        await look(page, "anomalies", EVERY)
        await page.set_viewport_size({"width": 375, "height": 900})
        await page.get_by_role("button", name="Show charts").click()
        await expect(page.locator(".uplot")).to_be_visible()
        await look(page, "anomalies-charts", CORNERS[1:])
        await page.get_by_role("button", name="Last 30 days").click()
        await look(page, "anomalies-range")
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Inbox, 99+ unread").click()
        await look(page, "anomalies-bell")
        await page.keyboard.press("Escape")
        await page.get_by_role("checkbox", name="Select all").click()
        await look(page, "anomalies-chosen")
        await page.keyboard.press("s")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await look(page, "anomalies-silence")
        await page.goto(f"{root}/anomalies/{long.id}")
        await expect(page.get_by_text("Investigation steps")).to_be_visible()
        await look(page, "anomaly-long")


async def test_w50_the_detail_of_a_slow_run(root: str, write: Write, walking: OpenPage) -> None:
    slow = await everything(write)
    async with walking() as page:
        await page.goto(f"{root}/anomalies/{slow}")
        await expect(page.locator(".step-bars li").first).to_be_visible()
        await look(page, "anomaly-slow", EVERY)


async def test_w50_the_detail_of_failures(root: str, write: Write, walking: OpenPage) -> None:
    executions, found = failing()
    spike = next(each for each in found if each.anomaly_type == "SpikeInFailures")
    await write(executions=executions, anomalies=found)
    async with walking() as page:
        await page.goto(f"{root}/anomalies/{spike.id}")
        await expect(page.locator(".uplot")).to_have_count(2)
        await look(page, "anomaly-failures", EVERY)


async def test_w50_nothing_yet_nothing_found_and_not_here_yet(root: str, write: Write, walking: OpenPage) -> None:
    async with walking() as page:
        await page.goto(f"{root}/anomalies")
        await expect(page.get_by_text("Waiting for the first event")).to_be_visible()
        await look(page, "state-first-start")
        await page.goto(f"{root}/anomalies/{uuid('nobody')}")
        await expect(page.get_by_role("heading", name="Not stored yet")).to_be_visible()
        await look(page, "state-not-here-yet")
        await write(anomalies=three())
        await page.goto(f"{root}/anomalies?q=nobody")
        await expect(page.get_by_text("No matches for these filters")).to_be_visible()
        await look(page, "state-no-match")
        await page.goto(f"{root}/no/such/page")
        await look(page, "state-no-such-page")


async def test_w50_loading_failing_stale_and_locked(
    site: Site, root: str, write: Write, walking: OpenPage, make_settings: Callable[..., Settings]
) -> None:
    await write(anomalies=three())
    async with walking() as page:
        await page.clock.install()
        await page.goto(f"{root}/overview")
        await expect(page.locator(".lane").first).to_be_visible()
        await page.route("**/api/**", lambda route: route.abort())
        await page.clock.run_for(20_000)
        await expect(page.get_by_text("No connection to the server.")).to_be_visible()
        await look(page, "state-stale")
        await page.goto(f"{root}/anomalies")
        await expect(page.get_by_role("heading", name="No connection to the server")).to_be_visible()
        await look(page, "state-offline")
    settings = make_settings(database_url=site.database_url)
    async with serving(settings, connected=False) as away, walking() as page:
        await page.goto(f"{away}/anomalies")
        await expect(page.get_by_role("heading", name="Loading failed")).to_be_visible()
        await look(page, "state-failed")
    async with serving(settings) as locked, walking(signed_in=False) as page:
        await page.goto(f"{locked}/anomalies")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await look(page, "state-token")
        secret, _ = await create_token(site.pool, name="reader", role="viewer", expires_at=None)
        await page.get_by_label("Token").fill(secret)
        await page.get_by_role("button", name="Continue").click()
        await expect(page.locator("tbody tr").first).to_be_visible()
        await look(page, "state-may-read")
        await page.goto(f"{locked}/dead-letters")
        await expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()
        await look(page, "state-not-allowed")

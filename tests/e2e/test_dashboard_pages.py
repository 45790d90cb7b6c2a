"""The pages beyond list and detail, the keys, and what people decide: real Chromium, server, database and broker."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from msgspec import structs
from playwright.async_api import Page, expect

from stream_detector.detect import Baseline, Config, step
from stream_detector.devstack.tansu import Tansu
from stream_detector.events import RefusedError, Step
from stream_detector.events.dead_letter import dead_letter_headers
from stream_detector.events.encode import encode
from stream_detector.settings import Settings
from stream_detector.store.access import create_token
from stream_detector.store.rows import BaselineState, DeadLetterNote
from stream_detector.stream.setup import make_topics
from tests.events_made import anomaly, completion, notification, score, summary
from tests.servers.browser import a_page
from tests.servers.dashboard import (
    HOSTILE,
    OUTPUT,
    Write,
    ago,
    built,
    no_sideways_scroll,
    root,
    serving,
    slow_after,
    three,
    violations,
    write,
)
from tests.servers.database import pool

__all__ = ["built", "pool", "root", "write"]

pytestmark = pytest.mark.browser
WIDE = {"width": 1280, "height": 900}


@pytest.fixture
async def acting(
    postgres_url: str, pool: asyncpg.Pool, tansu: Tansu, make_settings: Callable[..., Settings]
) -> AsyncIterator[str]:
    """The address of a server that has its broker, so that decisions can be taken."""
    settings = make_settings(database_url=postgres_url, broker=tansu.address)
    await make_topics(settings)
    async with serving(settings) as address:
        yield address


def learned(*ids: str) -> list[BaselineState]:
    """Baselines of workflows that took 100 s thirty times."""
    states = []
    for workflow_id in ids:
        baseline = Baseline.new(f"workflow:{workflow_id}")
        for number in range(30):
            run = completion(
                str(number), workflow_id, finished_at=ago(hours=40 - number), duration_s=100.0 + number % 3
            )
            step(baseline, run, Config(profile="classic"))
        states.append(BaselineState(key=baseline.key, packed=baseline.pack(), state="normal", named=baseline.named()))
    return states


async def everything(write: Write) -> str:
    """Something on every page; returns the id of an anomaly with a history."""
    executions, found = slow_after(40)
    executions[-1] = completion(
        executions[-1].execution_id,
        "nightly",
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


async def test_overview_shows_where_and_when_and_leads_to_the_list(root: str, write: Write) -> None:
    await write(anomalies=[*three(), anomaly("again", detected_at=ago(days=9))])
    async with a_page(viewport=WIDE) as page:
        await page.goto(f"{root}/overview?range=30d")
        lanes = page.locator(".lane-name")
        await expect(lanes).to_have_count(3)
        await expect(lanes.first).to_contain_text("Nightly")
        await expect(lanes.first).to_contain_text("worst Critical")
        spans = page.get_by_role("navigation", name="Range").get_by_role("link")
        await expect(spans.nth(0)).to_contain_text("1")
        await expect(spans.nth(0)).to_contain_text("1 more")
        await expect(page.get_by_role("list", name="Pipeline")).to_contain_text("Database")
        await page.locator(".lane").first.locator("a.lane-cell, .lane-box a").last.hover()
        await expect(page.locator(".lane-box .plot-tip")).to_contain_text("1 anomaly, worst critical")
        await page.locator(".lane").first.locator(".lane-box a").last.click()
        await page.wait_for_url("**/anomalies?from=*")
        assert parse_qs(urlsplit(page.url).query)["entity"] == ["workflow:nightly"]
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.go_back()
        await expect(lanes).to_have_count(3)


async def test_every_key_does_what_the_help_says(acting: str, write: Write) -> None:
    await write(anomalies=[anomaly(name, detected_at=ago(minutes=n + 1)) for n, name in enumerate("abc")])
    async with a_page(viewport=WIDE) as page:
        await page.goto(f"{acting}/anomalies")
        rows = page.locator("tbody tr")
        await expect(rows).to_have_count(3)
        press = page.keyboard.press
        await press("?")
        await expect(page.get_by_role("dialog")).to_contain_text("Acknowledge")
        await press("Escape")
        await press("/")
        await expect(page.get_by_role("searchbox")).to_be_focused()
        await press("j")  # typed, not obeyed
        await expect(page.get_by_role("searchbox")).to_have_value("j")
        await press("Backspace")
        await press("Escape")
        for key, index in (("j", 0), ("j", 1), ("k", 0)):
            await press(key)
            await expect(rows.nth(index).get_by_role("link").first).to_be_focused()
        await press("a")
        await expect(rows.nth(0)).to_contain_text("Acknowledged")
        await press("j")
        await press("x")
        await press("j")
        await press("x")
        await expect(page.get_by_role("toolbar")).to_contain_text("2 selected")
        await press("r")
        await expect(page.get_by_text("Resolved: 2 incidents.")).to_be_visible()
        await press("k")
        await press("s")
        await page.get_by_role("dialog").get_by_role("button", name="Silence", exact=True).click()
        await expect(page.get_by_text("Silenced.")).to_be_visible()
        await press("Enter")
        await expect(page.locator(".lead")).to_have_text("b happened")
        await press("g")
        await press("w")
        await page.wait_for_url("**/workflows")


async def test_what_is_decided_on_the_detail_is_there_for_everyone(acting: str, write: Write) -> None:
    shown = await everything(write)
    async with a_page(viewport=WIDE) as page:
        await page.goto(f"{acting}/anomalies/{shown}")
        await expect(page.locator(".step-bars li").first).to_contain_text("test")
        await expect(page.locator(".step-bars li").first).to_contain_text("3 m 21 s usually 55 s")
        timeline = page.locator(".timeline")
        await expect(timeline).to_contain_text("Opened as critical")
        await expect(timeline).to_contain_text("Inbox: delivered")
        await expect(timeline).to_contain_text("severity warning is sent")
        decide = page.get_by_role("toolbar", name="Decide")
        await decide.get_by_role("button", name="Acknowledge").click()
        await expect(decide.get_by_role("button", name="Acknowledged")).to_be_disabled()
        await page.get_by_label("Comment").fill(HOSTILE)
        await page.get_by_role("button", name="Comment").click()
        await expect(timeline).to_contain_text(HOSTILE)
        await decide.get_by_role("button", name="Expected").click()
        await expect(timeline).to_contain_text("marked it as expected")
        await decide.get_by_role("button", name="Silence for").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_role("button", name="1 week").click()
        await dialog.get_by_label("Why").fill("known outage")
        await dialog.get_by_role("button", name="Silence", exact=True).click()
        await expect(timeline).to_contain_text("known outage")
        await page.get_by_role("button", name="Tell me").click()
        await expect(page.get_by_text("It was judged")).to_be_visible()
        await page.goto(f"{acting}/silences")
        await expect(page.get_by_role("table")).to_contain_text("known outage")
        await page.get_by_role("button", name="Lift").click()
        await expect(page.get_by_role("heading", name="Nothing is silenced")).to_be_visible()
        await page.get_by_role("button", name="New silence").click()
        await page.get_by_role("dialog").get_by_role("button", name="Silence", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("at least one")
        await page.get_by_role("dialog").get_by_label("Type").select_option("SpikeInFailures")
        await page.get_by_role("dialog").get_by_role("button", name="Silence", exact=True).click()
        await expect(page.get_by_role("table")).to_contain_text("type = SpikeInFailures")


async def test_what_is_found_appears_by_itself_before_it_is_stored(
    acting: str, write: Write, tansu: Tansu, topic_prefix: str
) -> None:
    await write(anomalies=three())
    async with a_page(viewport=WIDE) as page:
        await page.goto(f"{acting}/anomalies")
        await expect(page.get_by_title("New anomalies appear by themselves")).to_have_text("Live", timeout=20_000)
        await expect(page.locator("tbody tr")).to_have_count(2)
        producer = AIOKafkaProducer(bootstrap_servers=tansu.address)
        await producer.start()
        live = anomaly("live", detected_at=ago(seconds=1), entity_name=HOSTILE, severity="critical")
        await producer.send_and_wait(f"{topic_prefix}alerts", encode(live), key=b"workflow:nightly")
        await producer.stop()
        await page.get_by_role("button", name="1 new").click()
        await expect(page.locator("tbody tr").first).to_contain_text(HOSTILE)
        await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Workflows").click()
        await expect(page.get_by_role("heading", name="No workflows yet")).to_be_visible()


async def test_workflows_entities_and_runs_have_a_page_each(root: str, write: Write) -> None:
    await everything(write)
    async with a_page(viewport=WIDE) as page:
        await page.goto(f"{root}/workflows")
        row = page.get_by_role("row").filter(has_text="nightly")
        await expect(row).to_contain_text("Normal")
        await expect(row).to_contain_text("1 m 41 s ±")
        await expect(row.locator(".spark polyline")).to_have_count(1)
        await page.get_by_role("link", name="team/build").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("team/build")
        await expect(page.get_by_text("over 30 timed runs in 30 days")).to_be_visible()
        await page.goto(f"{root}/workflows/nightly")
        await expect(page.locator(".uplot")).to_be_visible()
        await expect(page.get_by_role("table", name="Last runs").get_by_role("row")).to_have_count(31)
        await expect(page.get_by_role("table", name="Anomalies")).to_contain_text("Unusual execution time")
        await page.goto(f"{root}/entities")
        await expect(page.get_by_role("row").filter(has_text="lido")).to_contain_text("5.8", timeout=15_000)
        await page.get_by_role("link", name="lido").click()
        await expect(page.locator(".uplot")).to_be_visible()
        await page.goto(f"{root}/runs")
        await expect(page.get_by_role("row").filter(has_text="r1")).to_contain_text("2 of 2")
        await page.get_by_role("link", name="r1").click()
        changes = page.get_by_role("table", name="Significant changes")
        for text in ("Lido", "7.5", "5.8", "−1.7", "0.5"):
            await expect(changes).to_contain_text(text)


async def test_a_viewer_reads_and_is_told_why_there_are_no_buttons(
    postgres_url: str, pool: asyncpg.Pool, make_settings: Callable[..., Settings], write: Write
) -> None:
    shown = await everything(write)
    secret, _ = await create_token(pool, name="reader", role="viewer", expires_at=None)
    async with serving(make_settings(database_url=postgres_url)) as root, a_page(signed_in=False) as page:
        await page.goto(f"{root}/anomalies/{shown}")
        await page.get_by_label("Token").fill(secret)
        await page.get_by_role("button", name="Continue").click()
        await expect(page.get_by_text("needs the role operator")).to_be_visible()
        await expect(page.get_by_role("toolbar")).to_have_count(0)
        await page.goto(f"{root}/anomalies")
        await expect(page.locator("tbody tr").first).to_be_visible()
        await expect(page.get_by_role("checkbox")).to_have_count(0)


PAGES = ("overview", "workflows", "workflows/nightly", "entities", "entities/lido", "runs", "runs/r1", "silences")
SELDOM = ("settings", "dead-letters")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
async def test_every_page_at_both_widths_in_both_themes(acting: str, write: Write, width: int, theme: Any) -> None:
    shown = await everything(write)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    async with a_page(viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce") as page:
        for name in (*PAGES, *SELDOM, f"anomalies/{shown}"):
            await page.goto(f"{acting}/{name}")
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
            await expect(page.locator(".bone")).to_have_count(0)
            assert await no_sideways_scroll(page), name
            assert await violations(page) == [], name
            file = name.replace("/", "-").replace(shown, "decisions")
            await page.screenshot(path=OUTPUT / f"{file}-{width}-{theme}.png", full_page=True)
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_be_visible()
        assert await violations(page) == []


async def test_settings_in_force_and_what_others_would_find(root: str, write: Write) -> None:
    await everything(write)
    async with a_page(viewport=WIDE) as page:
        await page.goto(f"{root}/settings")
        await expect(page.get_by_role("main")).to_contain_text("STREAM_DETECTOR_API_TOKEN")
        await expect(page.get_by_role("main")).not_to_contain_text("a-token-of-the-tests")
        await page.get_by_role("searchbox").fill("score_threshold")
        await expect(page.get_by_role("main")).not_to_contain_text("STREAM_DETECTOR_API_TOKEN")
        await page.get_by_label("Score threshold").fill("0.05")
        await page.get_by_role("button", name="Show", exact=True).click()
        await expect(page.locator(".tried")).to_contain_text("in your last 30 days, instead of", timeout=15_000)
        await expect(page.get_by_role("table", name="Alerts by type")).to_contain_text("Significant score change")


async def test_a_dead_letter_is_shown_as_it_is_and_sent_again(
    acting: str, write: Write, tansu: Tansu, topic_prefix: str
) -> None:
    error = RefusedError("decode", "not_json", HOSTILE)
    headers = dead_letter_headers(
        [], topic=f"{topic_prefix}scores", partition=0, offset=7, timestamp_ms=1_770_000_000_000, error=error
    )
    producer = AIOKafkaProducer(bootstrap_servers=tansu.address)
    await producer.start()
    await producer.send_and_wait(f"{topic_prefix}dead-letters", HOSTILE.encode(), partition=0, headers=headers)
    await producer.stop()
    note = DeadLetterNote(
        topic=f"{topic_prefix}scores", partition=0, offset=7, timestamp_ms=None, stage="decode", reason="not_json",
        message=HOSTILE,
    )  # fmt: skip
    await write(dead_letters=[note])
    async with a_page(viewport=WIDE) as page:
        await page.goto(f"{acting}/dead-letters")
        await page.get_by_role("button", name="not json").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog.locator("pre")).to_have_text(HOSTILE)
        await expect(dialog).to_contain_text("0:7")
        assert await page.locator("img").count() == 1, "the logo alone"
        await dialog.get_by_role("button", name="Send again").click()
        await expect(page.get_by_text("Sent again.")).to_be_visible()


async def test_hostile_names_on_every_page(root: str, write: Write) -> None:
    baseline = learned("x")[0]
    await write(
        anomalies=[anomaly("h", detected_at=ago(minutes=1), entity_id=HOSTILE, entity_name=HOSTILE)],
        baselines=[structs.replace(baseline, key=f"workflow:{HOSTILE}")],
        summaries=[summary(HOSTILE, started_at=ago(minutes=9), ended_at=ago(minutes=8), error=HOSTILE)],
    )

    async def harmless(page: Page) -> None:
        await expect(page.get_by_role("main")).to_contain_text(HOSTILE)
        assert await page.locator("img").count() == 1, "the logo alone"
        assert "owned" not in (await page.title()).replace(HOSTILE, "")

    async with a_page() as page:
        for path in ("overview", "workflows", "runs"):
            await page.goto(f"{root}/{path}")
            await harmless(page)
        await page.locator("tbody a").first.click()
        await harmless(page)
        await page.goto(f"{root}/workflows")
        await page.locator("tbody a").first.click()
        await harmless(page)

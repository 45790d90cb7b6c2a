"""The pages beyond list and detail, the keys, and what people decide: real Chromium, server, database and broker."""

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from aiokafka import AIOKafkaProducer
from msgspec import structs
from playwright.async_api import Page, Route, expect

from stream_detector.detect import Config
from stream_detector.detect.due import due
from stream_detector.events import Movement, RefusedError
from stream_detector.events.dead_letter import dead_letter_headers
from stream_detector.events.encode import encode
from stream_detector.events.times import epoch_ms
from stream_detector.settings import Settings
from stream_detector.store.credentials import create_token
from stream_detector.store.rows import BaselineState, DeadLetterNote, NamedValue
from tests.events_made import action, anomaly, completion, notification, score_change, start, summary, uuid
from tests.events_made.histories import ago, failing, learned, three, with_variants
from tests.servers.dashboard import (
    HOSTILE,
    OpenPage,
    Site,
    Write,
    everything,
    held_until,
    no_sideways_scroll,
    serving,
    violations,
)
from tests.times_made import at_two, ran, stored

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
WIDE = {"width": 1280, "height": 900}
WITH_AND_WITHOUT_BANNER = """() => {
  const tops = () => [...document.querySelectorAll('tbody tr')].map(row => row.getBoundingClientRect().top);
  const show = display => document.querySelectorAll('.banner').forEach(each => { each.style.display = display; });
  const before = tops();
  show('none');
  const after = tops();
  show('');
  return [before, after];
}"""


async def test_overview_shows_where_and_when_and_leads_to_the_list(
    root: str, write: Write, open_page: OpenPage
) -> None:
    await write(anomalies=[*three(), anomaly("again", detected_at=ago(days=9))])
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/overview?range=30d")
        lanes = page.locator(".lane-name")
        await expect(lanes).to_have_count(4)
        await expect(lanes.first).to_contain_text("All 3")
        await expect(lanes.first).to_contain_text("4 anomalies, worst Critical")
        await expect(lanes.nth(1)).to_contain_text("Nightly")
        await expect(lanes.nth(1)).to_contain_text("worst Critical")
        spans = page.get_by_role("navigation", name="Range").get_by_role("link")
        await expect(spans.nth(0)).to_contain_text("1")
        await expect(spans.nth(0)).to_contain_text("1 more")
        await expect(page.get_by_role("list", name="Pipeline")).to_contain_text("Database")
        await page.locator(".lane").nth(1).locator(".lane-box a").last.hover()
        await expect(page.locator(".lane-box .plot-tip")).to_contain_text("1 anomaly, worst critical")
        await page.locator(".lane").nth(1).locator(".lane-box a").last.click()
        await page.wait_for_url("**/anomalies?from=*")
        assert parse_qs(urlsplit(page.url).query)["entity"] == ["workflow:nightly"]
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.go_back()
        await expect(lanes).to_have_count(4)


async def test_the_swimlane_answers_to_the_arrow_keys(root: str, write: Write, open_page: OpenPage) -> None:
    await write(anomalies=[*three(), anomaly("again", detected_at=ago(days=9))])
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/overview?range=30d")
        lanes = page.locator(".lane")
        await expect(lanes).to_have_count(4)
        await lanes.nth(1).locator(".lane-name").focus()
        focused = page.locator(":focus")
        for key, label in (("ArrowRight", "1, worst warning"), ("ArrowRight", "1, worst critical")):
            await page.keyboard.press(key)
            await expect(focused).to_have_attribute("aria-label", re.compile(label))
        await expect(page.locator(".plot-tip")).to_contain_text("1 anomaly, worst critical")
        await page.keyboard.press("ArrowUp")
        await expect(lanes.nth(0).locator("a:focus")).to_have_attribute("aria-label", re.compile("worst critical"))
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowDown")
        await expect(lanes.nth(2).locator("a:focus")).to_have_count(1)
        await page.keyboard.press("ArrowLeft")
        await expect(lanes.nth(2).locator(".lane-name")).to_be_focused()
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/anomalies?from=*")


async def test_the_overview_shows_more_lanes_when_asked_and_the_way_to_what_needs_attention(
    root: str, write: Write, open_page: OpenPage
) -> None:
    many = [anomaly(f"n{n}", detected_at=ago(minutes=n + 1), entity_id=f"w{n:02}", entity_name="") for n in range(18)]
    decided = action("1", "acknowledge", incident_id=uuid("n0"), at=ago(minutes=1))
    await write(anomalies=many, actions=[decided])
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/overview")
        await expect(page.locator(".lane")).to_have_count(16)
        await page.get_by_role("link", name="15 of 18 shown: show more").click()
        await expect(page.locator(".lane")).to_have_count(19)
        await page.get_by_role("link", name="17 incidents need attention").click()
        await expect(page.locator("tbody tr")).to_have_count(17)


async def test_the_pipeline_says_how_far_each_part_is_behind(
    site: Site, root: str, write: Write, open_page: OpenPage
) -> None:
    await write(executions=[completion("1", finished_at=ago(minutes=5))], anomalies=three())
    async with AIOKafkaProducer(bootstrap_servers=site.broker) as producer:
        await producer.send_and_wait(f"{site.topic_prefix}scores", b"nobody reads this here")
    async with open_page(viewport=WIDE) as page:
        await page.clock.install()
        await page.goto(f"{root}/overview")
        pipeline = page.get_by_role("list", name="Pipeline")
        await expect(pipeline).to_contain_text("last event 5 minutes ago")
        await expect(pipeline).to_contain_text("Kafka ok")
        # Kafka is asked in the background: a later answer of the server has it.
        until_s = asyncio.get_running_loop().time() + 30
        recorder = pipeline.get_by_role("listitem").filter(has_text="Recorder")
        while "behind" not in await recorder.inner_text():
            assert asyncio.get_running_loop().time() < until_s, await pipeline.inner_text()
            await page.clock.run_for(15_000)
        await expect(pipeline.get_by_role("listitem").filter(has_text="Detector")).to_contain_text(" behind")


async def test_x3_every_page_says_what_does_not_answer(root: str, write: Write, open_page: OpenPage) -> None:
    """No role runs on the site of the tests."""
    await write(anomalies=[anomaly("a", labels={"demo": "injected"})])
    async with open_page(viewport=WIDE) as page:
        for path in ("/overview", "/anomalies", f"/anomalies/{uuid('a')}", "/inbox"):
            await page.goto(f"{root}{path}")
            banner = page.locator(".banner").filter(has_text="The recorder does not answer")
            await expect(banner).to_contain_text("its consumer group has no member", timeout=15_000)
            if path.endswith(uuid("a")):
                await expect(page.get_by_role("main")).to_contain_text(
                    "injected (added to the real history of the demo)"
                )


async def test_x3_what_does_not_answer_covers_nothing_and_moves_nothing(
    root: str, write: Write, open_page: OpenPage
) -> None:
    await write(anomalies=[anomaly(f"n{n}", detected_at=ago(minutes=n + 1)) for n in range(30)])
    for viewport in (WIDE, {"width": 390, "height": 780}):
        async with open_page(viewport=viewport) as page:
            answer = asyncio.Event()
            await page.route("**/api/v1/health*", held_until(answer))
            await page.goto(f"{root}/anomalies")
            rows, banner = page.locator("tbody tr"), page.locator(".banner")
            await expect(rows).to_have_count(30)
            await page.keyboard.press("j")
            answer.set()
            await expect(banner).to_contain_text("The detector")
            await expect(rows.first.get_by_role("link").first).to_be_focused()
            with_it, without = await page.evaluate(WITH_AND_WITHOUT_BANNER)  # at one time: other parts may still load
            assert with_it == without
            for _ in range(29):
                await page.keyboard.press("j")
            await expect(rows.last.get_by_role("link").first).to_be_focused()
            await page.keyboard.press("x")
            edge = (await banner.bounding_box())["y"]  # type: ignore[index]
            for clear in (rows.last, page.get_by_role("toolbar")):
                await clear.scroll_into_view_if_needed()
                box = await clear.bounding_box()
                assert box is not None
                assert box["y"] + box["height"] <= edge
            assert await no_sideways_scroll(page)
            assert await violations(page) == []


async def test_every_key_does_what_the_help_says(root: str, write: Write, open_page: OpenPage) -> None:
    await write(anomalies=[anomaly(name, detected_at=ago(minutes=n + 1)) for n, name in enumerate("abc")])
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/anomalies")
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
        # On a slow machine the pause between the two keys was long enough to search for j.
        await expect(page).not_to_have_url(re.compile("[?&]q="))
        await expect(rows).to_have_count(3)
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
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(rows.nth(1).get_by_role("link")).to_be_focused()
        await press("Enter")
        await expect(page.locator(".lead")).to_have_text("b happened")
        await press("g")
        await press("w")
        await page.wait_for_url("**/workflows")


async def test_many_are_chosen_at_once_and_decided_in_parts_that_the_server_takes(
    root: str, write: Write, open_page: OpenPage
) -> None:
    await write(anomalies=[anomaly(f"n{n}", detected_at=ago(minutes=n + 1)) for n in range(220)])
    async with open_page(viewport=WIDE) as page:
        sent: list[int] = []
        page.on(
            "request",
            lambda request: (
                sent.append(len(request.post_data_json["incident_ids"])) if request.url.endswith("/actions") else None
            ),
        )
        await page.goto(f"{root}/anomalies")
        boxes = page.locator("tbody").get_by_role("checkbox")
        await expect(boxes).to_have_count(50)
        bar = page.get_by_role("toolbar", name="Selected anomalies")
        await boxes.nth(2).click()
        await boxes.nth(6).click(modifiers=["Shift"])
        await expect(bar).to_contain_text("5 selected")
        await bar.get_by_role("button", name="Acknowledge").click()
        await expect(page.get_by_text("Acknowledged: 5 incidents.")).to_be_visible()
        await expect(page.locator("tbody tr").filter(has_text="Acknowledged")).to_have_count(5)
        await page.keyboard.press("j")
        await page.keyboard.press("J")
        await page.keyboard.press("J")
        await expect(bar).to_contain_text("3 selected")
        await page.keyboard.press("Escape")
        await expect(bar).to_have_count(0)
        await page.get_by_role("checkbox", name="Select all").click()
        await expect(bar).to_contain_text("50 selected")
        await bar.get_by_role("button", name="Select all matches").click()
        await expect(bar).to_contain_text("220 selected")
        await bar.get_by_role("button", name="Resolve").click()
        await expect(page.get_by_text("Resolved: 220 incidents.")).to_be_visible(timeout=20_000)
        assert sent == [5, 200, 20]
        tabs = page.get_by_role("navigation", name="Incidents")
        await expect(tabs.get_by_role("link", name="Resolved")).to_contain_text("220")


async def test_what_is_chosen_is_silenced_in_the_store_and_nothing_else(
    site: Site, root: str, write: Write, open_page: OpenPage
) -> None:
    names = "abcde"
    await write(
        anomalies=[anomaly(each, detected_at=ago(minutes=n + 1), entity_id=each) for n, each in enumerate(names)]
    )
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/anomalies")
        boxes = page.locator("tbody").get_by_role("checkbox")
        await expect(boxes).to_have_count(5)
        for index in (0, 2, 3):
            await boxes.nth(index).click()
        bar = page.get_by_role("toolbar", name="Selected anomalies")
        await bar.get_by_role("button", name="Silence").click()
        dialog = page.get_by_role("dialog", name="Silence 3 incidents")
        await dialog.get_by_role("button", name="1 day").click()
        await dialog.get_by_label("Reason").fill("the runners are being moved")
        await dialog.get_by_role("button", name="Silence", exact=True).click()
        await expect(page.get_by_text("Silenced: 3 incidents.")).to_be_visible()
        await expect(dialog).to_have_count(0)
        await expect(bar).to_have_count(0)
        stored = await site.pool.fetch("SELECT entity, incident_id, until - at AS lasts, comment FROM silences")
        assert {(each["entity"], each["incident_id"]) for each in stored} == {
            (f"workflow:{name}", uuid(name)) for name in "acd"
        }
        assert [each["comment"] for each in stored] == ["the runners are being moved"] * 3
        assert [each["lasts"] for each in stored] == [timedelta(days=1)] * 3
        await page.goto(f"{root}/silences")
        await expect(page.locator("tbody tr")).to_have_count(3)


async def test_one_click_acknowledges_at_once_and_what_fails_is_taken_back(
    root: str, write: Write, open_page: OpenPage
) -> None:
    await write(
        anomalies=[anomaly(name, detected_at=ago(minutes=n + 1), entity_name=name) for n, name in enumerate("abc")]
    )
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/anomalies")
        rows = page.locator("tbody tr")
        await expect(rows).to_have_count(3)
        answer = asyncio.Event()

        await page.route("**/api/v1/actions", held_until(answer))
        await page.get_by_role("button", name="Acknowledge a").click()
        await expect(rows.nth(0)).to_contain_text("Acknowledged")
        await expect(rows.nth(0).get_by_role("link")).to_be_focused()
        answer.set()
        await expect(page.get_by_text("Acknowledged.", exact=True)).to_be_visible()
        await page.unroute("**/api/v1/actions")
        await page.route("**/api/v1/actions", lambda route: route.abort())
        await page.get_by_role("button", name="Acknowledge b").click()
        await expect(page.get_by_text("No connection to the server; nothing was changed.")).to_be_visible()
        await expect(rows.nth(1)).not_to_contain_text("Acknowledged")
        await expect(page.get_by_role("button", name="Acknowledge b")).to_be_visible()


async def test_the_detail_turns_to_the_next_of_the_list_and_back(root: str, write: Write, open_page: OpenPage) -> None:
    await write(anomalies=[anomaly(name, detected_at=ago(minutes=n + 1)) for n, name in enumerate("abc")])
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/anomalies?severity=warning")
        await page.locator("tbody tr").first.get_by_role("link").click()
        lead = page.locator(".lead")
        await expect(lead).to_have_text("a happened")
        around = page.get_by_role("navigation", name="In the list")
        await expect(around).to_contain_text("1 of 3")
        await page.keyboard.press("j")
        await expect(lead).to_have_text("b happened")
        await around.get_by_role("link", name="Next").click()
        await expect(lead).to_have_text("c happened")
        await page.keyboard.press("k")
        await expect(lead).to_have_text("b happened")
        await page.keyboard.press("Escape")
        await page.wait_for_url("**/anomalies?severity=warning")
        await page.locator("tbody tr").first.get_by_role("link").click()
        await page.keyboard.press("j")
        await expect(lead).to_have_text("b happened")
        await page.go_back()
        await expect(page.locator("tbody tr")).to_have_count(3)


async def test_the_detail_of_failures_shows_their_rate_how_runs_ended_and_where_to_look(
    root: str, write: Write, open_page: OpenPage
) -> None:
    executions, found = failing()
    spike = next(each for each in found if each.anomaly_type == "SpikeInFailures")
    await write(executions=executions, anomalies=found)
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/anomalies/{spike.id}")
        await expect(page.get_by_role("heading", name="Failure rate of the last 10 runs")).to_be_visible()
        await expect(page.get_by_role("img", name="of the last 40 runs failed")).to_be_visible()
        await expect(page.locator(".outcome")).to_have_count(40)
        failed = await page.locator(".outcome.failed").count()
        await expect(page.get_by_text(f"{failed} of the last 40 runs failed.")).to_be_visible()
        assert await page.locator(".outcome.failed path").count() == failed, "a cross, not colour alone"
        await expect(page.locator(".uplot")).to_have_count(2)
        box = await page.locator(".u-over").first.bounding_box()
        assert box
        await page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
        tip = page.locator(".plot-tip")
        await expect(tip).to_contain_text(f"{spike.metrics.current_value * 100:.0f} %")
        await expect(tip).to_contain_text("expected 0 % to")
        await expect(tip).to_contain_text("this anomaly")
        look = page.locator(".steps").first
        last_good = look.get_by_role("link", name=re.compile("build-"))
        await expect(last_good.first).to_have_attribute("href", re.compile(r"https://ci\.example\.org/build-\d+"))
        await expect(page.get_by_role("link", name="Open execution")).to_have_attribute("target", "_blank")


async def test_what_is_decided_on_the_detail_is_there_for_everyone(
    root: str, write: Write, open_page: OpenPage
) -> None:
    shown = await everything(write)
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/anomalies/{shown}")
        await expect(page.locator(".step-bars li").first).to_contain_text("test")
        await expect(page.locator(".step-bars li").first).to_contain_text("3 m 21 s 83 % of the steps")
        await expect(page.locator(".step-bars li").first).to_contain_text("usually 55 s, 58 %")
        timeline = page.locator(".timeline")
        await expect(timeline).to_contain_text("Opened as critical")
        await expect(timeline).to_contain_text("Inbox: delivered")
        await expect(timeline).to_contain_text("severity warning is sent")
        decide = page.get_by_role("toolbar", name="Actions")
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
        await dialog.get_by_label("Reason").fill("known outage")
        await dialog.get_by_role("button", name="Silence", exact=True).click()
        await expect(timeline).to_contain_text("known outage")
        await decide.get_by_role("button", name="Not an anomaly").click()
        await expect(timeline).to_contain_text("marked it as not an anomaly")
        await decide.get_by_role("button", name="Reset baseline").click()
        await page.get_by_role("dialog").get_by_role("button", name="Reset baseline").click()
        await expect(dialog).to_have_count(0)
        await page.keyboard.press("r")
        await expect(decide.get_by_role("button", name="Resolved")).to_be_disabled()
        await page.get_by_role("button", name="Explain").click()
        await expect(page.get_by_text("It was evaluated")).to_be_visible()
        await page.goto(f"{root}/silences")
        await expect(page.get_by_role("table")).to_contain_text("known outage")
        await page.get_by_role("button", name="Expire").click()
        await expect(page.get_by_role("heading", name="No active silences")).to_be_visible()
        await page.get_by_role("button", name="New silence").click()
        await page.get_by_role("dialog").get_by_role("button", name="Silence", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("at least one")
        await page.get_by_role("dialog").get_by_label("Type").select_option("SpikeInFailures")
        await page.get_by_role("dialog").get_by_role("button", name="Silence", exact=True).click()
        await expect(page.get_by_role("table")).to_contain_text("type = SpikeInFailures")


async def test_what_is_found_appears_by_itself_before_it_is_stored(
    root: str, write: Write, site: Site, open_page: OpenPage
) -> None:
    await write(anomalies=three())
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/anomalies")
        await expect(page.get_by_title("New anomalies appear automatically")).to_have_text("Live", timeout=20_000)
        await expect(page.locator("tbody tr")).to_have_count(2)
        producer = AIOKafkaProducer(bootstrap_servers=site.broker)
        await producer.start()
        live = anomaly("live", detected_at=ago(seconds=1), entity_name=HOSTILE, severity="critical")
        await producer.send_and_wait(f"{site.topic_prefix}alerts", encode(live), key=b"workflow:nightly")
        await producer.stop()
        await page.get_by_role("button", name="1 new").click()
        await expect(page.locator("tbody tr").first).to_contain_text(HOSTILE)
        await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Workflows").click()
        await expect(page.get_by_role("heading", name="No workflows yet")).to_be_visible()


async def test_workflows_entities_and_runs_have_a_page_each(root: str, write: Write, open_page: OpenPage) -> None:
    await everything(write)
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/workflows")
        row = page.get_by_role("row").filter(has_text="nightly")
        await expect(row).to_contain_text("Normal")
        await expect(row).to_contain_text("1 m 41 s ±")
        await expect(row.locator(".spark polyline")).to_have_count(1)
        await expect(row).to_contain_text("Nightly build")
        await page.get_by_role("searchbox").fill("nightly bu")
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.get_by_role("searchbox").fill("")
        await page.get_by_role("link", name="team/build").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("team/build")
        await expect(page.get_by_text("over 30 timed runs in 30 days")).to_be_visible()
        await page.goto(f"{root}/workflows/nightly")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Nightly build")
        await expect(page.locator(".uplot")).to_have_count(2)
        await expect(page.get_by_role("table", name="Last runs").get_by_role("row")).to_have_count(41)
        await expect(page.get_by_role("table", name="Anomalies")).to_contain_text("Unusual execution time")
        await page.goto(f"{root}/entities")
        await expect(page.get_by_role("row").filter(has_text="Lido")).to_contain_text("5.8", timeout=15_000)
        await page.get_by_role("link", name="Lido").click()
        await expect(page.locator(".uplot")).to_be_visible()
        await page.goto(f"{root}/runs")
        await expect(page.get_by_role("row").filter(has_text="r1")).to_contain_text("2 of 2")
        await page.get_by_role("link", name="r1").click()
        changes = page.get_by_role("table", name="Significant changes")
        for text in ("Lido", "7.5", "5.8", "−1.7", "0.5"):
            await expect(changes).to_contain_text(text)


async def test_x21_a_workflow_shows_its_variants_and_each_has_a_page(
    root: str, write: Write, open_page: OpenPage
) -> None:
    runs, found, states = with_variants()
    await write(executions=runs, anomalies=found, baselines=states)
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/workflows")
        rows = page.get_by_role("table", name="Workflows").locator("tbody tr")
        await expect(rows).to_have_count(3)
        for variant, took in (("default branch", "1 m 4"), ("pull request", "4"), ("schedule", "10 m")):
            await expect(rows.filter(has_text=variant)).to_contain_text(took)
        await expect(rows.filter(has_text="schedule")).to_contain_text("Anomalous")
        await rows.filter(has_text="schedule").get_by_role("link", name=re.compile("App.*variant schedule")).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("App (schedule)")
        await expect(page.get_by_text("over 36 timed runs in 30 days")).to_have_count(0)  # of 36 days the last 30 count
        last_runs = page.get_by_role("table", name="Last runs").get_by_role("row")
        await expect(last_runs).to_have_count(37)
        await expect(page.locator(".uplot")).to_have_count(2)
        await expect(page.get_by_role("table", name="Anomalies")).to_contain_text("Consecutive failures")
        await page.get_by_role("link", name="All variants").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("App")
        variants = page.get_by_role("table", name="Variants").locator("tbody tr")
        await expect(variants).to_have_count(3)
        await expect(last_runs).to_have_count(41)
        await page.get_by_role("link", name="default branch", exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("App (default branch)")
        await expect(page.get_by_text("None yet.")).to_be_visible()
        await page.goto(f"{root}/anomalies?range=all")
        await page.get_by_label("Variant").select_option("schedule")
        await expect(page).to_have_url(re.compile("variant=schedule"))
        await page.get_by_role("table", name="Anomalies").get_by_role("link", name="App").first.click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("App (schedule)")
        assert await violations(page) == []


async def test_x7_a_score_and_its_run_show_how_many_entities_moved(
    root: str, write: Write, open_page: OpenPage
) -> None:
    lido = score_change()
    await write(anomalies=[lido], summaries=[summary(movement=Movement(fell=41, rose=2, unchanged=40))])
    async with open_page() as page:
        await page.goto(f"{root}/anomalies/{lido.id}")
        evidence = page.locator(".run-evidence")
        await expect(evidence).to_have_text("Score run: 41 of 83 fell: look at the run first")
        await evidence.get_by_role("link", name="Score run").click()
        await expect(page.get_by_role("main")).to_contain_text(
            "41 fell and 2 rose by half of their threshold or more, 40 changed by less."
        )


async def test_a_history_is_shown_whole_and_turned_back_to_its_beginning(
    root: str, write: Write, open_page: OpenPage
) -> None:
    runs = [
        completion(f"run-{n}", finished_at=ago(minutes=5 * (2_450 - n)), duration_s=100.0 + n % 7) for n in range(2_450)
    ]
    await write(executions=runs, baselines=learned("nightly"))
    async with open_page(viewport=WIDE) as page:
        durations = page.locator("section").filter(has=page.get_by_role("heading", name="Execution time"))
        failures = page.locator("section").filter(has=page.get_by_role("heading", name="Failure rate"))

        async def shown(count: int, begins: str) -> None:
            for section in (durations, failures):
                await expect(section.get_by_role("img", name=f"{count} readings")).to_be_visible(timeout=15_000)
                await expect(section.locator(".turn")).to_contain_text(begins)

        await page.goto(f"{root}/workflows/nightly")
        await shown(200, "200 readings, ")
        await page.get_by_role("link", name="10,000").click()
        await shown(2_450, "(all stored data)")
        await expect(page.get_by_role("link", name="Earlier")).to_have_count(0)
        await page.get_by_role("link", name="2,000").click()
        await shown(2_000, "2,000 readings, ")
        await durations.get_by_role("link", name="Earlier").click()
        # The first of those before is the last of these: 450 and that one.
        await shown(451, "(start of stored data)")
        assert set(parse_qs(urlsplit(page.url).query)) == {"readings", "until"}
        await page.reload()
        await shown(451, "(start of stored data)")
        await durations.get_by_role("link", name="Newest").click()
        await shown(2_000, "2,000 readings, ")
        await page.go_back()
        await shown(451, "(start of stored data)")


async def test_the_inbox_lists_filters_and_marks(root: str, write: Write, open_page: OpenPage) -> None:
    target = three()[0]
    messages = [
        notification(
            f"m{n}", at=ago(minutes=n + 1), title=f"Title {n}", body=f"Head\n\nBody {n}\n\nMore",
            severity=("warning", "critical")[n % 2], anomaly_id=target.id,
        )
        for n in range(60)
    ]  # fmt: skip
    await write(anomalies=[target], notifications=messages)
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/overview")
        await page.get_by_role("button", name="Inbox, 60 unread").click()
        await expect(page.locator("#inbox li")).to_have_count(10)
        await page.get_by_role("link", name="All messages").click()
        lines = page.get_by_role("main").locator("li[data-id]")
        await expect(lines).to_have_count(50)
        await expect(lines.first).to_contain_text("Title 0")
        await expect(lines.first).to_contain_text("Body 0")
        await page.get_by_role("button", name="Show more").click()
        await expect(lines).to_have_count(60)
        await page.get_by_label("Severity").get_by_role("link", name="Critical").click()
        await expect(lines).to_have_count(30)
        await lines.first.get_by_role("button", name="Mark as read").click()
        await expect(page.get_by_role("button", name="Inbox, 59 unread")).to_be_visible()
        await page.get_by_label("Read status").get_by_role("link", name="Unread").click()
        await page.wait_for_url("**/inbox?unread=true&severity=critical")
        await expect(lines).to_have_count(29)
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await expect(page.locator(".lead")).to_have_text("now happened")
        await expect(page.get_by_role("button", name="Inbox, 58 unread")).to_be_visible()
        await page.go_back()
        await page.get_by_role("button", name="Mark all as read").click()
        await expect(page.get_by_role("button", name="Inbox", exact=True)).to_be_visible()
        await expect(page.get_by_role("heading", name="No matches for these filters")).to_be_visible()
        await page.goto(f"{root}/inbox?unread=true")
        await expect(page.get_by_role("heading", name="No unread messages")).to_be_visible()


async def test_a_viewer_reads_and_is_told_why_there_are_no_buttons(
    site: Site, root: str, make_settings: Callable[..., Settings], write: Write, open_page: OpenPage
) -> None:
    shown = await everything(write)
    secret, _ = await create_token(site.pool, name="reader", role="viewer", expires_at=None)
    async with serving(make_settings(database_url=site.database_url)) as root, open_page(signed_in=False) as page:
        await page.goto(f"{root}/anomalies/{shown}")
        await page.get_by_label("Token").fill(secret)
        await page.get_by_role("button", name="Continue").click()
        await expect(page.get_by_text("require the operator role")).to_be_visible()
        await expect(page.get_by_role("toolbar")).to_have_count(0)
        await page.goto(f"{root}/anomalies")
        await expect(page.locator("tbody tr").first).to_be_visible()
        await expect(page.get_by_role("checkbox")).to_have_count(0)
        await expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
        await page.goto(f"{root}/dead-letters")
        await expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()


async def test_settings_in_force_and_what_others_would_find(root: str, write: Write, open_page: OpenPage) -> None:
    await everything(write)
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/settings")
        await expect(page.get_by_role("main")).to_contain_text("STREAM_DETECTOR_API_TOKEN")
        await expect(page.get_by_role("main")).not_to_contain_text("a-token-of-the-tests")
        await page.get_by_role("searchbox").fill("score_threshold")
        await expect(page.get_by_role("main")).not_to_contain_text("STREAM_DETECTOR_API_TOKEN")
        await page.get_by_role("searchbox").fill("")
        await page.get_by_role("link", name="Changed").click()
        await page.wait_for_url("**/settings?changed=true")
        await expect(page.get_by_role("main")).to_contain_text("STREAM_DETECTOR_API_TOKEN")
        await expect(page.get_by_role("main")).not_to_contain_text("STREAM_DETECTOR_RATE_LIMIT_WINDOW_S")
        await page.get_by_role("link", name="All settings").click()
        await expect(page.get_by_role("row").filter(has_text="RATE_LIMIT_WINDOW_S")).to_contain_text("1 h")
        await page.get_by_label("Score threshold").fill("0.05")
        await page.get_by_role("button", name="Preview", exact=True).click()
        await expect(page.locator(".tried")).to_contain_text("in the last 30 days, instead of", timeout=15_000)
        await expect(page.get_by_role("table", name="Alerts by type")).to_contain_text("Significant score change")


async def test_a_dead_letter_is_shown_as_it_is_and_sent_again(
    root: str, write: Write, site: Site, open_page: OpenPage
) -> None:
    error = RefusedError("decode", "not_json", HOSTILE)
    headers = dead_letter_headers(
        [], topic=f"{site.topic_prefix}scores", partition=0, offset=7, timestamp_ms=1_770_000_000_000, error=error
    )
    producer = AIOKafkaProducer(bootstrap_servers=site.broker)
    await producer.start()
    await producer.send_and_wait(f"{site.topic_prefix}dead-letters", HOSTILE.encode(), partition=0, headers=headers)
    await producer.stop()
    note = DeadLetterNote(
        topic=f"{site.topic_prefix}scores", partition=0, offset=7, timestamp_ms=None, stage="decode", reason="not_json",
        message=HOSTILE,
    )  # fmt: skip
    await write(dead_letters=[note])
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/dead-letters")
        await page.get_by_role("button", name="not json").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog.locator("pre")).to_have_text(HOSTILE)
        await expect(dialog).to_contain_text("0:7")
        assert await page.locator("img").count() == 1, "the logo alone"
        await dialog.get_by_role("button", name="Retry").click()
        await expect(page.get_by_text("Sent again.")).to_be_visible()


LATER = {
    "UnusualExecutionTime": "StuckQueue",
    "PerformanceDegradation": "CPUThrottling",
    "critical": "fatal",
    "opened": "paused",
    "robust": "tuned",
    "classic": "tuned",
    "inbox": "pager_duty",
    "normal": "drifting",
}


async def as_of_a_later_version(route: Route) -> None:
    """The answer of the real server with names that this page does not know."""
    asked = route.request.url
    for now, then in LATER.items():
        asked = asked.replace(then, now)
    answer = await route.fetch(url=asked)
    text = await answer.text()
    for now, then in LATER.items():
        text = text.replace(f'"{now}"', f'"{then}"')
    text = text.replace('"direction":"up"', '"direction":"sideways"')
    await route.fulfill(response=answer, body=text)


async def test_x12_names_of_a_later_version_are_shown_as_they_are(root: str, write: Write, open_page: OpenPage) -> None:
    shown = await everything(write)
    async with open_page(viewport=WIDE) as page:
        broken: list[str] = []
        page.on("pageerror", lambda error: broken.append(str(error)))
        for pattern in ("**/api/v1/ai/**", "**/api/v1/overview*", "**/api/v1/workflows*", "**/api/v1/incidents/*"):
            await page.route(pattern, as_of_a_later_version)
        await page.route("**/api/v1/inbox*", as_of_a_later_version)
        for path in ("overview", "anomalies", "workflows", "inbox", f"anomalies/{shown}"):
            await page.goto(f"{root}/{path}")
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
            await expect(page.locator(".skeleton")).to_have_count(0, timeout=15_000)
            await expect(page.get_by_role("main")).not_to_contain_text("undefined")
        main = page.get_by_role("main")
        for text in ("Fatal", "Paused", "profile tuned"):
            await expect(main).to_contain_text(text)
        await expect(page.locator(".detail-type")).to_have_text(re.compile("^(Stuck queue|CPU throttling)$"))
        await expect(page.locator(".uplot").first).to_be_visible()
        await page.goto(f"{root}/workflows")
        await expect(main).to_contain_text("Drifting")
        await page.goto(f"{root}/overview")
        await expect(page.locator(".lane-name").filter(has_text="worst Fatal").first).to_be_visible()
        await page.goto(f"{root}/anomalies?range=30d")
        rows = page.locator("tbody tr")
        await expect(rows.filter(has_text="Stuck queue").first).to_contain_text("Fatal")
        await page.get_by_role("navigation", name="Severity").get_by_role("link", name="Fatal").click()
        await page.wait_for_url("**severity=fatal**")
        await expect(rows.first).to_contain_text("Fatal")
        await page.get_by_label("Type").select_option("StuckQueue")
        await page.wait_for_url("**type=StuckQueue**")
        await expect(rows.first).to_contain_text("Stuck queue")
        await page.unroute_all(behavior="ignoreErrors")  # a poll may be on its way
        assert broken == []


async def test_x30_x31_what_runs_is_shown_against_its_usual_time_and_what_is_expected_or_missed(
    root: str, write: Write, open_page: OpenPage
) -> None:
    usual = BaselineState(key="workflow:nightly", packed=b"x", named={"execution_time": NamedValue(60.0, 1.0, 30)})
    starts = [
        start(
            "n-1",
            started_at=ago(minutes=5),
            queued_at=ago(minutes=6),
            workflow_name=HOSTILE,
            url='https://x/"onclick=alert(1)',
        ),
        start("n-2", "\u202eweekly", started_at=ago(minutes=1), limit_s=3600.0, url="https://ci.example/2"),
        *(start(f"killed-{day}", started_at=ago(days=day)) for day in (1, 2)),
    ]
    await write(anomalies=three(), starts=starts, baselines=[usual])
    async with open_page(viewport=WIDE) as page:
        await page.goto(f"{root}/overview?range=30d")
        table = page.get_by_role("table", name="Running now")
        rows = table.locator("tbody tr")
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text(HOSTILE)
        await expect(rows.first.locator("strong")).to_contain_text("of usually 1 m")
        await expect(rows.first).to_contain_text("5 m")
        await expect(rows.nth(1)).to_contain_text("limit 1 h")
        await expect(rows.nth(1).locator("a[href='https://ci.example/2']")).to_have_count(1)
        await expect(rows.locator("svg.elapsed")).to_have_count(2)
        await expect(page.get_by_text("2 more have probably ended without notice")).to_be_visible()
        await page.get_by_role("button", name="List", exact=True).click()
        ended = page.get_by_role("table", name="Probably ended without notice").locator("tbody tr")
        await expect(ended.first).to_contain_text("killed-2")
        assert await page.title() != "owned" and await violations(page) == []
        await rows.first.get_by_role("link").first.click()
        await page.wait_for_url("**/workflows/nightly*")
        await expect(page.get_by_role("table", name="Running now").locator("tbody tr")).to_have_count(1)
        await write(executions=[completion("n-1", finished_at=ago(), duration_s=300.0)])
        await expect(page.get_by_role("table", name="Running now")).to_have_count(0, timeout=20_000)
        await page.set_viewport_size({"width": 390, "height": 800})
        await page.goto(f"{root}/overview?range=30d")
        await expect(page.get_by_role("table", name="Running now")).to_be_visible()
        assert await no_sideways_scroll(page)
        await _is_expected_or_missed(root, write, page)


async def _is_expected_or_missed(root: str, write: Write, page: Page) -> None:
    """X31: what is missed, what is expected next, and the anomaly of a run that did not come; on a phone."""
    nights = [at_two(day) for day in range(20, -1, -1)]
    missed = ran("workflow:late", nights[:-2])
    found, again = due(missed, epoch_ms(at_two(0) + timedelta(hours=3)), Config())
    await write(anomalies=[found, again], baselines=[stored(ran(f"workflow:{HOSTILE}", nights)), stored(missed)])
    await page.goto(f"{root}/overview?range=30d")
    rows = page.get_by_role("table", name="Missed runs").locator("tbody tr")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("2 runs in a row")
    await expect(page.get_by_role("table", name="Next expected").locator("tbody tr")).to_contain_text(HOSTILE)
    assert await page.title() != "owned" and await violations(page) == []
    assert await no_sideways_scroll(page)
    await rows.get_by_role("link").click()
    await page.wait_for_url("**/workflows/late*")
    await expect(page.get_by_text("every day 02:00 UTC", exact=True)).to_be_visible()
    await expect(page.locator("dd", has_text="2 runs in a row")).to_be_visible()
    assert await no_sideways_scroll(page)
    await page.goto(f"{root}/anomalies/{found.id}")
    await expect(page.get_by_text("Last execution", exact=True)).to_be_visible()
    await expect(page.get_by_role("heading", name="Execution time of the runs that came")).to_be_visible()


async def test_hostile_names_on_every_page(root: str, write: Write, open_page: OpenPage) -> None:
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

    async with open_page() as page:
        for path in ("overview", "workflows", "runs"):
            await page.goto(f"{root}/{path}")
            await harmless(page)
        await page.locator("tbody a").first.click()
        await harmless(page)
        await page.goto(f"{root}/workflows")
        await page.locator("tbody a").first.click()
        await harmless(page)

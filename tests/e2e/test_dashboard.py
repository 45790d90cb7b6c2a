"""W44 to W50, W55: the page in a real Chromium, before the real server and a real PostgreSQL."""

import asyncio
import csv
import gzip
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientSession
from aiokafka import AIOKafkaConsumer
from playwright.async_api import expect

from stream_detector.events.decode import decode_completion
from stream_detector.serve import pages
from stream_detector.settings import Settings
from tests.events_made import action, anomaly, completion, notification, uuid
from tests.events_made.histories import ago, slow_after, three
from tests.servers.dashboard import HOSTILE, OpenPage, Site, Write, everything, held_until, serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
TYPE_NAMES = [
    "Spike in failures",
    "Consecutive failures",
    "Unusual execution time",
    "Performance degradation",
    "Pattern deviation",
    "Resource exhaustion",
    "Significant score change",
]


async def test_w44_anomalies_is_in_the_navigation_with_its_icon(root: str, write: Write, open_page: OpenPage) -> None:
    await write(anomalies=three())
    async with open_page() as page:
        await page.goto(f"{root}/")
        entry = page.get_by_role("navigation", name="Pages").get_by_role("link", name="Anomalies")
        assert await entry.locator("svg").count() == 1
        await entry.click()
        await expect(entry).to_have_attribute("aria-current", "page")
        assert urlsplit(page.url).path == "/anomalies"
        await expect(page.get_by_role("heading", level=1)).to_have_text("Anomalies")


async def test_w45_list_shows_badge_type_and_time(root: str, write: Write, open_page: OpenPage) -> None:
    stored = three()
    await write(anomalies=stored)
    async with open_page() as page:
        await page.goto(f"{root}/anomalies")
        first = page.get_by_role("table", name="Anomalies").get_by_role("row").nth(1)
        await expect(first).to_contain_text("Critical")
        assert await first.locator(".badge svg").count() == 1, "a shape beside the colour"
        await expect(first).to_contain_text("Unusual execution time")
        await expect(first).to_contain_text("Nightly")
        await expect(first).to_contain_text("2 m 1 s")
        await expect(first).to_contain_text("1 m 40 s")
        await expect(first).to_contain_text("30 minutes ago")
        time = first.locator("time")
        assert datetime.fromisoformat(str(await time.get_attribute("datetime"))) == stored[0].detected_at
        assert re.fullmatch(r"\d+ \w{3,4} \d{4}, \d\d:\d\d:\d\d UTC", str(await time.get_attribute("title")))


async def test_w46_every_filter_is_in_the_address_and_back_undoes_it(
    root: str, write: Write, open_page: OpenPage
) -> None:
    await write(anomalies=three())
    async with open_page() as page:
        rows = page.locator("tbody tr")

        def query() -> dict[str, list[str]]:
            return parse_qs(urlsplit(page.url).query)

        await page.goto(f"{root}/anomalies")
        await expect(rows).to_have_count(2)
        types = page.get_by_label("Type")
        named = (await types.locator("option").all_inner_texts())[1:]
        assert [re.sub(r" \(\d+\)$", "", name) for name in named] == TYPE_NAMES
        ranges = page.get_by_role("navigation", name="Range")
        await ranges.get_by_role("link", name="Last 24 hours").click()
        await expect(rows).to_have_count(1)
        await ranges.get_by_role("link", name="Last 30 days").click()
        await expect(rows).to_have_count(3)
        assert query() == {"range": ["30d"]}
        await types.select_option("SpikeInFailures")
        await expect(rows).to_have_count(1)
        assert query() == {"range": ["30d"], "type": ["SpikeInFailures"]}
        await page.get_by_label("Severity").get_by_role("link", name="Critical").click()
        await expect(page.get_by_text("No matches for these filters")).to_be_visible()
        await page.go_back()
        await expect(rows).to_have_count(1)
        await page.go_back()
        await expect(rows).to_have_count(3)
        await page.go_forward()
        await expect(types).to_have_value("SpikeInFailures")
        await expect(rows).to_have_count(1)
        await page.get_by_role("searchbox").fill("report")
        await page.get_by_label("State").select_option("opened")  # while the search waits for a pause
        await page.wait_for_url("**state=opened&q=report*")
        await page.reload()
        await expect(rows).to_have_count(1)
        await expect(page.get_by_role("searchbox")).to_have_value("report")
        await page.get_by_role("link", name="Clear filters").click()
        await expect(rows).to_have_count(3)
        severities = page.get_by_label("Severity")
        for severity in ("Critical", "Warning", "Info"):
            await severities.get_by_role("link", name=severity).click()
            await expect(rows).to_have_count(1)
            await expect(rows.first).to_contain_text(severity)
            await severities.get_by_role("link", name=severity).click()
            await expect(rows).to_have_count(3)
        await severities.get_by_role("link", name="Critical").click()
        await severities.get_by_role("link", name="Warning").click()
        await expect(rows).to_have_count(2)
        assert query() == {"range": ["30d"], "severity": ["critical,warning"]}


async def test_w46_every_filter_says_how_many_each_value_would_find(
    root: str, write: Write, open_page: OpenPage
) -> None:
    over = anomaly("over", detected_at=ago(hours=2), incident="over", state="resolved", severity="info")
    decided = action("1", "acknowledge", incident_id=uuid("week"), at=ago(minutes=1))
    await write(anomalies=[*three(), over], actions=[decided])
    async with open_page() as page:
        await page.goto(f"{root}/anomalies?range=30d")
        severities = page.get_by_label("Severity").get_by_role("link")
        for index, text in ((1, "Critical1"), (2, "Warning1"), (3, "Info2")):
            await expect(severities.nth(index)).to_have_text(text)
        await expect(page.get_by_label("Type").locator("option", has_text="Spike in failures (1)")).to_be_attached()
        await expect(page.get_by_label("Type").locator("option", has_text="Pattern deviation (0)")).to_be_attached()
        states = page.get_by_label("State")
        for text in ("Opened (3)", "Ongoing (0)", "Resolved (1)"):
            await expect(states.locator("option", has_text=text)).to_be_attached()
        tabs = page.get_by_role("navigation", name="Incidents").get_by_role("link")
        assert await tabs.all_inner_texts() == ["All 4", "Needs attention 2", "Acknowledged 1", "Resolved 1"]
        await states.select_option("opened")
        await expect(severities.nth(3)).to_have_text("Info1")
        await expect(states.locator("option", has_text="Resolved (1)")).to_be_attached()
        await expect(tabs.nth(3)).to_have_text("Resolved 0")
        await tabs.nth(2).click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await expect(page.locator("tbody tr")).to_contain_text("Weekly report")
        query = parse_qs(urlsplit(page.url).query)
        assert (query["open"], query["acknowledged"]) == (["true"], ["true"])
        await tabs.nth(3).click()
        await expect(page.get_by_text("No matches for these filters")).to_be_visible()


async def test_w46_the_span_of_time_is_chosen_by_name_by_hand_or_drawn(
    root: str, write: Write, open_page: OpenPage
) -> None:
    await write(anomalies=three())
    async with open_page(viewport={"width": 1280, "height": 900}) as page:
        rows = page.locator("tbody tr")
        await page.goto(f"{root}/anomalies")
        await page.get_by_role("button", name="Last 7 days").click()
        await page.get_by_role("link", name="Last hour").click()
        await expect(rows).to_have_count(1)
        assert parse_qs(urlsplit(page.url).query) == {"range": ["1h"]}
        await page.get_by_role("button", name="Last hour").click()
        begin, end = ago(days=3, hours=1), ago(days=2, hours=23)
        await page.get_by_label("From (UTC)").fill(f"{end:%Y-%m-%dT%H:%M}")
        await page.get_by_label("To (UTC)").fill(f"{begin:%Y-%m-%dT%H:%M}")
        await expect(page.get_by_role("button", name="Apply")).to_be_disabled()
        await page.get_by_label("From (UTC)").fill(f"{begin:%Y-%m-%dT%H:%M}")
        await page.get_by_label("To (UTC)").fill(f"{end:%Y-%m-%dT%H:%M}")
        await page.get_by_role("button", name="Apply").click()
        await expect(rows).to_have_count(1)
        await expect(rows).to_contain_text("Weekly report")
        await page.go_back()
        await expect(page.get_by_role("button", name="Last hour")).to_be_visible()
        box = await page.locator(".u-over").bounding_box()
        assert box
        middle = box["y"] + box["height"] / 2
        await page.mouse.move(box["x"] + 2, middle)
        await page.mouse.down()
        await page.mouse.move(box["x"] + box["width"] / 2, middle, steps=5)
        await page.mouse.up()
        await expect(rows).to_have_count(1)
        await expect(rows).to_contain_text("Lido")
        query = parse_qs(urlsplit(page.url).query)
        assert query["from"][0].endswith("T00:00:00Z") and query["to"][0].endswith("T00:00:00Z")


async def test_w46_a_link_to_a_score_run_shows_the_run_whenever_it_was(
    root: str, write: Write, open_page: OpenPage
) -> None:
    await write(anomalies=three())
    async with open_page() as page:
        await page.goto(f"{root}/anomalies?run=r1")
        await expect(page.locator("tbody tr")).to_have_count(1)
        await expect(page.locator("tbody tr")).to_contain_text("Lido")
        await page.get_by_role("link", name="Score run r1").click()
        await expect(page.locator("tbody tr")).to_have_count(3)


async def test_w46_what_is_filtered_comes_as_a_file(root: str, write: Write, open_page: OpenPage) -> None:
    stored = three()
    await write(anomalies=stored)
    async with open_page() as page:
        await page.goto(f"{root}/anomalies?range=30d&severity=critical,warning")
        await expect(page.locator("tbody tr")).to_have_count(2)
        files = {}
        for name in ("CSV", "JSON"):
            async with page.expect_download() as started:
                await page.get_by_role("link", name=name).click()
            download = await started.value
            assert download.suggested_filename == f"anomalies.{name.lower()}"
            files[name] = (await download.path()).read_text("utf-8")
        rows = csv.DictReader(io.StringIO(files["CSV"], newline=""))
        for found in ({row["id"] for row in rows}, {each["id"] for each in json.loads(files["JSON"])}):
            assert found == {each.id for each in stored[:2]}


async def test_w47_detail_shows_everything(root: str, write: Write, open_page: OpenPage) -> None:
    executions, found = slow_after(40)
    unusual = next(each for each in found if each.anomaly_type == "UnusualExecutionTime")
    await write(executions=executions, anomalies=found)
    async with open_page(viewport={"width": 1280, "height": 900}) as page:
        await page.goto(f"{root}/anomalies")
        await page.get_by_role("row").filter(has_text="Unusual execution time").get_by_role("link").click()
        assert urlsplit(page.url).path == f"/anomalies/{unusual.id}"
        main = page.get_by_role("main")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Nightly build")
        await expect(page.locator(".lead")).to_have_text(unusual.description.removeprefix("Nightly build "))
        numbers = unusual.metrics
        for text in (
            "Critical",
            "Opened",
            "Unusual execution time",
            "4 m 12 s",
            f"{numbers.z_score:.1f}",
            "1 m 40",
            "± 3.",
            "z 2alert threshold",
            "+2 m 3",
            "times the baseline",
            "Confidence",
            "build-40",
            "branch",
            "https://ci.example.org/nightly",
            unusual.detector,
            unusual.incident_id,
            *unusual.gates,
            *unusual.investigation_steps,
            *(each.id for each in unusual.affected_entities),
        ):
            await expect(main).to_contain_text(text)
        plot = page.locator(".u-over")
        box = await plot.bounding_box()
        assert box
        await page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
        tip = page.locator(".plot-tip")
        await expect(tip).to_contain_text("4 m 12 s")
        await expect(tip).to_contain_text("expected")
        await expect(tip).to_contain_text("this anomaly")
        await page.get_by_role("main").get_by_role("link", name="Anomalies", exact=True).click()
        await expect(page.get_by_role("table")).to_be_visible()


async def test_w47_a_link_that_is_faster_than_its_row_waits_for_it(
    root: str, write: Write, open_page: OpenPage
) -> None:
    late = anomaly("late", detected_at=ago(minutes=1))
    async with open_page() as page:
        await page.goto(f"{root}/anomalies/{late.id}")
        await expect(page.get_by_role("heading", name="Not stored yet")).to_be_visible()
        await write(anomalies=[late])
        await expect(page.locator(".lead", has_text="late happened")).to_be_visible(timeout=15_000)


async def test_w48_both_charts_answer_to_hover(root: str, write: Write, open_page: OpenPage) -> None:
    await write(anomalies=three())
    async with open_page(viewport={"width": 1280, "height": 900}) as page:
        await page.goto(f"{root}/anomalies")
        box = await page.locator(".u-over").bounding_box()
        assert box
        await page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20)
        today = sum(each.detected_at.date() == datetime.now(UTC).date() for each in three())
        await expect(page.locator(".plot-tip")).to_contain_text(f"{today} anomal")
        await page.mouse.move(box["x"] + 1, box["y"] + 20)
        await expect(page.locator(".plot-tip")).to_contain_text("0 anomalies")
        bar = page.locator(".bar").filter(has_text="Critical")
        await bar.hover()
        await expect(bar.get_by_role("tooltip")).to_have_css("opacity", "1")
        await expect(bar.get_by_role("tooltip")).to_have_text("1 critical, 50 %")
        await bar.click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.go_back()
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.mouse.click(box["x"] + box["width"] - 2, box["y"] + 20)
        await page.wait_for_url("**/anomalies?from=*")
        await expect(page.locator("tbody tr")).to_have_count(today)


async def test_w49_counts_of_the_last_24_hours_7_and_30_days(root: str, write: Write, open_page: OpenPage) -> None:
    await write(anomalies=three())
    async with open_page() as page:
        await page.goto(f"{root}/anomalies")
        spans = page.get_by_role("navigation", name="Range").get_by_role("link")
        for index, (name, count) in enumerate((("Last 24 hours", "1"), ("Last 7 days", "2"), ("Last 30 days", "3"))):
            await expect(spans.nth(index)).to_contain_text(name)
            await expect(spans.nth(index).locator(".count")).to_have_text(count)


async def test_w50_first_start_says_how_to_send_an_event_and_notices_it(
    root: str, write: Write, open_page: OpenPage
) -> None:
    async with open_page() as page:
        await page.goto(f"{root}/anomalies")
        await expect(page.get_by_role("heading", name="No anomalies yet")).to_be_visible()
        await expect(page.get_by_text("Waiting for the first event")).to_be_visible()
        command = await page.locator("pre").inner_text()
        assert command.splitlines()[-1] == "stream-detector publish hello.jsonl"
        assert command.count('"status":"failure"') == 3
        await expect(page.get_by_role("button", name="Copy")).to_be_visible()
        await write(executions=[completion("1", finished_at=ago(minutes=2))])
        await expect(page.get_by_text("the newest is from 2 minutes ago")).to_be_visible(timeout=15_000)
        await write(anomalies=three())
        await expect(page.locator("tbody tr")).to_have_count(2, timeout=15_000)


async def test_w50_copy_puts_the_command_into_the_clipboard(root: str, open_page: OpenPage) -> None:
    async with open_page(permissions=["clipboard-read", "clipboard-write"]) as page:
        await page.goto(f"{root}/anomalies")
        command = await page.locator("pre").inner_text()
        await page.get_by_role("button", name="Copy").click()
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert await page.evaluate("navigator.clipboard.readText()") == command
        assert [json.loads(line)["status"] for line in command.splitlines()[1:4]] == ["failure"] * 3


async def test_w50_a_command_that_may_not_be_copied_is_selected(root: str, open_page: OpenPage) -> None:
    async with open_page() as page:
        devtools = await page.context.new_cdp_session(page)
        profile = (await devtools.send("Target.getTargetInfo"))["targetInfo"]["browserContextId"]
        denied = {"permission": {"name": "clipboard-write"}, "setting": "denied", "browserContextId": profile}
        await devtools.send("Browser.setPermission", denied)
        await page.goto(f"{root}/anomalies")
        command = await page.locator("pre").inner_text()
        await page.get_by_role("button", name="Copy").click()
        await expect(page.get_by_text("The command is selected")).to_be_visible()
        assert await page.evaluate("getSelection().toString()") == command


async def test_w50_the_first_event_can_be_sent_from_the_page(site: Site, root: str, open_page: OpenPage) -> None:
    async with open_page() as page:
        await page.goto(f"{root}/anomalies")
        await page.get_by_role("button", name="Send from here").click()
        await expect(page.get_by_text("Sent. The anomaly appears here within seconds.")).to_be_visible()
        consumer = AIOKafkaConsumer(
            f"{site.topic_prefix}workflow-completions", bootstrap_servers=site.broker, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            sent = [decode_completion((await consumer.getone()).value, [], -1) for _ in range(3)]
        finally:
            await consumer.stop()
        assert {(each.workflow_id, each.status) for each in sent} == {("hello", "failure")}
        assert len({each.execution_id for each in sent}) == 3


async def test_w50_nothing_in_the_range_is_not_a_first_start(root: str, write: Write, open_page: OpenPage) -> None:
    await write(anomalies=three()[2:])
    async with open_page() as page:
        await page.goto(f"{root}/anomalies?range=24h")
        await expect(page.get_by_role("heading", name="No anomalies in this range")).to_be_visible()
        await page.get_by_role("link", name="Show all").click()
        await expect(page.locator("tbody tr")).to_have_count(1)


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("/anomalies", ".list-skeletons, .found"),
        ("/workflows/nightly", "main .section h2"),
        ("/entities/lido", "main .section h2, .list-skeletons, .found"),
    ],
)
async def test_w50_skeletons_keep_the_place_while_loading(
    root: str, write: Write, open_page: OpenPage, path: str, places: str
) -> None:
    await everything(write)
    async with open_page(viewport={"width": 1280, "height": 900}) as page:
        answer = asyncio.Event()

        await page.route("**/api/**", held_until(answer))
        await page.goto(f"{root}{path}")
        await expect(page.get_by_text("Loading", exact=True).first).to_be_attached()
        assert await page.locator(".skeleton").count() > 6
        tops = "places => [...document.querySelectorAll(places)].map(each => each.getBoundingClientRect().top)"
        before = await page.evaluate(tops, places)
        answer.set()
        await expect(page.locator("tbody tr").first).to_be_visible()
        await expect(page.locator(".skeleton")).to_have_count(0, timeout=15_000)  # the first score loads river
        after = await page.evaluate(tops, places)
        assert len(before) == len(after) > 0
        assert after == pytest.approx(before, abs=4), "what was on the page already moved when more came"


async def test_hostile_names_are_shown_as_they_are(root: str, write: Write, open_page: OpenPage) -> None:
    hostile = anomaly(
        "hostile", detected_at=ago(minutes=1), entity_id=HOSTILE, entity_name=HOSTILE, description=HOSTILE,
        investigation_steps=[HOSTILE], gates=[HOSTILE], labels={HOSTILE: HOSTILE}, url="http://a.example/\"onclick=",
    )  # fmt: skip
    message = notification("m1", at=ago(minutes=1), title=HOSTILE, anomaly_id=hostile.id, severity="warning")
    await write(anomalies=[hostile], notifications=[message])
    async with open_page() as page:
        await page.goto(f"{root}/anomalies?q={HOSTILE.replace('=', '%3D')}")
        await page.get_by_role("button", name="Inbox, 1 unread").click()
        await page.get_by_role("link", name=HOSTILE).last.wait_for()
        await page.keyboard.press("Escape")
        await page.get_by_role("table").get_by_role("link", name=HOSTILE).click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
        assert await page.get_by_text(HOSTILE).count() >= 5
        assert await page.locator("img").count() == 1, "the logo alone"
        assert "owned" not in (await page.title()).replace(HOSTILE, "")


async def test_no_request_leaves_the_host_and_the_policy_is_kept(root: str, write: Write, open_page: OpenPage) -> None:
    executions, found = slow_after(20)
    await write(executions=executions, anomalies=found)
    async with open_page() as page:
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        await page.goto(f"{root}/anomalies")
        await page.locator("tbody a").first.click()
        await expect(page.locator(".uplot")).to_be_visible()
        assert len(asked) > 8
        assert {urlsplit(url).netloc for url in asked} == {urlsplit(root).netloc}
        assert said == [], "the browser complains of nothing, least of all of the content policy"


async def test_inbox_counts_what_is_unread(root: str, write: Write, open_page: OpenPage) -> None:
    target = three()[0]
    await write(
        anomalies=[target],
        notifications=[
            notification("m1", at=ago(minutes=9), title="Nightly is slow", anomaly_id=target.id, severity="critical"),
            notification("m2", at=ago(minutes=8), title="Run r1 ended", run_id="r1"),
        ],
    )
    async with open_page() as page:
        await page.goto(f"{root}/anomalies")
        await page.get_by_role("button", name="Inbox, 2 unread").click()
        await page.get_by_role("link", name="Nightly is slow").click()
        await expect(page.locator(".lead", has_text="now happened")).to_be_visible()
        await page.get_by_role("button", name="Inbox, 1 unread").click()
        await page.get_by_role("button", name="Mark all as read").click()
        await expect(page.get_by_role("button", name="Inbox", exact=True)).to_be_visible()


async def test_paging_goes_on_and_back_returns_to_the_same_place(root: str, write: Write, open_page: OpenPage) -> None:
    await write(anomalies=[anomaly(f"n{n}", detected_at=ago(minutes=n + 1)) for n in range(120)])
    async with open_page(viewport={"width": 1280, "height": 900}) as page:
        rows = page.locator("tbody tr")
        await page.goto(f"{root}/anomalies")
        await expect(rows).to_have_count(50)
        for count in (100, 120):
            await page.get_by_role("button", name="Show older").click()
            await expect(rows).to_have_count(count)
        await expect(page.get_by_role("button", name="Show older")).to_have_count(0)
        assert len(set(await rows.evaluate_all("rows => rows.map(row => row.dataset.id)"))) == 120
        await rows.nth(110).scroll_into_view_if_needed()
        before = await page.evaluate("scrollY")
        await rows.nth(110).get_by_role("link").click()
        await expect(page.locator(".lead", has_text="n110 happened")).to_be_visible()
        await page.go_back()
        await expect(rows).to_have_count(120)
        await page.wait_for_function("y => Math.abs(scrollY - y) < 5", arg=before)


async def test_new_ones_wait_until_they_are_asked_for(root: str, write: Write, open_page: OpenPage) -> None:
    await write(anomalies=three())
    async with open_page() as page:
        await page.clock.install()
        await page.goto(f"{root}/anomalies")
        await expect(page.locator("tbody tr")).to_have_count(2)
        await write(anomalies=[anomaly("fresh", detected_at=ago(minutes=1))])
        await page.clock.run_for(20_000)
        await page.get_by_role("button", name="1 new").click()
        await expect(page.locator("tbody tr")).to_have_count(3)


async def test_a_token_is_asked_for_and_kept_for_the_tab(
    site: Site, root: str, make_settings: Callable[..., Settings], write: Write, open_page: OpenPage
) -> None:
    await write(anomalies=three())
    async with (
        serving(make_settings(database_url=site.database_url, api_token="open sesame")) as locked,
        open_page(signed_in=False) as page,
    ):
        await page.goto(f"{locked}/anomalies")
        for token in ("wrong", "open sesame"):
            await page.get_by_label("Token").fill(token)
            await page.get_by_role("button", name="Continue").click()
            if token == "wrong":
                await expect(page.get_by_text("The server rejected this token.")).to_be_visible()
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.reload()
        await expect(page.locator("tbody tr")).to_have_count(2)
        assert "sesame" not in await page.evaluate("document.cookie + JSON.stringify(localStorage) + location.href")


async def test_a_database_that_is_away_is_said_and_mended_by_itself(
    site: Site, make_settings: Callable[..., Settings], open_page: OpenPage
) -> None:
    async with serving(make_settings(database_url=site.database_url), connected=False) as away, open_page() as page:
        await page.goto(f"{away}/anomalies")
        await expect(page.get_by_role("heading", name="Loading failed")).to_be_visible()
        await expect(page.get_by_role("button", name="Try again")).to_be_visible()


async def test_a_lost_connection_leaves_what_was_seen_and_says_so(root: str, write: Write, open_page: OpenPage) -> None:
    await write(anomalies=three())
    async with open_page() as page:
        await page.clock.install()
        await page.goto(f"{root}/anomalies")
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.route("**/api/**", lambda route: route.abort())
        await page.clock.run_for(20_000)
        await expect(page.get_by_text("No connection to the server.")).to_be_visible()
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.unroute("**/api/**")
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_text("No connection to the server.")).to_have_count(0)


async def test_unknown_addresses_get_the_page_with_404(root: str, open_page: OpenPage) -> None:
    async with open_page() as page:
        answer = await page.goto(f"{root}/no/such/page")
        assert answer and answer.status == 404
        await expect(page.get_by_role("heading", name="Page not found")).to_be_visible()


async def test_the_page_is_served_compressed_kept_and_locked_down(root: str) -> None:
    async with ClientSession(root, auto_decompress=False) as client:
        shell = await client.get("/anomalies", headers={"Accept-Encoding": "gzip"})
        body = gzip.decompress(await shell.read()).decode()
        assert shell.headers["Cache-Control"] == "no-cache"
        policy = shell.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "http" not in policy
        assert shell.headers["X-Content-Type-Options"] == "nosniff"
        assert "Referrer-Policy" in shell.headers
        assert "style=" not in body and "<style" not in body and "<script>" not in body
        scripts = re.findall(r'src="(/assets/[^"]+\.js)"', body)
        assert scripts
        for path in scripts:
            script = await client.get(path, headers={"Accept-Encoding": "gzip"})
            assert script.headers["Content-Encoding"] == "gzip"
            assert "immutable" in script.headers["Cache-Control"]
            assert script.content_type == "text/javascript"
        for path in ("/assets/nothing.js", "/assets/..%2Findex.html", "/assets/%2e%2e/%2e%2e/pages.py"):
            assert (await client.get(path)).status == 404


async def test_missing_files_say_how_to_build_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    monkeypatch.setattr(pages, "STATIC", tmp_path)
    async with ClientSession(root) as client:
        answer = await client.get("/anomalies")
        assert answer.status == 503
        assert "make install" in await answer.text()

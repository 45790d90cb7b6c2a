"""How quick the dashboard is, in a real Chromium before the real server with 100,000 anomalies stored.

python -m benchmarks.dashboard [--anomalies N] [--rounds N] [--json]

First paint and the time until the list can be used are of a fresh profile without any cache, each round. A workflow has
10,000 executions: how long the server takes to judge them all again for the band, and the page to make columns of its
answer and draw them. What is published on `alerts` is looked for on the page. Medians over the rounds. The last line on
stdout is one JSON object.
"""

import asyncio
import gzip
import os
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from aiohttp import web
from aiokafka import AIOKafkaProducer
from msgspec import structs
from playwright.async_api import Browser, Page, async_playwright

from benchmarks.command import note, parser_of, report
from stream_detector.devstack.postgres import Postgres
from stream_detector.devstack.tansu import Tansu
from stream_detector.events import Anomaly, Completion
from stream_detector.events.encode import encode
from stream_detector.kafka.create_topics import make_topics
from stream_detector.serve.app import make_app
from stream_detector.serve.database import Database
from stream_detector.serve.pages import STATIC
from stream_detector.settings import Settings
from stream_detector.store.connect import open_pool
from stream_detector.store.migrate import migrate
from stream_detector.store.rows import Row, Rows
from stream_detector.store.write import Writer
from tests.events_made import anomaly, completion

_TOKEN = "a-token-of-the-benchmark"
_READY = "() => document.querySelectorAll('tbody tr').length >= 50 && performance.now()"
_TOOK = """() => [
    performance.getEntriesByType("resource").find(({ name }) => name.includes("/api/v1/series?")),
    performance.getEntriesByName("columns made")[0],
    performance.getEntriesByName("plot drawn")[0],
].map(({ duration }) => duration)"""
_POINTS = 10_000


class WrongResultError(Exception):
    """The page does not show what it should: there is no figure."""


def anomalies(count: int) -> list[Anomaly]:
    """So many of 1,000 workflows in the last 30 days."""
    now, one = datetime.now(UTC), anomaly()
    return [
        structs.replace(
            one,
            id=str(UUID(int=n)),
            incident_id=str(UUID(int=n)),
            detected_at=now - timedelta(seconds=60 + n * 2_500_000 / count),
            entity_id=f"workflow-{n % 1000}",
            entity_name=f"Workflow {n % 1000}",
            severity=("info", "warning", "critical")[n % 3],
        )
        for n in range(count)
    ]


def long_history() -> list[Completion]:
    """10,000 executions of one workflow, a minute apart, the last one just now."""
    last = datetime.now(UTC)
    return [
        completion(
            str(n), "workflow-0", finished_at=last - timedelta(minutes=_POINTS - 1 - n), duration_s=100.0 + n * 37 % 23
        )
        for n in range(_POINTS)
    ]


async def fresh(browser: Browser) -> Page:
    """A page with an empty cache, signed in."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    await page.add_init_script(f"try {{ sessionStorage.setItem('stream-detector.token', '{_TOKEN}') }} catch {{}}")
    return page


async def load(browser: Browser, root: str) -> tuple[float, float]:
    """(first paint, list usable) in ms after navigation began."""
    page = await fresh(browser)
    await page.goto(f"{root}/anomalies?range=30d", wait_until="commit")
    usable = await (await page.wait_for_function(_READY, polling="raf")).json_value()
    paint = await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    await page.context.close()
    return float(paint), float(usable)


async def draw(browser: Browser, root: str) -> tuple[float, float]:
    """(answered, drawn) in ms, of 10,000 points."""
    page = await fresh(browser)
    await page.goto(f"{root}/workflows/workflow-0?readings={_POINTS}")
    await page.wait_for_function("() => performance.getEntriesByName('plot drawn').length > 0")
    label = await page.locator(".plot").first.get_attribute("aria-label")
    if not label or not label.startswith(f"{_POINTS} readings"):
        raise WrongResultError(f"the chart shows {label}")
    answered, columns, plot = await page.evaluate(_TOOK)
    await page.context.close()
    return float(answered), float(columns) + float(plot)


async def live(page: Page, producer: AIOKafkaProducer, number: int) -> float:
    """ms from the broker's acknowledgement until the page shows it."""
    found = anomaly(f"live {number}", detected_at=datetime.now(UTC), entity_name=f"Live {number}")
    await producer.send_and_wait("alerts", encode(found), key=b"workflow:nightly")
    sent_s = time.time()
    shown = await page.wait_for_function(
        "name => document.querySelector('.latest').textContent.includes(name) && Date.now()",
        arg=f"Live {number}",
        polling="raf",
    )
    return float(await shown.json_value()) - sent_s * 1000


def made_folder() -> Path:
    """A folder that the database's own user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="stream-detector-benchmark-"))
    folder.chmod(0o755)
    (folder / "tansu").mkdir()
    return folder


async def measure(count: int, rounds: int) -> dict[str, Any]:
    """All figures."""
    folder = made_folder()
    try:
        with Postgres.start(folder / "postgres") as postgres, Tansu.start(folder / "tansu") as broker:
            url = postgres.url("postgres")
            pool = await open_pool(url, name="benchmark", size=4)
            await migrate(pool)
            stored, history = anomalies(count), long_history()
            for at in range(0, count, 5_000):
                part = [Row(each, "alerts", 0, at + n, 0) for n, each in enumerate(stored[at : at + 5_000])]
                if await Writer(pool).write(Rows(anomalies=part)):
                    raise WrongResultError("an anomaly was refused")
            for at in range(0, _POINTS, 5_000):
                runs = [
                    Row(each, "workflow-completions", 0, at + n, 0) for n, each in enumerate(history[at : at + 5_000])
                ]
                if await Writer(pool).write(Rows(executions=runs)):
                    raise WrongResultError("an execution was refused")
            await pool.execute("ANALYZE")
            await pool.close()
            settings = Settings(database_url=url, broker=broker.address, api_token=_TOKEN, api_port=0)
            await make_topics(settings)
            database = Database(settings)
            runner = web.AppRunner(make_app(settings, database), access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            await database.start()
            try:
                return await in_browser(f"http://127.0.0.1:{runner.addresses[0][1]}", broker.address, rounds)
            finally:
                await runner.cleanup()
                await database.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def in_browser(root: str, broker: str, rounds: int) -> dict[str, Any]:
    """What Chromium says."""
    flags = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        loads = [await load(browser, root) for _ in range(rounds)]
        series = [await draw(browser, root) for _ in range(rounds)]
        page = await fresh(browser)
        await page.goto(f"{root}/overview")
        await page.get_by_text("Live", exact=True).wait_for()
        await page.locator(".latest li").first.wait_for()
        producer = AIOKafkaProducer(bootstrap_servers=broker)
        await producer.start()
        shown = [await live(page, producer, number) for number in range(rounds)]
        await producer.stop()
        await browser.close()
    scripts = [path.read_bytes() for path in (STATIC / "assets").glob("*.js")]
    return {
        "javascript_gzip_bytes": sum(len(gzip.compress(script, 9)) for script in scripts),
        "first_paint_ms": round(statistics.median(paint for paint, _ in loads), 1),
        "interactive_ms": round(statistics.median(usable for _, usable in loads), 1),
        "interactive_worst_ms": round(max(usable for _, usable in loads), 1),
        "series_10000_points_answer_ms": round(statistics.median(answered for answered, _ in series), 1),
        "series_10000_points_ms": round(statistics.median(drawn for _, drawn in series), 1),
        "alert_to_page_ms": round(statistics.median(shown), 1),
        "alert_to_page_worst_ms": round(max(shown), 1),
    }


def main() -> int:
    """Measure and print."""
    parser = parser_of("dashboard", __doc__)
    parser.add_argument("--anomalies", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()

    def figures() -> dict[str, Any]:
        found = asyncio.run(measure(asked.anomalies, asked.rounds))
        if not asked.json:
            for name, value in found.items():
                note(f"{name:<26} {value}")
        return {"anomalies": asked.anomalies, "rounds": asked.rounds, **found}

    return report(figures)


if __name__ == "__main__":
    sys.exit(main())

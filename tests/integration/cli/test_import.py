"""`import` against a real broker: what a live stack sends of the same history, kill -9, and what was known before.

Situations that would count a run twice or lose it: a process killed while it fetches or publishes, an import that is
repeated, runs that a webhook has brought already.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stream_detector.cli import main
from stream_detector.cli.file_options import FileOptions
from stream_detector.cli.import_publish import messages_of, publish_history
from stream_detector.cli.import_steps import ordered_events
from stream_detector.events.decode import decode_anomaly
from stream_detector.events.label_counts import read_label_counts
from stream_detector.history.collect import collect_lines
from stream_detector.history.spool import Progress, Spool
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.publish import publish
from stream_detector.kafka.topics import ALERTS, COMPLETIONS
from stream_detector.notify.configure import notify_config
from stream_detector.notify.forecast import forecast_of
from stream_detector.settings import Settings, environ_of
from stream_detector.store.connect import open_pool
from tests.drills.stage import Play
from tests.integration.roles.watching import ready
from tests.servers.github_api import TOKEN, GitHubServer
from tests.servers.github_runs import HISTORIES, NOW, REPOSITORY, dump, history
from tests.servers.installation import Installation, wait_until


@pytest.fixture
def broker(tansu: Any) -> Any:
    """The embedded one."""
    return tansu


@pytest.fixture
async def github() -> AsyncIterator[GitHubServer]:
    server = await GitHubServer(history(900, NOW)).start()
    yield server
    await server.stop()


async def imported(settings: Settings, folder: Path, *words: str) -> dict[str, Any]:
    """The report of `import github` as a user calls it."""
    where = ["--broker", settings.broker, "--topic-prefix", settings.topic_prefix, "--data-dir", str(folder)]
    where += ["--database-url", settings.database_url] if settings.database_url else []
    call = [*words, *where, "--json"]
    result = await asyncio.to_thread(CliRunner().invoke, main, ["import", "github", *call])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


async def ids_on_topic(settings: Settings) -> Counter[tuple[str, int]]:
    """(execution id, attempt) -> how often it is on the topic."""
    found: Counter[tuple[str, int]] = Counter()
    async for record in read_topic(settings, COMPLETIONS):
        event = json.loads(record.value)
        found[event["execution_id"], event.get("attempt", 1)] += 1
    return found


@pytest.mark.parametrize(
    "name", [name if not at else pytest.param(name, marks=pytest.mark.drill) for at, name in enumerate(HISTORIES)]
)
async def test_x22_the_report_has_the_messages_that_a_live_stack_sends(play: Play, tmp_path: Path, name: str) -> None:
    """Message by message, on the clock of the history."""
    file = tmp_path / "runs.json"
    file.write_bytes(dump(HISTORIES[name]()))
    report = await imported(play.settings, tmp_path / "data", "--from", str(file), "--dry-run")
    with Spool(tmp_path / "spools", ["live"]) as spool:
        await as_live(play.settings, spool, file)
    detector = play.start("detector")
    await ready(play, detector)
    await play.drained("detector", alive=lambda: detector.alive)
    alerts = [record async for record in read_topic(play.settings, ALERTS)]
    items = [(decode_anomaly(record.value), read_label_counts(record.headers)) for record in alerts]
    sent = forecast_of(notify_config(replace(play.settings, notify_max_age_s=0.0)), items).sent
    assert [one["text"] for one in report["messages"]] == [message.text for message in sent]
    assert len(sent) > 3


async def as_live(settings: Settings, spool: Spool, file: Path) -> None:
    """Publish the runs one after the other in the order of their ends, as their webhooks would have come."""
    spool.begin(Progress(begun_at_s=1.0))
    collect_lines(spool, FileOptions(file).read(record_ms=-1), since_s=0.0, report=lambda progress: None)
    order, _ = ordered_events(spool)
    await publish(settings, messages_of(spool, order))


async def test_x22_what_was_published_before_a_crash_is_not_published_again(
    tansu: Any, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(broker=tansu.address)
    await make_topics(settings)
    file = tmp_path / "runs.json"
    file.write_bytes(dump(history(600, NOW)))
    with Spool(tmp_path / "spools", ["x"]) as spool:
        spool.begin(Progress(begun_at_s=1.0))
        collect_lines(spool, FileOptions(file).read(record_ms=-1), since_s=0.0, report=lambda progress: None)
        order, events = ordered_events(spool)
        await publish_history(settings, spool, order[:0], events[:0])  # notes where the topic ends
        first = await publish_history(settings, spool, order[:250], events[:250])
        assert (first.published, first.known) == (250, 0)
    with Spool(tmp_path / "spools", ["x"]) as again:
        done = await publish_history(settings, again, order, events)
    assert (done.published, done.known) == (350, 250)
    assert set((await ids_on_topic(settings)).values()) == {1}
    assert len(await ids_on_topic(settings)) == 600


@pytest.mark.drill
async def test_x22_killed_while_it_fetches_and_while_it_publishes_it_continues(
    tansu: Any, make_settings: Callable[..., Settings], github: GitHubServer, tmp_path: Path
) -> None:
    settings = make_settings(broker=tansu.address, data_dir=str(tmp_path))
    await make_topics(settings)
    environ = environ_of(settings) | {"GITHUB_TOKEN": TOKEN}
    command = [sys.executable, "-m", "stream_detector", "import", "github", REPOSITORY, "--url", github.url]

    async def killed(when: Callable[[dict[str, Any]], bool]) -> None:
        process = await asyncio.create_subprocess_exec(*command, "--days", "3650", env=environ)
        while process.returncode is None:
            if when(state_of(tmp_path)):
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            await asyncio.sleep(0.005)

    await killed(lambda state: state.get("payloads", 0) >= 300)
    assert not state_of(tmp_path).get("is_fetched"), "it was killed before the end"
    fetched = len([request for request in github.requests if "/runs" in request])
    await killed(lambda state: state.get("is_publishing", False))
    assert len([request for request in github.requests if "/runs" in request]) < fetched + 9, "not from the beginning"
    process = await asyncio.create_subprocess_exec(
        *command, "--days", "3650", "--json", env=environ, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    report = json.loads(output)
    assert process.returncode == 0
    found = await ids_on_topic(settings)
    assert len(found) == 900 and set(found.values()) == {1}
    assert report["runs"] == 900 and report["published"] + report["known"] == 900
    assert state_of(tmp_path) == {}, "nothing is left of an import that has ended"


def state_of(folder: Path) -> dict[str, Any]:
    """Of the one import that is under way; empty where there is none."""
    for path in (folder / "imports").glob("*/spool.json"):
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
            return found
        except (OSError, ValueError):
            pass
    return {}


async def test_x22_what_is_stored_already_is_not_published_again(
    tansu: Any,
    make_settings: Callable[..., Settings],
    postgres_url: str,
    github: GitHubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Runs that a webhook has brought before the import, and an import that is repeated."""
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    settings = make_settings(broker=tansu.address, database_url=postgres_url)
    file = tmp_path / "live.json"
    file.write_bytes(dump(github.runs[:5]))
    async with Installation(settings, tmp_path / "stack", ("detector", "recorder")):
        where = ["--broker", settings.broker, "--topic-prefix", settings.topic_prefix]
        live = await asyncio.to_thread(CliRunner().invoke, main, ["publish", str(file), *where])
        assert live.exit_code == 0, live.output
        await wait_until(stored(postgres_url, 5), "what was live is stored")
        words = (REPOSITORY, "--url", github.url, "--days", "3650")
        first = await imported(settings, tmp_path / "data", *words)
        assert (first["published"], first["known"]) == (895, 5)
        await wait_until(stored(postgres_url, 900), "the history is stored")
        again = await imported(settings, tmp_path / "data", *words)
        assert (again["published"], again["known"]) == (0, 900)
        assert [record async for record in read_topic(settings, ALERTS)] == [], "a backfill is never alerted"


def stored(url: str, count: int) -> Callable[[], bool]:
    """Whether so many executions are in the database by now."""

    async def counted() -> int:
        pool = await open_pool(url, name="test", size=1)
        try:
            return int(await pool.fetchval("SELECT count(*) FROM executions"))
        finally:
            await pool.close()

    def ask() -> bool:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, counted()).result() >= count

    return ask

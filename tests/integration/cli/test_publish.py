"""`publish` against a real broker, as a person calls it."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer
from click.testing import CliRunner, Result

from stream_detector.cli.publish import command
from stream_detector.devstack.folder import DataFolder
from stream_detector.events.decode import decode_completion
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.publish import publish as publish_events
from stream_detector.settings import Settings
from stream_detector.store.connect import open_pool
from stream_detector.store.migrate import migrate
from stream_detector.store.rows import Rows
from stream_detector.store.write import Writer
from tests.events_made import row
from tests.servers.github_runs import NOW, dump, history
from tests.unit.events.samples import AT_MS, completion, score, score_run


class _Event(NamedTuple):
    topic: str
    key: bytes
    value: bytes


def publish(settings: Settings, file: Path, *flags: str) -> Result:
    asyncio.run(make_topics(settings))
    where = ["--broker", settings.broker, "--topic-prefix", settings.topic_prefix]
    return CliRunner().invoke(command, [str(file), *where, *flags])


def test_a_mixed_history_goes_to_its_topics(tansu: Any, make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(b"\n".join([completion(), score(), score("6.1"), score_run()]))
    result = publish(make_settings(broker=tansu.address), file, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["published"] == {"workflow-completions": 1, "scores": 2, "score-runs": 1}
    assert answer["refused"] == 0


def test_x20_a_file_with_a_bad_line_is_not_published_unless_that_is_asked_for(
    tansu: Any, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(completion() + b"\n" + b"nonsense\n" * 30)
    settings = make_settings(broker=tansu.address)
    result = publish(settings, file, "--backfill")
    assert result.exit_code == 1
    assert "published nothing" in result.stdout and "30 lines rejected" in result.stdout
    reported = result.stderr.splitlines()
    assert reported[0].startswith(f"{file}:2: not_json")
    assert len([line for line in reported if "not_json" in line]) == 20
    assert "stream-detector validate" in reported[20] and "--skip-rejected publishes the other 1" in reported[21]
    result = publish(settings, file, "--skip-rejected", "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert (answer["published"], answer["refused"]) == ({"workflow-completions": 1}, 30)


def test_x20_an_array_with_a_line_each_is_published_whole_also_from_standard_input(
    tansu: Any, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(broker=tansu.address)
    array = b"[\n" + b",\n".join(completion(execution_id=f"r-{n}") for n in range(3)) + b"\n]\n"
    file = tmp_path / "history.json"
    file.write_bytes(array)
    assert json.loads(publish(settings, file, "--json").stdout)["published"] == {"workflow-completions": 3}
    where = ["--broker", settings.broker, "--topic-prefix", settings.topic_prefix]
    result = CliRunner().invoke(command, ["-", *where, "--from-event", "3", "--json"], input=array)
    assert json.loads(result.stdout)["published"] == {"workflow-completions": 1}


async def test_x20_what_interrupts_a_publication_leaves_a_number_to_continue_from(
    tansu: Any, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(broker=tansu.address)
    await make_topics(settings)
    filler = "x" * 2000
    events = [
        _Event(
            "workflow-completions",
            f"w{n % 50}".encode(),
            completion(
                execution_id=f"r-{n}",
                workflow_id=f"w{n % 50}",
                workflow_name=filler[:500],
                labels={str(at): filler[:500] for at in range(4)},
            ),
        )
        for n in range(3000)
    ]
    seen: list[int] = []

    def until(stop: int) -> Iterator[Any]:
        yield from events[:stop]
        raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        await publish_events(settings, until(2500), progress=lambda done: seen.append(done.leading))
    leading = seen[-1]
    assert 0 < leading < 2500 and seen == sorted(seen)
    done = await publish_events(settings, events[leading:])
    assert (done.events, done.leading) == (3000 - leading, 3000 - leading)
    consumer = AIOKafkaConsumer(
        settings.topic("workflow-completions"), bootstrap_servers=settings.broker, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        ids: set[str] = set()
        while more := await consumer.getmany(timeout_ms=2000):
            ids |= {json.loads(record.value)["execution_id"] for records in more.values() for record in records}
    finally:
        await consumer.stop()
    assert len(ids) == 3000


def test_a_file_of_no_known_form_is_wrong_usage(
    tansu: Any, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("a,b\n1,2\n")
    assert publish(make_settings(broker=tansu.address), file).exit_code == 2


def test_without_a_broker_it_says_which_setting(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(completion())
    words = [str(file), "--data-dir", str(tmp_path)]
    result = CliRunner().invoke(command, words, env={"STREAM_DETECTOR_BROKER": ""})
    assert result.exit_code == 2
    assert "STREAM_DETECTOR_BROKER is not set" in result.stderr and "--broker" in result.stderr


def test_without_settings_it_publishes_to_the_running_up_of_this_user(
    tansu: Any, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(broker=tansu.address)
    asyncio.run(make_topics(settings))
    file = tmp_path / "history.jsonl"
    file.write_bytes(completion())
    folder = DataFolder(tmp_path / "data")
    named = {"broker": settings.broker, "database_url": "postgresql:///x", "api_token": "t", "api_port": "7"}
    folder.write_running(named | {"topic_prefix": settings.topic_prefix})
    try:
        result = CliRunner().invoke(command, [str(file), "--data-dir", str(folder.path), "--json"])
    finally:
        folder.close()
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["published"] == {"workflow-completions": 1}


async def test_x22_what_an_api_lists_newest_first_is_published_oldest_first(
    tansu: Any, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(broker=tansu.address)
    runs = history(30, NOW, workflows=("ci",))
    file = tmp_path / "runs.json"
    file.write_bytes(dump(runs))
    result = await asyncio.to_thread(publish, settings, file, "--json")
    assert json.loads(result.stdout)["published"] == {"workflow-completions": 30}
    published = [json.loads(record.value) async for record in read_topic(settings, "workflow-completions")]
    ends = [event["finished_at"] for event in published]
    assert ends == sorted(ends) and len(set(ends)) == 30


def test_x20_a_file_that_was_stored_is_published_once_unless_that_is_asked_for(
    tansu: Any, postgres_url: str, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    """Also where so many executions of a key came since that its baseline knows the repeat no more."""

    async def store() -> None:
        pool = await open_pool(postgres_url, name="test", size=1)
        try:
            await migrate(pool)
            rows = [row(decode_completion(completion(execution_id=f"r-{n}"), (), AT_MS), n) for n in range(8)]
            await Writer(pool).write(Rows(executions=rows))
        finally:
            await pool.close()

    asyncio.run(store())
    settings = make_settings(broker=tansu.address)
    file = tmp_path / "history.jsonl"
    changed = completion(execution_id="r-3", status="failure")
    file.write_bytes(b"\n".join([*(completion(execution_id=f"r-{n}") for n in range(10)), changed, score()]))
    with_database = ("--database-url", postgres_url, "--json")
    answer = json.loads(publish(settings, file, *with_database).stdout)
    assert (answer["published"], answer["known"]) == ({"workflow-completions": 3, "scores": 1}, 8)
    answer = json.loads(publish(settings, file, *with_database, "--again").stdout)
    assert (answer["published"], answer["known"]) == ({"workflow-completions": 11, "scores": 1}, 0)
    file.write_bytes(completion(execution_id="r-1"))
    result = publish(settings, file, "--database-url", postgres_url)
    assert result.exit_code == 0 and "published nothing" in result.stdout and "1 were known before" in result.stdout
    away = "postgresql://nobody@127.0.0.1:1/none"
    result = publish(settings, file, "--database-url", away)
    assert result.exit_code == 0 and "published 1 to" in result.stdout and "may count twice" in result.stderr

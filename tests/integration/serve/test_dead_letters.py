"""Dead letters on a real broker, over HTTP and from a terminal; they go back as they came."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from click.testing import CliRunner, Result

from stream_detector.cli import main
from stream_detector.devstack.tansu import Tansu
from stream_detector.events import RefusedError
from stream_detector.events.dead_letter import dead_letter_headers
from stream_detector.kafka.create_topics import make_topics
from stream_detector.serve.app_keys import BROKER
from stream_detector.settings import Settings
from stream_detector.store.rows import DeadLetterNote, Rows
from stream_detector.store.write import Writer
from tests.events_made import row
from tests.integration.serve.conftest import Serve
from tests.servers.installation import wait_until

Client = TestClient[Any, Any]
PATH = "/api/v1/dead-letters"
KEY, VALUE = b"\xff\x00key", b'{"no": \x1b[31m'
OWN = [("trace", b"\x80"), ("mode", b"backfill")]


@pytest.fixture
async def client(serve: Serve, tansu: Tansu, make_settings: Callable[..., Settings]) -> AsyncIterator[Client]:
    """The API, with two dead letters on partition 1: one of ours, one from a topic that is not."""
    settings = make_settings(broker=tansu.address)
    await make_topics(settings)
    error = RefusedError("decode", "not_json", "not JSON")
    async with AIOKafkaProducer(bootstrap_servers=tansu.address, acks="all") as producer:
        for topic in (settings.topic("workflow-completions"), "somebody-elses"):
            headers = dead_letter_headers(
                OWN, topic=topic, partition=2, offset=7, timestamp_ms=1_769_040_300_000, error=error
            )
            await producer.send_and_wait(settings.topic("dead-letters"), VALUE, key=KEY, partition=1, headers=headers)
    started = await serve(broker=tansu.address)
    await wait_until(lambda: started.app[BROKER].state == "ok", "the API has its broker")
    yield started


async def returned(client: Client, address: str) -> list[Any]:
    place = TopicPartition(client.app[BROKER].name("workflow-completions"), 2)
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        return list((await consumer.getmany(place, timeout_ms=1000)).get(place, []))
    finally:
        await consumer.stop()


async def test_one_is_shown_as_text_and_goes_back_as_it_came(client: Client, tansu: Tansu) -> None:
    async with client.get(f"{PATH}/1-0") as answer:
        assert answer.status == 200, await answer.text()
        shown = await answer.json()
    assert (shown["key"], shown["value"]) == ("\\xff\\x00key", '{"no": \\x1b[31m')
    assert (shown["reason"], shown["original_partition"], shown["original_offset"]) == ("not_json", 2, 7)
    assert shown["headers"] == {"trace": "\\x80", "mode": "backfill"}
    async with client.post(f"{PATH}/1-0/retry") as answer:
        assert await answer.json() == {"topic": "workflow-completions", "partition": 2, "offset": 0}
    (record,) = await returned(client, tansu.address)
    assert (record.key, record.value, list(record.headers)) == (KEY, VALUE, OWN)


@pytest.mark.parametrize("place", ["1-9", "0-0", "9-0", "x", "1", "1-0-0", "1-" + "9" * 18, "999999-0", "1--1"])
async def test_what_lies_nowhere_is_404(client: Client, place: str) -> None:
    for method, path in (("GET", f"{PATH}/{place}"), ("POST", f"{PATH}/{place}/retry")):
        async with client.request(method, path) as answer:
            assert answer.status == 404 and answer.content_type == "application/problem+json", path


async def test_one_of_another_installation_does_not_go_back(client: Client) -> None:
    async with client.post(f"{PATH}/1-1/retry") as answer:
        assert answer.status == 404 and "somebody-elses" in (await answer.json())["detail"]


async def test_they_are_listed_from_the_store_without_payload(client: Client, pool: asyncpg.Pool) -> None:
    notes = [
        DeadLetterNote(
            topic="scores" if number % 2 else "workflow-completions", partition=0, offset=number, timestamp_ms=None,
            stage="decode", reason="not_json" if number else "future", message="m", value_bytes=3,
        )
        for number in range(5)
    ]  # fmt: skip
    await Writer(pool).write(Rows(dead_letters=[row(note, n) for n, note in enumerate(notes)]))

    async def offsets(**query: Any) -> list[int]:
        async with client.get(PATH, params=query) as answer:
            assert answer.status == 200, await answer.text()
            return [each["original_offset"] for each in (await answer.json())["items"]]

    assert await offsets() == [4, 3, 2, 1, 0]
    assert await offsets(reason="future") == [0] and await offsets(topic="scores") == [3, 1]
    async with client.get(PATH, params={"limit": 3}) as answer:
        first = await answer.json()
    assert await offsets(cursor=first["next"]) == [1, 0]
    assert await offsets(reason="a_reason_of_later") == []
    for wrong in ({"reason": ""}, {"cursor": "x"}, {"topic": "a\x00"}):
        assert (await client.get(PATH, params=wrong)).status == 400


async def run(client: Client, tansu: Tansu, *words: str) -> Result:
    environ = {"STREAM_DETECTOR_BROKER": tansu.address, "STREAM_DETECTOR_TOPIC_PREFIX": client.app[BROKER].name("")}
    return await asyncio.to_thread(CliRunner().invoke, main, ["dead-letters", *words], env=environ)


async def test_the_terminal_lists_shows_and_sends_again(client: Client, tansu: Tansu) -> None:
    listed = await run(client, tansu, "list")
    assert listed.exit_code == 0 and "1-0" in listed.output and "no\\" not in listed.output, listed.output
    assert len(json.loads((await run(client, tansu, "list", "--json")).stdout)) == 2
    assert "no dead letters" in (await run(client, tansu, "list", "--reason", "future")).output
    assert "\x1b" not in (await run(client, tansu, "show", "1-0")).output
    assert json.loads((await run(client, tansu, "show", "1-0", "--json")).stdout)["value"] == '{"no": \\x1b[31m'
    again = await run(client, tansu, "retry", "1-0")
    assert again.stdout == "1-0 is on workflow-completions-2@0\n"
    assert len(await returned(client, tansu.address)) == 1
    for words, code in ((("show", "x"), 2), (("show", "1-99"), 1), (("retry", "1-1"), 1)):
        assert (await run(client, tansu, *words)).exit_code == code

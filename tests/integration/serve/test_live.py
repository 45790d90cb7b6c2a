"""The live stream on a real broker: nothing missed, nothing twice, whoever comes and goes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient
from aiokafka import AIOKafkaProducer

from stream_detector.devstack.tansu import Tansu
from stream_detector.events.encode import encode
from stream_detector.kafka.create_topics import make_topics
from stream_detector.serve import live
from stream_detector.serve.app_keys import BROKER
from stream_detector.serve.broker import BrokerAwayError
from stream_detector.serve.live import LIVE, Live
from stream_detector.settings import Settings
from stream_detector.store.credentials import create_token
from tests.events_made import anomaly, uuid
from tests.integration.serve.conftest import Serve
from tests.servers.installation import wait_until

Client = TestClient[Any, Any]
PATH = "/api/v1/stream"


def follows(live: Live) -> bool:
    """Whether it reads: else it takes no listener."""
    try:
        live.unsubscribe(live.subscribe()[0])
    except BrokerAwayError:
        return False
    return True


@pytest.fixture
async def client(serve: Serve, tansu: Tansu, make_settings: Callable[..., Settings]) -> AsyncIterator[Client]:
    """The API, following alerts."""
    await make_topics(make_settings(broker=tansu.address))
    await publish(make_settings(broker=tansu.address), "before")
    started = await serve(broker=tansu.address)
    await wait_until(lambda: follows(started.app[LIVE]), "the API follows alerts")
    yield started


async def publish(settings: Settings, *names: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.broker, acks="all") as producer:
        for number, name in enumerate(names):
            await producer.send_and_wait(settings.topic("alerts"), encode(anomaly(name)), partition=number % 4)


class Browser:
    """Reads the stream as an EventSource does."""

    def __init__(self, response: Any) -> None:
        self.response, self.last_id = response, ""

    async def event(self) -> tuple[str, Any]:
        fields: dict[str, str] = {}
        async with asyncio.timeout(30):
            while line := (await self.response.content.readline()).decode().rstrip("\n"):
                name, _, text = line.partition(": ")
                fields[name] = text
        if "id" not in fields:
            raise EOFError
        self.last_id = fields["id"]
        return fields["event"], json.loads(fields["data"])

    async def anomalies(self, count: int) -> list[str]:
        found: list[str] = []
        while len(found) < count:
            name, data = await self.event()
            if name == "anomaly":
                found.append(data["id"])
        return found


async def browser(client: Client, last_id: str | None = None) -> Browser:
    response = await client.get(PATH, headers={} if last_id is None else {"Last-Event-ID": last_id})
    assert response.status == 200 and response.content_type == "text/event-stream"
    return Browser(response)


def settings_of(client: Client, address: str) -> Settings:
    return Settings(broker=address, topic_prefix=client.app[BROKER].name("x")[:-1])


async def test_what_is_found_comes_and_who_comes_back_misses_nothing_and_gets_nothing_twice(
    client: Client, tansu: Tansu
) -> None:
    settings = settings_of(client, tansu.address)
    first = await browser(client)
    assert (await first.event())[0] == "ready"
    names = [f"a{number}" for number in range(8)]
    await publish(settings, *names)
    assert sorted(await first.anomalies(8)) == sorted(map(uuid, names))  # not `before`: it is older than the browser
    first.response.close()
    while_away = [f"b{number}" for number in range(6)]
    await publish(settings, *while_away)
    again = await browser(client, first.last_id)
    assert (await again.event())[0] == "ready"
    await publish(settings, "c")
    assert sorted(await again.anomalies(7)) == sorted(map(uuid, [*while_away, "c"]))
    again.response.close()


async def test_fifty_at_once_each_get_everything(client: Client, tansu: Tansu) -> None:
    browsers = [await browser(client) for _ in range(50)]
    await asyncio.gather(*(each.event() for each in browsers))
    names = [f"a{number}" for number in range(20)]
    await publish(settings_of(client, tansu.address), *names)
    for found in await asyncio.gather(*(each.anomalies(20) for each in browsers)):
        assert sorted(found) == sorted(map(uuid, names))
    for each in browsers:
        each.response.close()
    await wait_until(lambda: client.app[LIVE].clients == 0, "those who left are forgotten")


async def streams(client: Client, token: str, most: int) -> tuple[list[Any], int]:
    """The streams that a token gets, at most so many, and the status of the first that it does not."""
    opened: list[Any] = []
    while len(opened) < most:
        response = await client.get(PATH, headers={"Authorization": f"Bearer {token}"})
        if response.status != 200:
            return opened, response.status
        opened.append(response)
    return opened, 200


async def test_no_token_takes_the_places_of_others_and_operators_keep_some(
    client: Client, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_CLIENTS", 10)
    monkeypatch.setattr(live, "MOST_OF_ONE", 5)
    monkeypatch.setattr(live, "KEPT_FOR_OPERATORS", 2)
    viewers = [(await create_token(pool, name=name, role="viewer", expires_at=None))[0] for name in "abc"]
    first, status = await streams(client, viewers[0], 9)
    assert (len(first), status) == (5, 429)
    async with client.post("/api/v1/session", headers={"Authorization": f"Bearer {viewers[0]}"}) as made:
        (name, cookie) = made.headers["Set-Cookie"].partition(";")[0].split("=", 1)
    async with client.get(PATH, headers={"Cookie": f"{name}={cookie}", "Authorization": ""}) as answer:
        assert answer.status == 429, "a session counts for its token"
    second, status = await streams(client, viewers[1], 9)
    assert (len(second), status) == (3, 503)
    assert (await streams(client, viewers[2], 1))[1] == 503
    operator, _ = await create_token(pool, name="o", role="operator", expires_at=None)
    kept, status = await streams(client, operator, 9)
    assert (len(kept), status) == (2, 503)
    for each in [*first, *second, *kept]:
        each.close()
    await wait_until(lambda: client.app[LIVE].clients == 0, "those who left are forgotten")


@pytest.mark.parametrize("last_id", ["x", "0:1", "0:9999,1:0,2:0,3:0", "9" * 5000])
async def test_an_id_of_another_stream_says_so_and_goes_on_from_now(client: Client, last_id: str) -> None:
    told = await browser(client, last_id)
    assert [(await told.event())[0] for _ in range(2)] == ["reset", "ready"]
    told.response.close()


async def test_who_does_not_keep_up_is_let_go_and_its_buffer_is_bounded() -> None:
    listener = live.Listener()
    found = live.Found(0, 1, b"{}")
    assert [listener.offer(found) for _ in range(live.BUFFERED + 1)] == [True] * live.BUFFERED + [False]
    listener.offer(None)
    assert listener.waiting.qsize() == live.BUFFERED + 1


async def test_without_a_broker_it_is_503(serve: Serve) -> None:
    client = await serve()
    async with client.get(PATH) as answer:
        assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0

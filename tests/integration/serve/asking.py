"""What the tests of the API ask with, and how they store what they ask for."""

from typing import Any

import asyncpg
from aiohttp.test_utils import TestClient

from stream_detector.store.rows import Rows
from stream_detector.store.write import Writer
from tests.events_made import row

Client = TestClient[Any, Any]
LIST = "/api/v1/ai/anomalies"


async def store(pool: asyncpg.Pool, *found: Any) -> None:
    """Anomalies, as the recorder does."""
    assert await Writer(pool).write(Rows(anomalies=[row(each, n) for n, each in enumerate(found)])) == []


async def ask(client: Client, path: str, **query: Any) -> Any:
    """The JSON of an answer, which must be 200."""
    answer = await client.get(path, params=query)
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "application/json"
    return await answer.json()


async def descriptions(client: Client, **query: Any) -> list[str]:
    """Of the anomalies that the list has, in its order; ` happened` is what those made here end with."""
    return [item["description"].removesuffix(" happened") for item in (await ask(client, LIST, **query))["items"]]


def path_of(path: str) -> str:
    """A route's path with something in the places of its parameters."""
    path = path.replace("{id}", "1065829a-cfbd-5714-97f3-df5ca44f533e").replace("{partition}-{offset}", "0-1")
    return path.replace("{mapping}", "other").replace("{key}", "sdp_other").replace("{outcome}", "start")

"""The real application on a real port, over a real database."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer

from stream_detector.serve.app import make_app
from stream_detector.serve.database import Database
from stream_detector.settings import Settings
from tests.servers.database import as_role, pool

__all__ = ["pool"]

Serve = Callable[..., Awaitable["TestClient[Any, Any]"]]


@pytest.fixture
async def serve(pool: asyncpg.Pool, postgres_url: str, make_settings: Callable[..., Settings]) -> AsyncIterator[Serve]:
    """Starts the API with the settings given; ends with the test. The client carries the token of the settings."""
    clients: list[TestClient[Any, Any]] = []
    databases: list[Database] = []

    async def start(*, signed_in: bool = True, **changes: Any) -> "TestClient[Any, Any]":
        mine = await as_role(pool, postgres_url, "api")  # the least rights: what is missing shows here
        settings = make_settings(**{"database_url": mine} | changes)
        database = Database(settings)
        connecting = database.start()
        carried = {"Authorization": f"Bearer {settings.api_token}"} if settings.api_token and signed_in else {}
        client = TestClient(TestServer(make_app(settings, database)), headers=carried)
        await client.start_server()
        if changes.get("database_url", postgres_url) == postgres_url:
            await connecting
        clients.append(client)
        databases.append(database)
        return client

    yield start
    for client, database in zip(clients, databases, strict=True):
        await client.close()
        await database.stop()


@pytest.fixture
async def client(serve: Serve) -> "TestClient[Any, Any]":
    """The API as it is on a laptop, asked by an operator."""
    return await serve()

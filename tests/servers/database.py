"""A real PostgreSQL for tests: one server a session, one migrated database a test."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from stream_detector.devstack.postgres import Postgres
from stream_detector.store.connect import open_pool
from stream_detector.store.migrate import migrate

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The embedded server, as `up` starts it."""
    folder = Path(tempfile.mkdtemp(prefix="stream-detector-test-"))
    folder.chmod(0o711)  # as root the server runs as nobody, who must pass through
    try:
        with Postgres.start(folder / "postgres") as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def new_database(server: Postgres) -> AsyncIterator[str]:
    """The address of an empty database, gone afterwards whoever is still connected."""
    name = f"test_{next(_NUMBERS)}"
    admin = await asyncpg.connect(server.url())
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        yield server.url(name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
async def empty_url(postgres: Postgres) -> AsyncIterator[str]:
    """An empty database."""
    async with new_database(postgres) as url:
        yield url


@pytest.fixture
async def pool(empty_url: str) -> AsyncIterator[asyncpg.Pool]:
    """A migrated database of the test's own."""
    opened = await open_pool(empty_url, name="test")
    await migrate(opened)
    yield opened
    await opened.close()

"""A migrated database of the test's own."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from stream_detector.store.connect import open_pool
from stream_detector.store.grants import GRANTS, statements
from stream_detector.store.migrate import migrate


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to it, as a service opens them."""
    opened = await open_pool(postgres_url, name="test", size=10)
    await migrate(opened)
    yield opened
    await opened.close()


async def as_role(owner: asyncpg.Pool, url: str, role: str) -> str:
    """The URL of the same, migrated database for a user who may do what the role needs and no more.

    A setting of the connection makes him, so that it works however the embedded database knows who comes.
    """
    async with owner.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(1)")  # roles are the server's, not the database's
        if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
            await connection.execute(f'CREATE ROLE "{role}"')
        for statement in statements(role, role):
            await connection.execute(statement)
    return f"{url}&role={role}"


@pytest.fixture
async def pools(pool: asyncpg.Pool, postgres_url: str) -> AsyncIterator[dict[str, asyncpg.Pool]]:
    """Role -> connections as that role; `migrator` owns the tables."""
    opened = {"migrator": pool}
    for role in GRANTS:
        opened[role] = await open_pool(await as_role(pool, postgres_url, role), name="test", size=10)
    yield opened
    for role in GRANTS:
        await opened[role].close()

"""A migrated database of the test's own."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from stream_detector.store.connect import open_pool
from stream_detector.store.migrate import migrate


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to it, as a service opens them."""
    opened = await open_pool(postgres_url, name="test", size=10)
    await migrate(opened)
    yield opened
    await opened.close()

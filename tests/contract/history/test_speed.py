"""X22: 10,000 runs of each API in less than 30 s."""

import time

import pytest

from tests.contract.history.reading import SERVERS, fetch
from tests.servers.api import ApiServer

RUNS = 10_000


@pytest.mark.drill
@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.NAME)
async def test_x22_ten_thousand_runs_take_less_than_half_a_minute(kind: type[ApiServer]) -> None:
    server = await kind(RUNS).start()
    begun_s = time.monotonic()
    try:
        fetched = await fetch(server)
    finally:
        await server.stop()
    assert len(fetched.events) == RUNS
    assert time.monotonic() - begun_s < 30

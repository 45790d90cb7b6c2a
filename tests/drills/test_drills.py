"""The drills as CI runs them, one run each."""

import pytest

from tests.drills import postgres_away, rebalance, stop_and_go
from tests.drills.stage import Options


@pytest.mark.apache
async def test_workers_that_join_leave_and_die_lose_nothing():
    outcome = await rebalance.drill(Options("apache", events=20_000))
    assert outcome.passed, outcome.findings


@pytest.mark.apache
async def test_a_worker_that_wakes_up_between_check_and_write_spoils_nothing():
    outcome = await stop_and_go.drill(Options("apache", events=10_000))
    assert outcome.passed, outcome.findings


async def test_postgres_away_and_back_loses_no_row():
    outcome = await postgres_away.drill(Options(events=10_000), away_s=5.0)
    assert outcome.passed, outcome.findings

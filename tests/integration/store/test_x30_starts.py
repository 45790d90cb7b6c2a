"""X30: which executions run, whatever the order in which starts and ends are stored, and by whom."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from stream_detector.events import Completion, Start
from stream_detector.store.executions import execution
from stream_detector.store.retain import retain
from stream_detector.store.rows import Rows
from stream_detector.store.running import settle
from stream_detector.store.write import Writer
from tests.events_made import completion, row, start

NOW = datetime.now(UTC).replace(microsecond=0)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def began(execution_id: str = "1", at_s: float = 100, **given: Any) -> Start:
    return start(execution_id, started_at=ago(at_s), **given)


def ended(execution_id: str = "1", at_s: float = 0, **given: Any) -> Completion:
    return completion(execution_id, **({"finished_at": ago(at_s), "duration_s": None} | given))


async def write(pool: asyncpg.Pool, *events: Start | Completion) -> None:
    rows = [row(event, offset) for offset, event in enumerate(events)]
    starts = [each for each in rows if isinstance(each.event, Start)]
    executions = [each for each in rows if isinstance(each.event, Completion)]
    assert await Writer(pool).write(Rows(starts=starts, executions=executions)) == []


async def running(pool: asyncpg.Pool) -> list[tuple[str, int]]:
    found = await pool.fetch("SELECT execution_id, attempt FROM running_executions ORDER BY execution_id")
    return [tuple(each) for each in found]


_FIRST = [began("1", 100), ended("1", 40)]
_AGAIN = [began("1", 30, attempt=2)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("one_by_one", [True, False])
async def test_x30_in_any_order_and_again_the_same_runs(
    pool: asyncpg.Pool, order: tuple[int, ...], one_by_one: bool
) -> None:
    events = [[*_FIRST, *_AGAIN][each] for each in order]
    for _ in range(2):
        for batch in [[each] for each in events] if one_by_one else [events]:
            await write(pool, *batch)
    assert await running(pool) == [("1", 2)]
    stored = await execution(pool, "1")
    assert stored is not None and stored.event.attempt == 1
    assert stored.event.duration_s == 60 and stored.event.started_at == ago(100)
    assert await pool.fetchval("SELECT duration_s FROM executions") == 60
    await write(pool, ended("1", 0, attempt=2), *events)
    assert await running(pool) == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_x30_a_run_that_ends_again_under_one_number(pool: asyncpg.Pool, order: tuple[int, ...]) -> None:
    """GitLab, Airflow and others: the id of the end has its second, the start has not."""
    first = f"gitlab:31.{int(ago(40).timestamp())}"
    events: list[Start | Completion] = [began("gitlab:31", 100), ended(first, 40), began("gitlab:31", 30)]
    for each in order:
        await write(pool, events[each])
    await write(pool, events[1])
    assert await running(pool) == [("gitlab:31", 1)]
    assert await pool.fetchval("SELECT started_at FROM running_executions") == ago(30)
    await write(pool, ended(f"gitlab:31.{int(NOW.timestamp())}", 0), ended("gitlab:310.1769040300", 0))
    await write(pool, *events)
    assert await running(pool) == []


async def test_x30_an_end_of_another_run_ends_nothing(pool: asyncpg.Pool) -> None:
    await write(pool, began("a"), began("a.1"), began("gitlab:3"))
    await write(pool, ended("a.1769040300"), ended("gitlab:31.1769040300"), ended("b"))
    assert await running(pool) == [("a", 1), ("a.1", 1), ("gitlab:3", 1)]


async def test_x30_a_clock_that_ends_a_run_before_its_start(pool: asyncpg.Pool) -> None:
    await write(pool, began("1", 10), ended("1", 20))
    assert await running(pool) == []
    assert await pool.fetchval("SELECT duration_s FROM executions") is None


async def test_x30_a_given_duration_stays_and_the_wait_is_kept(pool: asyncpg.Pool) -> None:
    await write(pool, began("1", 100, queued_at=ago(130)), began("2", 100, queued_at=ago(130)))
    await write(pool, ended("1", 0, duration_s=7.0))
    await write(pool, ended("2", 0, duration_s=7.0))
    found = await pool.fetch("SELECT duration_s, queued_at, started_at FROM executions ORDER BY execution_id")
    assert [tuple(each) for each in found] == [(7.0, ago(130), ago(100))] * 2


async def test_x30_waiting_then_running_is_one_run(pool: asyncpg.Pool) -> None:
    """GitHub sends `requested` and `in_progress`."""
    waiting, begun = began("1", 100, queued_at=ago(100)), began("1", 60, queued_at=ago(100))
    for events in ([waiting, begun], [begun, waiting]):
        await pool.execute("TRUNCATE running_executions")
        for each in events:
            await write(pool, each)
        assert await pool.fetchval("SELECT started_at FROM running_executions") == ago(60)
        assert await pool.fetchval("SELECT queued_at FROM running_executions") == ago(100)


async def test_x30_what_never_ended_is_forgotten_after_30_days(pool: asyncpg.Pool) -> None:
    day = 86_400
    await write(pool, began("old", 31 * day), began("older", 29 * day), began("new", 1))
    assert await running(pool) == [("new", 1), ("older", 1)]
    await retain(pool, now=NOW + timedelta(days=2), executions_d=90, anomalies_d=90)
    assert await running(pool) == [("new", 1)]


async def test_x30_an_end_that_an_earlier_recorder_stored_ends_the_run(pool: asyncpg.Pool) -> None:
    """4659e91 inserts executions and knows no table of what runs."""
    await write(pool, began("1"), began("gitlab:3"), began("2"))
    await pool.execute(
        "INSERT INTO executions (execution_id, attempt, workflow_id, status, finished_at, stream_epoch,"
        " source_partition, source_offset, backfill, record_at, event)"
        " SELECT id, 1, 'nightly', 'success', now(), 0, 0, 9, false, now(), '{}'"
        " FROM unnest(ARRAY['1', 'gitlab:3.1999999999']) id"
    )
    await settle(pool)
    assert await running(pool) == [("2", 1)]
    assert await pool.fetchval("SELECT duration_s > 90 FROM executions WHERE execution_id = '1'")


async def test_x30_a_start_and_an_end_that_are_stored_at_the_same_moment_are_joined(pool: asyncpg.Pool) -> None:
    """Neither transaction sees the other's row: by a trick of the test, the end is not there when the start comes."""
    await write(pool, ended("1"), began("2", 30, attempt=2))
    await pool.execute("ALTER TABLE executions RENAME TO hidden")
    await pool.execute("CREATE TABLE executions (LIKE hidden INCLUDING ALL)")
    await write(pool, began("1", 90, queued_at=ago(95)))
    await pool.execute("DROP TABLE executions")
    await pool.execute("ALTER TABLE hidden RENAME TO executions")
    assert await running(pool) == [("1", 1), ("2", 2)]
    for _ in range(2):
        await settle(pool)
        assert await running(pool) == [("2", 2)]
        found = await pool.fetchrow("SELECT duration_s, started_at, queued_at FROM executions")
        assert tuple(found) == (90.0, ago(90), ago(95))


async def test_x30_an_execution_without_a_start_is_as_before(pool: asyncpg.Pool) -> None:
    await write(pool, ended("1"), ended("2", duration_s=3.0))
    found = await pool.fetch("SELECT duration_s, started_at, queued_at FROM executions ORDER BY execution_id")
    assert [tuple(each) for each in found] == [(None, None, None), (3.0, None, None)]

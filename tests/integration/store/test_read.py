"""W37, W38, S12: history in order, and how long it is kept."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from stream_detector.store import anomalies, executions, retain, scores
from stream_detector.store.filter import Filter
from stream_detector.store.position import Position
from stream_detector.store.rows import DeadLetterNote, Rows
from stream_detector.store.write import Writer
from tests.events_made import NOON, anomaly, completion, notification, row, score, summary
from tests.servers.database import count


async def test_w37_executions_of_one_workflow_newest_first(pool: asyncpg.Pool) -> None:
    days = [row(completion(str(n), finished_at=NOON - timedelta(days=n)), n) for n in range(60)]
    await Writer(pool).write(Rows(executions=[*days, row(completion("other", "weekly"), 99)]))
    last = await executions.newest_completions(pool, "nightly")
    assert [each.execution_id for each in last] == [str(n) for n in range(30)]
    month = await executions.newest_completions(pool, "nightly", limit=1000, since=NOON - timedelta(days=30))
    assert [each.execution_id for each in month] == [str(n) for n in range(31)]


async def test_history_comes_in_the_order_of_the_stream_over_many_chunks(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executions, "ROWS_AT_ONCE", 7)
    places = [(epoch, partition, offset) for epoch in (1, 2) for partition in (0, 3) for offset in range(10)]
    rows = [
        row(completion(f"{place}"), epoch=place[0], partition=place[1], offset=place[2], backfill=place[2] == 4)
        for place in places
    ]
    await Writer(pool).write(Rows(executions=rows[::-1]))
    found = [each async for each in executions.completions_in_order(pool, "nightly", Position(2, 0, 5))]
    assert [each.position[:3] for each in found] == [place for place in places if place <= (2, 0, 5)]
    assert [each.backfill for each in found] == [place[2] == 4 for place in places if place <= (2, 0, 5)]
    assert len([each async for each in executions.completions_in_order(pool, "nightly")]) == 40


async def test_scores_keep_their_digits_and_what_absent_means(pool: asyncpg.Pool) -> None:
    given = [
        score("lido", "7.50", run_id="r1"),
        score("lido", "7.7", run_id="r2", previous_score=None, scored_at=NOON + timedelta(days=1)),
    ]
    await Writer(pool).write(Rows(scores=[row(each, n) for n, each in enumerate(given)]))
    found = [each.event async for each in scores.scores_in_order(pool, "lido", NOON + timedelta(days=9))]
    assert found == given
    assert [str(each.score) for each in found] == ["7.50", "7.7"]
    assert found[0].previous_score is msgspec.UNSET and found[1].previous_score is None


async def test_s12_the_last_hours_are_filtered_by_the_database(pool: asyncpg.Pool) -> None:
    made = [anomaly(str(n), detected_at=NOON - timedelta(hours=n)) for n in range(10)]
    await Writer(pool).write(Rows(anomalies=[row(each) for each in made]))
    page = await anomalies.find(pool, Filter(from_at=NOON - timedelta(hours=3)), limit=100)
    assert [msgspec.json.decode(each)["description"] for each in page.items] == [f"{n} happened" for n in range(4)]


def everything(days: int) -> Rows:
    at = NOON - timedelta(days=days)
    note = DeadLetterNote(
        topic="scores", partition=0, offset=days, timestamp_ms=None, stage="decode", reason="not_json", message="x"
    )
    return Rows(
        executions=[row(completion(f"e{days}", finished_at=at), days)],
        scores=[row(score(f"s{days}", scored_at=at), days)],
        summaries=[row(summary(f"r{days}", ended_at=at))],
        anomalies=[row(anomaly(f"a{days}", detected_at=at))],
        notifications=[row(notification(f"n{days}", at=at))],
        dead_letters=[row(note, days, record_ms=int(at.timestamp() * 1000))],
    )


async def test_w38_retention_keeps_30_days_of_history_whatever_is_asked_and_365_of_anomalies(
    pool: asyncpg.Pool,
) -> None:
    for days in (1, 29, 31, 364, 366):
        assert await Writer(pool).write(everything(days)) == []
    deleted = await retain.retain(pool, now=NOON, executions_d=1, anomalies_d=365, batch=1)
    assert deleted is not None and (deleted["executions"], deleted["scores"], deleted["anomalies"]) == (3, 3, 1)
    kept = {table: await count(pool, table) for table in ("executions", "scores", "dead_letters")}
    assert kept == {"executions": 2, "scores": 2, "dead_letters": 2}
    for table in ("anomalies", "incidents", "notifications", "runs"):
        assert await count(pool, table) == 4, table
    trimmed = await pool.fetchrow("SELECT until FROM trimmed WHERE entity = 'workflow:nightly'")
    assert trimmed["until"] == NOON - timedelta(days=31)
    again = await retain.retain(pool, now=NOON, executions_d=1, anomalies_d=365)
    assert again is not None and set(again.values()) == {0}


async def test_of_two_that_delete_at_once_one_does(pool: asyncpg.Pool) -> None:
    await Writer(pool).write(
        Rows(executions=[row(completion(str(n), finished_at=NOON - timedelta(days=200)), n) for n in range(500)])
    )

    async def run() -> Any:
        return await retain.retain(pool, now=NOON, executions_d=90, anomalies_d=365, batch=10)

    done = await asyncio.gather(run(), run(), run())
    assert sum(each["executions"] for each in done if each) == 500
    assert await count(pool, "executions") == 0


async def test_retention_leaves_everything_while_another_service_holds_the_lock(pool: asyncpg.Pool) -> None:
    old = [row(completion(str(n), finished_at=NOON - timedelta(days=200)), n) for n in range(3)]
    await Writer(pool).write(Rows(executions=old))
    async with pool.acquire() as other:
        await other.execute("SELECT pg_advisory_lock($1)", retain.LOCK)
        assert await retain.retain(pool, now=NOON, executions_d=90, anomalies_d=365) is None
        assert await count(pool, "executions") == 3
        await other.execute("SELECT pg_advisory_unlock($1)", retain.LOCK)
    deleted = await retain.retain(pool, now=NOON, executions_d=90, anomalies_d=365)
    assert deleted is not None and deleted["executions"] == 3
    assert await retain.retain(pool, now=NOON, executions_d=90, anomalies_d=365) is not None, "the lock is given back"

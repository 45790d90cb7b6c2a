"""What PostgreSQL knows of workflow ids that look unique per run, and what is left of a dropped key."""

from datetime import UTC, datetime, timedelta

import asyncpg

from stream_detector.delivery.state import changelog_record
from stream_detector.detect import Baseline, Config, step
from stream_detector.store import retain
from stream_detector.store.rows import BaselineState, Row, Rows, StateRecord
from stream_detector.store.unique_ids import ids_that_look_unique
from stream_detector.store.write import Writer
from tests.events_made import completion

NOW = datetime.now(UTC)
HEAD = changelog_record.encode_header(1, {"workflow-completions": 9})


def row(event: object, offset: int, at: datetime = NOW) -> Row[object]:
    return Row(event, "baselines", 0, offset, round(at.timestamp() * 1000))


def state_of(workflow_id: str, runs: int = 1, at: datetime = NOW) -> BaselineState:
    baseline = Baseline.new(f"workflow:{workflow_id}")
    for number in range(runs):
        step(baseline, completion(str(number), workflow_id, finished_at=at), Config(profile="robust"))
    return BaselineState(key=baseline.key, packed=baseline.pack(), named=baseline.shown_baselines())


async def test_new_ids_of_today_with_one_run_are_counted_by_pattern(pool: asyncpg.Pool) -> None:
    states = [state_of(f"build-{number}") for number in range(1_234)]
    states += [state_of(f"host-{number}", runs=2) for number in range(1_100)]
    states += [state_of(f"old-{number}", at=NOW - timedelta(days=2)) for number in range(1_100)]
    states += [BaselineState(key=f"workflow:later-{number}", packed=b"", state="unknown") for number in range(1_100)]
    await Writer(pool).write(Rows(baselines=[row(each, offset) for offset, each in enumerate(states)]))
    assert await ids_that_look_unique(pool) == {"build-*": 1_234}
    gone = [BaselineState(key=f"workflow:build-{number}", packed=None) for number in range(300)]
    await Writer(pool).write(Rows(baselines=[row(each, 10_000 + offset) for offset, each in enumerate(gone)]))
    assert await ids_that_look_unique(pool) == {}
    assert await pool.fetchval("SELECT count(*) FROM baselines WHERE key LIKE 'workflow:build-%'") == 934


async def test_what_a_restore_needs_of_a_dropped_key_stays_as_long_as_its_executions(pool: asyncpg.Pool) -> None:
    kept = {b"workflow:dropped": HEAD, b"workflow:lives": HEAD + b"packed"}
    records = [StateRecord(key=key, value=value, owner_epoch=1) for key, value in kept.items()]
    await Writer(pool).write(Rows(state_records=[row(each, offset) for offset, each in enumerate(records)]))
    await retain.retain(pool, now=NOW + timedelta(days=89), executions_d=90, anomalies_d=365)
    assert await pool.fetchval("SELECT count(*) FROM state_records") == 2
    await retain.retain(pool, now=NOW + timedelta(days=91), executions_d=90, anomalies_d=365)
    assert [each["key"] for each in await pool.fetch("SELECT key FROM state_records")] == [b"workflow:lives"]

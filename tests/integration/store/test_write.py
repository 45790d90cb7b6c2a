"""Idempotent writing on a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import msgspec
import pytest

from stream_detector.devstack.postgres import Postgres
from stream_detector.events import Completion
from stream_detector.store.connect import StoreAwayError, open_pool
from stream_detector.store.epochs import epoch_of
from stream_detector.store.migrate import migrate
from stream_detector.store.rows import BaselineState, DeadLetterNote, NamedValue, Rows
from stream_detector.store.runs import run, runs
from stream_detector.store.write import Writer
from tests.events_made import (
    action,
    anomaly,
    at_minute,
    completion,
    notification,
    row,
    run_event,
    score,
    score_change,
    summary,
    uuid,
)
from tests.fixtures import psql
from tests.servers.database import count
from tests.unit.notify.subjects import change

TABLES = (
    "executions", "scores", "score_runs", "run_summaries", "runs", "anomalies", "incidents", "actions", "silences",
    "notifications", "baselines", "dead_letters",
)  # fmt: skip


def one_of_each() -> Rows:
    note = DeadLetterNote(
        topic="scores", partition=1, offset=7, timestamp_ms=1_769_083_200_000, stage="decode", reason="not_json",
        message="no JSON", value_bytes=3,
    )  # fmt: skip
    state = BaselineState(key="workflow:nightly", packed=b"\x01", named={"execution_time": NamedValue(100.0, 9.5, 30)})
    return Rows(
        executions=[row(completion())],
        scores=[row(score(run_id="r1")), row(score("curve", "3.25"), 1)],
        score_runs=[row(run_event("started"))],
        summaries=[row(summary())],
        anomalies=[row(anomaly())],
        actions=[row(action("s", "silence", matchers={"team": "core"}, until=at_minute(60)))],
        notifications=[row(notification("n"))],
        baselines=[row(state)],
        dead_letters=[row(note)],
    )


async def test_w34_storing_everything_twice_leaves_one_row_each(pool: asyncpg.Pool) -> None:
    writer = Writer(pool)
    for _ in range(2):
        assert await writer.write(one_of_each()) == []
        counts = {table: await count(pool, table) for table in TABLES}
        assert counts == dict.fromkeys(TABLES, 1) | {"scores": 2}


async def test_the_same_execution_with_another_time_is_stored_once_as_it_first_came(pool: asyncpg.Pool) -> None:
    first, again = row(completion(), 5), row(completion(finished_at=at_minute(3)), 9)
    other_attempt = row(completion(attempt=2), 10)
    await Writer(pool).write(Rows(executions=[first, again, other_attempt]))
    await Writer(pool).write(Rows(executions=[again]))
    found = await pool.fetch("SELECT attempt, source_offset FROM executions ORDER BY attempt")
    assert [tuple(each) for each in found] == [(1, 5), (2, 10)]


async def test_a_score_is_one_row_by_run_or_else_by_time(pool: asyncpg.Pool) -> None:
    scores = [
        score(run_id="r1"),
        score(run_id="r1", scored_at=at_minute(1)),
        score(),
        score(scored_at=at_minute(1)),
        score(),
    ]
    await Writer(pool).write(Rows(scores=[row(each, offset) for offset, each in enumerate(scores)]))
    found = await pool.fetch("SELECT event_id FROM scores ORDER BY event_id")
    assert [each[0] for each in found] == ["at:2026-01-22T12:00:00+00:00", "at:2026-01-22T12:01:00+00:00", "run:r1"]


async def test_an_event_is_read_back_exactly(pool: asyncpg.Pool) -> None:
    given = completion(
        duration_s=0.1 + 0.2, labels={"branch": "main ☃"}, finished_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    )
    await Writer(pool).write(Rows(executions=[row(given)]))
    assert msgspec.json.decode(await pool.fetchval("SELECT event FROM executions"), type=Completion) == given


async def test_bad_rows_are_found_alone_and_the_rest_is_stored(pool: asyncpg.Pool) -> None:
    executions = [row(completion(str(n)), n) for n in range(100)]
    executions[17] = row(completion("nul \x00 in it"), 17)
    executions[63] = row(completion("63", workflow_id="a lone \ud800 surrogate"), 63)
    anomalies = [row(anomaly("good")), row(anomaly("bad", id="not a uuid"))]
    bad = await Writer(pool).write(Rows(executions=executions, anomalies=anomalies))
    assert [(each.table, each.row.offset) for each in bad] == [("executions", 17), ("executions", 63), ("anomalies", 0)]
    assert {(each.error.stage, each.error.reason) for each in bad} == {("store", "rejected_by_store")}
    assert await count(pool, "executions") == 98
    assert await count(pool, "anomalies") == await count(pool, "incidents") == 1


async def test_a_batch_is_one_transaction(pool: asyncpg.Pool) -> None:
    """A reader sees all tables of a batch or none: the same transaction id is on the rows of both."""
    await Writer(pool).write(one_of_each())
    found = await pool.fetch(
        "SELECT xmin::text FROM executions UNION SELECT xmin::text FROM anomalies UNION SELECT xmin::text FROM runs"
    )
    assert len(found) == 1


async def test_a_database_that_went_away_is_said(postgres_server: Postgres) -> None:
    psql(postgres_server, "CREATE DATABASE soon_gone")
    gone = await open_pool(postgres_server.url("soon_gone"), name="gone")
    await migrate(gone)
    psql(postgres_server, "DROP DATABASE soon_gone WITH (FORCE)")
    with pytest.raises(StoreAwayError):
        await Writer(gone).write(one_of_each())
    gone.terminate()


@pytest.mark.parametrize("harm", ["lock_timeout=20", "statement_timeout=20", "default_transaction_read_only=on"])
async def test_what_passes_is_no_fault_of_the_rows(pool: asyncpg.Pool, postgres_url: str, harm: str) -> None:
    """A lock that is held, a statement that takes too long, a standby: nothing is stored, no row is called bad."""
    harmed = await open_pool(f"{postgres_url}&{harm}", name="test")
    async with pool.acquire() as blocker, blocker.transaction():
        if harm.startswith(("lock", "statement")):  # a standby refuses by itself, but not before it has the lock
            await blocker.execute("LOCK TABLE executions IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreAwayError):
            await Writer(harmed).write(one_of_each())
    await harmed.close()
    assert await count(pool, "scores") == 0
    assert await Writer(pool).write(one_of_each()) == []


async def test_writing_goes_on_after_every_connection_was_cut(pool: asyncpg.Pool) -> None:
    writer = Writer(pool)
    await pool.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    for _ in range(3):  # a pool may hold some connections that were cut
        try:
            await writer.write(one_of_each())
        except StoreAwayError:
            continue
    assert await writer.write(one_of_each()) == []
    assert await count(pool, "executions") == 1


async def test_two_writers_of_the_same_rows_at_once_leave_each_once(pool: asyncpg.Pool) -> None:
    forward = [row(anomaly(str(n), incident=f"incident {n % 7}"), n) for n in range(300)]
    batches = [Rows(anomalies=forward), Rows(anomalies=forward[::-1]), Rows(anomalies=forward[100:])]
    assert await asyncio.gather(*(Writer(pool).write(batch) for batch in batches)) == [[], [], []]
    assert await count(pool, "anomalies") == 300
    assert await pool.fetchval("SELECT sum(records) FROM incidents") == 300


async def test_an_incident_follows_its_records(pool: asyncpg.Pool) -> None:
    life = [
        anomaly("1", incident="i"),
        anomaly("2", incident="i", state="ongoing", severity="critical", detected_at=at_minute(5)),
        anomaly("3", incident="i", state="resolved", severity="info", detected_at=at_minute(9), duration_s=540.0),
    ]
    states = []
    for each in life:
        await Writer(pool).write(Rows(anomalies=[row(each)]))
        states.append(
            tuple(await pool.fetchrow("SELECT state, severity, records, duration_s, description FROM incidents"))
        )
    await Writer(pool).write(Rows(anomalies=[row(each) for each in life]))
    states.append(tuple(await pool.fetchrow("SELECT state, severity, records, duration_s, description FROM incidents")))
    assert states == [
        ("opened", "warning", 1, None, "1 happened"),
        ("ongoing", "critical", 2, None, "1 happened"),
        ("resolved", "critical", 3, 540.0, "1 happened"),
        ("resolved", "critical", 3, 540.0, "1 happened"),
    ]
    times = await pool.fetchrow("SELECT opened_at, newest_at, resolved_at FROM incidents")
    assert tuple(times) == (at_minute(0), at_minute(9), at_minute(9))


@pytest.mark.parametrize("first", ["anomaly", "action"])
async def test_a_decision_reaches_its_incident_whichever_came_first(pool: asyncpg.Pool, first: str) -> None:
    incident_id = uuid("i")
    found = Rows(anomalies=[row(anomaly("1", incident="i"))])
    decided = Rows(
        actions=[
            row(action("a", "acknowledge", incident_id=incident_id, at=at_minute(1))),
            row(action("b", "acknowledge", incident_id=incident_id, at=at_minute(2), by="bob")),
            row(action("e", "expected", incident_id=incident_id, at=at_minute(3))),
            row(action("r", "resolve", incident_id=incident_id, at=at_minute(4), by="bob")),
        ]
    )
    for rows in (found, decided) if first == "anomaly" else (decided, found):
        assert await Writer(pool).write(rows) == []
    incident = await pool.fetchrow(
        "SELECT state, acknowledged_by, acknowledged_at, verdict, verdict_by, resolved_by, resolved_at, end_reason"
        " FROM incidents"
    )
    ended = "ann", at_minute(3), "operator"
    assert tuple(incident) == ("resolved", "ann", at_minute(1), "expected", "ann", *ended)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("resolve", "operator"),
        ("expected", "operator"),
        ("not_an_anomaly", "operator"),
        ("retire", "retired"),
        ("relearn", "superseded"),
    ],
)
async def test_x6_an_incident_that_a_person_ended_says_so(pool: asyncpg.Pool, kind: str, reason: str) -> None:
    await Writer(pool).write(Rows(anomalies=[row(anomaly("1", incident="i"))]))
    which = {"entity": "workflow:nightly"} if kind in ("retire", "relearn") else {"incident_id": uuid("i")}
    await Writer(pool).write(Rows(actions=[row(action("a", kind, at=at_minute(4), **which))]))
    late = anomaly("2", incident="i", state="resolved", detected_at=at_minute(9), end_reason="recovered")
    await Writer(pool).write(Rows(anomalies=[row(late)]))
    assert tuple(await pool.fetchrow("SELECT state, end_reason FROM incidents")) == ("resolved", reason)


@pytest.mark.parametrize("reason", ["recovered", "new_normal", "superseded", "of a later version", None])
async def test_x6_why_detection_ended_an_incident_is_stored(pool: asyncpg.Pool, reason: str | None) -> None:
    end = anomaly("2", incident="i", state="resolved", detected_at=at_minute(9), end_reason=reason)
    await Writer(pool).write(Rows(anomalies=[row(anomaly("1", incident="i")), row(end)]))
    assert await pool.fetchval("SELECT end_reason FROM incidents") == reason
    assert await pool.fetchval("SELECT count(*) FROM anomalies WHERE end_reason IS NOT NULL") == (reason is not None)


async def test_a_decision_about_an_entity_reaches_its_open_incidents_alone(pool: asyncpg.Pool) -> None:
    await Writer(pool).write(
        Rows(
            anomalies=[
                row(anomaly("open")),
                row(anomaly("other", entity_id="weekly")),
                row(anomaly("later", detected_at=at_minute(30))),
            ]
        )
    )
    await Writer(pool).write(Rows(actions=[row(action("r", "resolve", at=at_minute(10)))]))
    found = await pool.fetch("SELECT description, state FROM incidents ORDER BY description")
    assert [tuple(each) for each in found] == [
        ("later happened", "opened"), ("open happened", "resolved"), ("other happened", "opened"),
    ]  # fmt: skip


async def test_the_newest_baseline_stays_and_a_retired_key_goes(pool: asyncpg.Pool) -> None:
    def state(packed: bytes | None, offset: int, epoch: int = 0):
        return row(BaselineState(key="workflow:a:b", packed=packed, state="normal"), offset, epoch=epoch)

    writer = Writer(pool)
    await writer.write(Rows(baselines=[state(b"5", 5), state(b"7", 7)]))
    await writer.write(Rows(baselines=[state(b"6", 6)]))
    found = await pool.fetchrow("SELECT packed, source_offset, entity_kind, entity_id FROM baselines")
    assert tuple(found) == (b"7", 7, "workflow", "a:b")
    await writer.write(Rows(baselines=[state(b"0", 0, epoch=1)]))
    assert await pool.fetchval("SELECT packed FROM baselines") == b"0"
    await writer.write(Rows(baselines=[state(None, 0)]))
    assert await count(pool, "baselines") == 1
    await writer.write(Rows(baselines=[state(b"1", 1, epoch=1), state(None, 2, epoch=1)]))
    assert await count(pool, "baselines") == 0


async def test_a_baseline_that_moved_to_another_partition_is_newer_whatever_its_offset(pool: asyncpg.Pool) -> None:
    def state(packed: bytes | None, offset: int, partition: int, owner: int):
        event = BaselineState(key="workflow:a", packed=packed, state="normal", owner_epoch=owner)
        return msgspec.structs.replace(row(event, offset), partition=partition)

    before, moved, after = state(b"7", 5_000, 1, 3), state(b"7", 2, 6, 5), state(b"8", 3, 6, 6)
    for records in ([before, moved, after], [moved, before, after], [after, moved, before], [before, after, before]):
        await pool.execute("DELETE FROM baselines")
        for one in records:
            await Writer(pool).write(Rows(baselines=[one]))
        found = await pool.fetchrow("SELECT packed, source_partition, owner_epoch FROM baselines")
        assert tuple(found) == (b"8", 6, 6)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_a_run_is_one_row_in_whatever_order_its_events_come(pool: asyncpg.Pool, order: tuple[int, ...]) -> None:
    batches = [
        Rows(score_runs=[row(run_event("started", expected=2))]),
        Rows(score_runs=[row(run_event("completed", at=at_minute(4)))]),
        Rows(summaries=[row(summary(status="timed_out"))]),
    ]
    for place in order:
        assert await Writer(pool).write(batches[place]) == []
    found = await pool.fetchrow("SELECT status, started_at, ended_at, expected, scored, anomaly_count FROM runs")
    assert found["status"] == "timed_out"
    assert (found["started_at"], found["expected"], found["scored"], found["anomaly_count"]) == (at_minute(0), 2, 2, 1)


async def test_s10_a_score_change_keeps_its_numbers_in_columns(pool: asyncpg.Pool) -> None:
    await Writer(pool).write(Rows(anomalies=[row(score_change())]))
    found = await pool.fetchrow(
        "SELECT entity_id, entity_name, snapshot_space, baseline_value, current_value, deviation, direction,"
        " detected_at, threshold FROM anomalies"
    )
    assert tuple(found) == ("lido", "Lido", "lido-snapshot.eth", 7.5, 5.8, -1.7, "down", at_minute(0), 0.5)


async def test_an_epoch_is_the_same_for_the_same_stream_and_greater_for_a_new_one(pool: asyncpg.Pool) -> None:
    together = await asyncio.gather(*(epoch_of(pool, "cluster a") for _ in range(5)))
    later = await epoch_of(pool, "cluster b")
    assert len(set(together)) == 1
    assert later > together[0]
    assert await epoch_of(pool, "cluster a") == together[0]


async def test_the_recorders_progress_is_noted(pool: asyncpg.Pool) -> None:
    await Writer(pool).write(Rows(executions=[row(completion(finished_at=at_minute(2)))], scores=[row(score())]))
    await Writer(pool).write(Rows(notifications=[row(notification("n"))]))
    found = await pool.fetchrow("SELECT recorded_at, newest_event_at FROM recorder_progress")
    assert found["newest_event_at"] == at_minute(2)
    assert found["recorded_at"] is not None


async def test_x1_a_run_is_listed_from_its_first_score_on_but_not_for_backfill(pool: asyncpg.Pool) -> None:
    writer = Writer(pool)
    scores = [row(score("lido", run_id="r1")), row(score("curve", run_id="r1"), 1), row(score("aave"), 2)]
    backfill = row(score("old", run_id="r0"), 3, backfill=True)
    for _ in range(2):
        await writer.write(Rows(scores=[*scores, backfill]))
    (listed,) = (await runs(pool, limit=9)).items
    found = msgspec.json.decode(listed)
    assert (found["run_id"], found["status"], found["scored"], found["anomalies"]) == ("r1", "started", None, [])
    await writer.write(Rows(summaries=[row(summary("r1", scored=2))]))
    await writer.write(Rows(scores=scores))
    assert (await run(pool, "r1"))["status"] == "completed"  # type: ignore[index]


async def test_x1_the_newest_revision_counts_in_whatever_order_they_come(pool: asyncpg.Pool) -> None:
    lido, late = change("Lido", "7.5", "5.8"), change("Late", "7.5", "5.0")
    first = summary("r1", scored=1, anomaly_count=1, anomalies=[lido], not_waited_for=["scores-1: 1 of 9"])
    given = {"scored": 2, "anomaly_count": 2, "anomalies": [late, lido], "new": [late.id]}
    second = summary("r1", id=uuid("second"), revision=2, **given)
    for order in ([first, second], [second, first]):
        await pool.execute("TRUNCATE runs, run_summaries")
        for one in order:
            await Writer(pool).write(Rows(summaries=[row(one)]))
        found = await run(pool, "r1")
        assert found is not None
        assert (found["revision"], found["scored"], found["not_waited_for"]) == (2, 2, ["scores-1: 1 of 9"])
        assert [one["id"] for one in found["anomalies"]] == [late.id, lido.id]


async def test_x1_a_revision_of_a_forgotten_run_lists_the_earlier_anomalies_too(pool: asyncpg.Pool) -> None:
    lido, late = change("Lido", "7.5", "5.8"), change("Late", "7.5", "5.0")
    first = summary("r1", anomaly_count=1, anomalies=[lido])
    second = summary("r1", id=uuid("second"), revision=2, anomaly_count=2, anomalies=[late], new=[late.id])
    await Writer(pool).write(Rows(summaries=[row(first), row(second)]))
    found = await run(pool, "r1")
    assert found is not None
    assert {one["id"] for one in found["anomalies"]} == {late.id, lido.id}

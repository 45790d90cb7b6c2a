"""W33, W34: one anomaly by its id; and that every question is answered from an index."""

import random
from datetime import timedelta
from uuid import UUID

import asyncpg
import msgspec
import pytest

from stream_detector.events import Action, Anomaly
from stream_detector.store.anomalies import find, read, trends
from stream_detector.store.anomaly_edits import deletions
from stream_detector.store.anomaly_tables import ANOMALY_COLUMNS
from stream_detector.store.filter import Filter
from stream_detector.store.paging import Cursor, CursorError
from stream_detector.store.rows import Row, Rows
from stream_detector.store.table import names
from stream_detector.store.write import Writer
from tests.events_made import NOON, action, anomaly, at_minute, row, score_change, uuid


async def stored(pool: asyncpg.Pool, name: str) -> Anomaly | None:
    found = await read(pool, UUID(uuid(name)))
    return msgspec.json.decode(found, type=Anomaly) if found else None


def edit(kind: str, changed: Anomaly, *, minute: float = 0, name: str = "") -> Row[Action]:
    """The action of an operator, as the API publishes it."""
    whole = None if kind == "delete" else changed
    at = at_minute(minute)
    return row(
        action(
            name or f"{kind} {changed.id} {minute}", f"{kind}_anomaly", anomaly_id=changed.id, anomaly=whole, at=at,
            incident_id=changed.incident_id,
        )
    )  # fmt: skip


async def carry_out(pool: asyncpg.Pool, *edits: Row[Action]) -> None:
    assert await Writer(pool).write(Rows(actions=list(edits))) == []


async def test_w33_w34_create_read_update_delete_by_id(pool: asyncpg.Pool) -> None:
    given = anomaly("a")
    await carry_out(pool, edit("create", given))
    assert await stored(pool, "a") == given
    changed = anomaly("a", severity="critical", description="changed", entity_id="weekly")
    await carry_out(pool, edit("update", changed, minute=1))
    assert await stored(pool, "a") == changed
    assert (await find(pool, Filter(entity="weekly", severities=["critical"]), limit=5)).items
    assert not (await find(pool, Filter(entity="nightly"), limit=5)).items
    await carry_out(pool, edit("delete", changed, minute=2))
    assert await stored(pool, "a") is None
    assert [each.anomaly_id for each in await deletions(pool, [given.id, uuid("b")])] == [given.id]


async def test_w34_the_same_id_twice_leaves_one_row_as_it_first_was(pool: asyncpg.Pool) -> None:
    for given in (anomaly("a"), anomaly("a", detected_at=at_minute(9), description="another")):
        await Writer(pool).write(Rows(anomalies=[row(given)]))
    assert await stored(pool, "a") == anomaly("a")
    assert await pool.fetchval("SELECT count(*) FROM anomalies") == 1


@pytest.mark.parametrize("seed", range(6))
async def test_w34_in_whichever_order_topics_are_read_again_the_edits_hold(pool: asyncpg.Pool, seed: int) -> None:
    """Into an emptied database, by recorders that share the partitions, each record maybe twice."""
    alerts = [anomaly(name) for name in ("changed", "deleted", "both", "as it was")]
    newest = anomaly("changed", severity="critical", description="newest")
    edits = [
        edit("update", anomaly("changed", severity="info"), minute=1),
        edit("update", newest, minute=2),
        edit("delete", anomaly("deleted"), minute=1),
        edit("delete", anomaly("both"), minute=1),
        edit("update", anomaly("both", severity="info"), minute=2),
        edit("create", anomaly("by hand"), minute=1),
    ]
    batches = [Rows(anomalies=[row(each)]) for each in alerts] + [Rows(actions=[each]) for each in edits]
    for batch in random.Random(seed).sample(batches * 2, 2 * len(batches)):
        assert await Writer(pool).write(batch) == []
    left = {name: await stored(pool, name) for name in ("changed", "deleted", "both", "as it was", "by hand")}
    assert left == {
        "changed": newest, "deleted": None, "both": None, "as it was": alerts[3], "by hand": anomaly("by hand"),
    }  # fmt: skip
    incidents = await pool.fetch("SELECT id::text, severity, records FROM incidents")
    assert sorted(map(tuple, incidents)) == sorted(
        [(newest.incident_id, "critical", 1), (alerts[3].id, "warning", 1), (uuid("by hand"), "warning", 1)]
    )


async def test_an_incident_follows_an_update_and_goes_with_its_last_record(pool: asyncpg.Pool) -> None:
    both = [anomaly("1", incident="i"), anomaly("2", incident="i", state="ongoing", severity="critical")]
    decided = action("k", "acknowledge", incident_id=uuid("i"))
    await Writer(pool).write(Rows(anomalies=[row(each) for each in both], actions=[row(decided)]))
    await carry_out(pool, edit("update", anomaly("2", incident="j")))
    found = await pool.fetch("SELECT id::text, severity, records, acknowledged_by FROM incidents ORDER BY severity, id")
    assert sorted(map(tuple, found)) == sorted([(uuid("i"), "warning", 1, "ann"), (uuid("j"), "warning", 1, None)])
    await carry_out(pool, edit("delete", anomaly("1", incident="i")))
    assert await pool.fetchval("SELECT array_agg(id::text) FROM incidents") == [uuid("j")]


async def test_z_score_and_confidence_are_columns_also_of_what_a_former_recorder_writes(pool: asyncpg.Pool) -> None:
    await Writer(pool).write(Rows(anomalies=[row(anomaly("a")), row(score_change())]))
    query = "SELECT id::text, deviation, z_score, confidence FROM anomalies ORDER BY deviation"
    today = [tuple(each) for each in await pool.fetch(query)]
    assert today == [(uuid("lido"), -1.7, None, 1.0), (uuid("a"), 21.0, 2.1, 0.9)]
    former = [each.name for each in ANOMALY_COLUMNS if each.name not in ("z_score", "confidence")]
    columns = ", ".join(former)
    await pool.execute(f"CREATE TEMPORARY TABLE former AS SELECT {columns} FROM anomalies")  # noqa: S608
    await pool.execute("DELETE FROM anomalies")
    await pool.execute(f"INSERT INTO anomalies ({columns}) SELECT {columns} FROM former")  # noqa: S608
    assert [tuple(each) for each in await pool.fetch(query)] == today


async def test_a_cursor_of_another_list_is_refused(pool: asyncpg.Pool) -> None:
    with pytest.raises(CursorError):
        await find(pool, Filter(), limit=5, cursor=Cursor(NOON, "no uuid").text())


LARGE = 60_000


async def plan(connection: asyncpg.Connection, statement: str, *values: object) -> str:
    lines = await connection.fetch("EXPLAIN " + statement, *values)
    return "\n".join(line[0] for line in lines)


class Planner:
    """Stands in for a pool: explains instead of asking, and keeps what the planner said."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self.plans: list[str] = []

    async def fetch(self, statement: str, *values: object) -> list[object]:
        self.plans.append(await plan(self._connection, statement, *values))
        return []


async def test_every_question_about_anomalies_is_answered_from_an_index(pool: asyncpg.Pool) -> None:
    made = [
        anomaly(
            str(n),
            detected_at=NOON + timedelta(minutes=n),
            entity_id=f"w{n % 500}",
            severity=("info", "warning", "critical")[n % 3],
            run_id=f"r{n // 50}" if n % 2 else None,
        )
        for n in range(2_000)
    ]
    await Writer(pool).write(Rows(anomalies=[row(each) for each in made]))
    listed = f"{names(ANOMALY_COLUMNS)}, recorded_at"
    copied = listed.replace("id, incident_id", "gen_random_uuid(), incident_id", 1)
    copied = copied.replace("detected_at", "detected_at + n * interval '1 day'")
    await pool.execute(
        f"INSERT INTO anomalies ({listed}) SELECT {copied} FROM anomalies, generate_series(1, {LARGE // 2000 - 1}) AS n"  # noqa: S608
    )
    await pool.execute("VACUUM ANALYZE anomalies")
    questions = [
        Filter(),
        Filter(from_at=NOON, to_at=NOON + timedelta(hours=1)),
        Filter(types=["SpikeInFailures"]),
        Filter(severities=["critical"]),
        Filter(severities=["critical", "warning"], from_at=NOON),
        Filter(states=["resolved"]),
        Filter(entity="w7"),
        Filter(entity="workflow:w7"),
        Filter(run_id="r3"),
    ]
    async with pool.acquire() as connection:
        planner = Planner(connection)
        for question in questions:
            await find(planner, question, limit=50)  # type: ignore[arg-type]
            await find(planner, question, limit=50, cursor=Cursor(NOON + timedelta(days=3), uuid("x")).text())  # type: ignore[arg-type]
        await trends(planner, Filter(from_at=NOON, to_at=NOON + timedelta(days=1)))  # type: ignore[arg-type]
    assert len(planner.plans) == 2 * len(questions) + 1
    for said in planner.plans:
        assert "Index" in said and "Seq Scan" not in said, said


async def test_s11_what_is_stored_is_there_after_the_connections_were_closed(pool: asyncpg.Pool) -> None:
    await Writer(pool).write(Rows(anomalies=[row(score_change())]))
    await pool.expire_connections()
    page = await find(pool, Filter(types=["SignificantScoreChange"]), limit=5)
    assert [msgspec.json.decode(item)["run_id"] for item in page.items] == ["r1"]

"""W33, W34: one anomaly by its id; and that every question is answered from an index."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import msgspec
import pytest

from stream_detector.events import Anomaly
from stream_detector.store.anomalies import create, delete, find, read, trends, update
from stream_detector.store.anomaly_tables import ANOMALY_COLUMNS
from stream_detector.store.filter import Filter
from stream_detector.store.paging import Cursor, CursorError
from stream_detector.store.rows import Rows
from stream_detector.store.table import names
from stream_detector.store.write import Writer
from tests.events_made import NOON, action, anomaly, at_minute, row, score_change, uuid


async def stored(pool: asyncpg.Pool, name: str) -> Anomaly | None:
    found = await read(pool, UUID(uuid(name)))
    return msgspec.json.decode(found, type=Anomaly) if found else None


async def test_w33_w34_create_read_update_delete_by_id(pool: asyncpg.Pool) -> None:
    given = anomaly("a")
    assert await create(pool, given) is True
    assert await stored(pool, "a") == given
    changed = anomaly("a", severity="critical", description="changed", entity_id="weekly")
    assert await update(pool, changed) is True
    assert await stored(pool, "a") == changed
    assert (await find(pool, Filter(entity="weekly", severities=["critical"]), limit=5)).items
    assert not (await find(pool, Filter(entity="nightly"), limit=5)).items
    assert await delete(pool, UUID(given.id)) is True
    assert await stored(pool, "a") is None
    assert await delete(pool, UUID(given.id)) is False
    assert await update(pool, given) is False


async def test_w34_the_same_id_twice_leaves_one_row_as_it_first_was(pool: asyncpg.Pool) -> None:
    assert await create(pool, anomaly("a")) is True
    assert await create(pool, anomaly("a", detected_at=at_minute(9), description="another")) is False
    assert await stored(pool, "a") == anomaly("a")
    assert await pool.fetchval("SELECT count(*) FROM anomalies") == 1


async def test_an_incident_follows_an_update_and_goes_with_its_last_record(pool: asyncpg.Pool) -> None:
    both = [anomaly("1", incident="i"), anomaly("2", incident="i", state="ongoing", severity="critical")]
    decided = action("k", "acknowledge", incident_id=uuid("i"))
    await Writer(pool).write(Rows(anomalies=[row(each) for each in both], actions=[row(decided)]))
    await update(pool, anomaly("2", incident="j"))
    found = await pool.fetch("SELECT id::text, severity, records, acknowledged_by FROM incidents ORDER BY severity, id")
    assert sorted(map(tuple, found)) == sorted([(uuid("i"), "warning", 1, "ann"), (uuid("j"), "warning", 1, None)])
    await delete(pool, UUID(uuid("1")))
    assert await pool.fetchval("SELECT array_agg(id::text) FROM incidents") == [uuid("j")]


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
    await create(pool, score_change())
    await pool.expire_connections()
    page = await find(pool, Filter(types=["SignificantScoreChange"]), limit=5)
    assert [msgspec.json.decode(item)["run_id"] for item in page.items] == ["r1"]

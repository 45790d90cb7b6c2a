"""A database behind pgbouncer in transaction mode: each transaction may have another server connection.

What would break it: a named statement or cursor; a lock, a temporary table, a time zone that are of the session; a
RESET that is another client's.
"""

import asyncio
import json
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer

from stream_detector.devstack.postgres import Postgres
from stream_detector.serve.app import make_app
from stream_detector.serve.database import Database
from stream_detector.settings import SettingsError
from stream_detector.store import credentials, epochs, retain, state_records
from stream_detector.store.connect import find_wrong_encoding, open_pool, why_not_writable
from stream_detector.store.connector import is_pooled
from stream_detector.store.grants import admit
from stream_detector.store.migrate import migrate, migrations
from stream_detector.store.rows import Rows
from stream_detector.store.write import Writer
from tests.fixtures import psql
from tests.integration.store.test_write import count, one_of_each
from tests.servers.pgbouncer import PgBouncer
from tests.servers.program import call

pytestmark = pytest.mark.pgbouncer


@pytest.fixture(scope="module")
def bouncer(postgres_server: Postgres) -> Iterator[PgBouncer]:
    folder = Path(tempfile.gettempdir()) / f"stream-detector-bouncer-{os.getpid()}"
    with PgBouncer.start(folder, postgres_server) as running:
        yield running


@pytest.fixture
async def url(bouncer: PgBouncer, postgres_url: str) -> AsyncIterator[str]:
    """The test's own database, through pgbouncer."""
    name = postgres_url.rpartition("@/")[2].partition("?")[0]
    yield bouncer.url(name)


@pytest.fixture
async def pooled(url: str) -> AsyncIterator[list[asyncpg.Pool]]:
    """The pools of four processes, more connections than pgbouncer has; the tables are there."""
    pools = [await open_pool(url, name=f"{n}") for n in range(4)]
    await asyncio.gather(*map(migrate, pools))
    yield pools
    for pool in pools:
        await pool.close()


async def goes_through_pooler(url: str) -> bool:
    pool = await open_pool(url, name="test", size=1)
    async with pool.acquire() as connection:
        found = is_pooled(connection)
    await pool.close()
    return found


async def test_it_is_recognised_and_the_url_may_tell(url, postgres_url):
    assert await goes_through_pooler(url)
    assert not await goes_through_pooler(postgres_url)
    assert not await goes_through_pooler(f"{url}&pgbouncer=false")
    assert await goes_through_pooler(f"{postgres_url}&pgbouncer=true")


async def test_a_parameter_that_it_does_not_pass_on_stops_the_start(url):
    with pytest.raises(SettingsError, match="unsupported startup parameter: lock_timeout"):
        await open_pool(f"{url}&lock_timeout=3s", name="test")


async def test_w32_tables_are_made_once_by_several_at_once(url):
    pools = [await open_pool(url, name=f"{n}") for n in range(4)]
    applied = await asyncio.gather(*(admit(pool, "migrator") for pool in pools))
    assert sorted(name for names in applied for name in names) == [each.name for each in migrations()]
    for pool in pools:
        await pool.close()


async def test_what_several_processes_store_at_once_is_stored_once(pooled):
    async def counts():
        return [await count(pooled[0], table) for table in ("executions", "scores", "anomalies", "actions")]

    await Writer(pooled[0]).write(one_of_each())
    once = await counts()
    writers = [Writer(pool) for pool in pooled for _ in range(3)]
    for _ in range(3):
        assert await asyncio.gather(*(writer.write(one_of_each()) for writer in writers)) == [[]] * len(writers)
    assert await counts() == once and min(once) > 0
    left = await asyncio.gather(*(state_of_server(pool) for pool in pooled for _ in range(3)))
    assert set(left) == {(0, 0)}, "temporary tables and advisory locks that stay on a server"


async def state_of_server(pool):
    row = await pool.fetchrow(
        "SELECT (SELECT count(*) FROM pg_class WHERE relname = 'incoming_executions') AS tables,"
        " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') AS locks"
    )
    return tuple(row)


async def test_a_table_that_another_version_left_on_the_server_is_not_used(pooled):
    async with pooled[0].acquire() as connection, connection.transaction():
        await connection.execute("CREATE TEMPORARY TABLE incoming_executions (other integer) ON COMMIT DROP")
    rows = one_of_each()
    assert await Writer(pooled[1]).write(Rows(executions=rows.executions)) == []


async def test_times_are_in_utc_whatever_the_server_has(pooled, url):
    name = url.rpartition("/")[2].partition("?")[0]
    await pooled[0].execute(f"ALTER DATABASE {name} SET timezone = 'America/New_York'")
    await pooled[0].execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND datname = current_database()"
    )
    fresh = await open_pool(url, name="test")

    async def zone(pool):
        async with pool.acquire() as connection:
            return await connection.fetchval("SHOW timezone")

    found = [await asyncio.gather(*(zone(fresh) for _ in range(8))) for _ in range(4)]
    assert {each for zones in found for each in zones} == {"UTC"}
    await fresh.close()


async def test_retention_tokens_epochs_and_state_work_through_it(pooled):
    pool, other = pooled[:2]
    await Writer(pool).write(one_of_each())
    later = datetime.now(UTC) + timedelta(days=4000)
    both = await asyncio.gather(
        *(retain.retain(each, now=later, executions_d=30, anomalies_d=30, batch=1) for each in (pool, other))
    )
    assert any(both) and await count(pool, "executions") == 0
    assert await retain.retain(other, now=later, executions_d=30, anomalies_d=30) is not None, "no lock is left"
    made = await credentials.create_token(pool, name="page", role="viewer", expires_at=None)
    assert made and await count(other, "tokens") == 1
    assert len({await epochs.epoch_of(each, "cluster/") for each in pooled}) == 1
    values = [(f"k{n}".encode(), n % 4) for n in range(120)]
    await pool.executemany(
        "INSERT INTO state_records (topic, partition, key, value, owner_epoch, stream_epoch, source_offset, record_at)"
        " VALUES ('baselines', $2, $1, 'long enough', 0, 1, 1, now())",
        values,
    )
    read = [record async for records in state_records.stored_records(other, "baselines") for record in records]
    assert sorted((each.key, each.partition) for each in read) == sorted(values)
    assert await why_not_writable(pool, 5) == "" and await find_wrong_encoding(pool) == ""


def test_setup_and_doctor_through_it(url, make_settings):
    settings = make_settings(database_url=url, broker="")
    done = call(settings, "setup")
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in call(settings, "setup").stdout
    found = call(settings, "doctor").stdout
    assert "through a connection pooler" in found and "tables: up to date" in found, found


def test_pgbouncer_that_is_started_again_is_found_again(url, bouncer, make_settings):
    settings = make_settings(database_url=url, broker="")
    bouncer.child.kill()
    lost = call(settings, "doctor").stdout
    assert "does not answer" in lost
    bouncer.relaunch()
    assert call(settings, "setup").returncode == 0


def test_a_database_that_is_not_utf8_is_refused_by_setup_and_doctor(postgres_server, make_settings):
    psql(postgres_server, "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        settings = make_settings(database_url=postgres_server.url("latin"), broker="")
        for words in (["setup"], ["setup", "--dry-run"]):
            done = call(settings, *words)
            assert done.returncode == 1
            assert "the database latin has the encoding LATIN1" in done.stderr
            assert "CREATE DATABASE name ENCODING 'UTF8'" in done.stderr
        done = call(settings, "doctor")
        assert done.returncode == 1 and "encoding: not UTF8" in done.stdout and "ENCODING 'UTF8'" in done.stdout
        assert "CREATE DATABASE" in call(settings, "token", "list").stderr, "no command makes tables in it"
    finally:
        psql(postgres_server, "DROP DATABASE latin WITH (FORCE)")


READ = [
    *("ai/anomalies", "ai/anomalies/trends", "ai/anomalies/facets", "ai/anomalies/export?format=csv", "workflows"),
    *("entities", "runs", "overview", "incidents", "actions", "silences", "dead-letters", "inbox", "sessions"),
    *("ai/anomalies?q=a&severity=critical&limit=1", "series?entity=nightly", "executions?workflow=nightly"),
]
SIGNED_IN = {"Authorization": f"Bearer {'t' * 40}"}


async def test_the_api_answers_the_same_through_it(pooled, url, postgres_url, make_settings):
    """More requests at once than pgbouncer has connections, each twice: the statements of the first are known by then.
    What is marked as read through it is read for those who ask directly."""
    assert await Writer(pooled[0]).write(one_of_each()) == []
    clients = []
    for given in (postgres_url, url):
        settings = make_settings(database_url=given, api_token="t" * 40, broker="")
        database = Database(settings)
        connected = database.start()
        clients.append((TestClient(TestServer(make_app(settings, database)), headers=SIGNED_IN), database))
        await clients[-1][0].start_server()
        await connected
    (direct, _), (through, _) = clients

    async def answer(client, path):
        async with client.get(f"/api/v1/{path}") as response:
            return path, response.status, await response.text()

    try:
        wanted = await asyncio.gather(*(answer(direct, path) for path in READ))
        assert {status for _, status, _ in wanted} == {200}
        for _ in range(2):
            found = await asyncio.gather(*(answer(through, path) for path in READ * 4))
            assert without_times(found) == without_times(wanted * 4)
        (inbox,) = [json.loads(text) for path, _, text in wanted if path == "inbox"]
        marked = [through.post("/api/v1/inbox/read", json={}) for _ in range(8)]
        answers = [await (await each).json() for each in marked]
        assert sum(each["marked"] for each in answers) == inbox["unread"] > 0
        assert json.loads((await answer(direct, "inbox"))[2])["unread"] == 0
    finally:
        for client, database in clients:
            await client.close()
            await database.stop()


def without_times(answers):
    """The answers' own times are of when each was made."""
    return [(path, status, re.sub(r"\d\d:\d\d:\d\d[.\d]*Z?", "", text)) for path, status, text in answers]

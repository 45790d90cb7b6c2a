"""Several hosts, and a server that can only be read for a while."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest

from stream_detector.devstack.postgres import Postgres
from stream_detector.settings import SettingsError
from stream_detector.store.connect import READ_ONLY, StoreAwayError, open_pool, why_not_writable
from tests.drills.stage import until
from tests.fixtures import psql
from tests.servers.program import call


@pytest.fixture
async def silent_port():
    """Of a server that accepts connections and answers nothing, like a host behind a firewall."""
    waiting = asyncio.Event()

    async def wait(reader, writer):
        await waiting.wait()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    waiting.set()
    server.close()


def of_hosts(postgres_url, hosts):
    """The URL with other hosts before the server's own."""
    before, _, folder = postgres_url.partition("?host=")
    return f"{before}?host={hosts},{folder}&connect_timeout=1"


@pytest.mark.parametrize("kind", ["read-write", "prefer-standby", "any", "primary"])
async def test_each_host_has_its_own_limit_and_the_next_one_is_tried(postgres_url, silent_port, kind):
    hosts = f"127.0.0.1:{silent_port},127.0.0.1:1"
    url = f"{of_hosts(postgres_url, hosts)}&target_session_attrs={kind}&sslmode=disable"
    pool = await asyncio.wait_for(open_pool(url, name="test"), 20)
    assert await pool.fetchval("SELECT 1") == 1
    await pool.close()


async def test_of_hosts_that_can_only_be_read_none_is_taken_for_writing(postgres_url):
    pool = await open_pool(postgres_url, name="test")
    name = await pool.fetchval("SELECT current_database()")
    await pool.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(StoreAwayError, match="read-write"):
        await open_pool(f"{postgres_url}&target_session_attrs=read-write", name="test")
    assert await why_not_writable(pool, 5) == "", "its connection is of before"
    await pool.expire_connections()
    assert await why_not_writable(pool, 5) == READ_ONLY
    async with pool.acquire() as connection, connection.transaction(readonly=False):
        await connection.execute("SET TRANSACTION READ WRITE")
        await connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert await why_not_writable(pool, 5) == READ_ONLY, "and then takes new connections"
    assert await why_not_writable(pool, 5) == ""
    await pool.close()


@pytest.fixture
def two_servers():
    """Two servers with the same user and password."""
    folder = Path(tempfile.mkdtemp(prefix="stream-detector-failover-"))
    folder.chmod(0o755)
    with Postgres.start(folder / "a") as first, Postgres.start(folder / "b") as second:
        if second.password:  # a random one for each
            psql(first, f"ALTER ROLE {second.user} PASSWORD '{second.password}'")
            first.password = second.password
        yield first, second
    shutil.rmtree(folder)


async def test_after_a_failover_the_next_host_is_found(two_servers):
    first, second = two_servers
    url = second.url().replace("?host=", f"?target_session_attrs=read-write&host={first.socket_folder},")
    pool = await open_pool(url, name="test")

    async def server():
        return await pool.fetchval("SELECT current_setting('data_directory')")

    async def noticed():
        return await why_not_writable(pool, 5) == READ_ONLY

    assert await server() == str(first.data)
    psql(first, "ALTER SYSTEM SET default_transaction_read_only = on")
    psql(first, "SELECT pg_reload_conf()")
    await until(noticed, "the connection to be read-only")
    assert await why_not_writable(pool, 5) == "" and await server() == str(second.data)
    await pool.close()


async def test_what_the_server_does_not_know_stops_the_start(postgres_url):
    with pytest.raises(SettingsError, match="nonsense"):
        await open_pool(f"{postgres_url}&options=-c%20nonsense%3D1", name="test")
    with pytest.raises(SettingsError, match='role "nobody-knows" does not exist'):
        await open_pool(f"{postgres_url}&role=nobody-knows", name="test")


async def test_parameters_reach_the_server(postgres_url):
    url = f"{postgres_url}&application_name=mine&options=-c%20statement_timeout%3D7s&connect_timeout=5&lock_timeout=3s"
    pool = await open_pool(url, name="test")
    found = [await pool.fetchval(f"SHOW {name}") for name in ("application_name", "statement_timeout", "lock_timeout")]
    assert found == ["mine", "7s", "3s"]
    await pool.close()


def test_setup_and_doctor_name_a_database_that_can_only_be_read(postgres_url, postgres_server, make_settings):
    settings = make_settings(database_url=postgres_url, broker="")
    assert call(settings, "setup").returncode == 0
    name = postgres_url.rpartition("@/")[2].partition("?")[0]
    psql(postgres_server, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    done = call(settings, "doctor")
    assert done.returncode == 1 and "writing: it is read-only" in done.stdout and "failover" in done.stdout
    assert call(settings, "setup").returncode == 0, "there is nothing to do"
    done = call(settings, "token", "create", "--role", "viewer", "--name", "x")
    assert done.returncode == 1 and "read-only transaction" in done.stderr and "Traceback" not in done.stderr

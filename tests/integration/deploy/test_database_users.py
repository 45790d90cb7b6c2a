"""The users of the database as docker-compose.yml makes them: its script and its `setup`, as processes."""

import os
import subprocess
import sys

import asyncpg
import pytest

from stream_detector.settings import PREFIX
from stream_detector.store.connect import open_pool
from stream_detector.store.grants import lacking
from tests.servers.composed import COMPOSE, make_users, url_of

BARE = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def set_up(url: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """The command `setup`."""
    command = [sys.executable, "-m", "stream_detector", "setup", *words]
    return subprocess.run(command, env=BARE | {PREFIX + "DATABASE_URL": url}, capture_output=True, text=True)


AS_COMPOSED = COMPOSE["services"]["setup"]["command"][1:]


async def lacks(url: str, user: str) -> list[str]:
    """What this user lacks of what its role needs."""
    pool = await open_pool(url_of(url, user), name="test", size=1)
    try:
        return await lacking(pool, user)
    finally:
        await pool.close()


async def test_each_role_has_what_it_needs_and_no_more_however_often_it_runs(postgres_url: str) -> None:
    for _ in range(2):
        make_users(postgres_url)
        done = set_up(url_of(postgres_url, "migrator"), *AS_COMPOSED)
        assert done.returncode == 0, done.stderr
        for role in ("recorder", "api"):
            assert await lacks(postgres_url, role) == []
    recorder = await asyncpg.connect(url_of(postgres_url, "recorder"))
    try:
        for forbidden in ("SELECT * FROM tokens", "DROP TABLE scores", "CREATE TABLE mine (n int)"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await recorder.execute(forbidden)
        assert not await recorder.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    finally:
        await recorder.close()


async def test_the_tables_of_an_installation_with_one_user_become_the_migrators(postgres_url: str) -> None:
    assert set_up(postgres_url).returncode == 0
    make_users(postgres_url)
    done = set_up(url_of(postgres_url, "migrator"), *AS_COMPOSED)
    assert done.returncode == 0, done.stderr
    owner = await asyncpg.connect(postgres_url)
    try:
        rows = await owner.fetch("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await owner.close()
    assert [row[0] for row in rows] == ["migrator"]
    assert await lacks(postgres_url, "recorder") == []


@pytest.mark.parametrize(
    ("grant", "answer"), [("root", "must be one of recorder, api, readers"), ("api=not-there", "not-there")]
)
def test_an_unknown_role_and_an_unknown_user_are_named(postgres_url: str, grant: str, answer: str) -> None:
    done = set_up(postgres_url, "--grant", grant)
    assert done.returncode != 0 and answer in done.stderr and "Traceback" not in done.stderr

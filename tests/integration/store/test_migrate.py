"""W32: tables made unattended, once, also by two at once."""

import asyncio

import asyncpg
import pytest

from stream_detector.store import migrate as migrating
from stream_detector.store.connect import StoreAwayError, open_pool
from stream_detector.store.migrate import MigrationError, migrate, migrations


async def test_w32_it_may_run_twice_and_by_several_at_once(postgres_url: str) -> None:
    pools = [await open_pool(postgres_url, name=f"{n}") for n in range(4)]
    applied = await asyncio.gather(*(migrate(pool) for pool in pools))
    assert sorted(applied) == [[], [], [], [each.name for each in migrations()]]
    assert await migrate(pools[0]) == []
    assert await pools[0].fetchval("SELECT to_regclass('anomalies') IS NOT NULL")
    for pool in pools:
        await pool.close()


async def test_a_failing_migration_leaves_nothing_of_itself(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = migrating.Migration(1, "0001_first.sql", "CREATE TABLE first (x integer)")
    broken = migrating.Migration(2, "0002_broken.sql", "CREATE TABLE half (x integer); SELECT 1 / 0")
    monkeypatch.setattr(migrating, "migrations", lambda: [first, broken])
    pool = await open_pool(postgres_url, name="test")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(pool)
    assert await pool.fetchval("SELECT array_agg(name) FROM schema_migrations") == ["0001_first.sql"]
    assert await pool.fetchval("SELECT to_regclass('half')") is None
    mended = migrating.Migration(2, "0002_mended.sql", "CREATE TABLE half (x integer)")
    monkeypatch.setattr(migrating, "migrations", lambda: [first, mended])
    assert await migrate(pool) == ["0002_mended.sql"]
    await pool.close()


async def test_an_edited_or_a_newer_migration_is_refused(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    edited = [each._replace(sql=each.sql + "-- edited") for each in migrations()]
    monkeypatch.setattr(migrating, "migrations", lambda: edited)
    with pytest.raises(MigrationError, match="was edited"):
        await migrate(pool)
    monkeypatch.undo()
    await pool.execute("INSERT INTO schema_migrations (version, name, digest) VALUES (9999, '9999_later.sql', '')")
    with pytest.raises(MigrationError, match=r"9999_later\.sql"):
        await migrate(pool)


async def test_a_database_that_is_not_there_or_a_wrong_password_is_said(postgres_url: str) -> None:
    with pytest.raises(StoreAwayError, match="none_such"):
        await open_pool(postgres_url.replace("@/t_", "@/none_such_"), name="test")
    with pytest.raises(StoreAwayError):
        await open_pool("postgresql://127.0.0.1:1/x", name="test")

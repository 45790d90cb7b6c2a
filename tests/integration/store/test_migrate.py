"""W32: tables made unattended, once, also by two at once."""

import asyncio

import asyncpg
import pytest

from stream_detector.delivery.state import changelog_record
from stream_detector.store.connect import StoreAwayError, open_pool
from stream_detector.store.migrate import Migration, MigrationError, migrate, migrations


async def test_w32_it_may_run_twice_and_by_several_at_once(postgres_url: str) -> None:
    pools = [await open_pool(postgres_url, name=f"{n}") for n in range(4)]
    applied = await asyncio.gather(*(migrate(pool) for pool in pools))
    assert sorted(name for names in applied for name in names) == [each.name for each in migrations()]
    assert await migrate(pools[0]) == []
    assert await pools[0].fetchval("SELECT to_regclass('anomalies') IS NOT NULL")
    for pool in pools:
        await pool.close()


async def test_a_failing_migration_leaves_nothing_of_itself(postgres_url: str) -> None:
    first = Migration(1, "0001_first.sql", "CREATE TABLE first (x integer)")
    broken = Migration(2, "0002_broken.sql", "CREATE TABLE half (x integer); SELECT 1 / 0")
    pool = await open_pool(postgres_url, name="test")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(pool, [first, broken])
    assert await pool.fetchval("SELECT array_agg(name) FROM schema_migrations") == ["0001_first.sql"]
    assert await pool.fetchval("SELECT to_regclass('half')") is None
    mended = Migration(2, "0002_mended.sql", "CREATE TABLE half (x integer)")
    assert await migrate(pool, [first, mended]) == ["0002_mended.sql"]
    await pool.close()


async def test_an_edited_migration_is_refused(pool: asyncpg.Pool) -> None:
    edited = [each._replace(sql=each.sql + "-- edited") for each in migrations()]
    with pytest.raises(MigrationError, match="was edited"):
        await migrate(pool, edited)


async def test_a_database_that_is_not_there_or_a_wrong_password_is_said(postgres_url: str) -> None:
    with pytest.raises(StoreAwayError, match="none_such"):
        await open_pool(postgres_url.replace("@/t_", "@/none_such_"), name="test")
    with pytest.raises(StoreAwayError):
        await open_pool("postgresql://127.0.0.1:1/x", name="test")


async def test_x2_baselines_of_a_version_that_kept_no_state_records_become_such(postgres_url: str) -> None:
    pool = await open_pool(postgres_url, name="test")
    await migrate(pool, [each for each in migrations() if each.name < "0009"])
    await pool.execute(
        "INSERT INTO baselines (key, entity_kind, entity_id, state, named, packed, stream_epoch, source_partition,"
        " source_offset, record_at) VALUES ('score:lido', 'score', 'lido', 'learning', '{}', 'packed', 3, 2, 7, now()),"
        " ('score:new', 'score', 'new', 'unknown', '{}', '\\x09000000000078', 3, 1, 8, now())"
    )
    await migrate(pool)
    rows = await pool.fetch(
        "SELECT topic, partition, key, value, stream_epoch, source_offset FROM state_records ORDER BY key"
    )
    head = changelog_record.encode_header(0, {})
    assert [tuple(row) for row in rows] == [
        ("baselines", 2, b"score:lido", head + b"packed", 3, 7),
        ("baselines", 1, b"score:new", bytes.fromhex("09000000000078"), 3, 8),
    ]
    await pool.close()

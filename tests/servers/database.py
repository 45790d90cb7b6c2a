"""A migrated database of the test's own."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from stream_detector.store.connect import open_pool
from stream_detector.store.grants import GRANTS, statements
from stream_detector.store.migrate import migrate

_CLEAR = r"""
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$
DECLARE
    each record;
    filled boolean;
    tables text[] := '{}';
BEGIN
    FOR each IN SELECT tablename AS name FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'schema_migrations'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', each.name) INTO filled;
        IF filled THEN
            tables := tables || quote_ident(each.name);
        END IF;
    END LOOP;
    IF tables <> '{}' THEN
        EXECUTE 'TRUNCATE ' || array_to_string(tables, ', ') || ' CASCADE';
    END IF;
    FOR each IN SELECT sequencename AS name, start_value FROM pg_sequences WHERE schemaname = 'public' LOOP
        PERFORM setval(quote_ident(each.name)::regclass, each.start_value, false);
    END LOOP;
    FOR each IN SELECT rolname AS name FROM pg_roles WHERE NOT rolsuper AND rolname NOT LIKE 'pg\_%' LOOP
        EXECUTE format('DROP OWNED BY %I', each.name);
    END LOOP;
END $$
"""
_COUNT = "SELECT count(*) FROM {}"
_SHAPE = """
SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (
    SELECT concat_ws(' ', c.relkind, c.relname, c.reloptions, a.attname, a.atttypid, a.attnotnull) AS line
        FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', conname, contype) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', proname, prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', tgname, tgenabled) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT concat_ws(' ', version, digest) FROM schema_migrations
    UNION ALL SELECT setconfig::text FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
        WHERE datname = current_database()
) shape
"""


@pytest.fixture
async def pool(postgres_url: str, used_databases: list[str]) -> AsyncIterator[asyncpg.Pool]:
    """Connections to it, as a service opens them. Afterwards what was stored, granted and left open in it is gone."""
    opened = await open_pool(postgres_url, name="test", size=10)
    await migrate(opened)
    shape = await opened.fetchval(_SHAPE)
    yield opened
    await opened.close()
    owner = await asyncpg.connect(postgres_url)
    await owner.execute(_CLEAR)
    if await owner.fetchval(_SHAPE) == shape:  # else a test changed more than rows: nobody should have it again
        used_databases.append(await owner.fetchval("SELECT current_database()"))
    await owner.close()


async def count(pool: asyncpg.Pool, table: str) -> int:
    """The rows of a table."""
    found: int = await pool.fetchval(_COUNT.format(table))
    return found


async def as_role(owner: asyncpg.Pool, url: str, role: str) -> str:
    """The URL of the same, migrated database for a user who may do what the role needs and no more.

    A setting of the connection makes him, so that it works however the embedded database knows who comes.
    """
    async with owner.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(1)")  # roles are the server's, not the database's
        if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
            await connection.execute(f'CREATE ROLE "{role}"')
        for statement in statements(role, role):
            await connection.execute(statement)
    return f"{url}&role={role}"


@pytest.fixture
async def pools(pool: asyncpg.Pool, postgres_url: str) -> AsyncIterator[dict[str, asyncpg.Pool]]:
    """Role -> connections as that role; `migrator` owns the tables."""
    opened = {"migrator": pool}
    for role in GRANTS:
        opened[role] = await open_pool(await as_role(pool, postgres_url, role), name="test", size=10)
    yield opened
    for role in GRANTS:
        await opened[role].close()

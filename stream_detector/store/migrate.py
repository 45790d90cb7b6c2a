"""Numbered SQL migrations, applied by the service itself."""

import hashlib
from importlib import resources
from typing import NamedTuple

import asyncpg

from stream_detector.store.connect import away

_PATIENCE_S = 24 * 3600.0
"""Not the pool's command timeout: building an index over a large table takes its time."""

_LOCK = 0x5D1E_C7_0001
"""Key of the advisory lock: of two services that start at once one migrates, the other waits and finds it done."""

_NOTES = (
    "CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY KEY, name text NOT NULL,"
    " digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
)


class MigrationError(Exception):
    """The database's tables do not fit this program. The message says what to do; nothing was changed."""


class Migration(NamedTuple):
    """One file of `migrations/`."""

    version: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """Tells whether an applied migration was edited afterwards."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Every migration in order."""
    folder = resources.files("stream_detector.store") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(int(file.name[:4]), file.name, file.read_text("utf-8")) for file in files]


async def migrate(pool: asyncpg.Pool) -> list[str]:
    """Apply what is missing; returns the names of the migrations applied now, [] when there were none.

    Each migration and the note of it are one transaction. May run twice, also at the same time.

    Raises:
        MigrationError: the database is newer than this program, or an applied migration was edited.
        StoreAwayError: the database went away; what was applied stays applied.
    """
    try:
        async with pool.acquire() as connection:
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK, timeout=_PATIENCE_S)
            try:
                return await _apply(connection)
            finally:
                if not connection.is_closed():
                    await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
    except Exception as error:
        known = away(error)
        if known is None:
            raise
        raise known from error


async def pending(pool: asyncpg.Pool) -> list[str]:
    """The names of migrations that `migrate` would apply. Changes nothing. Raises `StoreAwayError`."""
    try:
        async with pool.acquire() as connection:
            applied: set[int] = set()
            if await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
                applied = {row["version"] for row in await connection.fetch("SELECT version FROM schema_migrations")}
    except Exception as error:
        known = away(error)
        if known is None:
            raise
        raise known from error
    return [migration.name for migration in migrations() if migration.version not in applied]


async def _apply(connection: asyncpg.Connection) -> list[str]:
    # Asked first: `IF NOT EXISTS` demands the right to make tables also where there is nothing to make.
    if not await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
        await connection.execute(_NOTES)
    applied = {
        row["version"]: row for row in await connection.fetch("SELECT version, name, digest FROM schema_migrations")
    }
    known = migrations()
    if unknown := sorted(set(applied) - {migration.version for migration in known}):
        names = ", ".join(applied[version]["name"] for version in unknown)
        raise MigrationError(f"the database was migrated by a newer stream-detector ({names}); start that version")
    done = []
    for migration in known:
        if migration.version in applied:
            if applied[migration.version]["digest"] != migration.digest:
                raise MigrationError(
                    f"{migration.name} was edited after it was applied; restore it, add a new one instead"
                )
            continue
        async with connection.transaction():
            await connection.execute(migration.sql, timeout=_PATIENCE_S)
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, digest) VALUES ($1, $2, $3)",
                migration.version, migration.name, migration.digest,
            )  # fmt: skip
        done.append(migration.name)
    return done

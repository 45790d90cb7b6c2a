"""Numbered SQL migrations, applied by the service itself.

From 0004 on the first line of each names the oldest schema that may run beside it (`-- compatible from: 0003`): a
program that knows that schema, but not the migration, goes on working, so that roles can be upgraded one by one. A
migration that only adds or loosens can name any schema before it; one after which an older program would fail, or
harm what is stored, names itself.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

import asyncpg

from stream_detector.store.connect import Connection, find_wrong_encoding, store_errors

_PATIENCE_S = 24 * 3600.0
"""Not the pool's command timeout: building an index over a large table takes its time."""

_LOCK = 0x5D1E_C7_0001
"""Key of the advisory lock: of two services that start at once each migration is applied by one, the other waits."""

_SAYS_COMPATIBLE_FROM = 4
_COMPATIBLE_FROM = re.compile(r"-- compatible from: (\d{4})\n")

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
    compatible_from: int | None = None
    """The oldest schema that may run beside it; None: only programs that know the migration."""

    @property
    def digest(self) -> str:
        """Tells whether an applied migration was edited afterwards."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(folder: Traversable | None = None) -> list[Migration]:
    """Every migration in order: this program's, or those of another folder.

    Raises:
        ValueError: a file does not say what it is compatible with.
    """
    folder = folder or resources.files("stream_detector.store") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [_read(file) for file in files]


def _read(file: Traversable) -> Migration:
    version, sql = int(file.name[:4]), file.read_text("utf-8")
    if version < _SAYS_COMPATIBLE_FROM:
        return Migration(version, file.name, sql)
    found = _COMPATIBLE_FROM.match(sql)
    if found is None or not 1 <= int(found[1]) <= version:
        raise ValueError(f"{file.name} must begin with `-- compatible from: NNNN`, a schema from 0001 to its own")
    return Migration(version, file.name, sql, int(found[1]))


async def migrate(pool: asyncpg.Pool, known: Sequence[Migration] | None = None) -> list[str]:
    """Apply what is missing; returns the names of the migrations applied now, [] when there were none.

    Each migration and the note of it are one transaction. May run twice, also at the same time. Migrations of a newer
    program are accepted where they say that this one may run beside them.

    Args:
        pool: the store.
        known: the migrations of the program; by default this one's.

    Raises:
        MigrationError: the database is too new for this program, an applied migration was edited, or there are no
            tables yet and its encoding is not UTF8.
        StoreAwayError: the database went away; what was applied stays applied.
    """
    known = migrations() if known is None else known
    done: list[str] = []
    with store_errors():
        async with pool.acquire() as connection:
            while (name := await _apply_next(connection, known)) is not None:
                done.append(name)
    return done


async def pending(pool: asyncpg.Pool) -> list[str]:
    """The names of migrations that `migrate` would apply. Changes nothing. Raises `StoreAwayError`."""
    with store_errors():
        async with pool.acquire() as connection:
            applied: set[int] = set()
            if await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
                applied = {row["version"] for row in await connection.fetch("SELECT version FROM schema_migrations")}
    return [migration.name for migration in migrations() if migration.version not in applied]


async def _apply_next(connection: Connection, known: Sequence[Migration]) -> str | None:
    """Apply the first migration that is missing; returns its name, None where none is.

    The lock is the transaction's: one of the session would be left on the server by a pooler that gives the next
    transaction another one.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK, timeout=_PATIENCE_S)
        # Asked first: `IF NOT EXISTS` demands the right to make tables also where there is nothing to make.
        if not await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
            if wrong := await find_wrong_encoding(connection):
                raise MigrationError(wrong)
            await connection.execute(_NOTES)
        # Rows as JSON: a migration adds a column, after which a prepared `SELECT *` could not be used again.
        rows = await connection.fetch("SELECT to_jsonb(m) AS row FROM schema_migrations m")
        applied = {note["version"]: note for note in (json.loads(row["row"]) for row in rows)}
        _demand_compatible(applied, known)
        for migration in known:
            if migration.version not in applied:
                await _apply(connection, migration)
                return migration.name
            if applied[migration.version]["digest"] != migration.digest:
                raise MigrationError(
                    f"{migration.name} was edited after it was applied; restore it, add a new one instead"
                )
    return None


async def _apply(connection: Connection, migration: Migration) -> None:
    """Within the transaction of `_apply_next`."""
    await connection.execute(migration.sql, timeout=_PATIENCE_S)
    await connection.execute(
        "INSERT INTO schema_migrations (version, name, digest) VALUES ($1, $2, $3)",
        migration.version, migration.name, migration.digest,
    )  # fmt: skip
    if migration.compatible_from is not None:  # the column is there from 0004 on
        await connection.execute(
            "UPDATE schema_migrations SET compatible_from = $2 WHERE version = $1",
            migration.version, migration.compatible_from,
        )  # fmt: skip


def _demand_compatible(applied: Mapping[int, Mapping[str, Any]], known: Sequence[Migration]) -> None:
    """Raises `MigrationError` where a newer program applied what this one cannot run beside."""
    own = max(migration.version for migration in known)
    unknown = sorted(set(applied) - {migration.version for migration in known})
    needed = {version: applied[version].get("compatible_from") or version for version in unknown}
    breaking = [version for version in unknown if needed[version] > own]
    if breaking:
        names = ", ".join(applied[version]["name"] for version in breaking)
        raise MigrationError(
            f"the database was migrated by a newer stream-detector ({names}) that runs only together with programs of"
            f" schema {max(needed.values()):04} or newer; this one has {own:04}. Start that version or a newer one"
        )

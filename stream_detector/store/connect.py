"""Connections to PostgreSQL, and the one error of its absence."""

import asyncio
import random
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import asyncpg
from asyncpg.exceptions import ClientConfigurationError
from asyncpg.pool import PoolConnectionProxy

from stream_detector.database_url import DatabaseUrlError, parse_database_url
from stream_detector.settings import SettingsError
from stream_detector.store.connector import SETTING, Connector, PooledConnection, check_database_url
from stream_detector.telemetry.log_events import ServiceRecovered, ServiceUnavailable

Connection: TypeAlias = PoolConnectionProxy
"""One of a pool's, while it is lent out."""

_TRANSIENT_STATES = ("08", "28", "3D", "40", "53", "55", "57", "58", "XX")
"""SQLSTATE classes that say nothing about the rows: connection, user or password, no such database (both may be
put right), rollback, resources, object in use (a lock), operator's doing, system, internal. 25006 (read only, during
a failover) is the one of its class."""


class StoreAwayError(Exception):
    """PostgreSQL does not answer, or cannot now. The caller tries again later; nothing was stored."""


def address_of(url: str) -> str:
    """Where the database is, for people: without user, password and parameters.

    >>> address_of("postgresql://me:secret@db.example:5433/watch")
    'db.example:5433/watch'
    >>> address_of("postgresql://me:Sec/ret@db.example:5433/watch")
    '(hidden)'
    """
    try:
        return parse_database_url(url).address
    except DatabaseUrlError:
        return "(hidden)"


@contextmanager
def store_errors() -> Iterator[None]:
    """Within it, what means that the database is away is raised as `StoreAwayError`; other errors pass."""
    try:
        yield
    except Exception as error:
        known = as_store_away(error)
        if known is None or known is error:
            raise
        raise known from error


def as_store_away(error: BaseException) -> StoreAwayError | None:
    """The `StoreAwayError` that the error means, or None where it is about the statement or the data."""
    if isinstance(error, StoreAwayError):
        return error
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        is_away = state[:2] in _TRANSIENT_STATES or state == "25006"
        # pgbouncer about a parameter that it does not pass on: waiting changes nothing.
        is_away = is_away and "unsupported startup parameter" not in str(error)
    else:
        is_away = isinstance(
            error, (OSError, asyncio.TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
        )
        # ValueErrors are asyncpg's own DataError, an argument and not the link, and a certificate that is refused.
        is_away = is_away and (not isinstance(error, ValueError) or isinstance(error, ssl.SSLError))
    return StoreAwayError(f"{type(error).__name__}: {error}".rstrip(": ")) if is_away else None


async def open_pool(url: str, *, name: str, size: int = 4, query_s: float = 60.0) -> asyncpg.Pool:
    """A pool of up to `size` connections in UTC.

    Whether it leads to a pooler such as pgbouncer is taken from the URL or asked once, here.

    Args:
        url: see `database_url`.
        name: shown in `pg_stat_activity`.
        size: most connections at once.
        query_s: a statement that takes longer counts as the database being away.

    Raises:
        StoreAwayError: the database does not answer in time, or refuses the user.
        SettingsError: the URL cannot be used, for example since it names a file that is not there.
    """
    known = check_database_url(url)
    connect = Connector(known, name, query_s)
    try:
        with store_errors():
            pooled = await connect.is_behind_pooler()
            return await asyncpg.create_pool(
                connect=connect,
                min_size=0,  # with more, asyncpg's own refilling logs a trace each time while the database is away
                max_size=size,
                connection_class=PooledConnection if pooled else asyncpg.Connection,
            )
    except (ClientConfigurationError, asyncpg.PostgresError) as error:
        raise SettingsError(SETTING, "(hidden)", str(error)) from error
    except ValueError as error:  # its text may have what it could not read
        raise SettingsError(SETTING, "(hidden)", _UNREADABLE) from error


_UNREADABLE = (
    "cannot be used: look at the host, and at the variables PG... and the files that PostgreSQL's clients read"
)


async def wait_for_pool(url: str, *, name: str, size: int = 4, query_s: float = 60.0) -> asyncpg.Pool:
    """As `open_pool`, but tries until the database answers; each failed attempt is logged as `ServiceUnavailable`."""
    started, wait_s = time.monotonic(), 0.5
    while True:
        try:
            pool = await open_pool(url, name=name, size=size, query_s=query_s)
        except StoreAwayError as error:
            pause_s = wait_s * random.uniform(0.75, 1.25)  # jitter: roles that lost it together return spread out
            ServiceUnavailable("PostgreSQL", address_of(url), str(error), pause_s).emit()
            await asyncio.sleep(pause_s)
            wait_s = min(wait_s * 2, 15.0)
        else:
            if wait_s > 0.5:
                ServiceRecovered("PostgreSQL", address_of(url), time.monotonic() - started).emit()
            return pool


async def server_of(pool: asyncpg.Pool) -> tuple[str, float]:
    """The server's version, and its clock in epoch seconds. Raises `StoreAwayError`."""
    with store_errors():
        found = await pool.fetchrow(
            "SELECT current_setting('server_version') AS version,"
            " extract(epoch FROM clock_timestamp())::float8 AS now_s"
        )
    assert found is not None, "a SELECT without FROM has a row"
    return found["version"], found["now_s"]


async def find_wrong_encoding(database: asyncpg.Pool | Connection) -> str:
    """What to do about a database that cannot hold every character; empty if it can. Raises `StoreAwayError`."""
    with store_errors():
        found = await database.fetchrow("SELECT current_setting('server_encoding') AS is, current_database() AS name")
    assert found is not None, "a SELECT without FROM has a row"
    if found["is"] == "UTF8":
        return ""
    return (
        f"the database {found['name']} has the encoding {found['is']}, which cannot hold every name and message. "
        "Use one with UTF8: CREATE DATABASE name ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    )


async def why_not_writable(pool: asyncpg.Pool, within_s: float) -> str:
    """Why nothing can be stored now; empty if it can. Never raises."""
    try:
        async with asyncio.timeout(within_s):  # a half-open connection answers nothing, for hours
            read_only = await pool.fetchval("SELECT current_setting('transaction_read_only')")
    except Exception as error:
        return f"{type(error).__name__}: {error}".rstrip(": ")
    if read_only == "off":
        return ""
    await pool.expire_connections()  # after a failover the next ones may find the server that can be written
    return READ_ONLY


READ_ONLY = "it is read-only: a standby, or a failover is under way"

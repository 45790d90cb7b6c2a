"""Connections to PostgreSQL, and the one error of its absence."""

import asyncio
import random
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from stream_detector.settings import PREFIX, SettingsError
from stream_detector.telemetry.log_events import ServiceRecovered, ServiceUnavailable

Connection: TypeAlias = PoolConnectionProxy
"""One of a pool's, while it is lent out."""

_TRANSIENT_STATES = ("08", "28", "3D", "40", "53", "55", "57", "58", "XX")
"""SQLSTATE classes that say nothing about the rows: connection, user or password, no such database (both may be
put right), rollback, resources, object in use (a lock), operator's doing, system, internal. 25006 (read only, during
a failover) is the one of its class."""

_SETTING = PREFIX + "DATABASE_URL"


class StoreAwayError(Exception):
    """PostgreSQL does not answer, or cannot now. The caller tries again later; nothing was stored."""


def address_of(url: str) -> str:
    """Where the database is, for people: without user, password and options.

    >>> address_of("postgresql://me:secret@db.example:5433/watch")
    'db.example:5433/watch'
    >>> address_of("postgresql:///watch?host=/run/pg&user=me")
    '/run/pg/watch'
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2] or parse_qs(parts.query).get("host", ["localhost"])[0]
    return f"{host}{parts.path}"


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
    else:
        is_away = isinstance(
            error, (OSError, asyncio.TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
        )
        # ValueErrors are asyncpg's own DataError, an argument and not the link, and a certificate that is refused.
        is_away = is_away and (not isinstance(error, ValueError) or isinstance(error, ssl.SSLError))
    return StoreAwayError(f"{type(error).__name__}: {error}".rstrip(": ")) if is_away else None


async def open_pool(url: str, *, name: str, size: int = 4, query_s: float = 60.0) -> asyncpg.Pool:
    """A pool of up to `size` connections in UTC.

    Args:
        url: `postgresql://...`, also `postgresql:///db?host=/socket/folder`.
        name: shown in `pg_stat_activity`.
        size: most connections at once.
        query_s: a statement that takes longer counts as the database being away.

    Raises:
        StoreAwayError: the database does not answer in 10 s, or refuses the user.
        SettingsError: the URL cannot be used, for example since it names a file that is not there.
    """
    _check_files(url)
    try:
        with store_errors():
            pool = await asyncpg.create_pool(
                url,
                min_size=0,  # with more, asyncpg's own refilling logs a trace each time while the database is away
                max_size=size,
                timeout=10,
                command_timeout=query_s,
                server_settings={"application_name": f"stream-detector {name}", "timezone": "UTC"},
            )
            await pool.execute("SELECT 1")
    except asyncpg.exceptions.ClientConfigurationError as error:
        raise SettingsError(_SETTING, "(hidden)", str(error)) from error
    return pool


def _check_files(url: str) -> None:
    """Else a CA that is not there would pass for a database that is away."""
    for option, (path, *_) in parse_qs(urlsplit(url).query).items():
        if option in ("sslrootcert", "sslcert", "sslkey", "sslcrl") and not Path(path).is_file():
            raise SettingsError(_SETTING, f"...{option}={path}", "there is no such file")


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
    """The server's version, and its clock in epoch seconds."""
    found = await pool.fetchrow(
        "SELECT current_setting('server_version') AS version, extract(epoch FROM clock_timestamp())::float8 AS now_s"
    )
    assert found is not None, "a SELECT without FROM has a row"
    return found["version"], found["now_s"]


async def answers(pool: asyncpg.Pool, within_s: float) -> str:
    """Why the database does not answer now; empty if it does. Never raises."""
    try:
        async with asyncio.timeout(within_s):  # a half-open connection answers nothing, for hours
            await pool.fetchval("SELECT 1")
    except Exception as error:
        return f"{type(error).__name__}: {error}".rstrip(": ")
    return ""

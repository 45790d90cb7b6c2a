"""How a connection to PostgreSQL is opened: which host, by which TLS, and whether through a pooler."""

import contextlib
import os
import random
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg
from asyncpg.exceptions import TargetServerAttributeNotMatched
from asyncpg.pool import PoolConnectionProxy

from stream_detector.database_url import (
    FILES,
    SERVER_SETTINGS,
    DatabaseUrl,
    DatabaseUrlError,
    parse_database_url,
    read_service,
)
from stream_detector.settings import PREFIX, SettingsError

SETTING = PREFIX + "DATABASE_URL"
CONNECT_S = 10.0
"""Limit for each host, unless the URL has a `connect_timeout`."""
_READ_BY_DRIVER = (
    "sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslnegotiation", "krbsrvname", "gsslib",
    "ssl_min_protocol_version", "ssl_max_protocol_version", "passfile",
)  # fmt: skip
"""Parameters that asyncpg takes from a URL alone."""


class PooledConnection(asyncpg.Connection):
    """Behind a pooler such as pgbouncer, where each transaction may have another server.

    Nothing may be of the session then: no named statement, and no RESET, which would be another client's.
    """

    is_pooled = True

    def get_reset_query(self) -> str:
        """Nothing to run when it is given back to the pool."""
        return ""


def is_pooled(connection: PoolConnectionProxy) -> bool:
    """Whether what belongs to a session, such as a temporary table, ends for it with the transaction."""
    return bool(getattr(connection, "is_pooled", False))


@dataclass(frozen=True)
class Connector:
    """Opens connections; asyncpg's pool calls it."""

    url: DatabaseUrl
    name: str
    query_s: float

    async def __call__(
        self, *_: Any, connection_class: type[asyncpg.Connection] = asyncpg.Connection, **by_pool: Any
    ) -> asyncpg.Connection:
        """A connection to the first host that accepts one and is of the wanted kind.

        Each host has its own time limit: asyncpg has one for all of them, so that a host that is off would use up what
        its successor needs. As with libpq, a host that refuses the user ends the search.
        """
        hosts = [*self.url.hosts] or [("", None)]
        if self.url.options.get("load_balance_hosts") == "random":
            random.shuffle(hosts)
        kind = self.url.options.get("target_session_attrs")
        kinds = ["standby", "any"] if kind == "prefer-standby" else [kind]
        last: Exception | None = None
        for host, port, of_kind in [(*host, kind) for kind in kinds for host in hosts]:
            more = {"host": host or None, "port": port, "target_session_attrs": of_kind}
            try:
                return await self._connect(connection_class, **more, **by_pool)
            except (OSError, TargetServerAttributeNotMatched, asyncpg.CannotConnectNowError) as error:
                last = error
        assert last is not None, "there is at least one host"
        raise last

    async def _connect(self, connection_class: type[asyncpg.Connection], **more: Any) -> asyncpg.Connection:
        url = self.url
        for_driver = url.options_of(*_READ_BY_DRIVER)
        if url.trusts_system_cas:
            for_driver.pop("sslrootcert", None)
            more["ssl"] = _context_of_system_cas(url)
        name = url.options.get("application_name") or url.options.get("fallback_application_name")
        connection: asyncpg.Connection = await asyncpg.connect(
            f"postgresql://?{urlencode(for_driver, quote_via=quote)}",
            user=url.user,
            password=url.password,
            database=url.database,
            timeout=url.connect_timeout_s or CONNECT_S,
            command_timeout=self.query_s,
            server_settings={
                **url.options_of("options", *SERVER_SETTINGS),
                "application_name": name or f"stream-detector {self.name}",
                "timezone": "UTC",
            },
            connection_class=connection_class,
            # Without a cache of statements asyncpg gives none of them a name.
            statement_cache_size=0 if issubclass(connection_class, PooledConnection) else 100,
            **more,
        )
        return connection

    async def is_behind_pooler(self) -> bool:
        """Whether the URL leads to a pooler such as pgbouncer, as it tells, or as the server does.

        A pooler makes the keys by which a client cancels its statements itself, so the process id in that of the
        connection is none of the server's. That holds for any pooler, and costs one connection a pool.
        """
        connection = await self(connection_class=PooledConnection)
        try:
            known = self.url.behind_pgbouncer
            process_id: int = await connection.fetchval("SELECT pg_backend_pid()")
            return process_id != connection.get_server_pid() if known is None else known
        finally:
            with contextlib.suppress(Exception):
                await connection.close(timeout=2)


def _context_of_system_cas(url: DatabaseUrl) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if "sslcert" in url.options:
        _load_certificate(context, url)
    return context


def _load_certificate(context: ssl.SSLContext, url: DatabaseUrl) -> None:
    password = url.options.get("sslpassword", "")
    context.load_cert_chain(url.options["sslcert"], url.options.get("sslkey"), lambda: password)


def check_database_url(url: str) -> DatabaseUrl:
    """The URL, with its service, after a look at the files that it names. Raises `SettingsError`.

    Else a CA that is not there would pass for a database that is away.
    """
    try:
        known = parse_database_url(url)
        if "service" in known.options:
            named = known.options.get("servicefile") or os.environ.get("PGSERVICEFILE")
            known = read_service(known, Path(named or "~/.pg_service.conf").expanduser())
    except DatabaseUrlError as error:
        raise SettingsError(SETTING, "(hidden)", str(error)) from None
    for option, path in known.options_of(*FILES).items():
        if (option, path) == ("sslrootcert", "system"):
            continue
        shown = f"...{option}={path}"
        if not Path(path).is_file():
            raise SettingsError(SETTING, shown, "there is no such file")
        if option == "passfile" and stat.S_IMODE(Path(path).stat().st_mode) & 0o077:
            raise SettingsError(SETTING, shown, f"others may read it, so it is not used: chmod 600 {path}")
        if not _is_readable(option, known):
            raise SettingsError(SETTING, shown, "cannot be read as PEM")
    return known


def _is_readable(option: str, url: DatabaseUrl) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if option in ("sslrootcert", "sslcrl"):
            context.load_verify_locations(url.options[option])
        elif option == "sslcert":
            _load_certificate(context, url)
    except (OSError, ValueError):  # an SSLError is an OSError
        return False
    return True

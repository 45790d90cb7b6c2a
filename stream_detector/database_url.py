"""The URL of PostgreSQL: read and checked here alone, and never shown.

The form and the parameters are those of libpq (https://www.postgresql.org/docs/current/libpq-connect.html, "Connection
URIs"), read by hand for two reasons: urllib takes `/`, `?` and `#` in a password for the end of the host and has pieces
of the password in its errors; and what a parameter does is decided here, where the driver passes every name that it
does not know on to the server. No error has a part of the URL in it but the name of a parameter, where that cannot be
a piece of a password.
"""

import re
from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

ENCODE = "percent-encode / ? # @ : and % in the user, the password and the database: %2F %3F %23 %40 %3A %25"
MOST_CONNECT_S = 60
"""A longer `connect_timeout` counts as this: a server that does not answer is reported, and asked again."""

FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile", "servicefile")
SERVER_SETTINGS = (
    "default_transaction_read_only", "idle_in_transaction_session_timeout", "jit", "lock_timeout", "role",
    "search_path", "statement_timeout", "work_mem",
)  # fmt: skip
"""Settings of the server that former versions took as parameters; every other one is given in `options`."""
WITHOUT_EFFECT = (
    "connection_limit", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "pool_timeout",
    "sslcertmode", "supa", "tcp_user_timeout", "uselibpqcompat",
)  # fmt: skip
"""Of libpq's transport, and of other clients in the URLs that providers show. Nothing is less safe without them, and a
connection that died is noticed by the limit of 10 to 60 s on each statement."""
_SECRET = ("password", "sslpassword")
_TEXTS = ("application_name", "fallback_application_name", "krbsrvname", "options", "service", "sslpassword", *FILES)
_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "channel_binding": ("disable", "prefer", "require"),
    "gsslib": ("gssapi", "sspi"),
    "load_balance_hosts": ("disable", "random"),
    "pgbouncer": ("true", "false"),
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    # What this client does anyway: another value could not be kept to.
    "client_encoding": ("auto", "utf8", "utf-8", "UTF8", "UTF-8"),
    "gssencmode": ("disable", "prefer"),
    "replication": ("false", "off", "no", "0"),
    "ssl": ("true",),
    "sslcompression": ("0",),
    "sslsni": ("1",),
}
_UNSUPPORTED: Mapping[str, str] = {
    "gssdelegation": "remove it: credentials are never delegated",
    "hostaddr": "use host",
    "max_protocol_version": "remove it",
    "min_protocol_version": "remove it",
    "oauth_client_id": "use a password",
    "oauth_client_secret": "use a password",
    "oauth_issuer": "use a password",
    "oauth_scope": "use a password",
    "require_auth": "use sslmode=verify-full, which authenticates the server",
    "requirepeer": "use sslmode=verify-full, which authenticates the server",
    "requiressl": "use sslmode=require",
    "schema": "use options=-c%20search_path%3DNAME",
    "scram_client_key": "use a password",
    "scram_server_key": "use a password",
    "sslcrldir": "use sslcrl",
    "sslkeylogfile": "remove it: keys are not written to a file",
}
_KNOWN = {
    "host", "port", "user", "password", "dbname", "database", "connect_timeout",
    *_TEXTS, *_CHOICES, *SERVER_SETTINGS, *WITHOUT_EFFECT,
}  # fmt: skip
Host = tuple[str, int | None]
"""A name, an address or the folder of a socket; and the port, None where it is not given."""


class DatabaseUrlError(ValueError):
    """The URL cannot be used. The message tells what to do, and has nothing in it that could be secret."""


@dataclass(frozen=True, kw_only=True)
class DatabaseUrl:
    """A checked URL. Its `repr` has no secret."""

    hosts: tuple[Host, ...] = ()
    """In the order in which they are tried; none: the driver's default (PGHOST, the usual sockets)."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Parameter -> value."""

    @property
    def address(self) -> str:
        """Where the database is, for people: without user, password and parameters."""
        if not self.hosts and "service" in self.options:
            return f"service {self.options['service']}"
        hosts = ",".join(_shown(host, port) for host, port in self.hosts) or "localhost"
        return f"{hosts}/{self.database}" if self.database else hosts

    @property
    def behind_pgbouncer(self) -> bool | None:
        """Whether the URL tells that it leads to one; None: it tells nothing."""
        told = self.options.get("pgbouncer")
        return None if told is None else told == "true"

    @property
    def connect_timeout_s(self) -> float | None:
        """The limit for one host; None where none is given."""
        given = int(self.options.get("connect_timeout", "0"))
        return float(min(given, MOST_CONNECT_S)) if given > 0 else None

    @property
    def trusts_system_cas(self) -> bool:
        """Whether a CA of the system must vouch for the server.

        So it is with `channel_binding=require` too, which demands a server that proves what it is. The driver cannot
        bind a channel; a verified certificate gives the same assurance. With `sslrootcert` that file's CA vouches.
        """
        root = self.options.get("sslrootcert")
        return root == "system" or (root is None and self.options.get("channel_binding") == "require")

    @property
    def without_effect(self) -> list[str]:
        """Parameters that were given and change nothing."""
        return [name for name in self.options if name in WITHOUT_EFFECT]

    def options_of(self, *names: str) -> dict[str, str]:
        """Those of these parameters that are given."""
        return {name: self.options[name] for name in names if name in self.options}


def parse_database_url(text: str) -> DatabaseUrl:
    """The URL, checked; files that it names are not looked at.

    >>> parse_database_url("postgres://me:p%40ss@db.example:5433/watch?sslmode=require").address
    'db.example:5433/watch'
    >>> parse_database_url("postgresql:///watch?host=/run/pg&user=me").address
    '/run/pg/watch'

    Raises:
        DatabaseUrlError: it cannot be used.
    """
    text = text.strip()
    scheme = re.match(r"postgres(ql)?://", text, re.IGNORECASE)
    if scheme is None:
        raise DatabaseUrlError("must be a URL with scheme postgres or postgresql")
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise DatabaseUrlError("must have no line breaks or control characters")
    rest = text[scheme.end() :]
    before, _, query = rest.partition("?")
    authority, _, path = before.partition("/")
    # An @ after the first / or ? is the one before the host: the password has one of these characters. Without
    # a password before the parameters it is one of a name, as in `?user=me@realm`.
    if "#" in rest or authority.count("@") > 1 or "@" in path or ":" in path or (":" in authority and "@" in query):
        raise DatabaseUrlError(ENCODE)
    userinfo, at, listed = authority.rpartition("@")
    user, _, password = userinfo.partition(":")
    url = DatabaseUrl(
        hosts=_hosts(listed.split(",") if listed else [], encoded=True),
        user=_decoded(user) or None,
        password=_decoded(password) or None,
        database=_decoded(path) or None,
    )
    return _with(url, _parameters(query, may_be_secret=not at and ":" in authority))


def read_service(url: DatabaseUrl, file: Path) -> DatabaseUrl:
    """The URL together with its `service`, which counts where the URL has nothing itself.

    Args:
        url: unchanged where it names no service.
        file: in the form of https://www.postgresql.org/docs/current/libpq-pgservice.html.

    Raises:
        DatabaseUrlError: the file cannot be read, or has no such service.
    """
    name = url.options.get("service")
    if name is None:
        return url
    sections = ConfigParser(interpolation=None)  # with it a % in a password is an error that has the password in it
    try:
        sections.read_string(file.read_text("utf-8"))
        given = dict(sections[name])
    except OSError as error:
        raise DatabaseUrlError(f"service: {file} cannot be read: {error.strerror}") from None
    except KeyError:
        raise DatabaseUrlError(f"service: {file} has no section of this name") from None
    except (ConfigParserError, ValueError):
        raise DatabaseUrlError(f"service: {file} must have lines [NAME] and PARAMETER=VALUE") from None
    if not given.keys() <= _KNOWN:
        raise DatabaseUrlError(f"service: {file} has a parameter that is not supported")
    base = _with(DatabaseUrl(), given)
    return replace(
        url,
        hosts=url.hosts or base.hosts,
        user=url.user or base.user,
        password=url.password or base.password,
        database=url.database or base.database,
        options={**base.options, **url.options},
    )


def _parameters(query: str, *, may_be_secret: bool) -> dict[str, str]:
    """Name -> value, decoded as libpq does (a plus sign is one); the last of a name counts.

    Args:
        query: what follows the question mark.
        may_be_secret: whether a password may not have ended before it; a name that is not known is not shown then.
    """
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if name in _UNSUPPORTED:
            raise DatabaseUrlError(f"the parameter {name} is not supported: {_UNSUPPORTED[name]}")
        if not equals or (name not in _KNOWN and (may_be_secret or not name.isidentifier())):
            raise DatabaseUrlError(f"parameters must be NAME=VALUE, separated by &; {ENCODE}, and & as %26")
        if name not in _KNOWN:
            raise DatabaseUrlError(
                f"{name} is not a parameter of a PostgreSQL URL; a setting of the server is given as "
                "options=-c%20NAME%3DVALUE"
            )
        may_be_secret = may_be_secret or name in _SECRET
        found[name] = _decoded(value)
    return found


def _with(url: DatabaseUrl, given: Mapping[str, str]) -> DatabaseUrl:
    """The URL with these parameters, which count more than what stands before them."""
    hosts = url.hosts
    if given.get("host"):
        hosts = _hosts(given["host"].split(","), encoded=False)
    if given.get("port"):
        ports = [_port(port) for port in given["port"].split(",")]
        hosts = hosts or (("localhost", None),)
        if len(ports) not in (1, len(hosts)):
            raise DatabaseUrlError("port must have one number, or one for each host")
        hosts = tuple((host, port) for (host, _), port in zip(hosts, ports * len(hosts), strict=False))
    options = {name: value for name, value in given.items() if name not in ("host", "port", "user", "password")}
    database = options.pop("database", None) or options.pop("dbname", None)
    if options.pop("ssl", None) is not None:
        _check("ssl", given["ssl"])
        options.setdefault("sslmode", "require")
    for name, value in options.items():
        _check(name, value)
    _check_together(options)
    return replace(
        url,
        hosts=hosts,
        user=given.get("user") or url.user,
        password=given.get("password") or url.password,
        database=database or url.database,
        options=options,
    )


def _check(name: str, value: str) -> None:
    if name in _CHOICES and value not in _CHOICES[name]:
        raise DatabaseUrlError(f"{name} must be one of {', '.join(_CHOICES[name])}")
    if name == "connect_timeout" and not re.fullmatch(r"-?[0-9]{1,9}", value):
        raise DatabaseUrlError("connect_timeout must be a whole number of seconds")


def _check_together(options: Mapping[str, str]) -> None:
    mode = options.get("sslmode")
    if options.get("sslrootcert") == "system" and mode not in (None, "verify-full"):
        raise DatabaseUrlError("sslrootcert=system needs sslmode=verify-full")
    if options.get("channel_binding") == "require" and mode in ("disable", "allow", "prefer"):
        raise DatabaseUrlError("channel_binding=require needs sslmode=require or stricter")
    if options.get("sslnegotiation") == "direct" and mode not in ("require", "verify-ca", "verify-full"):
        raise DatabaseUrlError("sslnegotiation=direct needs sslmode=require or stricter")


def _hosts(listed: list[str], *, encoded: bool) -> tuple[Host, ...]:
    """Each `NAME`, `NAME:PORT`, `[IPv6]`, `[IPv6]:PORT` or the folder of a socket."""
    return tuple(_host(each, encoded=encoded) for each in listed)


def _host(text: str, *, encoded: bool) -> Host:
    if text.startswith("/"):
        return text, None
    found = re.fullmatch(r"(\[[^\[\]@]*\]|[^\[\]:@]*)(?::(.*))?", text)
    if found is None:
        raise DatabaseUrlError(ENCODE)
    host = found[1].strip("[]")
    host = _decoded(host) if encoded else host
    allowed = r"[0-9a-fA-F:.]+(%\w+)?" if found[1].startswith("[") else r"[\w.-]*|/.*"
    if not re.fullmatch(allowed, host):
        raise DatabaseUrlError(f"the host must be a name, an address or the folder of a socket; {ENCODE}")
    return host or "localhost", _port(found[2]) if found[2] else None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise DatabaseUrlError(f"the port must be a number from 1 to 65535; {ENCODE}")
    return int(text)


def _decoded(text: str) -> str:
    if re.search(r"%(?![0-9a-fA-F]{2})", text) or "%00" in text:
        raise DatabaseUrlError(ENCODE)
    try:
        return unquote_to_bytes(text).decode()
    except ValueError:
        raise DatabaseUrlError("what is percent-encoded must be UTF-8") from None


def _shown(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host and not host.startswith("/") else host
    return f"{name}:{port}" if port else name

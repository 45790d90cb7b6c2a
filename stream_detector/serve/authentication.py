"""Who sends a request: a token in the header, or a browser's session in its cookie.

Looked up at every request, so that a revoked token is refused at once. While the database is away, who was known in the
last minutes stays known: acting on what Kafka still takes must not wait for PostgreSQL.
"""

import hmac
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cached_property

import asyncpg
from aiohttp import web

from stream_detector.serve.allowance import Allowance
from stream_detector.serve.app_keys import SETTINGS
from stream_detector.serve.connections import source_of
from stream_detector.serve.database import Database
from stream_detector.serve.hosts import host_of, split_host
from stream_detector.settings import Settings
from stream_detector.store import credentials
from stream_detector.store.connect import StoreAwayError
from stream_detector.store.credentials import SESSION_LASTS, SETTING, Caller, Identity, StoredSession

READ = frozenset({"viewer", "operator"})
ACT = frozenset({"operator"})
SEND = frozenset({"producer", "operator"})
ALL = READ | SEND
SIGNED: frozenset[str] = frozenset()
"""No role: the request proves itself by a signature that its handler checks."""

IDENTITY: web.RequestKey[Caller] = web.RequestKey("identity", Caller)
REMEMBER_S = 900.0
_MOST_REMEMBERED = 10_000
UNKNOWN_FOR_S = 10.0
"""What is unknown, over or revoked stays so; for so long the database is not asked again about it."""
NEW_PER_S = 20.0
"""So many tokens and sessions that were not valid before may come from one address, in the mean of 10 s: each costs the
database a look-up, and whoever makes them up could send any number."""
SETTING_NAME = "API_TOKEN"
"""The name under which the token of the settings acts."""


class Authenticator:
    """Identifies who a request is from."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._own = settings.api_token.encode()
        self._database = database
        self._proxied = settings.api_behind_proxy
        self._known: dict[bytes, tuple[float, Caller]] = {}
        self._unknown: dict[bytes, float] = {}
        self._new = Allowance(NEW_PER_S)

    async def identify(self, request: web.BaseRequest) -> Caller | None:
        """Whose request it is; None where it carries nothing that is valid. Raises `StoreAwayError`."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme:
            return await self._identify_token(token.strip(), request) if scheme.lower() == "bearer" else None
        if not (secret := request.cookies.get(cookie_name(request))):
            return None
        return await self._looked_up(credentials.token_digest(secret), self._identity_of_session, request)

    async def open_session(self, request: web.BaseRequest) -> tuple[str, Identity] | None:
        """(The secret of a new session for the token in the header, whose it is); None where the token is not valid."""
        token = request.headers.get("Authorization", "").partition(" ")[2].strip()
        identity = await self._identify_token(token, request)
        if identity is None:
            return None
        if self._is_own(token):
            own_hash = self._own_hash
            assert own_hash is not None, "API_TOKEN is set"
            return await self._database.query(
                credentials.make_session_of_setting, identity.name, identity.role, own_hash
            )
        return await self._database.query(credentials.make_session_of_token, credentials.token_digest(token))

    async def _identity_of_session(self, pool: asyncpg.Pool, digest: bytes) -> Caller | None:
        return await credentials.identity_of_session(pool, digest, lambda: self._own_hash)

    async def sessions(self) -> list[StoredSession]:
        """Those that are valid. Raises `StoreAwayError`."""
        return await self._database.query(credentials.sessions, lambda: self._own_hash)

    @cached_property
    def _own_hash(self) -> bytes | None:
        """Of API_TOKEN; asked for only where there is a session of one, since it takes 50 ms."""
        return credentials.setting_hash_of(self._own.decode())

    def _is_own(self, token: str) -> bool:
        return bool(self._own) and hmac.compare_digest(token.encode("utf-8", "replace"), self._own)

    async def _identify_token(self, token: str, request: web.BaseRequest) -> Caller | None:
        if self._is_own(token):
            return Caller(name=SETTING_NAME, role="operator", by="token", limited_as=SETTING)
        if not token.startswith(credentials.TOKEN_PREFIX):
            return None  # spares the database what was never one of ours
        return await self._looked_up(credentials.token_digest(token), credentials.identity_of_token, request)

    async def identify_ping(self, key: str, request: web.BaseRequest) -> Caller | None:
        """Whose ping key it is; None where it is none, unknown, over or revoked. Raises `StoreAwayError`."""
        if not key.startswith(credentials.PING_PREFIX):
            return None
        return await self._looked_up(credentials.ping_digest(key), credentials.identity_of_token, request)

    async def _looked_up(
        self,
        digest: bytes,
        look_up: Callable[[asyncpg.Pool, bytes], Awaitable[Caller | None]],
        request: web.BaseRequest,
    ) -> Caller | None:
        now_s = time.monotonic()
        if digest not in self._known:
            if now_s - self._unknown.get(digest, -UNKNOWN_FOR_S) < UNKNOWN_FOR_S:
                return None
            if self._new.take(source_of(request, proxied=self._proxied), 1):
                return None
        try:
            found = await self._database.query(look_up, digest)
        except StoreAwayError:
            seen_s, known = self._known.get(digest, (-REMEMBER_S, None))
            if known is None or now_s - seen_s > REMEMBER_S:
                raise
            return known if known.expires_at is None or known.expires_at > datetime.now(UTC) else None
        if found is None:
            self._known.pop(digest, None)
            if len(self._unknown) >= _MOST_REMEMBERED:
                self._unknown.clear()
            self._unknown[digest] = now_s
        else:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[digest] = now_s, found
        return found


AUTHENTICATOR: web.AppKey[Authenticator] = web.AppKey("authenticator", Authenticator)


def cookie_name(request: web.BaseRequest) -> str:
    """One a port: browsers share cookies between the ports of a host, and two installations may be on one."""
    return f"stream_detector_session_{split_host(host_of(request))[1] or 'web'}"


def set_cookie(request: web.Request, response: web.StreamResponse, secret: str) -> None:
    """The session's secret for this browser, out of reach of every script."""
    settings = request.app[SETTINGS]
    proxied = settings.api_behind_proxy and request.headers.get("X-Forwarded-Proto", "").lower() == "https"
    response.set_cookie(
        cookie_name(request),
        secret,
        max_age=int(SESSION_LASTS.total_seconds()),
        path="/",
        httponly=True,
        samesite="Strict",
        secure=proxied or settings.base_url.lower().startswith("https:"),
    )

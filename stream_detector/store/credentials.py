"""Credentials: tokens, one-time links and browser sessions. Only hashes are stored.

Every secret is 256 random bits, so a plain SHA-256 hides it: there is nothing to guess that a slow hash would protect.
"""

import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import asyncpg
from msgspec import Struct

from stream_detector.store.connect import Connection

Role = Literal["viewer", "operator", "producer"]
TOKEN_PREFIX = "sd_"
"""So that scanners of repositories, and people, know one when they see it."""
PING_PREFIX = TOKEN_PREFIX + "ping_"
"""Of a ping key, which is a token of one workflow."""
SESSION_LASTS = timedelta(days=7)
LINK_LASTS = timedelta(minutes=15)
_USED_EVERY = "1 minute"
"""A token's last use is noted no more often: a row for each request would be written for nothing."""

_SETTING_SALT = b"stream_detector API_TOKEN"
SETTING = "setting"
"""What the limits of API_TOKEN and of its sessions count by."""

_VALID = "t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())"
_TOKEN = f"""
    SELECT id, name, role, expires_at, workflow_id, used_at IS NULL OR used_at < now() - $2::text::interval AS note
    FROM tokens t WHERE token_hash = $1 AND {_VALID}
"""  # noqa: S608 - a constant of ours
_VALID_SESSIONS = f"""
    SELECT s.id::text, s.name, s.role, s.opened_by, s.token_id::text, s.created_at, s.setting_hash,
        least(s.expires_at, t.expires_at) AS expires_at
    FROM sessions s LEFT JOIN tokens t ON t.id = s.token_id
    WHERE s.expires_at > now() AND (s.token_id IS NULL OR (t.id IS NOT NULL AND {_VALID}))
"""  # noqa: S608 - a constant of ours
"""Those that are valid; that of API_TOKEN is also compared with what is set."""
_SESSION, _SESSIONS = f"{_VALID_SESSIONS} AND s.id_hash = $1", f"{_VALID_SESSIONS} ORDER BY s.created_at DESC, s.id"


class Identity(Struct, frozen=True, kw_only=True):
    """The identity of the caller."""

    name: str
    role: Role
    by: Literal["token", "session"]
    expires_at: datetime | None = None


class Caller(Identity, frozen=True, kw_only=True):
    """An identity with what its limits count by."""

    limited_as: str
    """`token:<id>`, also of each session that the token opened; `setting` for API_TOKEN; else `session:<id>`."""
    token_id: UUID | None = None
    """Of a token, not of its sessions."""
    workflow_id: str | None = None
    """Of a ping key."""

    def identity(self) -> Identity:
        """As the API shows it."""
        return Identity(name=self.name, role=self.role, by=self.by, expires_at=self.expires_at)


class StoredToken(Struct, frozen=True, kw_only=True):
    """What is known of a token; never the token."""

    id: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None
    workflow_id: str | None = None
    """Of a ping key: the workflow whose runs it reports."""


OpenedBy = Literal["token", "setting", "link", "local"]
"""A token, API_TOKEN of the settings, a one-time link, or a browser of this machine's own user."""


class StoredSession(Struct, frozen=True, kw_only=True):
    """What is known of a browser session; never its secret."""

    id: str
    name: str
    role: Role
    opened_by: str | None
    """As `OpenedBy`; None: opened by a former version, which did not note it."""
    token_id: str | None
    created_at: datetime
    expires_at: datetime


def token_digest(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def ping_digest(key: str) -> bytes:
    """What is stored of a ping key: never equal to `token_digest`, so that it opens nothing else, in any version."""
    return token_digest(f"ping {key}")


_STORED = "id::text, name, role, created_at, expires_at, revoked_at, used_at, workflow_id"
_TOKENS = f"SELECT {_STORED} FROM tokens ORDER BY created_at DESC, id"  # noqa: S608 - a constant of ours
_CREATE = f"""
    INSERT INTO tokens (name, role, token_hash, expires_at, workflow_id) VALUES ($1, $2, $3, $4, $5)
    RETURNING {_STORED}
"""  # noqa: S608 - a constant of ours


async def create_token(
    pool: asyncpg.Pool, *, name: str, role: Role, expires_at: datetime | None, workflow_id: str | None = None
) -> tuple[str, StoredToken]:
    """A new token, to be shown once, and what is stored of it.

    Args:
        workflow_id: makes it a ping key, which reports the runs of this workflow and opens nothing else.
    """
    is_ping = workflow_id is not None
    token = (PING_PREFIX if is_ping else TOKEN_PREFIX) + secrets.token_urlsafe(32)
    found = await pool.fetchrow(
        _CREATE,
        name, role, ping_digest(token) if is_ping else token_digest(token), expires_at, workflow_id,
    )  # fmt: skip
    assert found is not None, "RETURNING has the row"
    return token, StoredToken(**dict(found))


async def tokens(pool: asyncpg.Pool) -> list[StoredToken]:
    """Every token, newest first, also those that are over."""
    found = await pool.fetch(_TOKENS)
    return [StoredToken(**dict(each)) for each in found]


async def revoke_token(pool: asyncpg.Pool, token_id: UUID) -> int | None:
    """The token and the sessions that it opened open nothing any more, from the next request on.

    Returns:
        How many sessions have ended by this; None where there is no token of this id.
    """
    async with pool.acquire() as connection, connection.transaction():
        known = await connection.fetchval(
            "UPDATE tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING true", token_id
        )
        # Deleted, not only looked at: an API of a former version beside this one does not know whose they are.
        ended = await connection.fetch(
            "DELETE FROM sessions WHERE token_id = $1 RETURNING expires_at > now() AS was_valid", token_id
        )
    return sum(each["was_valid"] for each in ended) if known else None


async def identity_of_token(pool: asyncpg.Pool, token_hash: bytes) -> Caller | None:
    """Whose token it is; None where it is unknown, over or revoked."""
    found = await pool.fetchrow(_TOKEN, token_hash, _USED_EVERY)
    if found is None:
        return None
    if found["note"]:
        await pool.execute("UPDATE tokens SET used_at = now() WHERE id = $1", found["id"])
    return Caller(
        name=found["name"],
        role=found["role"],
        by="token",
        expires_at=found["expires_at"],
        limited_as=f"token:{found['id']}",
        token_id=found["id"],
        workflow_id=found["workflow_id"],
    )


async def make_link(pool: asyncpg.Pool, *, name: str, role: Role, lasts: timedelta = LINK_LASTS) -> str:
    """A code that opens one session for whoever opens it first."""
    code = secrets.token_urlsafe(32)
    await pool.execute(
        "INSERT INTO sign_in_links (code_hash, name, role, expires_at) VALUES ($1, $2, $3, now() + $4)",
        token_digest(code), name, role, lasts,
    )  # fmt: skip
    return code


async def open_link(pool: asyncpg.Pool, code: str) -> tuple[str, Identity] | None:
    """Use the code up: (the secret of a new session, whose it is). None where it was used or is over."""
    async with pool.acquire() as connection, connection.transaction():
        found = await connection.fetchrow(
            "DELETE FROM sign_in_links WHERE code_hash = $1 RETURNING name, role, expires_at > now() AS is_good",
            token_digest(code),
        )
        if found is None or not found["is_good"]:
            return None
        return await _session(connection, found["name"], found["role"], "link")


async def make_session(pool: asyncpg.Pool, name: str, role: Role, opened_by: OpenedBy) -> tuple[str, Identity]:
    """(The secret of a new browser session, whose it is)."""
    return await _session(pool, name, role, opened_by)


async def make_session_of_setting(
    pool: asyncpg.Pool, name: str, role: Role, setting_hash: bytes
) -> tuple[str, Identity]:
    """The same for API_TOKEN: it is valid while that is set to the same."""
    return await _session(pool, name, role, "setting", setting_hash=setting_hash)


async def make_session_of_token(pool: asyncpg.Pool, token_hash: bytes) -> tuple[str, Identity] | None:
    """The same for a stored token: the session ends with it. None where the token is not valid any more."""
    found = await pool.fetchrow(_TOKEN, token_hash, _USED_EVERY)
    if found is None:
        return None
    name, role, ends_at = found["name"], found["role"], found["expires_at"]
    return await _session(pool, name, role, "token", token_id=found["id"], ends_at=ends_at)


async def _session(
    connection: asyncpg.Pool | Connection,
    name: str,
    role: Role,
    opened_by: OpenedBy,
    *,
    token_id: UUID | None = None,
    setting_hash: bytes | None = None,
    ends_at: datetime | None = None,
) -> tuple[str, Identity]:
    secret = secrets.token_urlsafe(32)
    expires_at = datetime.now(UTC) + SESSION_LASTS
    if ends_at is not None:
        expires_at = min(expires_at, ends_at)
    await connection.execute(
        "INSERT INTO sessions (id_hash, name, role, expires_at, opened_by, token_id, setting_hash)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        token_digest(secret), name, role, expires_at, opened_by, token_id, setting_hash,
    )  # fmt: skip
    return secret, Identity(name=name, role=role, by="session", expires_at=expires_at)


async def identity_of_session(
    pool: asyncpg.Pool, session_hash: bytes, setting_hash: Callable[[], bytes | None]
) -> Caller | None:
    """Whose session it is; None where it is unknown, has ended, or what opened it is not valid any more.

    Args:
        setting_hash: of API_TOKEN as it is set now; asked only for a session that was opened with one.
    """
    found = await pool.fetchrow(_SESSION, session_hash)
    if found is None or (found["setting_hash"] is not None and found["setting_hash"] != setting_hash()):
        return None
    limited_as = f"token:{found['token_id']}" if found["token_id"] else f"session:{found['id']}"
    if found["setting_hash"] is not None:
        limited_as = SETTING
    return Caller(
        by="session",
        name=found["name"],
        role=found["role"],
        expires_at=found["expires_at"],
        limited_as=limited_as,
    )


def setting_hash_of(api_token: str) -> bytes | None:
    """What a session keeps of API_TOKEN; None where it is not set.

    People choose it, so it must cost something to try out words (50 ms).
    """
    if not api_token:
        return None
    return hashlib.scrypt(api_token.encode(), salt=_SETTING_SALT, n=2**14, r=8, p=1, dklen=32)


async def sessions(pool: asyncpg.Pool, setting_hash: Callable[[], bytes | None] | None = None) -> list[StoredSession]:
    """Every browser session that is valid, newest first.

    Args:
        setting_hash: of API_TOKEN as it is set now; without it, sessions of a former API_TOKEN are listed, too.
    """
    found = await pool.fetch(_SESSIONS)
    if setting_hash is not None and any(each["setting_hash"] is not None for each in found):
        own = setting_hash()
        found = [each for each in found if each["setting_hash"] in (None, own)]
    return [StoredSession(**{name: each[name] for name in StoredSession.__struct_fields__}) for each in found]


async def end_session_of_id(pool: asyncpg.Pool, session_id: UUID) -> bool:
    """The session opens nothing any more, from the next request on. False where there is none of this id."""
    return bool(await pool.fetchval("DELETE FROM sessions WHERE id = $1 RETURNING expires_at > now()", session_id))


async def end_session(pool: asyncpg.Pool, session_hash: bytes) -> None:
    """The session opens nothing any more."""
    await pool.execute("DELETE FROM sessions WHERE id_hash = $1", session_hash)

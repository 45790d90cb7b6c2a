"""Credentials: tokens, one-time links and browser sessions. Only hashes are stored.

Every secret is 256 random bits, so a plain SHA-256 hides it: there is nothing to guess that a slow hash would protect.
"""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import asyncpg
from msgspec import Struct

from stream_detector.store.connect import Connection

Role = Literal["viewer", "operator", "producer"]
TOKEN_PREFIX = "sd_"
"""So that scanners of repositories, and people, know one when they see it."""
SESSION_LASTS = timedelta(days=7)
LINK_LASTS = timedelta(minutes=15)
_USED_EVERY = "1 minute"
"""A token's last use is noted no more often: a row for each request would be written for nothing."""


class Identity(Struct, frozen=True, kw_only=True):
    """The identity of the caller."""

    name: str
    role: Role
    by: Literal["token", "session"]
    expires_at: datetime | None = None


class StoredToken(Struct, frozen=True, kw_only=True):
    """What is known of a token; never the token."""

    id: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None


def token_digest(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


async def create_token(
    pool: asyncpg.Pool, *, name: str, role: Role, expires_at: datetime | None
) -> tuple[str, StoredToken]:
    """A new token, to be shown once, and what is stored of it."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    found = await pool.fetchrow(
        "INSERT INTO tokens (name, role, token_hash, expires_at) VALUES ($1, $2, $3, $4)"
        " RETURNING id::text, name, role, created_at, expires_at, revoked_at, used_at",
        name, role, token_digest(token), expires_at,
    )  # fmt: skip
    assert found is not None, "RETURNING has the row"
    return token, StoredToken(**dict(found))


async def tokens(pool: asyncpg.Pool) -> list[StoredToken]:
    """Every token, newest first, also those that are over."""
    found = await pool.fetch(
        "SELECT id::text, name, role, created_at, expires_at, revoked_at, used_at FROM tokens"
        " ORDER BY created_at DESC, id"
    )
    return [StoredToken(**dict(each)) for each in found]


async def revoke_token(pool: asyncpg.Pool, token_id: UUID) -> bool:
    """The token opens nothing any more, from the next request on. False where there is none of this id."""
    return bool(
        await pool.fetchval(
            "UPDATE tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING true", token_id
        )
    )


async def identity_of_token(pool: asyncpg.Pool, token_hash: bytes) -> Identity | None:
    """Whose token it is; None where it is unknown, over or revoked."""
    found = await pool.fetchrow(
        "SELECT id, name, role, expires_at, used_at IS NULL OR used_at < now() - $2::text::interval AS note"
        " FROM tokens WHERE token_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
        token_hash, _USED_EVERY,
    )  # fmt: skip
    if found is None:
        return None
    if found["note"]:
        await pool.execute("UPDATE tokens SET used_at = now() WHERE id = $1", found["id"])
    return Identity(name=found["name"], role=found["role"], by="token", expires_at=found["expires_at"])


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
        return await _session(connection, found["name"], found["role"])


async def make_session(pool: asyncpg.Pool, name: str, role: Role) -> tuple[str, Identity]:
    """(The secret of a new browser session, whose it is)."""
    return await _session(pool, name, role)


async def _session(connection: asyncpg.Pool | Connection, name: str, role: Role) -> tuple[str, Identity]:
    secret = secrets.token_urlsafe(32)
    expires_at = datetime.now(UTC) + SESSION_LASTS
    await connection.execute(
        "INSERT INTO sessions (id_hash, name, role, expires_at) VALUES ($1, $2, $3, $4)",
        token_digest(secret), name, role, expires_at,
    )  # fmt: skip
    return secret, Identity(name=name, role=role, by="session", expires_at=expires_at)


async def identity_of_session(pool: asyncpg.Pool, session_hash: bytes) -> Identity | None:
    """Whose session it is; None where it is unknown or over."""
    found = await pool.fetchrow(
        "SELECT name, role, expires_at FROM sessions WHERE id_hash = $1 AND expires_at > now()", session_hash
    )
    return Identity(by="session", **dict(found)) if found else None


async def end_session(pool: asyncpg.Pool, session_hash: bytes) -> None:
    """The session opens nothing any more."""
    await pool.execute("DELETE FROM sessions WHERE id_hash = $1", session_hash)

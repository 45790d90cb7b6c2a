"""What every channel over HTTP needs: a wait that was asked for, and an error told without its address."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp
import msgspec

ANSWER_BYTES = 64 * 1024
"""No provider answers with more; what it sends is only read for a word of it."""
_UNIX_FROM, _UNIX_MS_FROM = 1e9, 1e12
"""From here on a number is a Unix time, or one in milliseconds: as seconds it would be 30 years."""


def asked_wait_s(headers: Mapping[str, str], body: str = "") -> float:
    """The seconds to wait that an answer asks for; 0 where it names none that is understood.

    The first that is understood counts: `Retry-After` (RFC 9110: seconds or a date), `X-RateLimit-Reset-After`
    (seconds), `X-RateLimit-Reset` and `RateLimit-Reset` (Unix time or seconds), `retry_after` in a JSON body (Discord;
    Telegram has it in `parameters`). May be any number, also infinite: `RetryAfter` keeps no more than is reasonable.

    >>> asked_wait_s({"Retry-After": "30"}), asked_wait_s({"retry-after": "soon"})
    (30.0, 0.0)
    >>> asked_wait_s({}, '{"retry_after": 2}')
    2.0
    """
    given = {name.lower(): str(value).strip() for name, value in headers.items()}
    now = _date(given.get("date", "")) or datetime.now(UTC)
    asked = given.get("retry-after", "")
    date = _date(asked)
    found = (
        _seconds(asked) or ((date - now).total_seconds() if date else 0.0),
        _seconds(given.get("x-ratelimit-reset-after")),
        *(_until(_seconds(given.get(name)), now) for name in ("x-ratelimit-reset", "ratelimit-reset")),
        _in_body(body),
    )
    return next((wait_s for wait_s in found if wait_s > 0), 0.0)


def _seconds(value: object) -> float:
    """A number above 0; 0 where it is none, NaN or negative. Text may be as long as a header may."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return 0.0
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return 0.0
    return number if number > 0 else 0.0


def _until(number: float, now: datetime) -> float:
    """Some give the Unix time of the reset, in seconds or milliseconds, others the seconds until then."""
    if number < _UNIX_FROM:
        return number
    return max(0.0, (number / 1000 if number >= _UNIX_MS_FROM else number) - now.timestamp())


def _in_body(body: str) -> float:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return 0.0
    if not isinstance(found, dict):
        return 0.0
    parameters = found.get("parameters")
    inner = parameters.get("retry_after") if isinstance(parameters, dict) else None
    return _seconds(found.get("retry_after")) or _seconds(inner)


def _date(value: str) -> datetime | None:
    """An HTTP date; in UTC where it names no zone."""
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def why(error: Exception) -> str:
    """Only the kind and the system's own words: both the text and `strerror` of aiohttp's errors may hold the URL."""
    number = getattr(getattr(error, "os_error", error), "errno", None)
    return f"{type(error).__name__}: {os.strerror(number)}" if number else type(error).__name__


class BoundedResponse(aiohttp.ClientResponse):
    """A response of which at most `ANSWER_BYTES` are read, decompressed; a larger one is a `ClientPayloadError`.

    For clients of others, which read as much as a server sends. Use: `ClientSession(response_class=BoundedResponse)`.
    """

    async def read(self) -> bytes:
        """The body. The connection of one that is too large is closed."""
        if self._body is None:
            body = bytearray()
            async for piece in self.content.iter_chunked(ANSWER_BYTES):
                body += piece
                if len(body) > ANSWER_BYTES:
                    self.close()
                    raise aiohttp.ClientPayloadError(f"more than {ANSWER_BYTES} bytes")
            self._body = bytes(body)
        return self._body


def is_local(url: str) -> bool:
    """Whether it is this machine, which no proxy may stand before."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

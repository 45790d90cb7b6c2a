"""One HTTP client for every API that history comes from: patient, bounded, and silent about its token.

Waits that a server asks for are kept: GitHub's primary limit (no request before `x-ratelimit-reset`), its secondary
one (`retry-after`, else a minute and more), and `Retry-After` of any other (RFC 9110). Times are compared with the
server's own `Date`, so this machine's clock does not matter. Source: GitHub's "Best practices for using the REST API".
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec

from stream_detector.history.errors import PASSING, HistoryImportError
from stream_detector.notify.channels.http import asked_wait_s, is_local, why
from stream_detector.notify.rendering.escape import one_line

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Of one answer, unpacked: 100 runs of GitHub have 2 MB."""
LONGEST_WAIT_S = 2 * 3600.0
"""GitHub's limits are reset each hour; a server that asks for more is not waited for."""
SKEW_S = 60.0
"""A clock that is wrong by less changes nothing."""
_TIMEOUT = aiohttp.ClientTimeout(total=90, sock_connect=15)
_TRIES = 7
_FIRST_TRIES = 3
"""Where no answer has come at all, so that nobody waits a minute for a wrong address."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_LIMITED_TRIES = 10
_LIMITED_PAUSE_S = 60.0
"""GitHub: without a header that names the wait, at least a minute, and longer each time."""
_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_PASSING = (408, 425, 500, 502, 503, 504)
_LIMIT_WORDS = ("rate limit", "abuse detection")
_SHOWN_CHARS = 200


@dataclass(frozen=True)
class Answer:
    """A JSON document with status 200."""

    document: Any
    headers: Mapping[str, str]
    """Names in lower case."""
    next_url: str
    """Of the header `Link` with `rel="next"`, absolute; empty where there is none. `get` takes it as it is."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """How an API is reached."""

    title: str
    url: str
    """Without a slash at its end. Nothing is ever sent to another host."""
    token: str = field(default="", repr=False)
    """Only for the errors: what it is and where it comes from stays out of them."""
    token_variables: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of every request, with the token."""
    refusals: Mapping[int, str] = field(default_factory=dict)
    """Status -> what to change."""
    ca_file: str = ""
    at_once: int = 1
    """How many requests may be under way at the same time."""


class ApiClient:
    """Use as a context manager; one request at a time, as GitHub asks for, but for `get_each`.

    Args:
        note: gets a line for a person, such as a wait.
        sleep: waits so many seconds; another one in tests.
    """

    def __init__(
        self,
        access: Access,
        *,
        note: Callable[[str], None] = lambda text: None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._access, self._url = access, access.url.rstrip("/")
        self._note, self._sleep = note, sleep
        self._session: aiohttp.ClientSession | None = None
        self._ready_at_s = 0.0
        """Unix time of the server before which no request is sent."""
        self._waiting = asyncio.Lock()
        self._has_answered = False
        self.skew_s = 0.0
        """How far the server's clock is ahead of ours."""
        self.requests = 0

    async def __aenter__(self) -> Self:
        context: ssl.SSLContext | bool = True
        try:
            if self._access.ca_file or self._url.startswith("https:"):  # reading all of a system's CAs takes 0.1 s
                context = ssl.create_default_context(cafile=self._access.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise HistoryImportError(
                f"--ca-file {self._access.ca_file}: no certificates can be read: {error}"
            ) from None
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=self._access.at_once + 1),
            headers={"Accept": "application/json", "User-Agent": "stream-detector"} | dict(self._access.headers),
            timeout=_TIMEOUT,
            trust_env=not is_local(self._url),
            auto_decompress=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    def now(self) -> datetime:
        """What time it is by the server's clock, as far as it has answered."""
        return datetime.now(UTC) + timedelta(seconds=self.skew_s)

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Answer:
        """The JSON document at a path below the API's address, or at a URL of the same host.

        Args:
            path: of the address, beginning with `/` and quoted; or an `Answer.next_url`.

        Raises `HistoryImportError`: the server refuses, does not answer, or answers with what cannot be read.
        """
        url = self._checked(path if "://" in path else self._url + path)
        failed = limited = 0
        while True:
            await self._wait_until_ready()
            try:
                answer, refused, wait_s = await self._once(url, params)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                answer, refused, wait_s = None, why(error), 0.0
                if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
                    raise HistoryImportError(self._text(url, f"{why(error)}: name its CA with --ca-file")) from None
            if answer is not None:
                return answer
            if wait_s:
                limited += 1
                if wait_s < 0:
                    wait_s = _LIMITED_PAUSE_S * 2 ** min(limited - 1, 5)
                self._hold(wait_s, limited)
                continue
            failed += 1
            if not self._has_answered and failed == _FIRST_TRIES:
                raise HistoryImportError(self._text(url, f"{refused}. Is that the API's address (--url)?"))
            if failed == _TRIES:
                raise HistoryImportError(
                    self._text(url, f"{refused}, {_TRIES} times in a row. Run the same command later: it continues"),
                    PASSING,
                )
            await self._sleep(min(_FIRST_PAUSE_S * 2 ** (failed - 1), _LONGEST_PAUSE_S))

    async def get_each(self, paths: Sequence[str]) -> list[Answer | None]:
        """`get` of each path, as many at once as the access allows; None where there is nothing any more (404)."""
        found: dict[str, Answer | None] = {}
        left = iter(dict.fromkeys(paths))

        async def work() -> None:
            for path in left:
                try:
                    found[path] = await self.get(path)
                except HistoryImportError as error:
                    if error.status != 404:
                        raise
                    found[path] = None

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._access.at_once, len(paths))):
                    group.create_task(work())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [found[path] for path in paths]

    async def _once(self, url: str, params: Mapping[str, str | int] | None) -> tuple[Answer | None, str, float]:
        """(the answer, or why there is none yet, and the seconds to wait: 0 none asked for, below 0 unknown)."""
        assert self._session is not None
        for _ in range(_MOST_REDIRECTS):
            self.requests += 1
            async with self._session.get(url, params=params, allow_redirects=False) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                self._has_answered = True
                self._compare_clocks(headers)
                if response.status in _REDIRECTS:
                    url, params = self._checked(urljoin(url, headers.get("location", ""))), None
                    continue
                body = await self._body(response, url)
                if response.status == 200:
                    self._note_budget(headers)
                    return Answer(self._decoded(body, url), headers, _next_of(response)), "", 0.0
                return None, *self._refused(url, response.status, headers, body)
        raise HistoryImportError(self._text(url, f"redirected {_MOST_REDIRECTS} times"))

    def _refused(self, url: str, status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, float]:
        """Why, and how long to wait. Raises `HistoryImportError` where waiting does not help."""
        text = body[:4096].decode("utf-8", "replace")
        spent = _is_spent(headers)
        # The reset of the primary limit is in every answer, so it dates a wait only where that limit is used up.
        dated = headers if spent else {name: value for name, value in headers.items() if "ratelimit" not in name}
        asked_s = asked_wait_s(dated, text)
        if status == 429 or (
            status == 403 and (spent or asked_s or any(word in text.lower() for word in _LIMIT_WORDS))
        ):
            return "rate limit", asked_s + 1.0 if asked_s else -1.0
        if status in _PASSING:
            return f"status {status}", min(asked_s, LONGEST_WAIT_S)
        what = self._access.refusals.get(status, "")
        if status in (401, 403, 404) and not self._access.token:
            what = f"no token is set ({' or '.join(self._access.token_variables)}). {what}"
        said = one_line(_message_of(text), _SHOWN_CHARS)
        if self._access.token:
            for secret in (self._access.token, self._access.token.rpartition(":")[2]):
                said = said.replace(secret, "***") if secret else said
        raise HistoryImportError(
            self._text(url, f"status {status}{f' ({said})' if said else ''}. {what}".rstrip(". ")), status
        )

    def _hold(self, wait_s: float, limited: int) -> None:
        """No request before then. Raises `HistoryImportError` where that is too long, or too often."""
        ready_at = self.now() + timedelta(seconds=min(wait_s, 10 * 366 * 86_400.0))
        if wait_s > LONGEST_WAIT_S or limited > _LIMITED_TRIES:
            raise HistoryImportError(
                f"{self._access.title}: its rate limit allows no request until {ready_at:%Y-%m-%d %H:%M} UTC. Run "
                "the same command then: it continues",
                PASSING,
            )
        self._ready_at_s = ready_at.timestamp()

    async def _wait_until_ready(self) -> None:
        if not self._ready_at_s:
            return
        async with self._waiting:  # of several requests the first waits and notes it
            await self._wait()

    async def _wait(self) -> None:
        left_s = self._ready_at_s - self.now().timestamp()
        if left_s <= 0 or not self._ready_at_s:
            return
        at = datetime.fromtimestamp(self._ready_at_s, UTC)
        self._note(f"{self._access.title}: rate limit; continues at {at:%H:%M:%S} UTC, in {left_s:,.0f} s")
        held = self._ready_at_s
        await self._sleep(left_s)
        if self._ready_at_s == held:  # a request that was under way may have met the limit since
            self._ready_at_s = 0.0

    def _note_budget(self, headers: Mapping[str, str]) -> None:
        """Of the last request that the limit allows: the next one waits instead of being refused.

        Azure DevOps answers and asks for a wait before the next request; one that is not kept is made by the server.
        """
        if (_is_spent(headers) or "retry-after" in headers) and (wait_s := asked_wait_s(headers)):
            self._hold(min(wait_s + 1.0, LONGEST_WAIT_S), 0)

    def _compare_clocks(self, headers: Mapping[str, str]) -> None:
        try:
            date = parsedate_to_datetime(headers.get("date", ""))
        except (ValueError, TypeError, IndexError, OverflowError):
            return
        found_s = date.replace(tzinfo=date.tzinfo or UTC).timestamp() - time.time()
        was_s, self.skew_s = self.skew_s, found_s if abs(found_s) > SKEW_S else 0.0
        if self.skew_s and not was_s:
            side = "behind" if found_s > 0 else "ahead of"
            self._note(f"this machine's clock is {abs(found_s):,.0f} s {side} that of {self._access.title}")

    async def _body(self, response: aiohttp.ClientResponse, url: str) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_chunked(256 * 1024):
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise HistoryImportError(self._text(url, f"an answer of more than {MAX_BODY_BYTES:,} bytes"))
        return bytes(body)

    def _decoded(self, body: bytes, url: str) -> Any:
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            what = "an answer that is not JSON"
            if body.lstrip()[:1] == b"<":
                what = f"a web page instead of JSON. Check the token ({' or '.join(self._access.token_variables)})"
            raise HistoryImportError(
                self._text(url, f"{what}: is this the API's address (--url), not the page's?")
            ) from None

    def _checked(self, url: str) -> str:
        """The URL, if it is of the API's host: the token must not reach another."""
        if _origin(url) != _origin(self._url):
            host = one_line(urlsplit(url).netloc.rpartition("@")[2], _SHOWN_CHARS)
            raise HistoryImportError(
                f"{self._access.title} at {self._url} refers to another host, {host or 'without a name'}, to which "
                "no token is sent. If that is the API, give its address with --url; if it is a page to sign in, the "
                f"token is missing, wrong or expired ({' or '.join(self._access.token_variables)})"
            )
        return url

    def _text(self, url: str, what: str) -> str:
        parts = urlsplit(url)
        return f"{self._access.title}: {parts.scheme}://{parts.netloc}{one_line(parts.path, _SHOWN_CHARS)}: {what}"


def _next_of(response: aiohttp.ClientResponse) -> str:
    links = response.links
    return str(links["next"]["url"]) if "next" in links and "url" in links["next"] else ""


def _is_spent(headers: Mapping[str, str]) -> bool:
    """Whether the limit allows no further request. GitLab's headers have no `x-`."""
    return headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining", "")).strip() == "0"


def _origin(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        return "", "", 0
    return parts.scheme, parts.hostname or "", port


def _message_of(text: str) -> str:
    """What a JSON error has as its message; nothing of a page for a browser."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    said = found.get("message") or found.get("error") or found.get("detail")
    return said if isinstance(said, str) else ""

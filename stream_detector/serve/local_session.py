"""The person at this machine: a page that their browser loads opens a session by itself, so that nobody types a token.

It is given only where the system itself says whose connection it is. A reverse proxy, another user of the machine and
a page of another site can send any header, but none of them can own our user's socket.
"""

import getpass
import os
import sys
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohttp import web

from stream_detector.serve.authentication import Authenticator, set_cookie
from stream_detector.serve.database import Database
from stream_detector.serve.hosts import host_of, split_host
from stream_detector.serve.prefetch import is_prefetch, refuse_prefetch
from stream_detector.serve.problems import is_api
from stream_detector.settings import Settings, is_loopback
from stream_detector.store import credentials
from stream_detector.store.connect import StoreAwayError

_TABLES = Path("/proc/net/tcp"), Path("/proc/net/tcp6")
_ESTABLISHED = "01"
_FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")


class LocalSessions:
    """Opens sessions for this process's own user, where the settings say so."""

    def __init__(self, settings: Settings, authenticator: Authenticator, database: Database) -> None:
        self._on = settings.api_local_session == "on" and is_loopback(settings.api_host)
        self._on = self._on and not settings.api_behind_proxy
        self._authenticator, self._database = authenticator, database

    def middleware(self) -> Any:
        """For the application, after the guard: Host and Origin are right by then."""

        @web.middleware
        async def open_session(request: web.Request, handler: Any) -> web.StreamResponse:
            response: web.StreamResponse = await handler(request)
            if self._on and response.status == 200 and is_page_load(request) and is_from_here(request):
                return await self._open(request, response)
            return response

        return open_session

    async def _open(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        try:
            if await self._authenticator.identify(request) is not None:
                return response
            if is_prefetch(request):
                return refuse_prefetch()
            secret, _ = await self._database.query(credentials.make_session, person(), "operator", "local")
            set_cookie(request, response, secret)
        except StoreAwayError:
            pass  # the page loads without; loaded again when the database is back, it has one
        return response


def is_page_load(request: web.Request) -> bool:
    """Whether a person opens a page in a browser's own tab: not a frame, a picture, a script, or a page moving itself.

    Browsers say so in Sec-Fetch-*, which no page can set; old ones send none of these.
    """
    headers = request.headers
    if request.method != "GET" or is_api(request) or "text/html" not in headers.get("Accept", ""):
        return False
    if headers.get("Sec-Fetch-Dest", "document") != "document":
        return False
    if headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
        return False
    # From another site only by a person's click, as on a link in a message.
    return headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin") or headers.get("Sec-Fetch-User") == "?1"


def is_from_here(request: web.Request) -> bool:
    """Whether this process's own user asks, on this machine, under a name of this machine, past no proxy."""
    if any(name in request.headers for name in _FORWARDED) or request.transport is None:
        return False
    host, _ = split_host(host_of(request))
    peer, own = request.transport.get_extra_info("peername"), request.transport.get_extra_info("sockname")
    if not is_loopback(host) or not peer or not is_loopback(peer[0]):
        return False
    return user_of(peer[:2], own[:2], _lines()) == os.getuid()


def user_of(peer: tuple[str, int], own: tuple[str, int], lines: Iterable[str]) -> int | None:
    """The user id of the process at the other end of a connection within this machine; None where it is unknown.

    Args:
        peer: address and port of the other end.
        own: address and port of ours.
        lines: rows of Linux's tables of sockets (proc(5), /proc/net/tcp).
    """
    ends = {(_words(peer, mapped), _words(own, mapped)) for mapped in (False, True)}
    for line in lines:
        fields = line.split()
        # A closed socket stays listed, as root's and without an inode: only an open one has an owner.
        if len(fields) > 9 and (fields[1], fields[2]) in ends and fields[3] == _ESTABLISHED and fields[9] != "0":
            return int(fields[7])
    return None


def person() -> str:
    """The name of the user that this process runs as."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers have
        return "operator"


def _lines() -> Iterable[str]:
    for table in _TABLES:
        try:
            with table.open("r", encoding="ascii") as file:
                yield from file
        except OSError:  # not Linux
            continue


def _words(end: tuple[str, int], mapped: bool) -> str:
    """An address and a port as the tables write them: each 32-bit word as this machine reads its bytes.

    >>> _words(("127.0.0.1", 8080), False) in ("0100007F:1F90", "7F000001:1F90")
    True
    """
    address = ip_address(end[0].partition("%")[0])
    packed = address.packed
    if mapped and address.version == 4:  # a socket of IPv6 that talks to an address of IPv4
        packed = b"\x00" * 10 + b"\xff\xff" + packed
    words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
    return "".join(f"{word:08X}" for word in words) + f":{end[1]:04X}"

"""How many connections there may be, and how long one may keep the server waiting.

A connection costs memory and a file descriptor whether or not anything arrives on it, so what is slow has a deadline
and what is many has a limit, before any token is known:
1. a source, and all together, may have so many; a further one takes the place of the one that waits longest for a
   request, or is refused with 503;
2. a request's head must be complete `HEAD_WITHIN_S` after its first byte and within `HEAD_BYTES`;
3. a connection without a request ends after `IDLE_S`;
4. a client must take what it asked for: `LEAST_TAKEN_BYTES` of what waits for it in `TAKEN_WITHIN_S`.
The deadline of a request's body is where bodies are read (`bodies.py`).
"""

import asyncio
import contextlib
import resource
import time
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from aiohttp import web

HEAD_WITHIN_S = 10.0
HEAD_BYTES = 128 * 1024
"""Of one request: its line may have half of it (`runner.LINE_BYTES`)."""
IDLE_S = 75.0
"""Longer than the 60 s after which balancers and browsers let go of a connection that they keep."""
PROXY_IDLE_S = 3630.0
"""A trusted proxy keeps connections for its clients; some for an hour (aiohttp's own default)."""
TAKEN_WITHIN_S = 30.0
LEAST_TAKEN_BYTES = 32 * 1024
_LOOK_EVERY_S = 1.0
_OTHER_FILES = 256
"""Descriptors for what is no connection of a client: the database, Kafka, files, the metrics port."""
_IPV6_NETWORK_BITS = 64
"""One customer has at least so much of IPv6, and with it 2^64 addresses."""


class Connection(Protocol):
    """What is asked of a connection (`runner.py`)."""

    source: str
    head_since_s: float | None
    """When a head began that is not complete."""
    waits_since_s: float

    @property
    def waits(self) -> bool:
        """Whether no request is under way, so that ending it interrupts nothing."""

    def end_if_slow(self, now_s: float) -> None:
        """By the deadlines of a head and of what the client has to take."""

    def end(self) -> None:
        """Close it; what waits to be sent is sent."""


class Connections:
    """Every open connection: admits new ones and ends those that are too slow.

    Args:
        most: of all sources together.
        most_of_source: of one address, or one /64 of IPv6.
        proxied: all connections are of one trusted proxy; `most_of_source` then means nothing.
    """

    def __init__(self, most: int, most_of_source: int, *, proxied: bool = False) -> None:
        self._most, self._most_of_source = most, most if proxied else most_of_source
        self._open: dict[Connection, None] = {}
        self._of_source: dict[str, int] = {}
        self._watching: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def start(self) -> None:
        """Begin to look for slow ones."""
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Nothing looks any more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def admit(self, connection: Connection) -> bool:
        """Whether it may stay. A full source gives up its own longest waiting, full as a whole the largest source."""
        source = connection.source
        if self._of_source.get(source, 0) >= self._most_of_source and not self._end_longest_waiting(source):
            return False
        if len(self._open) >= self._most:
            largest = max(self._of_source, key=self._of_source.__getitem__)
            if not self._end_longest_waiting(largest):
                return False
        self._open[connection] = None
        self._of_source[source] = self._of_source.get(source, 0) + 1
        return True

    def forget(self, connection: Connection) -> None:
        """It is closed, or as good as."""
        if connection not in self._open:
            return
        del self._open[connection]
        left = self._of_source[connection.source] - 1
        if left:
            self._of_source[connection.source] = left
        else:
            del self._of_source[connection.source]

    def look(self, now_s: float) -> None:
        """End what is over its time."""
        for connection in list(self._open):
            connection.end_if_slow(now_s)

    def _end_longest_waiting(self, source: str) -> bool:
        waiting = [each for each in self._open if each.source == source and each.waits]
        if not waiting:
            return False
        # One that sends nothing goes before one that has begun to.
        longest = min(waiting, key=lambda each: (each.head_since_s is not None, each.waits_since_s))
        self.forget(longest)  # at once: its place is taken now, its socket closes in the next turn of the loop
        longest.end()
        return True

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self.look(time.monotonic())


def source_of_peer(peer: object) -> str:
    """Whose a connection is, for limits: the address, of IPv6 its /64; empty for what has none.

    >>> source_of_peer(("192.0.2.7", 1)), source_of_peer(("::ffff:192.0.2.7", 1)), source_of_peer(("2001:db8::1", 1))
    ('192.0.2.7', '192.0.2.7', '2001:db8::')
    """
    text = str(peer[0]) if isinstance(peer, tuple) and peer else ""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return text
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        rest = 128 - _IPV6_NETWORK_BITS
        return str(IPv6Address(int(address) >> rest << rest))
    return str(address)


def source_of(request: web.BaseRequest, *, proxied: bool) -> str:
    """Whose a request is, for limits: behind a trusted proxy the last address of X-Forwarded-For, which it appended."""
    forwarded = request.headers.getall("X-Forwarded-For", []) if proxied else []
    if forwarded and (last := forwarded[-1].rpartition(",")[2].strip()):
        return source_of_peer((last[:64],))
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    return source_of_peer(peer)


def file_limit_for(most: int) -> int:
    """How many connections there can be: `most`, or what the limit of open files leaves once it is raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # a system that allows less than it reports
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most if soft == resource.RLIM_INFINITY or soft >= wanted else max(16, soft - _OTHER_FILES)

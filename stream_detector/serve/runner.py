"""What comes before the application: connections that are too many or too slow, and what is no request at all.

aiohttp answers a malformed request as plain text that repeats what came, with a trace in the log, which would let
anybody fill the disk; here it is a problem like any other mistake.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from stream_detector.serve.connections import (
    HEAD_BYTES,
    HEAD_WITHIN_S,
    LEAST_TAKEN_BYTES,
    TAKEN_WITHIN_S,
    Connections,
    source_of_peer,
)
from stream_detector.serve.guard import SAFE_HEADERS
from stream_detector.serve.problems import OWN_ERROR, ProblemError

LINE_BYTES = 64 * 1024
"""Room for a cursor of the longest, percent-encoded; what is longer ends before it is a request."""
_LINGER_S = 1.0
"""So long what is left of a refused body is read."""
_UNREAD_BYTES = 64 * 1024
"""How much the system, and aiohttp, each take of a body before it is read; both may take twice as much. It costs intake
nothing that three rounds in turns can show: 133 us of the API's processor time an event in bodies of 2,000, 147 without
these limits, 206 before they came (2026-12-01, load 8)."""


class Connection(RequestHandler):
    """aiohttp's, but for its words, its deadlines and the limits of `Connections`."""

    __slots__ = (
        "_admitted_by",
        "_link",
        "_taken_s",
        "_untaken",
        "head_bytes",
        "head_since_s",
        "source",
        "waits_since_s",
    )

    def __init__(self, server: web.Server, connections: Connections, **options: Any) -> None:
        super().__init__(server, **options)
        self._admitted_by = connections
        self._link: asyncio.Transport | None = None
        self._untaken, self._taken_s = 0, 0.0
        self.source = ""
        self.head_since_s: float | None = None
        """When the first byte of a head came that is not complete."""
        self.head_bytes = 0
        self.waits_since_s = 0.0

    @property
    def waits(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refused where its source, or all together, have as many as they may."""
        self._link = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self.waits_since_s = time.monotonic()
        self.source = source_of_peer(transport.get_extra_info("peername"))
        if not self._admitted_by.admit(self):
            self._refuse(503, "Too many connections are open. Close some, or retry later.")
            return
        made = transport.get_extra_info("socket")
        if made is not None:  # else the system would take up to 6 MB of what nobody reads yet
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UNREAD_BYTES)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._admitted_by.forget(self)
        self._link = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Notes when a head has begun, and ends one that has no end."""
        if self.transport is None:
            return  # refused, or ended
        requests = self._request_count
        super().data_received(data)
        if self._request_count != requests:
            self.head_since_s, self.head_bytes = None, 0
        elif self.waits or not self._request_count:  # the first bytes may come before aiohttp's task has begun to wait
            if self.head_since_s is None:
                self.head_since_s = time.monotonic()
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_BYTES:
                self._refuse(431, f"The head of a request must have at most {HEAD_BYTES} bytes.")

    def resume_writing(self) -> None:
        super().resume_writing()
        self._untaken = 0  # it took most of what waited for it

    def end_if_slow(self, now_s: float) -> None:
        if self.head_since_s is not None and self.waits and now_s - self.head_since_s > HEAD_WITHIN_S:
            self._refuse(408, f"The head of a request must be complete within {HEAD_WITHIN_S:g} s.")
            return
        if not self.waits:
            self.waits_since_s = now_s
        untaken = self._link.get_write_buffer_size() if self._link is not None else 0
        if not self._untaken or not untaken or untaken <= self._untaken - LEAST_TAKEN_BYTES:
            self._untaken, self._taken_s = untaken, now_s
        elif now_s - self._taken_s > TAKEN_WITHIN_S and self._link is not None:
            self._link.abort()  # `close` would wait for what nobody takes

    def end(self) -> None:
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer; the connection ends with it."""
        detail = "Malformed HTTP request."
        if isinstance(exc, LineTooLong):
            detail = f"The request line or a header is longer than {LINE_BYTES} bytes."
        problem = ProblemError(400, detail) if status == 400 else ProblemError(500, OWN_ERROR)
        response = problem.response()
        response.headers.update(SAFE_HEADERS)
        response.force_close()
        return response

    def _refuse(self, status: int, detail: str) -> None:
        """Answer without a request, and close."""
        if self._link is not None and not self._link.is_closing():
            self._link.write(_answer(status, detail))
            self._link.close()
        self.force_close()


class Runner(web.AppRunner):
    """Serves the application over `Connection`s within the limits of `connections`."""

    def __init__(self, app: web.Application, connections: Connections, *, idle_s: float, end_within_s: float) -> None:
        super().__init__(app, access_log=None, handle_signals=False, shutdown_timeout=end_within_s)
        self._connections = connections
        self._options = {
            "access_log": None,
            "keepalive_timeout": idle_s,
            "lingering_time": _LINGER_S,
            "max_line_size": LINE_BYTES,
            "read_bufsize": _UNREAD_BYTES // 2,
            "auto_decompress": False,  # no route takes a compressed body
        }

    async def setup(self) -> None:
        await super().setup()
        self._connections.start()

    async def cleanup(self) -> None:
        await self._connections.stop()
        await super().cleanup()

    @property
    def server(self) -> Callable[[], RequestHandler]:  # type: ignore[override]
        """What makes the protocol of a new connection; the sites call it."""
        made = super().server
        assert made is not None, "after setup"
        loop = asyncio.get_running_loop()
        return lambda: Connection(made, self._connections, loop=loop, **self._options)


def _answer(status: int, detail: str) -> bytes:
    problem = ProblemError(status, detail)
    body = problem.body()
    headers = {
        **SAFE_HEADERS,
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "10"
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n".encode() + body

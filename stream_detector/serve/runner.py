"""What is no request at all, or one that is too long to be read, is answered with a problem like any other mistake.

aiohttp answers it before the application sees it: as plain text that repeats what came, with a trace in the log, which
would let anybody fill the disk.
"""

from collections.abc import Callable

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from stream_detector.serve.guard import SAFE_HEADERS
from stream_detector.serve.problems import OWN_ERROR, ProblemError

LINE_BYTES = 64 * 1024
"""Room for a cursor of the longest, percent-encoded; what is longer ends before it is a request."""


class Connection(RequestHandler):
    """aiohttp's, but for its words."""

    __slots__ = ()

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


class Runner(web.AppRunner):
    """Serves the application over `Connection`s."""

    @property
    def server(self) -> Callable[[], RequestHandler]:  # type: ignore[override]
        """What makes the protocol of a new connection; the sites call it."""
        made = super().server
        assert made is not None, "after setup"

        def connection() -> RequestHandler:
            handler = made()
            handler.__class__ = Connection
            return handler

        return connection

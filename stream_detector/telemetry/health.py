"""/metrics, /livez and /readyz of one role, on its own port."""

from collections.abc import Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

ROLE_PORTS = {"detector": 9101, "recorder": 9102, "notifier": 9103, "api": 9104}

Probe = Callable[[], tuple[bool, str]]
"""Answers (well, why not)."""


_MOST_CONNECTIONS = 64
_IDLE_S, _LINGER_S = 75.0, 1.0
"""A connection without a whole request ends after that; what is left of a body is read for so long."""


class _Runner(web.AppRunner):
    """Few connections, so that nobody takes the role's file descriptors; a probe is answered however many come.

    A new one takes the place of the oldest: each request is answered at once, so that interrupts nothing.
    """

    @property
    def server(self) -> Callable[[], RequestHandler]:  # type: ignore[override]
        """What makes the protocol of a new connection; the sites call it."""
        made = super().server
        assert made is not None, "after setup"

        def connection() -> RequestHandler:
            known = made.connections
            for oldest in known[: max(0, len(known) - _MOST_CONNECTIONS + 1)]:
                oldest.force_close()
            return made()

        return connection


class HealthServer:
    """Serves until stopped. Loopback by default; carries no name of any event."""

    def __init__(self, host: str, port: int, *, live: Probe, ready: Probe, refresh: Callable[[], None] = lambda: None):
        self._host, self._port, self._live, self._ready, self._refresh = host, port, live, ready, refresh
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Start to listen; returns the port. Raises `OSError` where it is in use."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        self._runner = _Runner(
            app, access_log=None, handle_signals=False, keepalive_timeout=_IDLE_S, lingering_time=_LINGER_S
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self.stop()
            raise
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        """Close the port."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _livez(self, _: web.Request) -> web.Response:
        return _answer(self._live)

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(self._ready)

    async def _metrics(self, _: web.Request) -> web.Response:
        self._refresh()
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(probe: Probe) -> web.Response:
    well, why = probe()
    return web.Response(status=200 if well else 503, text=("ok" if well else why) + "\n")

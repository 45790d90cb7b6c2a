"""/metrics, /livez and /readyz of one role, on its own port."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

ROLE_PORTS = {"detector": 9101, "recorder": 9102, "notifier": 9103, "api": 9104}

Probe = Callable[[], tuple[bool, str]]
"""Answers (well, why not)."""


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
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
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

"""An HTTP server that takes any JSON: what stands behind a generic webhook, and behind Apprise's `json://`."""

import asyncio
from collections import deque
from typing import Any

from aiohttp import web


class HookServer:
    """`requests` holds every body that it took with its headers. `answer_next` changes what it says."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[tuple[bytes, dict[str, str]]] = []
        self._next: deque[tuple[int, str, dict[str, str]] | float | None] = deque()
        self.hanging = asyncio.Event()
        """Set once somebody waits for an answer that does not come."""
        self._released = asyncio.Event()
        self._runner: web.AppRunner | None = None

    def answer_next(self, status: int, body: str = "", headers: dict[str, str] | None = None) -> None:
        """Answer one request so."""
        self._next.append((status, body, headers or {}))

    def hang_next(self) -> None:
        """Leave one request without an answer until the server stops."""
        self._next.append(None)

    def slow_next(self, after_s: float) -> None:
        """Take one request, and say so only after a while."""
        self._next.append(after_s)

    @property
    def planned(self) -> int:
        """How many answers that were planned have not been given."""
        return len(self._next)

    def forget_plans(self) -> None:
        """Answer as usual from now on; who waits already goes on waiting."""
        self._next.clear()

    async def start(self) -> "HookServer":
        """Listen; after a `stop` on the same port again."""
        self._released.clear()
        app = web.Application(client_max_size=4 * 2**20)
        app.router.add_post("/{path:.*}", self._post)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        self._released.set()
        if self._runner:
            await self._runner.cleanup()

    async def _post(self, request: web.Request) -> web.Response:
        planned: Any = self._next.popleft() if self._next else (200, "taken", {})
        if planned is None:
            self.hanging.set()
            await self._released.wait()
            return web.Response(status=500)
        slow_by_s = planned if isinstance(planned, float) else 0.0
        status, body, headers = (200, "taken", {}) if slow_by_s else planned
        if 200 <= status < 300:
            self.requests.append((await request.read(), dict(request.headers)))
            await asyncio.sleep(slow_by_s)
        return web.Response(status=status, text=body, headers=headers)

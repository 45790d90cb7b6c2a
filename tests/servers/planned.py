"""What the fake providers over HTTP share: answers that a test plans, and a request that hangs until the end."""

import asyncio
import ssl
from collections import deque

from aiohttp import web

Answer = tuple[int, str, dict[str, str]]


class PlannedServer:
    """Listens on a port of its own, the same one after each `stop`. `answer_next` changes what it says."""

    def __init__(self) -> None:
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self._next: deque[Answer | None] = deque()
        self._slow_by_s: deque[float] = deque()
        self.hanging = asyncio.Event()
        """Set once somebody waits for an answer that does not come."""
        self._released = asyncio.Event()
        self._runner: web.AppRunner | None = None

    def answer_next(self, status: int, body: str = "", headers: dict[str, str] | None = None) -> None:
        """Answer one request so, before looking at it."""
        self._next.append((status, body, headers or {}))

    def hang_next(self) -> None:
        """Leave one request without an answer until the server stops."""
        self._next.append(None)

    def slow_next(self, after_s: float) -> None:
        """Take one request, and say so only after a while."""
        self._slow_by_s.append(after_s)

    @property
    def planned(self) -> int:
        """How many answers that were planned have not been given."""
        return len(self._next) + len(self._slow_by_s)

    def forget_plans(self) -> None:
        """Answer as usual from now on; who waits already goes on waiting."""
        self._next.clear()
        self._slow_by_s.clear()

    async def listen(self, *routes: web.RouteDef) -> None:
        """Answer these routes; after a `stop` on the same port again."""
        self._released.clear()
        app = web.Application(client_max_size=4 * 2**20)
        app.router.add_routes(routes)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Listen no more; whoever waits for an answer gets one."""
        self._released.set()
        if self._runner:
            await self._runner.cleanup()

    async def next_answer(self) -> Answer | None:
        """The one that is planned for this request, None where it is answered as usual."""
        if not self._next:
            return None
        planned = self._next.popleft()
        if planned is None:
            self.hanging.set()
            await self._released.wait()
            return 500, "", {}
        return planned

    async def be_slow(self) -> None:
        """Wait as long as is planned for this request."""
        await asyncio.sleep(self._slow_by_s.popleft() if self._slow_by_s else 0.0)

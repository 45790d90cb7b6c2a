"""An HTTP server that takes any JSON: what stands behind a generic webhook, and behind Apprise's `json://`."""

from typing import Self

from aiohttp import web

from tests.servers.planned import PlannedServer


class HookServer(PlannedServer):
    """`requests` holds every body that it took with its headers."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[tuple[bytes, dict[str, str]]] = []

    async def start(self) -> Self:
        """Listen."""
        await self.listen(web.post("/{path:.*}", self._post))
        return self

    async def _post(self, request: web.Request) -> web.Response:
        status, body, headers = await self.next_answer() or (200, "taken", {})
        if 200 <= status < 300:
            self.requests.append((await request.read(), dict(request.headers)))
            await self.be_slow()
        return web.Response(status=status, text=body, headers=headers)

"""What the local servers of APIs with history share: tokens, planned answers, and changes while somebody reads."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

from aiohttp import web

from tests.servers.planned import PlannedServer

BEGIN = datetime(2026, 3, 2, 6, tzinfo=UTC)
EVERY = timedelta(minutes=9)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiServer(PlannedServer):
    """Holds `runs`, each a dict that its kind of server shows; the newest last.

    Attributes:
        token: the environment variable's value that is accepted now.
        requests: paths with their queries, in order.
        before: called with the number of each request, from 1 on, before it is answered.
        alter: makes another body of each that is JSON.
    """

    NAME: ClassVar[str]
    PLACE: ClassVar[str]
    TOKEN: ClassVar[str] = "very-secret-token"
    PREFIX: ClassVar[str] = ""
    """Below the address that people give."""

    def __init__(self, runs: int = 0) -> None:
        super().__init__()
        self.token = self.TOKEN
        self.requests: list[str] = []
        self.before: Callable[[int], None] = lambda number: None
        self.date = ""
        """Its clock, if not that of this machine, as HTTP writes it."""
        self.alter: Callable[[bytes], bytes] | None = None
        self.runs: list[dict[str, Any]] = []
        self.by_id: dict[str, dict[str, Any]] = {}
        self.made = 0
        self.ends: list[int] = []
        """Of each run ever made, in order: the second of its end as Unix time, 0 while it runs."""
        for _ in range(runs):
            self.add()

    @property
    def url(self) -> str:
        """The address that a person gives."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> Self:
        """Listen."""
        routes = [web.get(self.PREFIX + path, self._guarded(handler)) for path, handler in self.routes().items()]
        await self.listen(*routes, web.get("/{rest:.*}", self._guarded(self._missing)))
        return self

    # -- of each server ------------------------------------------------------------------------------------------

    def routes(self) -> dict[str, Handler]:
        """Path below `PREFIX` -> handler."""
        raise NotImplementedError

    def is_allowed(self, request: web.Request) -> bool:
        """Whether the request has the token."""
        raise NotImplementedError

    def refusal(self, request: web.Request) -> web.Response:
        """For a request without it."""
        raise NotImplementedError

    def run(self, number: int, started_at: datetime, took_s: float, status: str) -> dict[str, Any]:
        """A run that has ended. `status` is `good`, `bad` or `running`."""
        raise NotImplementedError

    # -- the runs ------------------------------------------------------------------------------------------------

    def add(self, status: str = "") -> dict[str, Any]:
        """One more run; every seventh fails."""
        self.made += 1
        status = status or ("bad" if self.made % 7 == 0 else "good")
        started_at = BEGIN + self.made * EVERY
        took_s = 60.5 + self.made % 13
        made = self.run(self.made, started_at, took_s, status)
        self.ends.append(0 if status == "running" else int(started_at.timestamp() + took_s))
        self.runs.append(made)
        self.by_id[str(made.get("id"))] = made
        return made

    def remove(self, run: dict[str, Any]) -> None:
        """Delete a run."""
        self.runs.remove(run)
        self.by_id.pop(str(run.get("id")), None)

    def end(self) -> datetime:
        """After the last run."""
        return BEGIN + (self.made + 1) * EVERY

    # -- answering -----------------------------------------------------------------------------------------------

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.requests.append(request.path_qs)
            self.before(len(self.requests))
            planned = await self.next_answer()
            if planned is not None:
                status, body, headers = planned
                kind = "application/json" if body.startswith(("{", "[")) else "text/html"
                return web.Response(status=status, text=body, headers=headers, content_type=kind)
            if not self.is_allowed(request):
                return self.refusal(request)
            answer = await handler(request)
            if self.date:
                answer.headers["Date"] = self.date
            if self.alter and isinstance(answer, web.Response) and isinstance(answer.body, bytes):
                answer.body = self.alter(answer.body)
            return answer

        return answer

    async def _missing(self, _: web.Request) -> web.Response:
        return web.Response(status=404, text="<html>404 Not Found</html>", content_type="text/html")


def stamp(at: datetime, decimals: int = 3, zone: str = "Z") -> str:
    """A time as these APIs write it."""
    whole = at.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at.microsecond:06}0"[: len(whole) + 1 + decimals] + zone


def moment(text: str) -> datetime:
    """A time of a query."""
    found = datetime.fromisoformat(text)
    assert found.tzinfo is not None, text
    return found

"""An HTTP server that lists runs as GitHub's REST API does: filter by `created`, pages by `Link`, at most 1,000 runs.

Source: "List workflow runs for a repository", "Using pagination" and "Rate limits for the REST API" of GitHub's docs.
"""

import json
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Self
from urllib.parse import urlencode

from aiohttp import web

from tests.servers.github_runs import REPOSITORY
from tests.servers.planned import PlannedServer

TOKEN = "ghp_very_secret_token_of_a_test"
MOST_LISTED = 1_000


class GitHubServer(PlannedServer):
    """`runs` is what it has, newest first; a test may change it between two requests (`before`)."""

    def __init__(self, runs: Iterable[dict[str, Any]] = (), *, private: bool = False) -> None:
        super().__init__()
        self.runs = sorted(runs, key=lambda run: (run["created_at"], run["id"]), reverse=True)
        self.attempts: dict[tuple[int, int], dict[str, Any]] = {}
        self.private = private
        self.remaining = 5_000
        self.requests: list[str] = []
        """The path and query of each request that was answered as usual."""
        self.before: Callable[[int], None] = lambda number: None
        """Called before each listing is answered, with how many were."""
        self.clock_ahead_s = 0.0
        self.listed = 0

    @property
    def url(self) -> str:
        """The API's address."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> Self:
        """Listen."""
        runs = "/repos/{owner}/{repo}/actions/runs"
        await self.listen(
            web.get("/repos/{owner}/{repo}", self._repository),
            web.get(runs, self._list),
            web.get(runs + "/{id}/attempts/{attempt}", self._attempt),
        )
        return self

    async def _refusal(self, request: web.Request) -> web.Response | None:
        """What was planned, or what GitHub answers where the token is wrong or may not see the repository."""
        if planned := await self.next_answer():
            status, body, headers = planned
            kind = "application/json" if body.startswith("{") else "text/html"
            return web.Response(status=status, text=body, headers=self._dated(headers), content_type=kind)
        given = request.headers.get("Authorization")
        if given not in (None, f"Bearer {TOKEN}"):
            return self._answer({"message": "Bad credentials"}, 401)
        name = f"{request.match_info['owner']}/{request.match_info['repo']}"
        if name != REPOSITORY or (self.private and not given):
            return self._answer({"message": "Not Found"}, 404)
        if not self.remaining:
            return self._answer({"message": "API rate limit exceeded for user ID 1."}, 403)
        self.remaining -= 1
        self.requests.append(request.path_qs)
        return None

    def _answer(self, document: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
        limits = {"X-RateLimit-Remaining": str(self.remaining), "X-RateLimit-Reset": str(int(self._now_s()) + 30)}
        text = json.dumps(document)
        return web.Response(
            status=status, text=text, content_type="application/json", headers=self._dated(limits | (headers or {}))
        )

    def _dated(self, headers: dict[str, str]) -> dict[str, str]:
        stamp = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(self._now_s()))
        return {"Date": stamp} | headers

    def _now_s(self) -> float:
        return time.time() + self.clock_ahead_s

    async def _repository(self, request: web.Request) -> web.Response:
        refused = await self._refusal(request)
        return refused or self._answer({"id": 42, "full_name": REPOSITORY, "default_branch": "main"})

    async def _list(self, request: web.Request) -> web.Response:
        if refused := await self._refusal(request):
            return refused
        self.before(self.listed)
        self.listed += 1
        found = self.runs
        if created := request.query.get("created"):
            first, _, last = created.partition("..")
            since, until = datetime.fromisoformat(first), datetime.fromisoformat(last)
            found = [run for run in found if since <= datetime.fromisoformat(run["created_at"]) <= until]
        page, size = int(request.query.get("page", 1)), min(100, int(request.query.get("per_page", 30)))
        end = min(len(found), MOST_LISTED) if created else len(found)
        shown = found[(page - 1) * size : min(page * size, end)]
        headers = {}
        if page * size < end:
            query = urlencode(dict(request.query) | {"page": page + 1})
            headers["Link"] = f'<{self.url}{request.path}?{query}>; rel="next", <{self.url}{request.path}>; rel="first"'
        return self._answer({"total_count": len(found), "workflow_runs": shown}, 200, headers)

    async def _attempt(self, request: web.Request) -> web.Response:
        if refused := await self._refusal(request):
            return refused
        found = self.attempts.get((int(request.match_info["id"]), int(request.match_info["attempt"])))
        return self._answer(found) if found else self._answer({"message": "Not Found"}, 404)

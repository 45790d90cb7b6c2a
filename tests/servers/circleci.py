"""A server that answers as CircleCI's API v2 does: pipelines of a project, page by page, and each one's workflows."""

from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from tests.servers.api import ApiServer, Handler, stamp

_PER_PAGE = 20


class CircleCiServer(ApiServer):
    """One pipeline a run, with one workflow; every tenth has a second page of workflows, which is empty."""

    NAME, PLACE, PREFIX = "circleci", "gh/acme/shop", "/api/v2"

    def routes(self) -> dict[str, Handler]:
        return {"/project/gh/acme/shop/pipeline": self._pipelines, "/pipeline/{id}/workflow": self._workflows}

    def is_allowed(self, request: web.Request) -> bool:
        return request.headers.get("Circle-Token") == self.token

    def refusal(self, request: web.Request) -> web.Response:
        if "Circle-Token" not in request.headers:
            return web.json_response({"message": "Project not found"}, status=404)
        return web.json_response({"message": "Invalid token provided."}, status=401)

    def run(self, number: int, started_at: datetime, took_s: float, status: str) -> dict[str, Any]:
        ended = stamp(started_at + timedelta(seconds=took_s)) if status != "running" else None
        created = stamp(started_at)
        return {
            "id": f"ba5eba11-0000-4000-8000-{number:012}", "number": number, "state": "created", "errors": [],
            "project_slug": self.PLACE, "created_at": created, "updated_at": created,
            "trigger": {"type": "webhook", "received_at": created, "actor": {"login": "sam", "avatar_url": None}},
            "vcs": {"origin_repository_url": "https://github.com/acme/shop", "revision": f"{number:040x}",
                    "target_repository_url": "https://github.com/acme/shop", "branch": "main"},
            "workflow": {
                "pipeline_id": f"ba5eba11-0000-4000-8000-{number:012}", "name": "build", "project_slug": self.PLACE,
                "id": f"c0ffee00-0000-4000-8000-{number:012}", "pipeline_number": number, "started_by": "sam",
                "status": {"good": "success", "bad": "failed"}.get(status, status), "created_at": created,
                "stopped_at": ended,
            },
        }  # fmt: skip

    async def _pipelines(self, request: web.Request) -> web.Response:
        token = request.query.get("page-token", "")
        if token and not token.startswith("before-"):
            return web.json_response({"message": "Invalid page-token"}, status=400)
        before = int(token.removeprefix("before-")) if token else self.made + 1
        found = [run for run in reversed(self.runs) if run["number"] < before]
        shown = [{name: run[name] for name in run if name != "workflow"} for run in found[:_PER_PAGE]]
        more = f"before-{shown[-1]['number']}" if len(found) > _PER_PAGE else None
        return web.json_response({"items": shown, "next_page_token": more})

    async def _workflows(self, request: web.Request) -> web.Response:
        run = self.by_id.get(request.match_info["id"])
        if run is None:
            return web.json_response({"message": "Pipeline not found"}, status=404)
        more = "more" if run["number"] % 10 == 0 and "page-token" not in request.query else None
        items = [] if "page-token" in request.query else [run["workflow"]]
        return web.json_response({"items": items, "next_page_token": more})

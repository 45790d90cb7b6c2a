"""A server that answers as Azure DevOps' Build REST API does: builds in order of their end, 203 for a bad token."""

from base64 import b64encode
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from tests.servers.api import ApiServer, Handler, moment, stamp

_SIGN_IN = "<!DOCTYPE html><html><title>Azure DevOps Services | Sign In</title></html>"


class AzureServer(ApiServer):
    """The continuation token is the end of the next build, as the service's is."""

    NAME, PLACE = "azure", "acme/the shop"

    def routes(self) -> dict[str, Handler]:
        return {"/acme/the shop/_apis/build/builds": self._builds}

    def is_allowed(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Basic {b64encode(f':{self.token}'.encode()).decode()}"

    def refusal(self, request: web.Request) -> web.Response:
        if "Authorization" not in request.headers:
            to = "https://spsprodweu5.vssps.visualstudio.com/_signin?realm=dev.azure.com"
            return web.Response(status=302, headers={"Location": to})
        return web.Response(status=203, text=_SIGN_IN, content_type="text/html")

    def run(self, number: int, started_at: datetime, took_s: float, status: str) -> dict[str, Any]:
        ended_at = started_at + timedelta(seconds=took_s, microseconds=number)
        project = {"id": "3c4d5e6f-0000-4444-8888-aaaabbbbcccc", "name": "the shop"}
        running = status == "running"
        return {
            "_links": {"web": {"href": f"https://dev.azure.com/acme/the%20shop/_build/results?buildId={number}"}},
            "id": number, "buildNumber": f"20260302.{number}", "status": "inProgress" if running else "completed",
            "result": {"good": "succeeded", "bad": "failed"}.get(status),
            "queueTime": stamp(started_at - timedelta(seconds=5), 7), "startTime": stamp(started_at, 7),
            "finishTime": None if running else stamp(ended_at, 7),
            "url": f"https://dev.azure.com/acme/{project['id']}/_apis/build/Builds/{number}",
            "definition": {"id": 5, "name": "nightly", "path": "\\", "project": project}, "project": project,
            "sourceBranch": "refs/heads/main", "sourceVersion": f"{number:040x}",
            "reason": "schedule" if number % 4 == 0 else "individualCI", "logs": {"id": 0, "type": "Container"},
            "repository": {"id": "r", "type": "TfsGit", "name": "shop", "clean": None},
        }  # fmt: skip

    async def _builds(self, request: web.Request) -> web.Response:
        query = request.query
        assert query["queryOrder"] == "finishTimeAscending" and query["statusFilter"] == "completed"
        assert query["api-version"] == "6.0"
        begin = moment(query.get("continuationToken") or query["minTime"])
        found = [run for run in self.runs if run["status"] == "completed"]
        found = [run for run in found if begin <= moment(run["finishTime"]) <= moment(query["maxTime"])]
        found.sort(key=lambda run: moment(run["finishTime"]))
        most = int(query["$top"])
        headers = {"x-ms-continuationtoken": found[most]["finishTime"]} if len(found) > most else {}
        return web.json_response({"count": len(found[:most]), "value": found[:most]}, headers=headers)

"""A server that answers as Jenkins' remote API does: jobs in folders and a multibranch project, `tree` with ranges."""

import re
from base64 import b64encode
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

from aiohttp import web

from tests.servers.api import ApiServer, Handler

_RANGE = re.compile(r"allBuilds\[number,.*\]\{(\d+),(\d+)\}$")
_CAUSES = ("hudson.triggers.TimerTrigger$TimerTriggerCause", "hudson.model.Cause$UserIdCause")
_FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
_MULTIBRANCH = "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"
JOBS = ("acme/nightly", "acme/shop/feature%2Fcart", "acme/shop/main", "solo")


class JenkinsServer(ApiServer):
    """The builds belong to `JOBS` in turn; `acme/hidden` is a folder that the user may see and not read."""

    NAME, PLACE, TOKEN = "jenkins", "all", "sam:very-secret-token"
    PREFIX = "/jenkins"

    @property
    def url(self) -> str:
        return super().url + "/jenkins"

    def routes(self) -> dict[str, Handler]:
        return {"/{item:.*}api/json": self._item}

    def is_allowed(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Basic {b64encode(self.token.encode()).decode()}"

    def refusal(self, request: web.Request) -> web.Response:
        status = 401 if "Authorization" in request.headers else 403
        page = "<html><head><meta http-equiv='refresh' content='1;url=/login?from=%2F'/></head>Authentication required"
        return web.Response(status=status, text=page, content_type="text/html")

    def run(self, number: int, started_at: datetime, took_s: float, status: str) -> dict[str, Any]:
        job, build = JOBS[number % len(JOBS)], 1 + number // len(JOBS)
        path = "".join(f"/job/{quote(name, safe='')}" for name in job.split("/"))
        running = status == "running"
        return {
            "job": job, "_class": "org.jenkinsci.plugins.workflow.job.WorkflowRun",
            "actions": [{}, {"_class": "hudson.model.CauseAction", "causes": [{"_class": _CAUSES[number % 2]}]}],
            "building": running, "number": build, "duration": 0 if running else int(took_s * 1000),
            "result": {"good": "SUCCESS", "bad": "FAILURE"}.get(status),
            "timestamp": int(started_at.timestamp() * 1000), "url": f"https://ci.example{path}/{build}/",
        }  # fmt: skip

    async def _item(self, request: web.Request) -> web.Response:
        raw = request.raw_path.partition("?")[0].removeprefix("/jenkins/").removesuffix("api/json").rstrip("/")
        parts = raw.split("/") if raw else []
        if set(parts[::2]) - {"job"}:
            return await self._missing(request)
        item = "/".join(unquote(part) for part in parts[1::2])
        tree = request.query["tree"]
        if item == "acme/hidden":
            return web.Response(status=403, text="<html>403</html>", content_type="text/html")
        below = [job for job in JOBS if job.startswith(f"{item}/" if item else "")]
        if item in JOBS:
            if tree.startswith("jobs["):
                return web.json_response({"_class": "org.jenkinsci.plugins.workflow.job.WorkflowJob"})
            return web.json_response(self._builds(item, tree))
        if not below:
            return await self._missing(request)
        depth = len(item.split("/")) if item else 0
        names = sorted({job.split("/")[depth] for job in below} | ({"hidden"} if item == "acme" else set()))
        shown = []
        for name in names:
            path = f"{item}/{name}" if item else name
            shown.append({"_class": _FOLDER, "name": name} | ({} if path in JOBS else {"jobs": [{"name": "x"}]}))
        kind = _MULTIBRANCH if item == "acme/shop" else _FOLDER
        return web.json_response({"_class": kind, "jobs": shown})

    def _builds(self, job: str, tree: str) -> dict[str, Any]:
        asked = _RANGE.search(tree)
        assert asked, tree
        found = [run for run in reversed(self.runs) if run["job"] == job][int(asked[1]) : int(asked[2])]
        shown = [{name: run[name] for name in run if name != "job"} for run in found]
        return {"_class": "org.jenkinsci.plugins.workflow.job.WorkflowJob", "allBuilds": shown}

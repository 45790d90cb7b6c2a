"""A server that answers as GitLab's REST API does for the pipelines of one project in a sub-group."""

from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from tests.servers.api import ApiServer, Handler, moment, stamp

_LISTED = ("id", "iid", "project_id", "sha", "ref", "status", "source", "created_at", "updated_at", "web_url", "name")


class GitLabServer(ApiServer):
    """Of each pipeline the list has less than its own page."""

    NAME, PLACE, PREFIX = "gitlab", "bakery/bread/oven", "/api/v4"

    def routes(self) -> dict[str, Handler]:
        project = "/projects/3"
        return {
            "/projects/{place:bakery%2Fbread%2Foven}": self._project,
            "/projects/{place:bakery%2Fstove}": self._moved,
            project: self._project,
            f"{project}/pipelines": self._list,
            f"{project}/pipelines/{{number}}": self._one,
            f"{project}/pipelines/{{number}}/jobs": self._jobs,
        }

    def is_allowed(self, request: web.Request) -> bool:
        return request.headers.get("PRIVATE-TOKEN") == self.token

    def refusal(self, request: web.Request) -> web.Response:
        if "PRIVATE-TOKEN" not in request.headers:
            return web.json_response({"message": "404 Project Not Found"}, status=404)
        return web.json_response({"message": "401 Unauthorized"}, status=401)

    def run(self, number: int, started_at: datetime, took_s: float, status: str) -> dict[str, Any]:
        ended_at = started_at + timedelta(seconds=took_s)
        running = status == "running"
        return {
            "id": 4000 + number, "iid": number, "project_id": 3, "sha": f"{number:040x}",
            "ref": "trunk" if number % 3 else "crumbs", "tag": False, "name": None if number % 16 else "Pastry",
            "status": {"good": "success", "bad": "failed"}.get(status, status),
            "source": "parent_pipeline" if number % 8 == 0 else "schedule" if number % 5 == 0 else "push",
            "created_at": stamp(started_at - timedelta(seconds=4)), "started_at": stamp(started_at),
            "updated_at": stamp(ended_at + timedelta(microseconds=150_400)),
            "finished_at": None if running else stamp(ended_at), "duration": None if running else int(took_s),
            "queued_duration": 4, "yaml_errors": None, "coverage": None, "user": {"username": "sam"},
            "web_url": f"{self.url}/bakery/bread/oven/-/pipelines/{4000 + number}",
            "detailed_status": {"text": status},
        }  # fmt: skip

    def retry(self, run: dict[str, Any], ended_at: datetime) -> None:
        """The jobs that failed are run again: it ends anew, and moves in lists that are in order of changes."""
        run |= {"status": "success", "finished_at": stamp(ended_at), "updated_at": stamp(ended_at)}

    async def _project(self, _: web.Request) -> web.Response:
        project = {"id": 3, "path_with_namespace": "bakery/bread/oven", "default_branch": "trunk"}
        return web.json_response(project)

    async def _moved(self, _: web.Request) -> web.Response:
        return web.Response(status=301, headers={"Location": f"{self.url}/api/v4/projects/3"})

    async def _list(self, request: web.Request) -> web.Response:
        assert request.query["order_by"] == "updated_at" and request.query["sort"] == "asc"
        after = moment(request.query["updated_after"])
        children = request.query.get("source") == "parent_pipeline"  # without it, the list has none of them
        found = [run for run in self.runs if (run["source"] == "parent_pipeline") == children]
        found = [run for run in found if moment(run["updated_at"]) > after]
        found.sort(key=lambda run: (moment(run["updated_at"]), -run["id"]))
        page, per_page = int(request.query["page"]), min(int(request.query["per_page"]), 100)
        shown = found[(page - 1) * per_page : page * per_page]
        headers = {"RateLimit-Limit": "2000", "RateLimit-Remaining": "1990", "RateLimit-Reset": "1900000000"}
        if len(found) <= 10_000:
            headers["X-Total"] = str(len(found))
        if page * per_page < len(found):
            headers["Link"] = f'<https://gitlab.example{request.path}?page={page + 1}>; rel="next"'
        return web.json_response([{name: run[name] for name in _LISTED} for run in shown], headers=headers)

    async def _one(self, request: web.Request) -> web.Response:
        run = self.by_id.get(request.match_info["number"])
        if run is None:
            return web.json_response({"message": "404 Not found"}, status=404)
        return web.json_response(run)

    async def _jobs(self, request: web.Request) -> web.Response:
        assert request.match_info["number"] in self.by_id and request.query["include_retried"] == "true"
        jobs = [(9, "bake"), (7, "taste"), (5, "bake"), (4, "bake")]  # the newest first; bake was retried
        page = int(request.query.get("page", "1"))
        shown = [{"id": number, "name": stage, "stage": stage} for number, stage in jobs[2 * page - 2 : 2 * page]]
        following = f"https://gitlab.example{request.rel_url.raw_path}?include_retried=true&page={page + 1}"
        return web.json_response(shown, headers={"Link": f'<{following}>; rel="next"'} if page == 1 else {})

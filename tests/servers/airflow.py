"""A server that answers as Airflow's stable REST API does, of version 1 (Airflow 2) or 2 (Airflow 3)."""

from base64 import b64encode
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from tests.servers.api import ApiServer, Handler, moment, stamp

DAGS = ("orders_hourly", "reports.daily", "clean-up")


class AirflowServer(ApiServer):
    """Args: `version` is that of the API; `most` is `maximum_page_limit`."""

    NAME, PLACE = "airflow", "~"

    def __init__(self, runs: int = 0, version: int = 2, most: int = 100) -> None:
        self.version, self.most = version, most
        super().__init__(runs)

    def routes(self) -> dict[str, Handler]:
        below = f"/api/v{self.version}"
        return {f"{below}/version": self._version, f"{below}/dags/{{dag}}/dagRuns": self._runs}

    def is_allowed(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "")
        basic = f"Basic {b64encode(self.token.encode()).decode()}"
        return request.path.endswith("/version") or given == (basic if ":" in self.token else f"Bearer {self.token}")

    def refusal(self, request: web.Request) -> web.Response:
        if self.version == 1:
            return web.json_response({"status": 401, "title": "Unauthorized", "detail": None}, status=401)
        return web.json_response({"detail": "Invalid JWT token"}, status=401)

    def run(self, number: int, started_at: datetime, took_s: float, status: str) -> dict[str, Any]:
        running = status == "running"
        dag, kind = DAGS[number % len(DAGS)], "manual" if number % 5 == 0 else "scheduled"
        return {
            "dag_id": dag, "dag_run_id": f"{kind}__{started_at.isoformat()}", "run_type": kind,
            "logical_date": started_at.isoformat(), "start_date": stamp(started_at, 6, "+00:00"),
            "end_date": None if running else stamp(started_at + timedelta(seconds=took_s), 6, "+00:00"),
            "state": {"good": "success", "bad": "failed"}.get(status, status), "conf": {}, "note": None,
        }  # fmt: skip

    def clear(self, run: dict[str, Any]) -> None:
        """It runs again: until it ends, lists of what has ended do not have it."""
        run |= {"state": "running", "end_date": None}

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "3.1.0" if self.version == 2 else "2.10.5", "git_version": None})

    async def _runs(self, request: web.Request) -> web.Response:
        query, dag = request.query, request.match_info["dag"]
        assert query["order_by"] == "end_date"
        if dag not in (*DAGS, "~"):
            return web.json_response({"detail": f"The DAG with ID: `{dag}` was not found"}, status=404)
        first, last = moment(query["end_date_gte"]), moment(query["end_date_lte"])
        asked = [run for run in self.runs if dag in ("~", run["dag_id"])]
        found = [run for run in asked if run["end_date"] and first <= moment(run["end_date"]) <= last]
        found.sort(key=lambda run: moment(run["end_date"]))
        if self.version == 2:  # to its filters a run that goes on ends now; in the order it is the last
            found += [run for run in asked if run["end_date"] is None]
        offset, limit = int(query["offset"]), min(int(query["limit"]), self.most)
        return web.json_response({"dag_runs": found[offset : offset + limit], "total_entries": len(found)})

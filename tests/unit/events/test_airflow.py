"""X20: Airflow's DAG runs become executions, one by one, from a list, and as a listener sends them."""

import json
import sys
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion
from stream_detector.events.sources import airflow
from tests.unit.events.samples_of_sources import REMOVED, changed, ignored, loaded, only_event

PAYLOAD, LISTENER = loaded("airflow_dag_run"), loaded("airflow_listener")
CASE = {
    "dag_id": "etl",
    "dag_run_id": "scheduled__2026-11-20",
    "start_date": "2026-11-20T00:00:01.123456+00:00",
    "end_date": "2026-11-20T00:05:00.1+00:00",
    "state": "success",
    "run_type": "scheduled",
}


def read(payload: Any) -> Completion:
    return only_event(airflow.SOURCE, payload)


def test_x20_a_dag_run_is_an_execution() -> None:
    event = read(CASE)
    assert (event.execution_id, event.workflow_id) == ("airflow:etl:scheduled__2026-11-20.1795133100", "airflow:etl")
    assert event.status == "success" and event.duration_s == pytest.approx(298.976544)
    assert event.finished_at == datetime(2026, 11, 20, 0, 5, 0, 100000, tzinfo=UTC)
    assert (event.variant, event.labels) == ("schedule", {"trigger": "scheduled"})


def test_x20_a_listener_sends_run_id_and_times_with_a_blank() -> None:
    event = read(LISTENER)
    assert event.execution_id == "airflow:orders_hourly:manual__2026-01-22T00:02:00+00:00.1769040360"
    assert (event.status, event.duration_s, event.variant) == ("success", 239.5, "manual")
    del LISTENER["run_type"]
    assert read(LISTENER).variant == "manual"


def test_x20_a_list_has_each_run_that_ended() -> None:
    running = PAYLOAD | {"dag_run_id": "b", "state": "running", "end_date": None}
    odd = PAYLOAD | {"dag_run_id": "c", "state": "exploded"}
    runs = {"dag_runs": [PAYLOAD, running, odd, LISTENER | {"dag_run_id": "d"}], "total_entries": 4}
    reading = airflow.read(json.dumps(runs).encode())
    assert [event.status for event in reading.events if isinstance(event, Completion)] == ["failure", "success"]
    assert [error.reason for error in reading.refused] == ["unknown_value"]
    assert "none of the DAG runs" in ignored(airflow.SOURCE, runs | {"dag_runs": [running | {"state": "queued"}]})


@pytest.mark.parametrize("state", ["queued", "restarting"])
def test_x20_what_has_not_ended_or_is_a_task_is_no_execution(state: str) -> None:
    assert "not ended" in ignored(airflow.SOURCE, PAYLOAD | {"state": state, "end_date": None})
    assert "task instance" in ignored(airflow.SOURCE, PAYLOAD | {"task_id": "load", "state": "upstream_failed"})


def test_x20_a_run_that_is_cleared_and_ends_again_is_another_execution() -> None:
    assert read(PAYLOAD | {"note": "looked at"}).execution_id == read(PAYLOAD).execution_id
    assert read(PAYLOAD | {"end_date": "2026-01-22T09:00:00Z"}).execution_id != read(PAYLOAD).execution_id
    queued = read(PAYLOAD | {"start_date": None})
    assert queued.duration_s is None and queued.started_at == queued.finished_at


def test_x20_ids_as_long_as_airflow_allows_stay_distinct() -> None:
    first, second = (read(PAYLOAD | {"dag_id": "d" * 250, "dag_run_id": "r" * 249 + end}) for end in "ab")
    assert first.execution_id != second.execution_id and len(first.execution_id) == 256


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("state", "exploded", "unknown_value"),
        ("end_date", REMOVED, "missing_field"),
        ("end_date", "2026-01-22T00:05:00", "bad_time"),
        ("dag_run_id", None, "missing_field"),
        ("dag_id", 5, "wrong_type"),
    ],
)
def test_x20_what_identifies_no_run_is_refused(place: str, value: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        airflow.read(changed(PAYLOAD, place, value))
    assert refused.value.reason == reason
    assert "Airflow's REST API" in refused.value.message or reason == "unknown_value"


def test_x20_the_listener_of_the_documentation_sends_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "sources.md").read_text("utf-8")
    code = page.partition("## Apache Airflow")[2].partition("```python\n")[2].partition("```")[0]
    received: list[tuple[str | None, bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.headers["Authorization"], self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    for name, members in (
        ("listeners", {"hookimpl": lambda hook: hook}),
        ("plugins_manager", {"AirflowPlugin": object}),
    ):
        monkeypatch.setitem(sys.modules, "airflow", ModuleType("airflow"))
        module = ModuleType(f"airflow.{name}")
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        monkeypatch.setenv("STREAM_DETECTOR_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("STREAM_DETECTOR_AIRFLOW_WEBHOOK_TOKEN", "the token")
        plugin: dict[str, Any] = {}
        exec(compile(code, "docs/sources.md", "exec"), plugin)
        times = {name: datetime.fromisoformat(PAYLOAD[name]) for name in ("start_date", "end_date")}
        run = SimpleNamespace(dag_id="etl", run_id="scheduled__1", run_type="scheduled", state="failed", **times)
        (listener,) = plugin["StreamDetectorPlugin"].listeners
        listener.on_dag_run_failed(run, "a task failed")
        thread.join()
    ((authorization, body),) = received
    assert authorization == "Bearer the token"
    event = read(body)
    assert (event.workflow_id, event.status, event.duration_s) == ("airflow:etl", "failure", 299.5)

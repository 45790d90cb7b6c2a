"""X20: OpenLineage's run events become executions of their jobs."""

from datetime import UTC, datetime
from typing import Any

import pytest

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion
from stream_detector.events.sources import openlineage
from tests.unit.events.samples_of_sources import changed, ignored, loaded, only_event

PAYLOAD = loaded("openlineage_run_event")
CASE = {
    "eventType": "COMPLETE",
    "eventTime": "2026-11-20T00:05:00.000Z",
    "run": {"runId": "0176a8c2-fe01-7439-87e6-56a1a1b4029f"},
    "job": {"namespace": "prod", "name": "etl.load"},
    "inputs": [],
    "outputs": [],
    "producer": "https://producer.example",
    "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json",
}


def read(payload: Any) -> Completion:
    return only_event(openlineage.SOURCE, payload)


def test_x20_the_end_of_a_run_is_an_execution_without_a_duration() -> None:
    event = read(CASE)
    assert event.execution_id == "openlineage:0176a8c2-fe01-7439-87e6-56a1a1b4029f"
    assert (event.workflow_id, event.workflow_name) == ("openlineage:prod:etl.load", "etl.load")
    assert event.started_at == event.finished_at == datetime(2026, 11, 20, 0, 5, tzinfo=UTC)
    assert (event.status, event.duration_s, event.variant) == ("success", None, None)


def test_x20_facets_give_labels() -> None:
    event = read(PAYLOAD)
    assert event.status == "failure"
    assert event.labels == {"namespace": "prod", "parent": "orders", "integration": "AIRFLOW"}


@pytest.mark.parametrize("kind", sorted(openlineage.STATUS))
def test_x20_each_end_has_its_status(kind: str) -> None:
    assert read(CASE | {"eventType": kind}).status == openlineage.STATUS[kind]


@pytest.mark.parametrize("kind", ["RUNNING", "OTHER", None])
def test_x20_what_ends_no_run_is_no_execution(kind: str | None) -> None:
    assert "not ended" in ignored(openlineage.SOURCE, CASE | {"eventType": kind})
    job = {name: value for name, value in CASE.items() if name not in ("run", "eventType")}
    assert "only run events" in ignored(openlineage.SOURCE, job)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("eventType", "EXPLODED", "unknown_value"),
        ("eventTime", None, "missing_field"),
        ("job.name", 5, "wrong_type"),
        ("run.runId", "", "missing_field"),
    ],
)
def test_x20_what_identifies_no_run_is_refused(place: str, value: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        openlineage.read(changed(PAYLOAD, place, value))
    assert refused.value.reason == reason
    assert "OpenLineage run events" in refused.value.message or reason == "unknown_value"

"""X20: CDEvents of runs that have finished become executions, bare and as CloudEvents."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion
from stream_detector.events.decode import decode_completion
from stream_detector.events.sources import cdevents
from tests.unit.events.samples_of_sources import REMOVED, changed, ignored, loaded, only_event

PIPELINE, TASK = loaded("cdevents_pipelinerun_finished"), loaded("cdevents_taskrun_finished")
CASE = {
    "context": {
        "specversion": "0.5.0", "id": "2710", "source": "/ci",
        "type": "dev.cdevents.pipelinerun.finished.0.3.0", "timestamp": "2026-11-20T00:05:00Z",
    },
    "subject": {
        "id": "/ci/run/1", "content": {"pipelineName": "nightly", "outcome": "failure", "errors": "boom"},
    },
}  # fmt: skip


def read(payload: Any) -> Completion:
    return only_event(cdevents.SOURCE, payload)


def test_x20_a_finished_pipeline_run_is_an_execution_without_a_duration() -> None:
    event = read(CASE)
    assert (event.execution_id, event.workflow_id) == ("cdevents:/ci:/ci/run/1", "cdevents:/ci:nightly")
    assert (event.workflow_name, event.status, event.duration_s) == ("nightly", "failure", None)
    assert event.started_at == event.finished_at == datetime(2026, 11, 20, 0, 5, tzinfo=UTC)
    own = read(PIPELINE)
    assert own.workflow_id == "cdevents:/ci/tekton/prod:release" and own.url == PIPELINE["subject"]["content"]["uri"]


def test_x20_a_timestamp_in_milliseconds_is_read_as_harness_sends_it() -> None:
    assert read(changed(CASE, "context.timestamp", "1795133100000")) == read(CASE)
    for odd in ("1795133100", "9" * 30, "9" * 13, "9" * 5000, "٣" * 13):
        with pytest.raises(RefusedError):
            cdevents.read(changed(CASE, "context.timestamp", odd))


def test_x20_a_task_is_not_the_pipeline_of_the_same_name() -> None:
    event = read(TASK)
    assert (event.workflow_id, event.status) == ("cdevents:/ci/tekton:task:compile", "cancellation")
    assert event.labels["pipeline_run"] == "release-run-1234" and event.url == "https://ci.example.org/tasks/77"


@pytest.mark.parametrize("outcome", sorted(cdevents.STATUS))
def test_x20_each_outcome_has_its_status(outcome: str) -> None:
    assert read(changed(PIPELINE, "subject.content.outcome", outcome)).status == cdevents.STATUS[outcome]


def test_x20_an_event_in_a_cloudevent_is_the_same() -> None:
    envelope = {"specversion": "1.0", "id": "1", "source": "/ci", "type": PIPELINE["context"]["type"], "data": PIPELINE}
    assert cdevents.read(json.dumps(envelope).encode()).events == [read(PIPELINE)]
    named = replace(read(PIPELINE), source="cdevents")
    assert decode_completion(json.dumps(envelope).encode(), [], -1) == named
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/ci"), ("ce_type", b"dev.cdevents.x")]
    assert decode_completion(json.dumps(PIPELINE).encode(), headers, -1) == named


@pytest.mark.parametrize("kind", ["pipelinerun.queued.0.3.0", "testsuiterun.finished.0.2.0", "artifact.packaged.0.2.0"])
def test_x20_another_event_is_no_execution(kind: str) -> None:
    assert "only" in ignored(cdevents.SOURCE, changed(PIPELINE, "context.type", f"dev.cdevents.{kind}"))


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("subject.content.outcome", "exploded", "unknown_value"),
        ("subject.content.outcome", REMOVED, "missing_field"),
        ("subject.content.pipelineName", None, "missing_field"),
        ("subject.id", 5, "wrong_type"),
        ("context.timestamp", "2026-01-22", "bad_time"),
    ],
)
def test_x20_what_identifies_no_run_is_refused(place: str, value: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        cdevents.read(changed(PIPELINE, place, value))
    assert refused.value.reason == reason
    assert "pipelinerun.finished" in refused.value.message or reason == "unknown_value"

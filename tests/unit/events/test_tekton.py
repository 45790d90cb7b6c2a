"""X20: Tekton's finished runs become executions, as resources and as its CloudEvents have them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion
from stream_detector.events.sources import tekton
from tests.unit.events.samples_of_sources import REMOVED, changed, ignored, loaded, only_event

PIPELINE, TASK = loaded("tekton_pipeline_run"), loaded("tekton_task_run_event")


def read(payload: Any) -> Completion:
    return only_event(tekton.SOURCE, payload)


def test_x20_a_finished_pipeline_run_is_an_execution() -> None:
    event = read(PIPELINE)
    assert event.execution_id == "tekton:62c3b02e-0000-416c-9771-c02af518f6d4"
    assert (event.workflow_id, event.status, event.duration_s) == ("tekton:ci/release", "failure", 240.0)
    assert event.finished_at == datetime(2026, 1, 22, 0, 5, tzinfo=UTC)
    assert event.labels == {"namespace": "ci", "trigger": "github-push"}
    assert read({"pipelineRun": {name: PIPELINE[name] for name in ("metadata", "spec", "status")}}) == event


def test_x20_a_task_run_of_an_event_is_not_the_pipeline_of_the_same_name() -> None:
    event = read(TASK)
    assert (event.workflow_id, event.status, event.duration_s) == ("tekton:ci/task:compile", "timeout", 90.0)
    assert event.labels["pipeline_run"] == "release-run-x7k2p"


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("True", "Succeeded", "success"),
        ("True", "Completed", "success"),
        ("False", "Failed", "failure"),
        ("False", "CouldntGetTask", "failure"),
        ("False", "PipelineRunTimeout", "timeout"),
        ("False", "Cancelled", "cancellation"),
        ("False", "StoppedRunFinally", "cancellation"),
        ("True", "Cancelled", "success"),
    ],
)
def test_x20_condition_and_reason_make_the_status(status: str, reason: str, expected: str) -> None:
    condition = {"type": "Succeeded", "status": status, "reason": reason}
    assert read(changed(PIPELINE, "status.conditions", [{"type": "Other"}, condition])).status == expected


def test_x20_what_has_not_finished_is_no_execution() -> None:
    assert "not finished" in ignored(tekton.SOURCE, PIPELINE | {"status": {}})
    assert "only PipelineRuns" in ignored(tekton.SOURCE, PIPELINE | {"kind": "Pipeline"})


def test_x20_a_list_has_each_run_that_finished() -> None:
    running = json.loads(changed(PIPELINE, "status.conditions.0.status", "Unknown"))
    runs = {"apiVersion": "tekton.dev/v1", "kind": "PipelineRunList", "items": [PIPELINE, running]}
    assert read(runs) == read(PIPELINE)


def test_x20_without_a_pipeline_the_generated_name_is_the_workflow() -> None:
    payload = json.loads(changed(PIPELINE, "metadata.labels", REMOVED))
    assert read(payload | {"spec": {}}).workflow_id == "tekton:ci/release-run"


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("status.conditions.0.status", "Maybe", "unknown_value"),
        ("status.completionTime", None, "missing_field"),
        ("metadata.uid", 5, "wrong_type"),
    ],
)
def test_x20_what_identifies_no_run_is_refused(place: str, value: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        tekton.read(changed(PIPELINE, place, value))
    assert refused.value.reason == reason
    assert "Tekton's CloudEvents" in refused.value.message or reason == "unknown_value"

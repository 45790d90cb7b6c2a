"""X20: Argo's finished workflows become executions with their pods as steps."""

import json
from typing import Any

import pytest

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion, Step
from stream_detector.events.sources import argo
from tests.unit.events.samples_of_sources import REMOVED, changed, ignored, loaded, only_event

PAYLOAD = loaded("argo_workflow")


def read(payload: Any) -> Completion:
    return only_event(argo.SOURCE, payload)


def test_x20_a_finished_workflow_is_an_execution_with_its_pods_in_their_order() -> None:
    event = read(PAYLOAD)
    assert event.execution_id == "argo:84e5d240-0000-416c-9771-c02af518f6d4.1769040300"
    assert (event.workflow_id, event.status, event.duration_s) == ("argo:data/orders", "success", 300.0)
    assert event.steps == [Step("extract", "success", 105.0), Step("load", "success", 170.0)]
    assert (event.variant, event.labels) == ("schedule", {"namespace": "data", "template": "orders-template"})


def test_x20_the_workflow_is_that_of_the_cron_the_template_or_the_generated_name() -> None:
    by_template = json.loads(changed(PAYLOAD, "metadata.labels", REMOVED))
    assert (read(by_template).workflow_id, read(by_template).variant) == ("argo:data/orders-template", None)
    assert read(by_template | {"spec": {}}).workflow_id == "argo:data/orders"


@pytest.mark.parametrize("phase", sorted(argo.STATUS))
def test_x20_each_phase_has_its_status(phase: str) -> None:
    assert read(changed(PAYLOAD, "status.phase", phase)).status == argo.STATUS[phase]


@pytest.mark.parametrize("phase", ["Pending", "", None])
def test_x20_what_has_not_finished_is_no_execution(phase: str | None) -> None:
    assert "not finished" in ignored(argo.SOURCE, changed(PAYLOAD, "status.phase", phase))
    assert "only a Workflow" in ignored(argo.SOURCE, PAYLOAD | {"kind": "CronWorkflow"})


def test_x20_a_retry_is_another_execution_and_a_list_has_each() -> None:
    retried = json.loads(changed(PAYLOAD, "status.finishedAt", "2026-01-22T01:00:00Z"))
    assert read(retried).execution_id != read(PAYLOAD).execution_id
    listed = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowList", "metadata": {}, "items": [PAYLOAD, retried]}
    assert argo.read(json.dumps(listed).encode()).events == [read(PAYLOAD), read(retried)]


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("status.phase", "Exploded", "unknown_value"),
        ("status.finishedAt", None, "missing_field"),
        ("metadata.uid", [], "wrong_type"),
    ],
)
def test_x20_what_identifies_no_workflow_is_refused(place: str, value: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        argo.read(changed(PAYLOAD, place, value))
    assert refused.value.reason == reason
    assert "kubectl get workflow" in refused.value.message or reason == "unknown_value"

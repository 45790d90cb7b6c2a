"""X20: CircleCI's completed workflows become executions."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion
from stream_detector.events.sources import circleci, find_source
from tests.unit.events.samples_of_sources import REMOVED, changed, ignored, loaded, only_event

PAYLOAD, OF_GITLAB = loaded("circleci_workflow_completed"), loaded("circleci_workflow_completed_gitlab")
CASE = {
    "type": "workflow-completed",
    "id": "d-1",
    "happened_at": "2026-11-18T18:44:38.000100Z",
    "webhook": {"id": "w", "name": ""},
    "workflow": {
        "id": "7acc", "name": "build", "created_at": "2026-11-18T18:44:20.682Z",
        "stopped_at": "2026-11-18T18:44:37.867Z", "url": "", "status": "success",
    },
    "pipeline": {"id": "5c82", "number": 5, "vcs": {"branch": "main", "revision": "9e2e"}},
    "project": {"id": "p", "name": "shop", "slug": "gh/acme/shop"},
}  # fmt: skip


def read(payload: Any) -> Completion:
    return only_event(circleci.SOURCE, payload)


def test_x20_a_completed_workflow_is_an_execution() -> None:
    event = read(CASE)
    assert (event.execution_id, event.workflow_id) == ("circleci:7acc", "circleci:github/acme/shop:build")
    assert (event.workflow_name, event.status, event.duration_s) == ("build", "success", 17.185)
    assert event.finished_at == datetime(2026, 11, 18, 18, 44, 37, 867000, tzinfo=UTC)
    assert event.labels == {"repository": "github/acme/shop", "branch": "main", "commit": "9e2e"}


def test_x20_labels_and_variant_are_those_that_the_payload_proves() -> None:
    event = read(PAYLOAD)
    assert (event.status, event.variant, event.url) == ("failure", None, PAYLOAD["workflow"]["url"])
    assert event.labels["repository"] == "acme/shop" and event.labels["trigger"] == "webhook"
    scheduled = read(OF_GITLAB)
    assert (scheduled.variant, scheduled.labels["branch"]) == ("schedule", "main")
    assert scheduled.labels["commit"] == "850a1519f25d14e968649cc420d1bd381715c05c"
    tagged = read(changed(PAYLOAD, "pipeline.vcs", PAYLOAD["pipeline"]["vcs"] | {"branch": None, "tag": "v2"}))
    assert (tagged.variant, tagged.labels["tag"]) == ("tag", "v2") and "branch" not in tagged.labels
    fork = read(changed(PAYLOAD, "pipeline.vcs.origin_repository_url", "https://github.com/sam/shop"))
    assert (fork.variant, fork.labels["branch"]) == ("pull request", "sam:main")


@pytest.mark.parametrize("status", sorted(circleci.STATUS))
def test_x20_each_status_has_ours(status: str) -> None:
    assert read(changed(PAYLOAD, "workflow.status", status)).status == circleci.STATUS[status]


def test_x20_a_job_and_a_workflow_that_goes_on_are_no_executions() -> None:
    assert "Workflow Completed" in ignored(circleci.SOURCE, PAYLOAD | {"type": "job-completed", "job": {"id": "1"}})
    assert "not ended" in ignored(circleci.SOURCE, changed(PAYLOAD, "workflow.status", "on_hold"))


def test_x20_a_delivery_that_is_sent_again_is_the_same_and_a_rerun_is_not() -> None:
    assert read(PAYLOAD | {"id": "another", "happened_at": "2026-01-22T01:00:00Z"}) == read(PAYLOAD)
    assert read(changed(PAYLOAD, "workflow.id", "rerun")).execution_id != read(PAYLOAD).execution_id
    late = read(changed(PAYLOAD, "workflow.stopped_at", REMOVED))
    assert late.finished_at == datetime(2026, 1, 22, 0, 5, 1, 317000, tzinfo=UTC)


def test_x20_a_name_longer_than_a_label_may_be_is_cut_there() -> None:
    payload = json.loads(changed(OF_GITLAB, "project", {"id": "p" * 600}))
    assert len(read(payload).labels["repository"]) == 512 and len(read(payload).workflow_id) == 256


def test_x20_the_signature_is_the_newest_that_is_known() -> None:
    verification = circleci.SOURCE.webhook and circleci.SOURCE.webhook.verification
    assert verification is not None
    # The example of CircleCI's documentation.
    known = "v1=734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a"
    for given in (known, f"{known},v2=abc", f"v0=1,{known}"):
        assert verification.is_authentic("secret", {"circleci-signature": given}, b"hello world")
        assert not verification.is_authentic("secret", {"circleci-signature": given}, b"hello there")
    for given in ("", "v1=", f"xv1={known[3:]}", known[3:], known.upper()):
        assert not verification.may_be_authentic("secret", {"circleci-signature": given})


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("workflow.status", "exploded", "unknown_value"),
        ("workflow.id", REMOVED, "missing_field"),
        ("workflow.name", 5, "wrong_type"),
        ("workflow", None, "missing_field"),
    ],
)
def test_x20_what_identifies_no_workflow_is_refused(place: str, value: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        circleci.read(changed(PAYLOAD, place, value))
    assert refused.value.reason == reason
    assert "Workflow Completed" in refused.value.message or reason == "unknown_value"


def test_x22_a_workflow_of_the_api_is_the_execution_of_the_webhook() -> None:
    webhook, api = read(PAYLOAD), read(loaded("circleci_workflow_of_rest"))
    assert api == msgspec.structs.replace(webhook, url=None)
    listed = read(loaded("circleci_workflows_of_rest"))
    assert (listed.execution_id, listed.labels) == (api.execution_id, {"repository": "github/acme/shop"})


@pytest.mark.parametrize(("slug", "project"), [("bb/a/b", "bitbucket/a/b"), ("circleci/O/P", "circleci/O/P")])
def test_x22_a_shortened_slug_is_that_of_the_webhooks(slug: str, project: str) -> None:
    assert read(loaded("circleci_workflow_of_rest") | {"project_slug": slug}).workflow_id.split(":")[1] == project
    running = loaded("circleci_workflow_of_rest") | {"status": "on_hold", "stopped_at": None}
    assert "not ended" in ignored(circleci.SOURCE, running)


def test_x22_an_empty_page_holds_nothing_and_a_list_of_pipelines_is_refused_with_what_to_send() -> None:
    assert "none of the workflows" in ignored(circleci.SOURCE, {"items": [], "next_page_token": None})
    pipelines = {"items": [loaded("circleci_workflow_of_rest")["pipeline"]], "next_page_token": None}
    assert find_source(json.dumps(pipelines).encode()) is circleci.SOURCE
    (refused,) = circleci.read(json.dumps(pipelines).encode()).refused
    assert "name is missing" in refused.message and "workflows as the API v2" in refused.message

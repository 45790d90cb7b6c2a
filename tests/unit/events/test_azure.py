"""X20: Azure DevOps' completed builds become executions."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion
from stream_detector.events.sources import azure
from tests.unit.events.samples_of_sources import REMOVED, changed, ignored, loaded, only_event

PAYLOAD, VERSION_1 = loaded("azure_build_complete"), loaded("azure_build_complete_1_0")
CASE = {
    "eventType": "build.complete",
    "resource": {
        "id": 12, "buildNumber": "20261120.1", "status": "completed", "result": "succeeded",
        "startTime": "2026-11-20T06:22:32.8097789Z", "finishTime": "2026-11-20T06:23:04.0061884Z",
        "definition": {"id": 5, "name": "nightly"}, "sourceBranch": "refs/heads/main",
    },
}  # fmt: skip


def read(payload: Any) -> Completion:
    return only_event(azure.SOURCE, payload)


def test_x20_a_completed_build_is_an_execution() -> None:
    event = read(CASE)
    assert (event.execution_id, event.workflow_id) == ("azure:12.1795155784", "azure:nightly")
    assert event.status == "success" and event.duration_s == pytest.approx(31.196, abs=0.001)
    assert event.finished_at == datetime(2026, 11, 20, 6, 23, 4, 6188, tzinfo=UTC)
    assert event.labels == {"branch": "main"}


def test_x20_organisation_project_and_folder_are_part_of_the_workflow() -> None:
    event = read(PAYLOAD)
    assert (event.workflow_id, event.workflow_name) == ("azure:acme/shop/web/release", "release")
    assert event.execution_id.startswith("azure:acme/shop/2727.")
    assert (event.status, event.variant, event.labels["trigger"]) == ("failure", None, "individualCI")
    assert event.url == "https://dev.azure.com/acme/shop/_build/results?buildId=2727"


def test_x20_version_1_has_the_result_in_its_status() -> None:
    event = read(VERSION_1)
    assert (event.status, event.variant, event.duration_s) == ("cancellation", "manual", 70.33)
    assert event.workflow_id == "azure:acme/71777fbc-0000-4bd1-8513-40138a8e5e0f/ConsumerApp"


@pytest.mark.parametrize(
    ("changes", "variant"),
    [
        ({"reason": "schedule"}, "schedule"),
        ({"reason": "pullRequest"}, "pull request"),
        ({"sourceBranch": "refs/pull/7/merge"}, "pull request"),
        ({"sourceBranch": "refs/tags/v2"}, "tag"),
        ({"reason": "manual"}, "manual"),
        ({"repository": {"defaultBranch": "refs/heads/main"}}, "default branch"),
        ({"repository": {"defaultBranch": "trunk"}}, "branch"),
        ({}, None),
    ],
)
def test_x20_a_variant_is_set_where_the_payload_proves_it(changes: Any, variant: str | None) -> None:
    assert read(changed(PAYLOAD, "resource", PAYLOAD["resource"] | changes)).variant == variant


@pytest.mark.parametrize("result", sorted(azure.STATUS))
def test_x20_each_result_has_its_status(result: str) -> None:
    assert read(changed(PAYLOAD, "resource.result", result)).status == azure.STATUS[result]


def test_x20_what_has_not_ended_or_is_no_build_is_no_execution() -> None:
    running = PAYLOAD["resource"] | {"status": "notStarted", "result": None, "finishTime": None}
    assert "not ended" in ignored(azure.SOURCE, PAYLOAD | {"resource": running})
    assert "Build completed" in ignored(azure.SOURCE, PAYLOAD | {"eventType": "build.updated"})


def test_x20_stages_that_run_again_are_another_execution_and_a_repeated_delivery_is_not() -> None:
    assert read(PAYLOAD | {"notificationId": 10, "id": "again"}) == read(PAYLOAD)
    again = read(changed(PAYLOAD, "resource.finishTime", "2026-01-22T02:00:00Z"))
    assert again.execution_id != read(PAYLOAD).execution_id
    assert read(changed(PAYLOAD, "resource.startTime", REMOVED)).duration_s is None


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("resource.result", "exploded", "unknown_value"),
        ("resource.result", None, "missing_field"),
        ("resource.finishTime", "0001-01-01T00:00:00", "bad_time"),
        ("resource.definition", None, "missing_field"),
        ("resource.id", "twelve", "wrong_type"),
    ],
)
def test_x20_what_identifies_no_build_is_refused(place: str, value: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        azure.read(changed(PAYLOAD, place, value))
    assert refused.value.reason == reason
    assert "Build completed" in refused.value.message or reason == "unknown_value"


def test_x22_a_build_of_the_rest_api_is_the_execution_of_the_hook() -> None:
    of_hook = replace(read(PAYLOAD), excerpt=None)  # the REST API has no message
    assert read(loaded("azure_build_of_rest")) == read(loaded("azure_builds_of_rest")) == of_hook
    running = loaded("azure_builds_of_rest")["value"][1] | {"status": "notStarted"}
    assert ignored(azure.SOURCE, running) == "the run has not ended"
    assert ignored(azure.SOURCE, {"count": 1, "value": [running]}) == "none of the runs has ended"


def test_x22_an_empty_page_holds_nothing() -> None:
    assert ignored(azure.SOURCE, {"count": 0, "value": []}) == "none of the runs has ended"

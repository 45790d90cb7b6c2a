"""X20: TeamCity's builds become executions, from its webhooks and from the REST API."""

from datetime import UTC, datetime
from typing import Any

import pytest

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion
from stream_detector.events.sources import teamcity
from tests.unit.events.samples_of_sources import changed, ignored, loaded, only_event

PAYLOAD = loaded("teamcity_build_finished")


def read(payload: Any) -> Completion:
    return only_event(teamcity.SOURCE, payload)


def test_x20_a_finished_build_is_an_execution() -> None:
    event = read(PAYLOAD)
    assert (event.execution_id, event.workflow_id) == (
        "teamcity:tc.example.org/48213",
        "teamcity:tc.example.org/Shop_Release",
    )
    assert (event.workflow_name, event.status, event.duration_s) == ("Release", "failure", 240.0)
    assert event.finished_at == datetime(2026, 1, 22, 0, 5, tzinfo=UTC)
    assert (event.variant, event.labels) == ("default branch", {"branch": "main", "trigger": "vcs", "project": "Shop"})


def test_x20_a_branch_is_shown_without_its_ref() -> None:
    assert read(changed(PAYLOAD, "payload.branchName", "refs/heads/cart")).labels["branch"] == "cart"


def test_x20_a_build_of_the_rest_api_is_the_same_and_a_list_has_each() -> None:
    assert read(PAYLOAD["payload"]) == read(PAYLOAD)
    running = PAYLOAD["payload"] | {"id": 2, "state": "running"}
    assert read({"count": 2, "build": [running, PAYLOAD["payload"]]}) == read(PAYLOAD)


@pytest.mark.parametrize(
    ("changes", "variant"),
    [
        ({"triggered": {"type": "schedule"}}, "schedule"),
        ({"triggered": {"type": "user"}}, "manual"),
        ({"defaultBranch": False, "branchName": "cart"}, "branch"),
        ({"defaultBranch": None}, None),
    ],
)
def test_x20_a_variant_is_set_where_the_payload_proves_it(changes: Any, variant: str | None) -> None:
    assert read(changed(PAYLOAD, "payload", PAYLOAD["payload"] | changes)).variant == variant


@pytest.mark.parametrize("status", sorted(teamcity.STATUS))
def test_x20_each_status_has_ours_and_an_interrupted_build_is_cancelled(status: str) -> None:
    assert read(changed(PAYLOAD, "payload.status", status)).status == teamcity.STATUS[status]
    assert read(PAYLOAD | {"eventType": "BUILD_INTERRUPTED"}).status == "cancellation"


def test_x20_another_event_is_no_execution() -> None:
    assert "BUILD_FINISHED" in ignored(teamcity.SOURCE, PAYLOAD | {"eventType": "BUILD_TYPE_ADDED_TO_QUEUE"})
    assert "not finished" in ignored(teamcity.SOURCE, changed(PAYLOAD, "payload.state", "queued"))
    assert "none of the builds" in ignored(teamcity.SOURCE, {"count": 0, "build": []})


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("payload.status", "EXPLODED", "unknown_value"),
        ("payload.finishDate", "20260122T000500", "bad_time"),
        ("payload.id", "b48213", "wrong_type"),
        ("payload.buildTypeId", None, "missing_field"),
        ("payload", None, "missing_field"),
    ],
)
def test_x20_what_identifies_no_build_is_refused(place: str, value: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        teamcity.read(changed(PAYLOAD, place, value))
    assert refused.value.reason == reason
    assert "BUILD_INTERRUPTED" in refused.value.message or reason == "unknown_value"

"""X20: Bitbucket's build statuses and completed pipelines become executions."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion
from stream_detector.events.sources import bitbucket
from tests.unit.events.samples_of_sources import REMOVED, changed, ignored, loaded, only_event

BUILD, PIPELINE = loaded("bitbucket_commit_status"), loaded("bitbucket_pipeline")


def read(payload: Any) -> Completion:
    return only_event(bitbucket.SOURCE, payload)


def test_x20_a_final_build_status_is_an_execution_whose_name_has_no_number() -> None:
    event = read(BUILD)
    assert event.execution_id == "bitbucket:acme/shop:7f5c0d3a9be1:pipeline-42.1769040300"
    assert (event.workflow_id, event.workflow_name) == ("bitbucket:acme/shop:Pipeline", "Pipeline")
    assert (event.status, event.duration_s, event.variant) == ("failure", 240.5, None)
    assert event.labels == {"repository": "acme/shop", "branch": "main", "commit": "7f5c0d3a9be1"}
    assert read(changed(BUILD, "commit_status.name", "unit tests")).workflow_id == "bitbucket:acme/shop:unit tests"


def test_x20_a_completed_pipeline_is_an_execution() -> None:
    event = read(PIPELINE)
    assert event.execution_id == "bitbucket:{0d1e2f3a-0000-4444-8888-aaaabbbbcccc}.1769040300"
    assert (event.workflow_id, event.status, event.duration_s) == ("bitbucket:acme/shop:nightly", "success", 240.0)
    assert event.finished_at == datetime(2026, 1, 22, 0, 5, 0, 500000, tzinfo=UTC)
    assert event.started_at == datetime(2026, 1, 22, 0, 1, 0, 500000, tzinfo=UTC)
    assert (event.variant, event.labels["trigger"]) == ("schedule", "SCHEDULE")
    assert read(changed(PIPELINE, "duration_in_seconds", REMOVED)).duration_s == pytest.approx(270.376544)


@pytest.mark.parametrize(
    ("changes", "variant"),
    [
        ({"trigger": {"name": "PUSH"}}, None),
        ({"trigger": {"name": "MANUAL"}}, "manual"),
        (
            {"trigger": {"name": "PUSH"}, "target": {"type": "pipeline_pullrequest_target", "source": "cart"}},
            "pull request",
        ),
        ({"trigger": {"name": "PUSH"}, "target": {"ref_type": "tag", "ref_name": "v2"}}, "tag"),
    ],
)
def test_x20_a_variant_is_set_where_the_payload_proves_it(changes: Any, variant: str | None) -> None:
    assert read(PIPELINE | changes).variant == variant


@pytest.mark.parametrize("state", sorted(bitbucket.STATUS))
def test_x20_each_state_has_its_status(state: str) -> None:
    assert read(changed(BUILD, "commit_status.state", state)).status == bitbucket.STATUS[state]
    assert read(changed(PIPELINE, "state.result.name", state)).status == bitbucket.STATUS[state]


def test_x20_what_has_not_ended_is_no_execution_and_a_page_has_each_that_did() -> None:
    running = json.loads(changed(PIPELINE, "state", {"name": "IN_PROGRESS"}))
    assert "not completed" in ignored(bitbucket.SOURCE, changed(PIPELINE, "state", {"name": "PENDING"}))
    assert read({"page": 1, "pagelen": 10, "size": 2, "values": [running, PIPELINE]}) == read(PIPELINE)


@pytest.mark.parametrize(
    ("payload", "place", "value", "reason"),
    [
        (BUILD, "commit_status.state", "EXPLODED", "unknown_value"),
        (BUILD, "commit_status.updated_on", None, "missing_field"),
        (PIPELINE, "state.result", None, "missing_field"),
        (PIPELINE, "repository.full_name", 5, "wrong_type"),
    ],
)
def test_x20_what_identifies_no_build_is_refused(payload: Any, place: str, value: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        bitbucket.read(changed(payload, place, value))
    assert refused.value.reason == reason
    assert "Build status updated" in refused.value.message or reason == "unknown_value"

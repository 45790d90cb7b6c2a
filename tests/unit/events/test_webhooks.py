"""GitHub's and GitLab's deliveries, as they are documented, become executions."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stream_detector.events import Completion, RefusedError
from stream_detector.events.decode import decode_completion
from stream_detector.events.encode import encode
from stream_detector.events.sources import github, gitlab
from stream_detector.events.sources.source import Reading

FOLDER = Path(__file__).parent / "payloads"
GITHUB = json.loads((FOLDER / "github_workflow_run.json").read_text("utf-8"))
GITLAB = json.loads((FOLDER / "gitlab_pipeline.json").read_text("utf-8"))


def changed(payload: Any, place: str, **given: Any) -> bytes:
    return json.dumps(payload | {place: payload[place] | given}).encode()


def test_a_completed_workflow_run_is_an_execution() -> None:
    (event,) = github.read(json.dumps(GITHUB).encode()).events
    assert isinstance(event, Completion)
    assert (event.execution_id, event.attempt, event.status) == ("github:30433642", 2, "timeout")
    assert event.workflow_id == "github:octo-org/octo-repo:.github/workflows/build.yml"
    assert (event.workflow_name, event.duration_s) == ("Build", 270.0)
    assert event.finished_at == datetime(2026, 1, 22, 0, 5, 30, tzinfo=UTC)
    assert event.labels["branch"] == "main" and event.url == GITHUB["workflow_run"]["html_url"]
    assert decode_completion(encode(event), (), -1) == event


@pytest.mark.parametrize("action", ["deleted", "waiting"])
def test_a_run_that_goes_on_is_no_execution(action: str) -> None:
    assert github.read(json.dumps(GITHUB | {"action": action}).encode()) == Reading(ignored="the run has not ended")


@pytest.mark.parametrize("conclusion", sorted(github.STATUS))
def test_each_conclusion_has_its_status(conclusion: str) -> None:
    (event,) = github.read(changed(GITHUB, "workflow_run", conclusion=conclusion)).events
    assert isinstance(event, Completion)
    assert event.status == github.STATUS[conclusion]


def test_an_ended_pipeline_is_an_execution_with_its_jobs_as_steps() -> None:
    (event,) = gitlab.read(json.dumps(GITLAB).encode()).events
    assert isinstance(event, Completion)
    assert event.execution_id == "gitlab:31.1769095589"
    assert event.workflow_id == "gitlab:gitlab-org/gitlab-test:Pipeline for branch: master"
    assert (event.status, event.duration_s) == ("failure", 63.0)
    assert event.finished_at == datetime(2026, 1, 22, 15, 26, 29, tzinfo=UTC)
    assert event.started_at == datetime(2026, 1, 22, 15, 25, 26, tzinfo=UTC)
    assert [(step.name, step.status, step.duration_s) for step in event.steps] == [
        ("deploy: production", "skip", None),
        ("test: test-image", "failure", 17.5),
        ("build: build-image", "success", 30.25),
    ]
    assert decode_completion(encode(event), (), -1) == event


@pytest.mark.parametrize("status", ["pending", "created", "manual", "waiting_for_resource"])
def test_a_pipeline_that_goes_on_is_no_execution(status: str) -> None:
    reading = gitlab.read(changed(GITLAB, "object_attributes", status=status))
    assert reading == Reading(ignored="the pipeline has not ended")


def test_a_retried_pipeline_is_another_execution_and_a_repeated_delivery_is_not() -> None:
    (first,), (again,) = (gitlab.read(json.dumps(GITLAB).encode()).events for _ in range(2))
    (later,) = gitlab.read(changed(GITLAB, "object_attributes", finished_at="2026-01-22T16:00:00Z")).events
    assert isinstance(first, Completion) and isinstance(later, Completion) and first == again
    assert later.execution_id != first.execution_id


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        changed(GITHUB, "workflow_run", updated_at="yesterday"),
        changed(GITHUB, "workflow_run", conclusion="exploded"),
        changed(GITHUB, "workflow_run", id="one"),
    ],
    ids=lambda payload: repr(payload[:20]),
)
def test_what_is_no_delivery_of_github_is_refused(payload: bytes) -> None:
    with pytest.raises(RefusedError):
        github.read(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        changed(GITLAB, "object_attributes", id=None),
        changed(GITLAB, "object_attributes", status="exploded"),
        changed(GITLAB, "project", path_with_namespace=None),
    ],
    ids=lambda payload: repr(payload[:20]),
)
def test_what_is_no_delivery_of_gitlab_is_refused(payload: bytes) -> None:
    with pytest.raises(RefusedError):
        gitlab.read(payload)

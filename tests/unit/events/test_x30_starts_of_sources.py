"""X30: what the other systems send of a run that has begun is its start, and its end names it."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from stream_detector.events import Completion, RefusedError, Start
from stream_detector.events.decode import decode_completion
from stream_detector.events.encode import encode
from stream_detector.events.sources import SOURCES, find_source
from stream_detector.events.sources.source import Source
from stream_detector.events.start import started_as
from tests.unit.events.samples_of_sources import REMOVED, begun, changed, loaded, places, with_value


def of(name: str, **changes: Any) -> Any:
    """A payload with other values at dotted places, written with two underscores."""
    document = loaded(name)
    for place, value in changes.items():
        document = json.loads(changed(document, place.replace("__", "."), value))
    return document


GITHUB, GITLAB = "github_workflow_run", "gitlab_pipeline"
CASES: dict[str, tuple[str, Any, str, str | None]] = {
    "github requested": (
        GITHUB, of(GITHUB, action="requested", workflow_run__conclusion=None, workflow_run__status="queued"),
        "2026-01-22T00:01:00Z", "2026-01-22T00:01:00Z",
    ),
    "github in_progress": (
        GITHUB, of(GITHUB, action="in_progress", workflow_run__conclusion=None, workflow_run__status="in_progress",
                   workflow_run__updated_at="2026-01-22T00:01:25Z"),
        "2026-01-22T00:01:25Z", "2026-01-22T00:01:00Z",
    ),
    "github rest": (
        "github_workflow_run_of_rest",
        of("github_workflow_run_of_rest", conclusion=None, status="in_progress", updated_at="2026-06-22T00:01:25Z"),
        "", "",
    ),
    "gitlab": (
        GITLAB, of(GITLAB, object_attributes__status="running", object_attributes__finished_at=None, builds=[
            {"name": "a", "started_at": "2026-01-22 15:24:56 UTC"}, {"name": "b", "started_at": None}]),
        "2026-01-22T15:24:56Z", "2026-01-22T15:23:28Z",
    ),
    "gitlab queued": (
        GITLAB, of(GITLAB, object_attributes__status="running", object_attributes__finished_at=None, builds=[],
                   object_attributes__queued_duration=12),
        "2026-01-22T15:23:40Z", "2026-01-22T15:23:28Z",
    ),
    "gitlab retried": (
        GITLAB, of(GITLAB, object_attributes__status="running", object_attributes__finished_at=None, builds=[
            {"name": "a", "started_at": "2026-01-22 15:24:56 UTC", "finished_at": "2026-01-22 15:25:00 UTC"},
            {"name": "b", "started_at": "2026-01-24 10:00:00 UTC", "finished_at": None}]),
        "2026-01-24T10:00:00Z", None,
    ),
    "jenkins": (
        "jenkins_notification", of("jenkins_notification", build__phase="STARTED", build__status=REMOVED), "", None,
    ),
    "jenkins api": ("jenkins_build", of("jenkins_build", building=True, result=None, duration=0), "", None),
    "airflow": (
        "airflow_dag_run", of("airflow_dag_run", state="running", end_date=None),
        "2026-01-22T00:00:01.25Z", "2026-01-22T00:00:00.4Z",
    ),
    "azure": (
        "azure_build_of_rest", of("azure_build_of_rest", status="inProgress", result=None, finishTime=None),
        "2026-01-22T00:00:32.809778Z", "2026-01-22T00:00:12.123456Z",
    ),
    "circleci": (
        "circleci_workflow_of_rest", of("circleci_workflow_of_rest", status="running", stopped_at=None), "", None,
    ),
    "bitbucket": (
        "bitbucket_commit_status", of("bitbucket_commit_status", commit_status__state="INPROGRESS"),
        "2026-01-22T00:01:00.25Z", None,
    ),
    "bitbucket pipeline": (
        "bitbucket_pipeline", of("bitbucket_pipeline", state={"name": "IN_PROGRESS"}, completed_on=None),
        "2026-01-22T00:00:30.123456Z", None,
    ),
    "teamcity": (
        "teamcity_build_finished", of("teamcity_build_finished", eventType="BUILD_STARTED", payload__state="running",
                                      payload__finishDate=REMOVED),
        "2026-01-22T00:01:00Z", "2026-01-22T00:00:50Z",
    ),
    "tekton": (
        "tekton_pipeline_run", of("tekton_pipeline_run", status__conditions__0__status="Unknown",
                                  status__completionTime=REMOVED),
        "2026-01-22T00:01:00Z", "2026-01-22T00:00:58Z",
    ),
    "argo": (
        "argo_workflow", of("argo_workflow", status__phase="Running", status__finishedAt=None),
        "2026-01-22T00:00:00Z", None,
    ),
    "buildkite": (
        "buildkite_build_finished", of("buildkite_build_finished", event="build.running", build__state="running",
                                       build__finished_at=None),
        "2026-01-22T00:01:02.25Z", "2026-01-22T00:00:59.874Z",
    ),
    "cdevents": (
        "cdevents_pipelinerun_finished", of("cdevents_pipelinerun_finished",
                                            context__type="dev.cdevents.pipelinerun.started.0.3.0"),
        "", None,
    ),
    "cdevents task": (
        "cdevents_taskrun_finished", of("cdevents_taskrun_finished",
                                        context__type="dev.cdevents.taskrun.started.0.3.0"),
        "", None,
    ),
    "openlineage": ("openlineage_run_event", of("openlineage_run_event", eventType="START"), "", None),
}  # fmt: skip
"""(the payload of its end, of its start, when it began, since when it waited); "" where the end's payload tells it."""
by_case = pytest.mark.parametrize("case", CASES)


def source_of(document: Any) -> Source:
    source = find_source(json.dumps(document).encode())
    assert source is not None
    return source


@by_case
def test_x30_a_run_that_has_begun_is_a_start_that_its_end_names(case: str) -> None:
    ended, payload, started_at, queued_at = CASES[case]
    source = source_of(payload)
    start = begun(source, payload)
    ends = [each for each in source.read(json.dumps(loaded(ended)).encode()).events if isinstance(each, Completion)]
    assert [started_as(end.execution_id) for end in ends] == [start.execution_id]
    (end,) = ends
    assert (start.workflow_id, start.variant, start.attempt) == (end.workflow_id, end.variant, end.attempt)
    assert (start.labels, start.url, start.workflow_name) == (end.labels, end.url, end.workflow_name)
    if started_at:
        assert start.started_at == datetime.fromisoformat(started_at)
        assert start.queued_at == (datetime.fromisoformat(queued_at) if queued_at else None)
    named = decode_completion(json.dumps(payload).encode(), (), -1)
    assert isinstance(named, Start) and named.source == source.name


ODD: tuple[Any, ...] = (
    REMOVED, None, True, [], {}, "", "odd", "x" * 3000, "a\x00b", -1, 0, 2**53 + 1, 1e308,
    "9999-12-31T23:59:59.999999-12:00", "2026-01-22 00:05:00", "2026-01-22T00:00:00Z",
)  # fmt: skip
DECIDES = {
    "event", "eventType", "type", "kind", "apiVersion", "status", "state", "result", "conclusion", "building", "phase",
    "conditions", "context", "object_kind", "action", "build", "subject", "run", "runId", "payload", "commit_status",
    "resource", "object_attributes", "workflow_run", "definition", "finished_at", "name", "url", "builds",
}  # fmt: skip
"""Names of what shows that the payload is of a run that has begun: without it, it is of another kind, or unusable."""


@by_case
def test_x30_no_odd_value_of_a_start_loses_a_delivery(case: str) -> None:
    """A start that cannot be used is ignored: GitLab switches off a webhook whose deliveries fail."""
    document = CASES[case][1]
    source = source_of(document)
    for place in places(document):
        for odd in ODD:
            value = with_value(document, place, odd)
            if find_source(value) is not source:
                continue
            try:
                reading = source.read(value)
            except RefusedError as error:
                assert DECIDES & set(place), (place, odd, error.message)
                continue
            assert bool(reading.events or reading.refused) is not bool(reading.ignored)
            for event in reading.events:
                assert decode_completion(encode(event), (), -1) == event, (place, odd)


LONG: dict[str, Callable[[], Any]] = {
    "airflow": lambda: of("airflow_dag_run", state="running", dag_run_id="r" * 240),
    "bitbucket": lambda: of("bitbucket_commit_status", commit_status__state="INPROGRESS", commit_status__key="k" * 250),
}


@pytest.mark.parametrize("name", LONG)
def test_x30_a_start_whose_end_could_not_name_it_is_ignored(name: str) -> None:
    """The id of the end is cut, the second of the end with it."""
    assert SOURCES[name].read(json.dumps(LONG[name]()).encode()).ignored


def test_x30_on_a_topic_the_end_of_a_list_counts_and_not_the_starts_next_to_it() -> None:
    runs = {"dag_runs": [loaded("airflow_dag_run"), CASES["airflow"][1]], "total_entries": 2}
    assert isinstance(decode_completion(json.dumps(runs).encode(), (), -1), Completion)
    runs["dag_runs"] = [CASES["airflow"][1]]
    assert isinstance(decode_completion(json.dumps(runs).encode(), (), -1), Start)


def test_x30_a_github_run_without_a_path_has_the_workflow_of_the_delivery() -> None:
    start = CASES["github in_progress"][1]
    start["workflow_run"]["path"] = None
    start["workflow"] = {"id": start["workflow_run"]["workflow_id"], "path": ".github/workflows/build.yml"}
    reading = SOURCES["github"].read(json.dumps(start).encode())
    assert reading.known_as == "github:octo-org/octo-repo:.github/workflows/build.yml"

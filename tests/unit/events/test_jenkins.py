"""X20: Jenkins' builds, as its API and two plugins report them, become executions."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion
from stream_detector.events.sources import jenkins
from tests.unit.events.samples_of_sources import REMOVED, changed, ignored, loaded, only_event

API, NOTIFICATION, CLOUDEVENTS = (loaded(f"jenkins_{form}") for form in ("build", "notification", "cloudevents"))
CASE = {
    "_class": "hudson.model.FreeStyleBuild",
    "number": 31,
    "result": "UNSTABLE",
    "timestamp": 1795132800000,
    "duration": 1587,
    "fullDisplayName": "acme » nightly #31",
    "url": "https://ci.example/job/nightly/31/",
}


def read(payload: Any) -> Completion:
    return only_event(jenkins.SOURCE, payload)


def test_x20_a_build_of_the_api_is_an_execution() -> None:
    event = read(CASE)
    assert (event.execution_id, event.workflow_id) == ("jenkins:ci.example/nightly#31", "jenkins:ci.example/nightly")
    assert (event.workflow_name, event.status, event.duration_s) == ("nightly", "failure", 1.587)
    assert event.started_at == datetime(2026, 11, 20, tzinfo=UTC)
    assert event.finished_at == datetime(2026, 11, 20, 0, 0, 1, 587000, tzinfo=UTC)


def test_x20_folders_branches_revision_and_cause_are_read() -> None:
    event = read(API)
    assert event.workflow_id == "jenkins:ci.example.org/jenkins/shop/release/feature%2Fcart"
    assert event.labels == {"trigger": "timer", "branch": "main", "commit": "7f5c0d3a9be1"}
    assert (event.variant, event.url) == ("schedule", API["url"])
    manual = changed(API, "actions.0.causes.0._class", "hudson.model.Cause$UserIdCause")
    assert read(manual).variant == "manual"


def test_x20_both_plugins_and_both_phases_are_one_execution() -> None:
    first, second = read(NOTIFICATION), read(CLOUDEVENTS)
    assert first.execution_id == second.execution_id == "jenkins:ci.example.org/shop/nightly#31"
    assert first.workflow_id == second.workflow_id and first.status == second.status == "failure"
    assert first.started_at == datetime(2026, 1, 22, 0, 5, tzinfo=UTC) and first.duration_s == 1.587
    assert first.labels == {"branch": "main", "commit": "7f5c0d3a9be1"}
    of_api = CASE | {"number": 31, "url": NOTIFICATION["build"]["full_url"]}
    assert read(of_api).execution_id == first.execution_id


@pytest.mark.parametrize("phase", ["QUEUED", "NONE"])
def test_x20_a_build_that_has_not_begun_is_no_execution(phase: str) -> None:
    assert ignored(jenkins.SOURCE, changed(NOTIFICATION, "build.phase", phase)) == "the build has not ended"


@pytest.mark.parametrize("result", sorted(jenkins.STATUS))
def test_x20_each_result_has_its_status(result: str) -> None:
    assert read(CASE | {"result": result}).status == jenkins.STATUS[result]
    assert read(changed(NOTIFICATION, "build.status", result)).status == jenkins.STATUS[result]


def test_x20_builds_of_a_job_are_each_an_execution() -> None:
    job = {"_class": "hudson.model.FreeStyleProject", "builds": [CASE, CASE | {"number": 32, "result": None}]}
    assert read(job).execution_id == "jenkins:ci.example/nightly#31"


def test_x20_a_build_that_cannot_be_read_does_not_lose_the_others_of_its_job() -> None:
    job = {"_class": "hudson.model.FreeStyleProject", "builds": [CASE | {"result": "EXPLODED"}, CASE, "odd"]}
    reading = jenkins.read(json.dumps(job).encode())
    assert len(reading.events) == 1 and [error.reason for error in reading.refused] == ["unknown_value"]


def test_x20_a_duration_of_0_is_not_recorded_and_a_job_without_a_url_has_its_name() -> None:
    event = read(CASE | {"duration": 0})
    assert event.duration_s is None and event.started_at == event.finished_at
    payload = json.loads(changed(NOTIFICATION, "build.full_url", None))
    payload["build"]["url"] = None
    assert read(payload).workflow_id == "jenkins:nightly"


@pytest.mark.parametrize(
    ("path", "job"), [("job/%ff/1/", "%ff"), ("job/a%00b/1/", "a%00b"), ("job/%C3%A9/1/", "é"), ("job//job/x/1/", "/x")]
)
def test_x20_a_job_whose_name_is_no_text_keeps_the_name_in_the_url(path: str, job: str) -> None:
    assert read(CASE | {"url": f"https://ci.example/{path}"}).workflow_name == job


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("result", "EXPLODED", "unknown_value"),
        ("number", REMOVED, "missing_field"),
        ("number", [1], "wrong_type"),
        ("timestamp", "yesterday", "wrong_type"),
        ("timestamp", 1795132800, "bad_time"),
        ("timestamp", 10**15, "bad_time"),
    ],
)
def test_x20_what_identifies_no_build_is_refused(place: str, value: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        jenkins.read(changed(CASE, place, value))
    assert refused.value.reason == reason


def test_x24_the_log_lines_of_the_notification_plugin_are_the_excerpt() -> None:
    sent = changed(
        NOTIFICATION, "build.log", "12 tests failed\r\n\x1b[31mFinished: UNSTABLE\x1b[0m\npassword=hunter2\x00\n" * 900
    )
    excerpt = read(sent).excerpt
    assert excerpt is not None and len(excerpt) <= 10_000 and "hunter2" not in excerpt
    assert excerpt.endswith("12 tests failed\nFinished: UNSTABLE\npassword=***")
    for other in ("", "\n", None, 7, ["line"]):
        assert read(changed(NOTIFICATION, "build.log", other)).excerpt is None


def test_x22_all_builds_of_a_folder_are_each_an_execution() -> None:
    folder = loaded("jenkins_builds_of_folder")
    event = read(folder)
    assert (event.execution_id, event.variant) == ("jenkins:ci.example.org/acme/nightly#7", "manual")
    job = folder["jobs"][0]
    assert read(job) == event == read(job["allBuilds"][1])
    jobs = [folder, {"_class": "hudson.model.FreeStyleProject", "builds": [CASE]}]
    hudson = {"_class": "hudson.model.Hudson", "jobs": jobs}
    events = jenkins.read(json.dumps(hudson).encode()).events
    found = [each.execution_id for each in events if isinstance(each, Completion)]
    assert found == ["jenkins:ci.example.org/acme/nightly#7", "jenkins:ci.example/nightly#31"]

"""X20: payloads of real systems at their defaults, odd ones among them: identity, status, time and variant are right.

Each file of `payloads/` is read here, on the topic and in a file; `tests/unit/serve/test_webhooks.py` posts them.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from stream_detector.events import Completion, RefusedError
from stream_detector.events.decode import decode_completion
from stream_detector.events.encode import encode
from stream_detector.events.files import read_history
from stream_detector.events.sources import LEFT_OUT, find_source, github, gitlab, read_payload
from stream_detector.events.sources.source import IgnoredError

PAYLOADS = Path(__file__).parent / "payloads"
NOON = datetime(2026, 3, 4, 10, tzinfo=UTC)
CASES: dict[str, tuple[str, str, int | None, str | None, dict[str, str]]] = {
    # file -> status, end, duration, variant, labels that matter
    "github_workflow_run_approval": ("skip", "10:00:00", 0, "pull request", {"branch": "baker:main"}),
    "github_workflow_run_fork": ("failure", "10:03:20", 200, "pull request", {"branch": "baker:main"}),
    "github_workflow_run_fork_deleted": ("success", "10:03:20", 200, "pull request", {"branch": "unknown:main"}),
    "github_workflow_run_no_start": ("success", "10:03:20", 200, "default branch", {"branch": "main"}),
    "github_workflow_run_no_start_again": ("success", "10:03:20", None, "default branch", {"branch": "main"}),
    "github_workflow_run_no_path": ("success", "10:03:20", 200, "default branch", {"branch": "main"}),
    "github_workflow_run_ends_before_start": ("success", "09:59:55", None, "default branch", {"branch": "main"}),
    "github_workflow_run_release": ("success", "10:03:20", 200, "tag", {"tag": "v2.0"}),
    "github_workflow_run_branch_like_a_tag": ("success", "10:03:20", 200, "branch", {"branch": "v2.0"}),
    "github_workflow_run_tag_pushed": ("success", "10:03:20", 200, "tag", {"tag": "v2.0"}),
    "github_workflow_run_schedule": ("success", "10:03:20", 200, "schedule", {"branch": "main"}),
    "github_workflow_run_manual": ("success", "10:03:20", 200, "manual", {"branch": "main"}),
    "github_workflow_run_of_rest": ("success", "10:03:20", 200, None, {"branch": "main"}),
    "gitlab_pipeline_builds_null": ("success", "10:02:20", 90, "default branch", {"branch": "trunk"}),
    "gitlab_pipeline_job_name_600": ("success", "10:02:20", 90, "default branch", {"branch": "trunk"}),
    "gitlab_pipeline_no_end": ("success", "10:02:10", 90, "default branch", {"branch": "trunk"}),
    "gitlab_pipeline_no_end_no_jobs": ("success", "10:01:50", 90, "default branch", {"branch": "trunk"}),
    "gitlab_pipeline_child": ("success", "10:02:20", 90, "child:unnamed (bake, taste)", {"branch": "trunk"}),
    "gitlab_pipeline_child_named": ("success", "10:02:20", 90, "child:Pastry", {"branch": "trunk"}),
    "gitlab_pipeline_named": ("success", "10:02:20", 90, "schedule", {"branch": "trunk"}),
    "gitlab_pipeline_schedule": ("success", "10:02:20", 90, "schedule", {"branch": "trunk"}),
    "gitlab_pipeline_branch": ("success", "10:02:20", 90, "branch", {"branch": "crumbs"}),
    "gitlab_pipeline_tag": ("success", "10:02:20", 90, "tag", {"tag": "v2.0"}),
    "gitlab_pipeline_merge_request": ("success", "10:02:20", 90, "pull request", {"branch": "trunk"}),
    "gitlab_pipeline_merge_request_of_fork": ("success", "10:02:20", 90, "pull request", {"branch": "8:trunk"}),
    "gitlab_pipeline_manual": ("success", "10:02:20", 90, "manual", {"branch": "trunk"}),
    "gitlab_pipeline_of_rest": ("failure", "10:02:20.987", 90, None, {"branch": "trunk"}),
    "gitlab_pipeline_of_rest_list": ("failure", "10:02:21.1", None, None, {"branch": "trunk"}),
    "gitlab_pipeline_of_rest_project": ("failure", "10:02:20.987", 90, "default branch", {"branch": "trunk"}),
}
by_case = pytest.mark.parametrize("name", sorted(CASES))


def document(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))


def payload(name: str) -> bytes:
    return json.dumps(document(name)).encode()


def only_event(value: bytes) -> Completion:
    source = find_source(value)
    assert source is not None
    (event,) = read_payload(source, value).events
    assert isinstance(event, Completion)
    return event


@by_case
def test_x20_a_case_is_read_alike_on_the_topic_and_in_a_file(name: str, tmp_path: Path) -> None:
    status, end, duration_s, variant, labels = CASES[name]
    value, file = payload(name), tmp_path / "deliveries.jsonl"
    event = decode_completion(value, (), -1)
    assert (event.status, event.duration_s, event.variant) == (status, duration_s, variant)
    assert event.finished_at == datetime.fromisoformat(f"2026-03-04T{end}+00:00")
    if duration_s is not None:
        assert (event.finished_at - event.started_at).total_seconds() == duration_s
    assert {name: event.labels.get(name) for name in ("branch", "tag")} == {"branch": None, "tag": None} | labels
    file.write_bytes(value + b"\n")
    assert [line.event for line in read_history(file, record_ms=-1)] == [event]


def test_x20_every_case_is_a_file_and_every_file_a_case() -> None:
    apart = {"github_workflow_run", "gitlab_pipeline", "github_workflow_runs"}
    files = {path.stem for path in PAYLOADS.glob("git*_*.json")}
    assert files == set(CASES) | apart


@by_case
def test_x20_identities_are_those_of_earlier_versions(name: str) -> None:
    event = only_event(payload(name))
    if name.startswith("github"):
        path = "Checks" if name.endswith("no_path") else ".github/workflows/checks.yml"
        assert (event.execution_id, event.workflow_id) == ("github:5550001234", f"github:bakery/oven:{path}")
        assert event.attempt == (2 if name.endswith("again") else 1)
    else:
        attributes = document(name).get("object_attributes") or document(name)
        assert event.execution_id == f"gitlab:{attributes['id']}.{int(event.finished_at.timestamp())}"
        named = attributes.get("name") if attributes["source"] != "parent_pipeline" else None
        assert event.workflow_id == ("gitlab:bakery/oven" + (f":{named}" if named else ""))


def test_x20_the_list_of_the_rest_api_has_each_run_that_ended() -> None:
    reading = read_payload(github.SOURCE, payload("github_workflow_runs"))
    ended = [event for event in reading.events if isinstance(event, Completion)]
    found = [(event.execution_id, event.status, event.variant) for event in ended]
    assert found == [("github:5550001234", "success", None), ("github:5550001236", "failure", "schedule")]
    (error,) = reading.refused
    assert error.reason == "unknown_value" and "startup_failure" in error.message
    with pytest.raises(RefusedError, match="3 events; publish payloads with exactly one"):
        decode_completion(payload("github_workflow_runs"), (), -1)


def test_x20_a_pipeline_without_its_end_has_the_id_of_the_delivery_that_has_it() -> None:
    whole = document("gitlab_pipeline_no_end")
    early = only_event(json.dumps(whole).encode())
    whole["object_attributes"]["finished_at"] = "2026-03-04 10:02:10 UTC"  # the second in which the last job ended
    later = only_event(json.dumps(whole).encode())
    assert early == later and early.execution_id == later.execution_id


def test_x20_the_form_that_github_sends_at_its_defaults_is_read_on_the_topic() -> None:
    value = payload("github_workflow_run")
    form = urlencode({"payload": value.decode()}).encode()
    assert decode_completion(form, (), -1) == only_event(value)
    for broken in (b"payload=", b"payload=%ff", b"payload=1", b"payload=" + b"&" * 100):
        with pytest.raises(RefusedError):
            decode_completion(broken, (), -1)


def test_x20_odd_jobs_are_left_out_and_the_pipeline_is_not() -> None:
    whole = document("gitlab_pipeline_job_name_600")
    good = document("gitlab_pipeline_manual")["builds"][0]
    before = LEFT_OUT["gitlab", "$.builds[...].name"]
    whole["builds"] += [None, "job", good, {"name": None}, good | {"duration": "long", "stage": 5}]
    event = only_event(json.dumps(whole).encode())
    assert [(len(step.name), step.duration_s) for step in event.steps] == [(512, 70.5), (12, 70.5), (5, None)]
    assert LEFT_OUT["gitlab", "$.builds[...].name"] > before
    whole["builds"] = [good] * 1500
    assert len(decode_completion(json.dumps(whole).encode(), (), -1).steps) == 1000


def test_x20_names_longer_than_the_contract_allows_lose_nothing() -> None:
    whole = document("github_workflow_run_fork")
    ids = set()
    for ending in ("a", "b"):
        whole["workflow_run"] |= {"path": "p" * 400 + ending, "name": "n" * 600, "head_branch": "b" * 600}
        event = decode_completion(json.dumps(whole).encode(), (), -1)
        ids.add(event.workflow_id)
        assert (len(event.workflow_id), len(event.workflow_name or ""), len(event.labels["branch"])) == (256, 512, 512)
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("name", "changes", "reason", "told"),
    [
        ("github_workflow_run", {"workflow_run": {}}, "missing_field", "choose Workflow runs"),
        ("github_workflow_run", {"repository": None}, "missing_field", "choose Workflow runs"),
        ("gitlab_pipeline", {"object_attributes": {"status": "success"}}, "missing_field", "choose Pipeline events"),
        ("gitlab_pipeline", {"project": {}}, "missing_field", "choose Pipeline events"),
    ],
)
def test_x20_what_is_refused_names_what_the_person_can_change(name: str, changes: Any, reason: str, told: str) -> None:
    value = json.dumps(document(name) | changes).encode()
    source = find_source(value)
    assert source is not None
    with pytest.raises(RefusedError, match=told) as caught:
        source.read(value)
    assert caught.value.reason == reason and "send it" not in caught.value.message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"zen": "Keep it simple.", "hook_id": 1, "hook": {"events": ["push"]}}, "choose Workflow runs"),
        ({"zen": "Keep it simple.", "hook_id": 1, "hook": {"events": ["*"]}}, "ping"),
        ({"action": "queued", "workflow_job": {}, "repository": {}, "sender": {}}, "workflow_job is not switched on"),
        ({"ref": "refs/heads/main", "commits": [], "repository": {}, "sender": {}}, "push is not switched on"),
        ({"object_kind": "build", "project_id": 3, "build_id": 9}, "build is not switched on"),
        ({"object_kind": "push", "project": {}}, "push is not switched on"),
        ({"object_kind": ["odd"], "project": {}}, "this kind of event is not switched on"),
    ],
)
def test_x20_another_event_of_a_known_system_is_no_dead_letter(value: Any, message: str) -> None:
    with pytest.raises(IgnoredError, match=message):
        decode_completion(json.dumps(value).encode(), (), -1)


@pytest.mark.parametrize("status", ["exploded", "SUCCESS", "Failed", ""])
def test_x20_a_status_that_is_not_known_is_never_read_as_another(status: str) -> None:
    run, pipeline = document("github_workflow_run"), document("gitlab_pipeline")
    run["workflow_run"]["conclusion"] = pipeline["object_attributes"]["status"] = status
    for value, table in ((run, github.STATUS), (pipeline, gitlab.STATUS)):
        with pytest.raises(RefusedError) as caught:
            decode_completion(json.dumps(value).encode(), (), -1)
        assert caught.value.reason == ("unknown_value" if status else "missing_field")
        assert not status or all(word in caught.value.message for word in table)


def test_x20_gitlab_a_pipeline_that_ends_in_the_first_minute_that_is_believed_is_read() -> None:
    payload = json.loads((PAYLOADS / "gitlab_pipeline.json").read_text("utf-8"))
    payload["object_attributes"] |= {"finished_at": "2000-01-01 00:00:30 UTC", "created_at": "1999-12-31 23:59:00 UTC"}
    (event,) = gitlab.SOURCE.read(json.dumps(payload).encode()).events
    read = decode_completion(encode(event), (), -1)
    assert (read.started_at.isoformat(), read.duration_s) == ("2000-01-01T00:00:00+00:00", 63.0)

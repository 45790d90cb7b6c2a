"""X20: forms of the same payloads that other versions, other tools and the way through a warehouse give them."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from stream_detector.events import Completion, RefusedError
from stream_detector.events.decode import decode_completion
from stream_detector.events.files import read_history
from stream_detector.events.sources import find_source, junit
from stream_detector.events.sources.source import IgnoredError
from stream_detector.events.unfold import SeveralEventsError

PAYLOADS = Path(__file__).parent / "payloads"


def document(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))


def at(root: Any, path: str) -> tuple[Any, str | int]:
    """The container and the key in it that the path names."""
    *outer, last = [int(name) if name.isdecimal() else name for name in path.split(".")]
    for name in outer:
        root = root[name]
    return root, last


def read(value: Any) -> Completion:
    event = decode_completion(json.dumps(value).encode(), (), -1)
    assert isinstance(event, Completion)
    return event


NUMBERS = (
    ("github_workflow_run", "workflow_run.id"),
    ("github_workflow_run", "workflow_run.run_attempt"),
    ("gitlab_pipeline", "object_attributes.id"),
    ("gitlab_pipeline", "object_attributes.duration"),
    ("jenkins_notification", "build.number"),
    ("jenkins_notification", "build.timestamp"),
    ("azure_build_complete", "resource.id"),
    ("teamcity_build_finished", "payload.id"),
    ("dbt_run_results", "elapsed_time"),
    ("otel_pipeline_spans", "resourceSpans.0.scopeSpans.0.spans.0.endTimeUnixNano"),
)


@pytest.mark.parametrize(("name", "path"), NUMBERS)
def test_x20_a_number_as_text_or_float_is_the_same_number(name: str, path: str) -> None:
    """BigQuery and JavaScript write 64-bit numbers as text, and a table with a gap has floats."""
    given = document(name)
    wanted = read(given)
    inner, key = at(given, path)
    for other in (str(inner[key]), float(inner[key])):
        inner[key] = other
        found = read(given)
        assert (found.execution_id, found.workflow_id, found.attempt) == (
            wanted.execution_id,
            wanted.workflow_id,
            wanted.attempt,
        )
        assert abs((found.finished_at - wanted.finished_at).total_seconds()) < 1e-5
        assert found.duration_s == wanted.duration_s


@pytest.mark.parametrize("odd", ["", " 7", "7.5", "0x7", "७", "1" * 50, 7.5, 2.0**60, True, float("1e300")])
def test_x20_what_is_no_exact_number_names_no_run(odd: object) -> None:
    given = document("gitlab_pipeline")
    given["object_attributes"]["id"] = odd
    with pytest.raises(RefusedError, match=r"whole number|is not within"):
        read(given)


def test_x20_a_workflow_run_of_gitea_is_read() -> None:
    given = document("github_workflow_run")
    run = given["workflow_run"]
    for name in ("updated_at", "run_started_at", "created_at", "workflow_id"):
        del run[name]
    run |= {"started_at": "2026-03-04T10:00:00+01:00", "completed_at": "2026-03-04T10:02:00+01:00", "run_attempt": 0}
    run["path"] = "build.yml@refs/heads/main"
    found = read(given)
    assert (found.duration_s, found.attempt, found.workflow_id) == (120, 1, "github:octo-org/octo-repo:build.yml")


def test_x20_a_pipeline_of_gitlab_before_12_is_read_from_its_api() -> None:
    given = document("gitlab_pipeline_of_rest")
    wanted = read(given)
    given["web_url"] = given["web_url"].replace("/-/pipelines/", "/pipelines/")
    found = read(given)
    assert (found.execution_id, found.workflow_id) == (wanted.execution_id, wanted.workflow_id)


def test_x20_circleci_has_one_name_for_a_project() -> None:
    given = document("circleci_workflow_completed")
    wanted = read(given)
    given["project"]["slug"] = given["project"]["slug"].replace("github/", "gh/")
    assert read(given).workflow_id == wanted.workflow_id
    given["project"]["slug"] = "gh"
    assert read(given).workflow_id.startswith("circleci:gh:")


def test_x20_source_freshness_of_dbt_is_no_other_command() -> None:
    meta = {"generated_at": "2026-03-04T10:00:00Z", "invocation_id": "a1"}
    meta["dbt_schema_version"] = "https://schemas.getdbt.com/dbt/sources/v3.json"
    results = [{"unique_id": "source.shop.raw.orders", "status": "pass"}]
    found = read({"metadata": meta, "results": results, "elapsed_time": 3.1})
    assert (found.workflow_id, found.labels["command"]) == ("dbt:shop:source freshness", "source freshness")


@pytest.mark.parametrize("name", ["tekton_pipeline_run", "argo_workflow"])
def test_x20_what_kubectl_lists_is_read(name: str) -> None:
    run, pod = document(name), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    wanted = read(run)
    listed = {"apiVersion": "v1", "items": [pod, run], "kind": "List", "metadata": {"resourceVersion": ""}}
    assert read(listed).execution_id == wanted.execution_id
    with pytest.raises(SeveralEventsError):
        read(listed | {"items": [run, run]})
    assert find_source(json.dumps(listed | {"items": [pod]}).encode()) is None


def test_x20_the_argo_server_lists_workflows_without_a_kind() -> None:
    run = document("argo_workflow")
    assert read({"metadata": {"resourceVersion": "7"}, "items": [run]}).execution_id == read(run).execution_id


def test_x20_both_forms_of_the_ids_of_a_span_are_one_execution() -> None:
    given = document("otel_pipeline_spans")
    wanted = read(given)
    spans = given["resourceSpans"][0]["scopeSpans"][0]["spans"]
    for span in spans:
        for name in {"traceId", "spanId", "parentSpanId"} & span.keys():
            span[name] = b64encode(bytes.fromhex(span[name])).decode()
    found = read(given)
    assert found.execution_id == wanted.execution_id and len(found.steps) == len(wanted.steps)
    for span in spans:
        span["traceId"], span["spanId"] = "5B8EFFF798038103D269B633813FC60C", "not hex nor base64"
    assert read(given).execution_id == "otel:5b8efff798038103d269b633813fc60c:not hex nor base64"


REPORT = (
    '<?xml version="1.0" encoding="{}"?><testsuites{}><testsuite name="a" time="2"{}>'
    '<testcase name="b"><failure message="{}"/></testcase></testsuite></testsuites>'
)
AT = ' timestamp="2026-03-04T10:00:00"'


def test_x20_a_suite_has_the_time_of_its_report() -> None:
    (event,) = junit.read(REPORT.format("utf-8", AT, "", "x").encode()).events
    assert isinstance(event, Completion) and event.duration_s == 2
    assert event.execution_id == "junit:a@2026-03-04T10:00:00+00:00"


@pytest.mark.parametrize(
    ("declared", "written", "encoding"),
    [("utf-16", "utf-16", ""), ("utf-8", "utf-8", ""), ("windows-1252", "cp1252", "cp1252"), ("cp1252", "cp1252", "")],
)
def test_x20_a_report_is_read_in_the_encoding_that_it_has(
    declared: str, written: str, encoding: str, tmp_path: Path
) -> None:
    file = tmp_path / "report.xml"
    file.write_bytes(REPORT.format(declared, AT, "", "Grüße").encode(written))
    (line,) = read_history(file, record_ms=-1, encoding=encoding or None)
    assert line.error is None and isinstance(line.event, Completion)
    assert line.event.excerpt is not None and "Grüße" in line.event.excerpt


@pytest.mark.parametrize(
    "other",
    [
        {"eventType": "ms.vss-pipelines.run-state-changed-event", "publisherId": "pipelines", "resource": {"run": {}}},
        {"eventType": "git.push", "publisherId": "tfs", "resource": {"commits": []}},
        {"event": "ping", "service": {"id": "1"}, "organization": {}},
        {"event": "agent.connected", "agent": {"id": "1"}},
    ],
)
def test_x20_other_deliveries_of_a_known_system_are_no_dead_letters(other: dict[str, object]) -> None:
    with pytest.raises(IgnoredError):
        read(other)

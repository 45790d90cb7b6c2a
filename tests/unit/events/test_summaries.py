"""X24: what a payload has about the end of a run is the excerpt of its execution, masked and cut like an output."""

import json
from typing import Any

import pytest

from stream_detector.events import Completion
from stream_detector.events.decode import decode_completion
from stream_detector.events.encode import encode
from stream_detector.events.excerpt import EXCERPT_BYTES
from stream_detector.events.sources import SOURCES
from stream_detector.events.sources.source import Reading
from tests.unit.events.samples_of_sources import changed, loaded
from tests.unit.events.source_matrix import PAYLOADS

PLACES: dict[str, tuple[str, str, str]] = {
    # payload -> the source, the place of the text, what is before the text in the excerpt
    "airflow_dag_run": ("airflow", "note", ""),
    "azure_build_complete": ("azure", "message.text", ""),
    "bitbucket_commit_status": ("bitbucket", "commit_status.description", ""),
    "cdevents_pipelinerun_finished": ("cdevents", "subject.content.errors", ""),
    "jenkins_notification": ("jenkins", "build.log", ""),
    "otel_pipeline_spans": ("otel", "resourceSpans.0.scopeSpans.0.spans.0.status.message", ""),
    "teamcity_build_finished": ("teamcity", "payload.statusText", ""),
    "tekton_pipeline_run": ("tekton", "status.conditions.0.message", ""),
    "dbt_run_results": ("dbt", "results.1.message", "test.shop.not_null_orders_id.0a1b2c3d4e: "),
    "gitlab_pipeline": ("gitlab", "builds.1.failure_reason", "test: test-image: "),
}


def reading(name: str, value: Any) -> Reading:
    source, place, _ = PLACES[name]
    return SOURCES[source].read(changed(loaded(name), place, value))


def excerpt(name: str, text: str) -> str | None:
    (event,) = reading(name, text).events
    assert isinstance(event, Completion) and decode_completion(encode(event), (), -1) == event
    return event.excerpt


@pytest.mark.parametrize("name", PLACES)
def test_x24_a_summary_is_the_excerpt(name: str) -> None:
    before = PLACES[name][2]
    assert excerpt(name, "disk full\n") == f"{before}disk full"
    assert excerpt(name, "") is None
    assert excerpt(name, "\x1b[31mdisk\x1b[0m full\0") == f"{before}disk full"
    long = excerpt(name, "\n".join(f"line {number}" for number in range(20_000)))
    assert long is not None and long.endswith("line 19999") and len(long.encode()) <= EXCERPT_BYTES
    assert excerpt(name, "psql postgresql://app:hunter2@db/app; TOKEN=abcdefgh12345678") == (
        f"{before}psql postgresql://app:***@db/app; TOKEN=***"
    )


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("odd", [7, True, ["a"], {"b": 1}, None])
def test_x24_a_summary_that_is_no_text_loses_no_delivery(name: str, odd: Any) -> None:
    (event,) = reading(name, odd).events
    assert isinstance(event, Completion) and event.excerpt is None


def test_x24_each_job_that_failed_is_named_and_none_pushes_out_the_others() -> None:
    jobs = [
        {"stage": "test", "name": f"job {number}", "status": "failed", "failure_reason": "x" * 9_000 + str(number)}
        for number in range(4)
    ]
    jobs += [{"stage": "test", "name": "fine", "status": "success", "failure_reason": "unknown_failure"}]
    jobs += [{"name": ["odd"], "status": "failed", "failure_reason": "runner_system_failure"}]
    (event,) = SOURCES["gitlab"].read(changed(loaded("gitlab_pipeline"), "builds", jobs)).events
    assert isinstance(event, Completion) and event.excerpt is not None
    lines = event.excerpt.split("\n")
    assert [line[:11] for line in lines] == [*(f"test: job {number}" for number in range(4)), ": runner_sy"]


def test_x24_dbt_gives_the_messages_of_nodes_that_failed_or_warn_alone() -> None:
    payload = loaded("dbt_run_results")
    (event,) = SOURCES["dbt"].read(json.dumps(payload).encode()).events
    assert isinstance(event, Completion)
    assert event.excerpt == ("test.shop.not_null_orders_id.0a1b2c3d4e: Got 3 results, configured to warn if != 0")
    read_nodes = SOURCES["dbt"].read_parts
    assert read_nodes is not None
    found = [
        event.excerpt for event in read_nodes(json.dumps(payload).encode()).events if isinstance(event, Completion)
    ]
    assert found == ["SELECT 40", "Got 3 results, configured to warn if != 0", None]


def test_x24_argo_names_the_pods_and_openlineage_ends_with_the_message() -> None:
    payload = loaded("argo_workflow")
    payload["status"]["message"] = "child 'load' failed"
    payload["status"]["nodes"]["orders-1769040000-2"] |= {"phase": "Failed", "message": "Error (exit code 1)"}
    (event,) = SOURCES["argo"].read(json.dumps(payload).encode()).events
    assert isinstance(event, Completion)
    assert event.excerpt == "load: Error (exit code 1)\norders-nightly: child 'load' failed".replace(
        "orders-nightly", str(event.workflow_name)
    )
    facet = {"message": "table is missing", "programmingLanguage": "JAVA", "stackTrace": "at A\nat B"}
    run = loaded("openlineage_run_event")
    run["run"]["facets"] = {"errorMessage": facet}
    (event,) = SOURCES["openlineage"].read(json.dumps(run).encode()).events
    assert isinstance(event, Completion) and event.excerpt == "at A\nat B\ntable is missing"
    (event,) = SOURCES["openlineage"].read(changed(run, "run.facets.errorMessage", "odd")).events
    assert isinstance(event, Completion) and event.excerpt is None


def test_x24_a_test_report_gives_the_text_of_each_case_that_failed() -> None:
    report = (PAYLOADS / "junit_report.xml").read_bytes()
    (event,) = SOURCES["junit"].read(report).events
    assert isinstance(event, Completion)
    assert event.excerpt == ("tests.cart: test_removes: E assert 1 == 2\ntests.cart: test_pays: no database\nfixture")
    trace = "\n".join(f"at frame {number}" for number in range(1000))
    many = report.replace(b"E assert 1 == 2", f"<![CDATA[{trace}]]> key=AKIAIOSFODNN7EXAMPLE".encode())
    (event,) = SOURCES["junit"].read(many).events
    assert isinstance(event, Completion) and event.excerpt is not None
    assert "at frame 999 key=***\nassert 1 == 2\n" in event.excerpt and len(event.excerpt) < 2_000
    assert "later" not in event.excerpt and "brackets" not in event.excerpt

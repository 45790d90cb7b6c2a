"""X20: an invocation of dbt becomes one execution with its models and tests as steps."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion, Step
from stream_detector.events.documents import MAX_BYTES
from stream_detector.events.encode import encode
from stream_detector.events.sources import dbt
from tests.unit.events.samples_of_sources import changed, loaded, only_event

PAYLOAD = loaded("dbt_run_results")
CASE = {
    "metadata": {"invocation_id": "0a30", "generated_at": "2026-11-20T11:59:16.303778Z"},
    "elapsed_time": 12.5,
    "results": [
        {"unique_id": "model.shop.orders", "status": "success", "execution_time": 3.2},
        {"unique_id": "test.shop.not_null", "status": "fail", "execution_time": 0.4},
    ],
}


def read(payload: Any) -> Completion:
    return only_event(dbt.SOURCE, payload)


def test_x20_an_invocation_is_an_execution_with_its_models_as_steps() -> None:
    event = read(CASE)
    assert (event.execution_id, event.workflow_id) == ("dbt:0a30", "dbt:shop")
    assert (event.status, event.duration_s) == ("failure", 12.5)
    assert event.finished_at == datetime(2026, 11, 20, 11, 59, 16, 303778, tzinfo=UTC)
    assert event.finished_at - event.started_at == timedelta(seconds=12.5)
    assert event.steps == [Step("model.shop.orders", "success", 3.2), Step("test.shop.not_null", "failure", 0.4)]


def test_x20_command_target_and_selection_make_the_workflow() -> None:
    event = read(PAYLOAD)
    assert event.workflow_id == "dbt:shop:build:target=prod:select=tag:hourly"
    assert event.workflow_name == "dbt build shop prod tag:hourly"
    assert event.status == "success" and [step.status for step in event.steps] == ["success", "success", "skip"]
    assert event.labels == {"project": "shop", "command": "build", "target": "prod"}
    assert read(changed(PAYLOAD, "args.select", ["tag:daily"])).workflow_id != event.workflow_id


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["success", "pass", "warn"], "success"),
        (["success", "skipped", "no-op"], "success"),
        (["success", "error", "skipped"], "failure"),
        (["runtime error"], "failure"),
        (["partial success"], "failure"),
        (["skipped", "no-op"], "skip"),
        ([], "skip"),
    ],
)
def test_x20_the_status_is_that_of_dbt_s_exit_code(statuses: list[str], expected: str) -> None:
    results = [{"unique_id": "model.shop.a", "status": status, "execution_time": 1.0} for status in statuses]
    assert read(CASE | {"results": results}).status == expected


def test_x20_of_many_models_those_that_failed_and_the_longest_are_kept_in_their_order() -> None:
    results: list[dict[str, Any]] = [
        {"unique_id": f"model.shop.m{n}", "status": "success", "execution_time": n / 10} for n in range(1, 1501)
    ]
    results[3]["status"] = "error"
    event = read(CASE | {"results": results})
    assert len(event.steps) == 1000 and event.status == "failure"
    assert [step.name for step in event.steps[:2]] == ["model.shop.m4", "model.shop.m502"]


def test_x20_names_that_do_not_fit_an_event_lose_the_shortest_models_and_not_the_invocation() -> None:
    results: list[dict[str, Any]] = [
        {"unique_id": f"model.shop.{n:04}{chr(1) * 500}", "status": "success", "execution_time": n / 10}
        for n in range(1, 1001)
    ]
    results[1]["status"] = "fail"
    event = read(CASE | {"results": results})
    assert 200 < len(event.steps) < 1000 and len(encode(event)) < MAX_BYTES
    assert event.steps[0].status == "failure" and event.steps[-1].duration_s == 100


def test_x20_an_invocation_that_is_sent_again_is_the_same_and_a_duration_of_0_is_not_recorded() -> None:
    assert read(PAYLOAD | {"a_later_field": 1}) == read(PAYLOAD)
    assert read(changed(PAYLOAD, "metadata.invocation_id", "retry")).execution_id == "dbt:retry"
    assert read(PAYLOAD | {"elapsed_time": 0}).duration_s is None


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("results.1.status", "exploded", "unknown_value"),
        ("results.1.status", None, "missing_field"),
        ("results.1", None, "wrong_type"),
        ("results", {}, "wrong_type"),
        ("metadata.generated_at", 5, "bad_time"),
        ("metadata.invocation_id", None, "missing_field"),
    ],
)
def test_x20_what_could_hide_a_failure_is_refused(place: str, value: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        dbt.read(changed(PAYLOAD, place, value))
    assert refused.value.reason == reason
    assert "run_results.json" in refused.value.message or reason == "unknown_value"

"""X20: an invocation of dbt becomes one execution with its models and tests as steps."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion, Step
from stream_detector.events.documents import MAX_BYTES
from stream_detector.events.encode import encode
from stream_detector.events.files import read_events
from stream_detector.events.sources import dbt
from stream_detector.events.sources.source import Choices
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


def nodes(payload: Any) -> list[Completion]:
    assert dbt.SOURCE.read_parts is not None
    given = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    events = dbt.SOURCE.read_parts(given).events
    return [event for event in events if isinstance(event, Completion)]


def test_x20_by_models_each_node_is_a_workflow_with_its_own_times() -> None:
    built, tested, skipped = nodes(PAYLOAD)
    assert built.execution_id == "dbt:7c1d2e3f-0a30-4b4c-8d5e-6f7a8b9c0d1e:model.shop.orders"
    assert (built.workflow_id, built.status) == ("dbt:model.shop.orders:target=prod", "success")
    assert (built.started_at, built.finished_at, built.duration_s) == (
        datetime(2026, 1, 22, 0, 4, 47, tzinfo=UTC),
        datetime(2026, 1, 22, 0, 4, 50, tzinfo=UTC),
        3.25,
    )
    assert built.labels == {"project": "shop", "command": "build", "target": "prod"} and not built.steps
    assert (tested.status, tested.duration_s) == ("success", 0.5)
    assert tested.finished_at - tested.started_at == timedelta(seconds=0.5)
    assert (skipped.status, skipped.duration_s, skipped.started_at) == ("skip", None, skipped.finished_at)


def test_x20_a_node_is_one_workflow_whatever_command_it_ran_in() -> None:
    """The selection and the command are of the invocation; another target has other data."""
    named = {(args, nodes(changed(PAYLOAD, args, value))[0].workflow_id) for args, value in (
        ("args.select", ["tag:daily"]), ("args.which", "run"), ("args.target", "dev"), ("args.target", None),
    )}  # fmt: skip
    assert named == {
        ("args.select", "dbt:model.shop.orders:target=prod"),
        ("args.which", "dbt:model.shop.orders:target=prod"),
        ("args.target", "dbt:model.shop.orders:target=dev"),
        ("args.target", "dbt:model.shop.orders"),
    }
    first, again = nodes(PAYLOAD)[0], nodes(changed(PAYLOAD, "metadata.invocation_id", "retry"))[0]
    assert first.execution_id != again.execution_id


def test_x20_a_node_that_cannot_be_read_does_not_lose_the_others() -> None:
    payload = json.loads(changed(PAYLOAD, "results.1.status", "sideways"))
    (several, other), envelope = payload["results"][:2], json.dumps(json.dumps(payload)).encode()
    for data in (json.dumps(payload).encode(), json.dumps([payload]).encode(), envelope):
        lines = list(read_events(io.BytesIO(data), "run_results.json", record_ms=-1, choices=Choices(by_parts=True)))
        assert [line.error and line.error.reason for line in lines] == [None, None, "unknown_value"], data
    with pytest.raises(RefusedError, match="is none of"):
        nodes(payload | {"results": [other]})
    nameless = {name: value for name, value in several.items() if name != "unique_id"}
    with pytest.raises(RefusedError, match="unique_id"):
        nodes(payload | {"results": [nameless]})
    assert dbt.SOURCE.read_parts is not None
    assert dbt.SOURCE.read_parts(json.dumps(payload | {"results": []}).encode()).ignored
    (one,) = read_events(io.BytesIO(json.dumps(PAYLOAD).encode()), "run_results.json", record_ms=-1)
    assert isinstance(one.event, Completion) and len(one.event.steps) == 3


def test_x20_thousands_of_nodes_with_long_names_have_ids_of_their_own() -> None:
    many = [PAYLOAD["results"][0] | {"unique_id": f"model.shop.{'x' * 300}{number}"} for number in range(3000)]
    found = nodes(PAYLOAD | {"results": many})
    assert len({event.execution_id for event in found}) == len({event.workflow_id for event in found}) == 3000
    assert all(len(event.workflow_id) <= 256 for event in found)

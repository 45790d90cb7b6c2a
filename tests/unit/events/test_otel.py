"""X20: OpenTelemetry's spans of pipeline runs become executions, those of their tasks steps."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion, Step
from stream_detector.events.sources import otel
from tests.unit.events.samples_of_sources import changed, ignored, loaded, only_event

PAYLOAD = loaded("otel_pipeline_spans")
SPANS = "resourceSpans.0.scopeSpans.0.spans"
RESULT = f"{SPANS}.0.attributes.0.value.stringValue"


def read(payload: Any) -> Completion:
    return only_event(otel.SOURCE, payload)


def test_x20_the_span_of_a_run_is_an_execution_and_those_of_its_tasks_are_steps() -> None:
    event = read(PAYLOAD)
    assert event.execution_id == "otel:5b8efff798038103d269b633813fc60c:eee19b7ec3c1b174"
    assert (event.workflow_id, event.workflow_name, event.status) == ("otel:shop:release", "release", "failure")
    assert event.started_at == datetime(2026, 1, 22, 0, 1, 0, 250000, tzinfo=UTC)
    assert event.finished_at == datetime(2026, 1, 22, 0, 5, 0, 750123, tzinfo=UTC)
    assert event.duration_s == pytest.approx(240.500123)
    assert event.steps == [Step("compile", "failure", 120.5)]
    assert event.labels == {"branch": "main", "commit": "7f5c0d3a9be1", "service": "shop"}
    assert event.url == "https://ci.example.org/runs/212"


@pytest.mark.parametrize("result", sorted(otel.STATUS))
def test_x20_each_result_has_its_status(result: str) -> None:
    assert read(changed(PAYLOAD, RESULT, result)).status == otel.STATUS[result]


def test_x20_times_that_are_numbers_and_tags_are_read() -> None:
    assert read(changed(PAYLOAD, f"{SPANS}.0.endTimeUnixNano", 1769040300750123456)) == read(PAYLOAD)
    tagged = read(changed(PAYLOAD, "resourceSpans.0.resource.attributes.5.value.stringValue", "tag"))
    assert (tagged.variant, tagged.labels["tag"]) == ("tag", "main") and "branch" not in tagged.labels
    unknown = read(changed(PAYLOAD, f"{SPANS}.0.startTimeUnixNano", "0"))
    assert unknown.duration_s is None and unknown.started_at == unknown.finished_at


def test_x20_spans_of_anything_else_are_ignored_and_each_run_is_an_execution() -> None:
    other = json.loads(
        changed(PAYLOAD, f"{SPANS}.0.attributes", [{"key": "http.route", "value": {"stringValue": "/"}}])
    )
    assert "no span" in ignored(otel.SOURCE, other)
    assert "no span" in ignored(otel.SOURCE, {"resourceSpans": []})
    both = {"resourceSpans": PAYLOAD["resourceSpans"] + other["resourceSpans"] + PAYLOAD["resourceSpans"]}
    both["resourceSpans"][2] = json.loads(changed(PAYLOAD, f"{SPANS}.0.spanId", "ff"))["resourceSpans"][0]
    assert len({event.execution_id for event in otel.read(json.dumps(both).encode()).events}) == 2  # type: ignore[union-attr]


def test_x20_what_is_odd_in_spans_of_anything_else_is_not_noted() -> None:
    statement = {"key": "db.query.text", "value": {"stringValue": "x" * 5000}}
    other = json.loads(changed(PAYLOAD, f"{SPANS}.1.attributes", [statement, None, {"key": 5}, {"value": []}]))
    reading = otel.read(json.dumps(other).encode())
    assert len(reading.events) == 1 and not reading.left_out


def test_x20_a_run_that_cannot_be_read_does_not_lose_the_others() -> None:
    broken = json.loads(changed(PAYLOAD, RESULT, "exploded"))
    both = {"resourceSpans": broken["resourceSpans"] + PAYLOAD["resourceSpans"]}
    reading = otel.read(json.dumps(both).encode())
    assert len(reading.events) == 1 and [error.reason for error in reading.refused] == ["unknown_value"]


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (RESULT, "exploded", "unknown_value"),
        (f"{SPANS}.0.traceId", None, "missing_field"),
        (f"{SPANS}.0.spanId", 5, "wrong_type"),
        (f"{SPANS}.0.endTimeUnixNano", "yesterday", "bad_time"),
        (f"{SPANS}.0.endTimeUnixNano", "1769040300", "bad_time"),
        ("resourceSpans.0.resource", None, "missing_field"),
    ],
)
def test_x20_what_identifies_no_run_is_refused(place: str, value: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        otel.read(changed(PAYLOAD, place, value))
    assert refused.value.reason == reason
    assert "OTLP in JSON" in refused.value.message or reason == "unknown_value"

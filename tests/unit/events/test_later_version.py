"""X12: what a later version writes is read as it is, as far as it can be stored and shown."""

import json
from typing import Any

import pytest

from stream_detector.events import RefusedError
from stream_detector.events import examples as e
from stream_detector.events.anomaly import severity_rank
from stream_detector.events.anomaly_types import SEVERITIES
from stream_detector.events.decode import decode_anomaly, decode_notification, decode_run_summary
from stream_detector.events.encode import encode


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(encode(e.ANOMALY)) | fields).encode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("anomaly_type", "memory_leak"),
        ("severity", "urgent"),
        ("state", "snoozed"),
        ("profile", "next"),
        ("entity_kind", "pipeline"),
        ("a_field_of_later", {"x": [1]}),
    ],
)
def test_x12_a_word_or_field_of_a_later_version_is_read(field: str, value: Any) -> None:
    found = decode_anomaly(changed(**{field: value}))
    assert getattr(found, field, value) == value
    assert found.id == e.ANOMALY.id


def test_x12_words_within_the_numbers_and_the_affected_are_read_too() -> None:
    metrics = json.loads(encode(e.ANOMALY))["metrics"] | {"direction": "sideways"}
    found = decode_anomaly(changed(metrics=metrics, affected_entities=[{"kind": "host", "id": "h1"}]))
    assert (found.metrics.direction, found.affected_entities[0].kind) == ("sideways", "host")


def test_x12_a_notification_of_an_unknown_severity_is_read() -> None:
    value = json.dumps(json.loads(encode(e.NOTIFICATION)) | {"severity": "urgent"}).encode()
    assert decode_notification(value).severity == "urgent"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "null_value"),
        (b"", "not_json"),
        (b"\xff", "not_utf8"),
        (changed(schema_version=2), "unknown_value"),
        (changed(severity=""), "missing_field"),
        (changed(anomaly_type="x" * 65), "too_long"),
        (changed(state=7), "wrong_type"),
        (changed(description="a\x00b"), "nul_character"),
        (changed(a_field_of_later="a\x00b"), "nul_character"),
        (changed(labels={str(n): "x" for n in range(65)}), "too_long"),
        (changed(detected_at="0001-01-01T00:00:00+01:00"), "bad_time"),
        (changed(detected_at="9999-12-31T23:59:59-01:00"), "bad_time"),
        (changed(attempt=2**31), "out_of_range"),
        (changed(attempt=2**70), "out_of_range"),
    ],
)
def test_x12_what_cannot_be_stored_says_why(value: bytes | None, reason: str) -> None:
    with pytest.raises(RefusedError) as caught:
        decode_anomaly(value)
    assert caught.value.reason == reason


SUMMARY = json.loads(encode(e.RUN_SUMMARY))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"ended_at": "0001-01-01T00:00:00+01:00"}, "bad_time"),
        ({"started_at": "9999-12-31T23:59:59-01:00"}, "bad_time"),
        ({"scored": 2**70}, "out_of_range"),
        ({"expected": -(2**31)}, "out_of_range"),
        ({"revision": 2**31}, "out_of_range"),
        ({"follow_up": 2**70}, "out_of_range"),
        ({"anomalies": [SUMMARY["anomalies"][0] | {"delta": "NaN"}]}, "bad_number"),
        ({"anomalies": [SUMMARY["anomalies"][0] | {"threshold": "Infinity"}]}, "bad_number"),
        ({"anomalies": [SUMMARY["anomalies"][0] | {"current": "1E+400"}]}, "out_of_range"),
        ({"anomalies": [SUMMARY["anomalies"][0] | {"previous": "-1E+9999999"}]}, "out_of_range"),
    ],
)
def test_x12_a_summary_that_cannot_be_stored_or_sent_says_why(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedError) as caught:
        decode_run_summary(json.dumps(SUMMARY | fields).encode())
    assert caught.value.reason == reason


def test_x12_an_unknown_severity_ranks_above_every_known_one() -> None:
    assert all(severity_rank("urgent") > severity_rank(each) for each in SEVERITIES)

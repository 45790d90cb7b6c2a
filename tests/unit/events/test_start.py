"""Start v1: decoding, and what it has in common with the end of its execution."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from stream_detector.events import Completion, RefusedError, Start
from stream_detector.events.decode import decode_completion, decode_received
from stream_detector.events.encode import encode
from stream_detector.events.examples import START
from stream_detector.events.files import value_reader
from stream_detector.events.inputs import INPUTS, key_of, kind_of_event
from stream_detector.events.start import ends_again, started_as
from tests.unit.events.samples import AT_MS, COMPLETION

TYPE = "stream_detector.workflow_start.v1"
FIELDS: dict[str, Any] = {
    "state": "started", "execution_id": "1", "workflow_id": "nightly", "started_at": "2026-01-22T00:00:00Z",
}  # fmt: skip


def value(**changes: Any) -> bytes:
    return json.dumps({name: each for name, each in (FIELDS | changes).items() if each is not ...}).encode()


def decoded(value: bytes, headers: Any = ()) -> Start:
    event = decode_completion(value, headers, AT_MS)
    assert isinstance(event, Start)
    return event


def test_a_start_is_read_and_written_as_it_is() -> None:
    assert decoded(encode(START)) == START
    assert kind_of_event(START) == "start" and key_of(START) == b"nightly"
    assert INPUTS["start"].topic == INPUTS["completion"].topic
    assert decoded(value(later_field={"a": 1})) == decoded(value())


@pytest.mark.parametrize(
    ("given", "headers"),
    [
        (b"\x00\x00\x00\x00\x07" + value(), ()),
        (b"\xef\xbb\xbf" + value(), ()),
        (json.dumps(value().decode()).encode(), ()),
        (value(), [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/ci"), ("ce_type", TYPE.encode())]),
        (json.dumps({"specversion": "1.0", "id": "1", "source": "/", "type": TYPE, "data": FIELDS}).encode(), ()),
        (
            json.dumps(
                {"specversion": "1.0", "id": "1", "source": "/", "type": TYPE}
                | {"data_base64": base64.b64encode(value()).decode()}
            ).encode(),
            (),
        ),
        (value(started_at="2026-01-22 00:00:00+00", attempt="1"), ()),
        (value(started_at="2026-01-22T01:00:00+01:00"), ()),
        (value(status=None), ()),
    ],
)
def test_in_every_envelope_and_form_of_a_time(given: bytes, headers: Any) -> None:
    assert decoded(given, headers) == decoded(value())
    assert decoded(given, headers).started_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"execution_id": ...}, "missing_field"),
        ({"workflow_id": ""}, "missing_field"),
        ({"started_at": ...}, "missing_field"),
        ({"started_at": "2026-01-22T00:00:00"}, "no_zone"),
        ({"started_at": "2150-01-22T00:00:00Z"}, "bad_time"),
        ({"started_at": "2026-01-23T00:00:00Z"}, "future"),
        ({"queued_at": "1970-01-01T00:00:00Z"}, "bad_time"),
        ({"queued_at": "2026-01-22T00:00:01Z"}, "end_before_start"),
        ({"limit_s": 0}, "out_of_range"),
        ({"limit_s": "1h"}, "bad_number"),
        ({"attempt": 0}, "out_of_range"),
        ({"url": "ftp://x"}, "bad_url"),
        ({"workflow_id": "w\0"}, "nul_character"),
        ({"source": "x" * 65}, "too_long"),
        ({"labels": {str(each): "" for each in range(65)}}, "too_long"),
        ({"workflow_id": "w" * 256, "variant": "\u20ac" * 64}, "too_long"),
        ({"state": "queued"}, "missing_field"),
        ({"state": ...}, "missing_field"),
        ({"state": ["started"]}, "missing_field"),
    ],
)
def test_what_is_wrong_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedError) as caught:
        decode_completion(value(**changes), (), AT_MS)
    assert caught.value.reason == reason


def test_an_event_with_a_status_is_an_end_whatever_its_state() -> None:
    for state in ("started", "finished", None, 7):
        given = json.dumps(COMPLETION | {"state": state}).encode()
        assert isinstance(decode_completion(given, (), AT_MS), Completion)


def test_a_start_of_the_future_is_refused_over_http() -> None:
    with pytest.raises(RefusedError) as caught:
        decode_received("start", value(), (), AT_MS - 3_600_000)
    assert caught.value.reason == "future"


def test_a_file_has_starts_between_ends() -> None:
    (line,) = value_reader(-1)(value())
    assert (line.kind, line.unknown) == ("start", ()) and isinstance(line.event, Start)
    (line,) = value_reader(-1)(value(limit=3))
    assert line.unknown == ("limit",)
    (line,) = value_reader(-1)(value(started_at=...))
    assert line.kind == "start" and line.error is not None and line.error.reason == "missing_field"


def test_the_end_names_its_start() -> None:
    second = int(datetime(2026, 1, 22, tzinfo=UTC).timestamp())
    for run in ("airflow:etl:scheduled__2026-01-22T00:00:00.5+00:00", "gitlab:7", "buildkite:0190-a", "azure:acme/7"):
        assert started_as(f"{run}.{second}") == run and ends_again(run)
    for other in ("github:7", "nightly.1769040300", "jenkins:ci.example/job#7", "gitlab:7", "gitlab:7.1769040300\n"):
        assert started_as(other) == other

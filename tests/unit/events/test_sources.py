"""CloudEvents in both Kafka modes, and Confluent's frame: the event within is held to the same contract."""

import base64
import json
from typing import Any

import pytest

from stream_detector.events import RefusedError
from stream_detector.events.decode import decode_completion, decode_score
from tests.unit.events.samples import AT_MS, COMPLETION, completion, score

TYPE = "stream_detector.workflow_completion.v1"
BINARY = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/ci"), ("ce_type", TYPE.encode())]
STRUCTURED = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
ENVELOPE = {"specversion": "1.0", "id": "1", "source": "/ci", "type": TYPE, "data": COMPLETION}


def envelope(**changes: Any) -> bytes:
    merged = ENVELOPE | changes
    return json.dumps({name: value for name, value in merged.items() if value is not None}).encode()


def reason_of(value: bytes, headers: list[tuple[str, bytes | None]]) -> str:
    with pytest.raises(RefusedError) as caught:
        decode_completion(value, headers, AT_MS)
    return caught.value.reason


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (completion(), BINARY),
        (completion(), [*BINARY, ("content-type", b"application/json")]),
        (completion(), [(name.upper(), value) for name, value in BINARY]),
        (completion(), [*BINARY[:3], ("ce_type", b"org.example.build.finished")]),
        (envelope(), STRUCTURED),
        (envelope(), []),
        (envelope(), [("trace", b"1")]),
        (envelope(data=None, data_base64=base64.b64encode(completion()).decode()), STRUCTURED),
        (envelope(datacontenttype="application/vnd.build+json", extra=1), STRUCTURED),
        (b"\x00\x00\x00\x00\x07" + completion(), []),
        (b"\x00\x00\x00\x00\x07" + completion(), BINARY),
        (b"\x00\x00\x00\x00\x07" + envelope(), STRUCTURED),
    ],
)
def test_the_event_within_is_read(value: bytes, headers: list[tuple[str, bytes | None]]) -> None:
    assert decode_completion(value, headers, AT_MS) == decode_completion(completion(), (), AT_MS)


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        (completion(), [("ce_specversion", b"0.3"), *BINARY[1:]], "unsupported_format"),
        (completion(), BINARY[:2], "missing_field"),
        (completion(), [*BINARY[:3], ("ce_type", b"stream_detector.score.v1")], "unsupported_format"),
        (completion(), [*BINARY, ("content-type", b"application/avro")], "unsupported_format"),
        (completion(), [*BINARY[:3], ("ce_type", None)], "missing_field"),
        (envelope(specversion="0.3"), STRUCTURED, "unsupported_format"),
        (envelope(id=None), STRUCTURED, "missing_field"),
        (envelope(type=""), STRUCTURED, "missing_field"),
        (envelope(data=None), STRUCTURED, "missing_field"),
        (envelope(data=None, data_base64="%"), STRUCTURED, "not_json"),
        (envelope(data=None, data_base64=base64.b64encode(b"\x01").decode()), STRUCTURED, "not_json"),
        (envelope(data="text"), STRUCTURED, "wrong_type"),
        (envelope(data=COMPLETION | {"duration_s": -1}), STRUCTURED, "out_of_range"),
        (envelope(data=COMPLETION | {"workflow_name": "\0"}), [], "nul_character"),
        (envelope(datacontenttype="text/xml"), STRUCTURED, "unsupported_format"),
        (b"[]", [("content-type", b"application/cloudevents-batch+json")], "unsupported_format"),
        (b"nonsense", STRUCTURED, "not_json"),
        (completion(), STRUCTURED, "missing_field"),
        (b"\x00\x00\x00\x00\x07", [], "not_json"),
        (b"\x00\x00\x00\x00\x07\x0a\x0bavro", [], "not_json"),
    ],
)
def test_what_is_no_event_of_ours_is_refused(
    value: bytes, headers: list[tuple[str, bytes | None]], reason: str
) -> None:
    assert reason_of(value, headers) == reason


def test_a_score_in_an_envelope_keeps_its_digits() -> None:
    value = envelope(type="org.example.scored", data="DATA").replace(b'"DATA"', score("7.50"))
    assert str(decode_score(value, STRUCTURED, AT_MS).score) == "7.50"

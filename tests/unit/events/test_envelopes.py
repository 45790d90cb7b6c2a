"""X20: what Kafka Connect, Debezium, registries and producers wrap around an event is taken off, in any nesting."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_detector.events import RefusedError
from stream_detector.events.decode import decode_completion
from stream_detector.events.sources import open_envelopes
from stream_detector.events.sources.source import IgnoredError
from tests.unit.events.samples import AT_MS, COMPLETION, completion
from tests.unit.events.source_matrix import PAYLOADS

OWN = "stream_detector.workflow_completion.v1"
GITHUB = json.loads((PAYLOADS / "github_workflow_run.json").read_text("utf-8"))
STRUCT: dict[str, Any] = {"type": "struct", "fields": []}


def text(inner: Any) -> str:
    return json.dumps(inner)


def connect(inner: Any) -> dict[str, Any]:
    return {"schema": STRUCT, "payload": inner}


def debezium(inner: Any) -> dict[str, Any]:
    return {"before": None, "after": inner, "source": {"connector": "postgresql"}, "op": "c", "ts_ms": 1}


def outbox(inner: Any) -> dict[str, Any]:
    return {"id": "1", "aggregatetype": "run", "aggregateid": "7", "type": "Ended", "payload": json.dumps(inner)}


def cloud_event(inner: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "/ci", "type": "com.example.ended", "data": inner}


WRAPPINGS = text, connect, debezium, outbox, cloud_event
NESTED = (
    (connect, debezium),
    (connect, text),
    (connect, debezium, outbox),
    (debezium, cloud_event),
    (cloud_event, text),
    (connect, debezium, outbox, cloud_event),
)


@pytest.mark.parametrize("wrappings", [*((each,) for each in WRAPPINGS), *NESTED])
@pytest.mark.parametrize("inner", [COMPLETION, GITHUB], ids=["own", "github"])
@pytest.mark.parametrize("frame", [b"", b"\x00\x00\x00\x00\x07", b"\x00" + bytes(7) + b"\x07", b"\xef\xbb\xbf"])
def test_x20_the_event_within_is_read(wrappings: Any, inner: Any, frame: bytes) -> None:
    value = inner
    for wrap in reversed(wrappings):
        value = wrap(value)
    expected = decode_completion(json.dumps(inner).encode(), (), AT_MS)
    assert decode_completion(frame + json.dumps(value).encode(), (), AT_MS) == expected


def test_x20_text_within_text_is_read() -> None:
    value = text(text(text(COMPLETION))).encode()
    assert decode_completion(value, (), AT_MS) == decode_completion(completion(), (), AT_MS)


def test_x20_columns_of_a_row_become_times_by_their_schema() -> None:
    columns = [
        {"field": "started_at", "type": "int64", "name": "io.debezium.time.MicroTimestamp"},
        {"field": "finished_at", "type": "int64", "name": "org.apache.kafka.connect.data.Timestamp"},
        {"field": "labels", "type": "string", "name": "io.debezium.data.Json"},
        {"field": "url", "type": "string", "optional": True},
    ]
    row = COMPLETION | {
        "started_at": 1769040000000000,
        "finished_at": 1769040300000,
        "labels": '{"team": "core"}',
        "url": None,
    }
    event = decode_completion(completion(labels={"team": "core"}), (), AT_MS)
    flat = {"schema": {"type": "struct", "fields": columns}, "payload": row}
    assert decode_completion(json.dumps(flat).encode(), (), AT_MS) == event
    states = [{"field": name, "type": "struct", "fields": columns} for name in ("before", "after")]
    change = {"schema": {"type": "struct", "fields": states}, "payload": debezium(row)}
    assert decode_completion(json.dumps(change).encode(), (), AT_MS) == event
    without = json.dumps(debezium(row)).encode()  # numbers without a unit are not guessed
    with pytest.raises(RefusedError):
        decode_completion(without, (), AT_MS)
    row["started_at"] = 2**62
    with pytest.raises(RefusedError):
        decode_completion(json.dumps(flat).encode(), (), AT_MS)


@pytest.mark.parametrize("value", [connect(None), debezium(None), connect(debezium(None))])
def test_x20_a_deleted_row_is_no_dead_letter(value: Any) -> None:
    with pytest.raises(IgnoredError, match="a deleted row holds no event"):
        decode_completion(json.dumps(value).encode(), (), AT_MS)


@pytest.mark.parametrize(
    ("inner", "name"),
    [
        (b"\x00\x0a\x03abc\x12\x07nightly", "Protobuf"),
        (b"\x02\x00\x0a\x03abc\x18\x01\x25\x00\x00\x80\x3f\x29\x00\x00\x00\x00\x00\x00\x00\x00", "Protobuf"),
        (b"\x06abc\x0enightly\x02", "Avro"),
        (b"\x00\x06abc", "Avro"),
        (b"\x02\x06abc\x00", "Avro"),
    ],
)
def test_x20_avro_and_protobuf_are_named_with_what_to_do(inner: bytes, name: str) -> None:
    with pytest.raises(RefusedError, match=rf"{name} in Confluent's frame \(schema id 258\).*JsonConverter") as caught:
        decode_completion(b"\x00\x00\x00\x01\x02" + inner, (), AT_MS)
    assert caught.value.reason == "not_json"


def test_x20_an_envelope_without_end_is_refused() -> None:
    value: Any = COMPLETION
    for _ in range(30):
        value = connect(value)
    with pytest.raises(RefusedError):
        decode_completion(json.dumps(value).encode(), (), AT_MS)
    with pytest.raises(RefusedError):
        decode_completion(b'{"schema":1,"payload":' * 5000 + b"1" + b"}" * 5000, (), AT_MS)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"\x00\x00\x00\x00\x01", b'"{', b'{"schema":{},"payload":', b"payload="]),
)
def test_x20_any_bytes_are_opened_or_refused(value: bytes, start: bytes) -> None:
    try:
        open_envelopes(start + value, OWN)
    except RefusedError as error:
        assert error.message

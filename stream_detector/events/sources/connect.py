"""Kafka Connect's JSON with schemas enabled, `{"schema": ..., "payload": ...}`, around an event.

Source: Apache Kafka, `JsonConverter` (`schemas.enable`, the default) and the schema names of its logical types. Where
the payload is a row whose columns are numbers of a time, the schema gives their unit, so they become times.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import Raw

from stream_detector.events.headers import Headers
from stream_detector.events.reasons import refusal_for
from stream_detector.events.sources.details import attempt, object_fields
from stream_detector.events.sources.source import Envelope, IgnoredError
from stream_detector.events.times import from_epoch_ms

_TIMES = {
    "org.apache.kafka.connect.data.Timestamp": 1000,
    "io.debezium.time.Timestamp": 1000,
    "io.debezium.time.MicroTimestamp": 1_000_000,
    "io.debezium.time.NanoTimestamp": 1_000_000_000,
}
"""Schema name of a column -> its units in a second; all count from 1970 in UTC."""
_JSON_TEXT = "io.debezium.data.Json"
_STATES = "before", "after"
"""Of a row in Debezium's envelope, which has a schema for each."""
_MOST_S = 1e11

_encode = msgspec.json.Encoder().encode


def has_schema(value: bytes) -> bool:
    """Whether the value is such an object and nothing else."""
    if b'"payload"' not in value or b'"schema"' not in value:
        return False
    return (attempt(object_fields, value) or {}).keys() == {"schema", "payload"}


def _open(value: bytes, headers: Headers, own_type: str) -> bytes:
    fields = object_fields(value)  # `has_schema` has read them
    payload = bytes(fields["payload"])
    if payload == b"null":
        raise IgnoredError("connect", "Kafka Connect: a deleted row holds no event")
    try:
        columns = _columns(msgspec.json.decode(fields["schema"]))
        return _with_times(payload, columns) if columns else payload
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal_for(error, value) from None


def _columns(schema: Any) -> dict[str, str]:
    """Name of a column -> name of its schema, for the columns that are not what they look like."""
    found: dict[str, str] = {}
    for field in _fields_of(schema):
        if field.get("field") in _STATES:
            return _columns(field)
        name, logical = field.get("field"), field.get("name")
        if isinstance(name, str) and (logical in _TIMES or logical == _JSON_TEXT):
            found[name] = str(logical)
    return found


def _fields_of(schema: Any) -> list[dict[str, Any]]:
    fields = schema.get("fields") if isinstance(schema, dict) else None
    return [field for field in fields if isinstance(field, dict)] if isinstance(fields, list) else []


def _with_times(payload: bytes, columns: Mapping[str, str]) -> bytes:
    row: dict[str, Any] = dict(msgspec.json.decode(payload, type=dict[str, Raw]))
    for state in _STATES:
        if state in row and bytes(row[state])[:1] == b"{":
            row[state] = _converted(msgspec.json.decode(row[state], type=dict[str, Raw]), columns)
    return _encode(_converted(row, columns))


def _converted(row: dict[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    for name, logical in columns.items():
        given = row.get(name)
        if not isinstance(given, Raw):
            continue
        value = msgspec.json.decode(given)
        if logical == _JSON_TEXT and isinstance(value, str):
            row[name] = Raw(value.encode())
        elif isinstance(value, int) and not isinstance(value, bool):
            units = _TIMES.get(logical, 0)
            if units and abs(value) < _MOST_S * units:
                row[name] = (from_epoch_ms(0) + timedelta(microseconds=value * 1_000_000 // units)).isoformat()
    return row


ENVELOPE = Envelope(title="Kafka Connect", recognises=has_schema, open=_open)

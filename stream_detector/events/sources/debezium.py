"""Debezium's change event around a row that is an event, or that has one in a column (the outbox pattern).

Source: Debezium's "Change events" (`before`, `after`, `source`, `op`) and "Outbox Event Router". A row that was deleted
holds no event; of a change, the row after it counts.
"""

import msgspec
from msgspec import Raw

from stream_detector.events.headers import Headers
from stream_detector.events.sources.details import object_fields
from stream_detector.events.sources.source import Envelope, IgnoredError

_NEEDED = frozenset({"after", "source", "op"})
_OUTBOX = frozenset({"aggregatetype", "payload"})


def is_change(value: bytes) -> bool:
    """Whether the value has the fields of a change event, or is a row of an outbox table."""
    if b'"op"' not in value and b'"aggregatetype"' not in value:
        return False
    fields = _fields(value)
    return fields.keys() >= _NEEDED or fields.keys() >= _OUTBOX


def _fields(value: bytes) -> dict[str, Raw]:
    try:
        return object_fields(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _open(value: bytes, headers: Headers, own_type: str) -> bytes:
    fields = _fields(value)
    inner = fields["after"] if "after" in fields else fields["payload"]
    if bytes(inner) == b"null":
        raise IgnoredError("debezium", "Debezium: a deleted row holds no event")
    return bytes(inner)


ENVELOPE = Envelope(title="Debezium", is_announced=lambda headers: False, recognises=is_change, open=_open)

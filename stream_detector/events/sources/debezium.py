"""Debezium's change event around a row that is an event, or that has one in a column (the outbox pattern).

Source: Debezium's "Change events" (`before`, `after`, `source`, `op`) and "Outbox Event Router". A row that was deleted
holds no event; of a change, the row after it counts.
"""

from stream_detector.events.headers import Headers
from stream_detector.events.sources.details import attempt, object_fields
from stream_detector.events.sources.source import Envelope, IgnoredError

_NEEDED = frozenset({"after", "source", "op"})
_OUTBOX = frozenset({"aggregatetype", "payload"})


def is_change(value: bytes) -> bool:
    """Whether the value has the fields of a change event, or is a row of an outbox table."""
    if b'"op"' not in value and b'"aggregatetype"' not in value:
        return False
    fields = attempt(object_fields, value) or {}
    return fields.keys() >= _NEEDED or fields.keys() >= _OUTBOX


def _open(value: bytes, headers: Headers, own_type: str) -> bytes:
    fields = object_fields(value)  # `is_change` has read them
    inner = fields["after"] if "after" in fields else fields["payload"]
    if bytes(inner) == b"null":
        raise IgnoredError("debezium", "Debezium: a deleted row holds no event")
    return bytes(inner)


ENVELOPE = Envelope(title="Debezium", recognises=is_change, open=_open)

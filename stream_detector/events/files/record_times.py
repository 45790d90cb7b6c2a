"""Lines of a file that give the time of their record: `{"record_at": "2026-01-22T00:05:03Z", "event": {...}}`.

That is when the event was published: a replay then knows what was late, and what had not come yet. Only a history has
such lines: on a topic the record has its timestamp, and what comes over HTTP is published at that moment.
"""

from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec import Raw

from stream_detector.events.checks import check_not_future, check_plausible, invalid_value
from stream_detector.events.duplicates import check_unique
from stream_detector.events.times import epoch_ms
from stream_detector.events.written import rfc3339

_FIELDS = frozenset({"record_at", "event"})
_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_text = msgspec.json.Decoder(str).decode
_any = msgspec.json.Decoder(dict[str, object]).decode


class Stamped(NamedTuple):
    """The event of such a line, as JSON, and the timestamp of its record, epoch ms."""

    value: bytes
    record_ms: int


def read_stamped(value: bytes, now_ms: int) -> Stamped | None:
    """The event and its record's time; None where the value is no such line.

    Args:
        now_ms: no record is from after that; below 0, at any time.

    Raises `RefusedError` where the time cannot be read.

    >>> read_stamped(b'{"record_at": "2026-01-22T00:05:03.5Z", "event": {"run_id": "r"}}', -1)
    Stamped(value=b'{"run_id": "r"}', record_ms=1769040303500)
    """
    if b'"record_at"' not in value:
        return None
    try:
        fields = _fields(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if fields.keys() != _FIELDS:
        return None
    check_unique(value, _any(value))
    return Stamped(bytes(fields["event"]), _record_ms(bytes(fields["record_at"]), now_ms))


def _record_ms(raw: bytes, now_ms: int) -> int:
    text = _text(raw) if raw[:1] == b'"' else ""
    try:
        at = datetime.fromisoformat(rfc3339(text) or text)
    except ValueError:
        raise invalid_value(
            "bad_time", "$.record_at: not an RFC 3339 time; send for example 2026-01-22T00:05:00Z"
        ) from None
    if at.tzinfo is None:
        raise invalid_value("no_zone", "$.record_at: the time has no zone; add Z or an offset such as +02:00")
    check_plausible("record_at", at)
    check_not_future("record_at", at, now_ms)
    return epoch_ms(at)

"""Instants: the range that is believed, and the way to and from epoch milliseconds (Kafka's timestamps)."""

from datetime import UTC, datetime, timedelta

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""An event before it carries an unset clock (1970) and not a time."""

LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""An event from here on carries a wrong unit (milliseconds read as seconds) and not a time."""

FUTURE_MS = 600_000
"""How far an event's time may lie beyond its record's timestamp: clocks of two machines never agree."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def epoch_ms(at: datetime) -> int:
    """Whole milliseconds since 1970, rounded down, without the error of a float.

    >>> epoch_ms(datetime(2026, 1, 22, 0, 5, tzinfo=UTC))
    1769040300000
    """
    since = at - _EPOCH
    # Whole numbers by hand: 0.16 us, a division of timedeltas 0.23.
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def from_epoch_ms(ms: int) -> datetime:
    """The instant in UTC.

    >>> from_epoch_ms(1769040300000).isoformat()
    '2026-01-22T00:05:00+00:00'
    """
    return _EPOCH + ms * _MS

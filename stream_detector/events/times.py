"""Instants: the range that is believed, and the way to and from epoch milliseconds (Kafka's timestamps)."""

from datetime import UTC, datetime, timedelta
from typing import Final

from mypy_extensions import i64

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""An event before it carries an unset clock (1970) and not a time."""

LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""An event from here on carries a wrong unit (milliseconds read as seconds) and not a time."""

FUTURE_MS: Final = 600_000
"""How far an event's time may lie beyond its record's timestamp: clocks of two machines never agree."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


class _Last:
    """The instant that was asked of last: an event's end is looked at when it is decoded and when it is judged.

    The second look takes 0.03 us and not 0.2, 2 % of an event (2026-11-30).
    """

    def __init__(self) -> None:
        self.asked: tuple[datetime, i64] = _EPOCH, 0


_last: Final = _Last()


def epoch_ms(at: datetime) -> i64:
    """Whole milliseconds since 1970, rounded down, without the error of a float.

    >>> epoch_ms(datetime(2026, 1, 22, 0, 5, tzinfo=UTC))
    1769040300000
    """
    asked = _last.asked
    if at is asked[0]:
        return asked[1]
    since = at - _EPOCH
    # Whole numbers by hand: 0.16 us, a division of timedeltas 0.23.
    days: i64 = since.days
    seconds: i64 = since.seconds
    microseconds: i64 = since.microseconds
    ms = days * 86_400_000 + seconds * 1000 + microseconds // 1000
    _last.asked = at, ms
    return ms


EARLIEST_MS: Final = epoch_ms(EARLIEST)
"""A record timestamp before it is none: absent (-1), 0, or seconds. The event's own time stands then."""
LATEST_MS: Final = epoch_ms(LATEST)


def from_epoch_ms(ms: int) -> datetime:
    """The instant in UTC.

    >>> from_epoch_ms(1769040300000).isoformat()
    '2026-01-22T00:05:00+00:00'
    """
    return _EPOCH + ms * _MS

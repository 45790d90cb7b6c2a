"""What no type says: which times are believed, and decimals exactly as they were written."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from stream_detector.events.refused import Reason, RefusedError
from stream_detector.events.times import EARLIEST, EARLIEST_MS, FUTURE_MS, LATEST, LATEST_MS, from_epoch_ms
from stream_detector.events.written import JSON_NUMBER

MAX_DIGITS = 20
"""Of a score, written out in full."""

LIMIT = Decimal(10) ** 12
_NEAR_START_MS = 60_000
_LONGEST_RUN = timedelta(days=30)
"""A record that is stamped so near the start of an execution that took no longer is stamped with that."""
_MOST_INTEGER = 2**31 - 1


def check_plausible(name: str, at: datetime) -> None:
    """Accept a time that a clock can have shown."""
    if not EARLIEST <= at < LATEST:
        raise invalid_value("bad_time", f"$.{name} is not in the years 2000 to 2099; check the unit and the clock")


def check_record_time(record_ms: int) -> None:
    """Accept a record timestamp that a clock can have shown, or one that is not believed (`EARLIEST_MS`)."""
    if record_ms > LATEST_MS:
        raise invalid_value(
            "bad_time",
            "the record timestamp is after the year 2099; set it in milliseconds since 1970, or leave it out",
        )


def check_not_future(name: str, at: datetime, record_ms: int, started: datetime | None = None) -> None:
    """Accept a time that its record's own timestamp allows; one before `EARLIEST_MS` allows every time.

    Args:
        started: of an execution, whose record may be stamped with its start: then its end is no future.
    """
    if not EARLIEST_MS <= record_ms < at.timestamp() * 1000 - FUTURE_MS:
        return
    if started is not None and _is_stamped_with_start(started, at, record_ms):
        return
    raise invalid_value(
        "future",
        f"$.{name} {_plain(at)} is more than 10 minutes after the record timestamp {_plain(from_epoch_ms(record_ms))}; "
        f"correct the clock that gave $.{name}, or the one that stamps the record: the producer's, over HTTP this "
        "server's, from a file this machine's",
    )


def _is_stamped_with_start(started: datetime, finished: datetime, record_ms: int) -> bool:
    return finished - started <= _LONGEST_RUN and abs(started.timestamp() * 1000 - record_ms) <= _NEAR_START_MS


def _plain(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def exact_decimal(name: str, raw: bytes) -> Decimal:
    """A JSON number, also in quotes, exactly. Beyond 20 digits or 1e12 nobody can show it, nor a float hold it."""
    text = raw.decode().strip()
    if text[:1] == '"':
        text = text[1:-1].strip()
        if not JSON_NUMBER.fullmatch(text):
            raise invalid_value("bad_number", f"$.{name}: the text is not a number; send it as, for example, 7.5")
    if text[:1] not in "-0123456789":
        raise invalid_value("wrong_type", f"$.{name}: a number is expected")
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent beyond what the decimal library itself can hold
        raise _too_big(name) from None
    if not -LIMIT <= number <= LIMIT:
        raise _too_big(name)
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)  # JSON has neither NaN nor infinity
    if max(len(digits), -exponent) + max(exponent, 0) > MAX_DIGITS:
        raise invalid_value("bad_number", f"$.{name}: more than {MAX_DIGITS} digits; round it")
    return number.quantize(Decimal(1)) if exponent > 0 else number


def check_storable(name: str, value: int | None) -> None:
    """Accept an integer that a column of PostgreSQL and the notifier's state can hold (32 bits)."""
    if value is not None and not -_MOST_INTEGER <= value <= _MOST_INTEGER:
        raise invalid_value("out_of_range", f"$.{name}: the number is out of range; send one within 2,147,483,647")


def check_decimal(name: str, value: Decimal) -> None:
    """Accept a decimal that is a number and that a message can show; a change is at most twice `LIMIT`."""
    if not value.is_finite():
        raise invalid_value("bad_number", f"$.{name} is not a number; send a finite decimal")
    if not -2 * LIMIT <= value <= 2 * LIMIT:
        raise _too_big(name)


def _too_big(name: str) -> RefusedError:
    return invalid_value("out_of_range", f"$.{name}: the number is out of range; send one within 1e12")


def invalid_value(reason: Reason, message: str) -> RefusedError:
    """The refusal of a value that could be read."""
    return RefusedError("validate", reason, message)

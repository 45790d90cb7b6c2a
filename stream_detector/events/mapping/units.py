"""Times and durations in the units and forms that a mapping names, as the contract has them."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from stream_detector.events.refused import RefusedError
from stream_detector.events.written import JSON_NUMBER, rfc3339

EPOCH_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Unit of a time since 1970 -> how many a second has."""
DURATION_UNITS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
}
FORMS = ("iso", "clock")
"""Of a duration: `PT1M30S`, and `00:01:30` or `01:30`."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})?")
_ISO = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:[.,]\d+)?)S)?)?")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{2}(?:[.,]\d+)?)")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def zone_of(text: str) -> tzinfo:
    """The zone: UTC, an offset such as `+02:00`, or a name such as `Europe/Berlin`. Raises `ValueError`."""
    if text.upper() in ("UTC", "Z", "GMT"):
        return UTC
    found = _OFFSET.fullmatch(text)
    if found is None:
        try:
            return ZoneInfo(text)
        except (KeyError, OSError):
            raise ValueError(f"{text!r} is no zone known here") from None
    offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    return timezone(-offset if found[1] == "-" else offset)


def instant(place: str, value: Any, *, unit: str = "", form: str = "", zone: tzinfo | None = None) -> str:
    """The time in the form of RFC 3339. Raises `RefusedError`.

    Args:
        unit: of a number, seconds or smaller since 1970.
        form: of a text, as `datetime.strptime` has it.
        zone: of a text that has none.
    """
    if unit:
        return _since_epoch(place, value, EPOCH_UNITS[unit])
    if not isinstance(value, str):
        raise _refused("bad_time", place, 'is a number; name its unit in the mapping, for example unit = "ms"')
    text = value.strip()
    if form:
        try:
            at = datetime.strptime(text, form)
        except ValueError:
            raise _refused("bad_time", place, f"is not in the format {form}") from None
        text = at.isoformat()
    elif zone is not None and _DAY.fullmatch(text):
        text += "T00:00:00"
    own = rfc3339(text)
    if own is None:
        return text  # the decoder names what it may be
    if zone is None:
        return own
    try:
        at = datetime.fromisoformat(own)
        return own if at.tzinfo is not None else at.replace(tzinfo=zone).isoformat()
    except ValueError:
        return own


def _since_epoch(place: str, value: Any, per_second: int) -> str:
    number = exact(place, value)
    try:
        # Whole microseconds by hand: a float of nanoseconds since 1970 is off by a hundred of them.
        return (_EPOCH + timedelta(microseconds=int(number * 1_000_000 / per_second))).isoformat()
    except (OverflowError, InvalidOperation):
        raise _refused("bad_time", place, "is no time in that unit; check the unit in the mapping") from None


def seconds(place: str, value: Any, unit: str) -> Decimal:
    """The duration in seconds, exactly. Raises `RefusedError`."""
    if unit == "iso":
        found = _ISO.fullmatch(str(value).strip())
        if found is None or not any(found.groups()):
            raise _refused("bad_number", place, "is no ISO 8601 duration such as PT1M30S")
        days, hours, minutes, rest = found.groups()
    elif unit == "clock":
        found = _CLOCK.fullmatch(str(value).strip())
        if found is None:
            raise _refused("bad_number", place, "is no duration such as 00:01:30")
        days, (hours, minutes, rest) = None, found.groups()
    else:
        return exact(place, value) * DURATION_UNITS[unit]
    whole = int(days or 0) * 86_400 + int(hours or 0) * 3600 + int(minutes or 0) * 60
    return whole + Decimal((rest or "0").replace(",", "."))


def exact(place: str, value: Any) -> Decimal:
    """The number, also in quotes. Raises `RefusedError`."""
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        number = Decimal(value)
    elif isinstance(value, float):
        number = Decimal(repr(value))
    elif isinstance(value, str) and JSON_NUMBER.fullmatch(value.strip()):
        number = Decimal(value.strip())
    else:
        raise _refused("bad_number", place, "is not a number")
    if not abs(number) < Decimal("1e30"):
        raise _refused("out_of_range", place, "is out of range")
    return number


def _refused(reason: Any, place: str, what: str) -> RefusedError:
    return RefusedError("validate", reason, f"{place} {what}")

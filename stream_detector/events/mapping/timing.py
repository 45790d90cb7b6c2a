"""Which columns are times and durations, and in which unit or form."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from stream_detector.events.mapping.sampled import Column, last_name, number_of, quoted
from stream_detector.events.mapping.units import FORMS, seconds
from stream_detector.events.refused import RefusedError
from stream_detector.events.written import rfc3339

_START_NAME = re.compile(r"start|begin|began|trigger|launch|execution.?date", re.IGNORECASE)
_END_NAME = re.compile(r"end|finish|complet|stop|closed|done", re.IGNORECASE)
_DURATION_NAME = re.compile(r"duration|elapsed|took|runtime|run.?time|time.?taken|length|seconds|millis", re.IGNORECASE)
_UNIT_OF_NAME = (
    ("ms", re.compile(r"(_|\b|\()ms\)?$|milli|Ms$|Millis$")),
    ("us", re.compile(r"(_|\b|\()us\)?$|micro")),
    ("ns", re.compile(r"(_|\b|\()ns\)?$|nano|Nano$")),
    ("min", re.compile(r"(_|\b|\()mins?\)?$|minutes?\)?$", re.IGNORECASE)),
    ("h", re.compile(r"(_|\b|\()h\)?$|hours?\)?$", re.IGNORECASE)),
)
_SECONDS_NAME = re.compile(r"(_|\b|\()s(ecs?)?\)?$|second", re.IGNORECASE)
_EPOCHS = (("s", 1e9), ("ms", 1e12), ("us", 1e15), ("ns", 1e18))
"""Unit -> what the years 2001 to 2099 begin with."""
_MOST_OF = 0.7
"""A column is of times although some of its values are not: they are counted when the proposal is tried."""
_DATE_FORMS = "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M"


class Time(NamedTuple):
    column: Column
    spec: str
    """What stands in the mapping."""
    instants: list[float | None]
    is_day: bool


def as_time(column: Column) -> Time | None:
    """The column as times: text with or without a zone, a usual date, or a number since 1970."""
    present = column.present
    if not present or any(isinstance(value, bool) for value in present):
        return None
    counts = [number for value in present if (number := number_of(value)) is not None]
    if len(counts) < _MOST_OF * len(present):
        return _text_time(column)
    unit = next((unit for unit, low in _EPOCHS if all(low <= each < 4.1 * low for each in counts)), "")
    if not unit:
        return None
    scale = dict(_EPOCHS)[unit] / 1e9
    instants = [None if (number := number_of(value)) is None else float(number) / scale for value in column.values]
    return Time(column, f"{{ field = {quoted(column.path)}, unit = {quoted(unit)} }}", instants, False)


def _text_time(column: Column) -> Time | None:
    forms: list[tuple[str, Callable[[str], datetime | None]]] = [("", _iso)]
    forms += [(form, lambda text, form=form: _by_form(text, form)) for form in _DATE_FORMS]  # type: ignore[misc]
    for form, read in forms:
        found = [read(str(value)) for value in column.present]
        if sum(at is not None for at in found) < _MOST_OF * len(found):
            continue
        has_zone = all(at.tzinfo for at in found if at)
        parts = [f"field = {quoted(column.path)}", *([f"format = {quoted(form)}"] if form else [])]
        parts += [] if has_zone else ['zone = "UTC"']
        spec = quoted(column.path) if len(parts) == 1 else f"{{ {', '.join(parts)} }}"
        read_values = [read(str(value)) if value else None for value in column.values]
        instants = [None if at is None else at.timestamp() for at in read_values]
        return Time(column, spec, instants, all(len(str(value).strip()) == 10 for value in column.present))
    return None


def _iso(text: str) -> datetime | None:
    own = rfc3339(text, days=True)
    return _parsed(datetime.fromisoformat, own) if own else None


def _by_form(text: str, form: str) -> datetime | None:
    return _parsed(lambda given: datetime.strptime(given, form), text.strip())


def _parsed(read: Callable[[str], datetime], text: str) -> datetime | None:
    try:
        return read(text)
    except ValueError:
        return None


def start_and_end(times: list[Time]) -> tuple[Time | None, Time | None]:
    start = next((time for time in times if _START_NAME.search(last_name(time.column.path))), None)
    end = next((time for time in times if time is not start and _END_NAME.search(last_name(time.column.path))), None)
    if start is None and end is None and times:
        updated = [time for time in times if "updat" in time.column.path.casefold()]
        end = updated[0] if updated else times[-1]
        start = next((time for time in times if time is not end and "creat" in time.column.path.casefold()), None)
    if start and end and _is_before(end, start):
        return None, end  # one of the two is something else
    return start, end


def _is_before(one: Time, other: Time) -> bool:
    """Whether it is, for any event."""
    pairs = zip(one.instants, other.instants, strict=True)
    return any(a is not None and b is not None and a < b for a, b in pairs)


def find_duration(columns: list[Column], start: Time | None, end: Time | None) -> tuple[Column | None, str]:
    for column in columns:
        if not _DURATION_NAME.search(column.path) or not column.present:
            continue
        for form in FORMS:
            if all(isinstance(value, str) and _is_form(value, form) for value in column.present):
                return column, form
        if all((number := number_of(value)) is not None and number >= 0 for value in column.present):
            return column, _unit(column, start, end)
    return None, ""


def is_guess(column: Column, unit: str, start: Time | None, end: Time | None) -> bool:
    """Whether neither the two times nor the name give the unit of the duration."""
    return unit == "s" and not (start and end) and _SECONDS_NAME.search(column.path) is None


def _unit(column: Column, start: Time | None, end: Time | None) -> str:
    """By the two times where there are both, else by the name."""
    if start and end:
        ratios = sorted(
            float(number) / (b - a)
            for value, a, b in zip(column.values, start.instants, end.instants, strict=True)
            if a is not None and b is not None and b - a >= 1 and (number := number_of(value))
        )
        if ratios:
            middle = ratios[len(ratios) // 2]
            units = (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9), ("min", 1 / 60))
            return next((unit for unit, per_s in units if per_s / 3 < middle < per_s * 3), "s")
    return next((unit for unit, name in _UNIT_OF_NAME if name.search(column.path)), "s")


def _is_form(text: str, form: str) -> bool:
    try:
        seconds("", text, form)
    except RefusedError:
        return False
    return True

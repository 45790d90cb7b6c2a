"""A learned schedule in words."""

from calendar import day_name
from datetime import UTC, datetime
from typing import Final, NamedTuple

from stream_detector.detect.statistics.schedule.expected import offset_of, runs_on
from stream_detector.detect.statistics.schedule.hours import WEEK_HOURS, has_hour
from stream_detector.detect.statistics.schedule.learned import DAILY, DAY, EVERY, HOUR, INTERVAL, Learned
from stream_detector.detect.statistics.schedule.schedule import Schedule

_NEAR_S: Final = 4_500
_SET_BY: Final = 0.1
"""A tenth of the starts lie before the range that is named, and a tenth after it."""


class ScheduleView(NamedTuple):
    """What is known of when runs come.

    Attributes:
        text: such as `weekdays 02:00 to 02:04 UTC`.
        came, expected: of the runs that were expected lately, how many came; those not that are missing in a row now.
        usual_s, due_s: when the next run usually starts, and by when its event is due, epoch s; 0: none is expected.
        ends_by: such as `02:40 UTC`: by when a run usually has ended; empty where runs come several times a day.
    """

    text: str
    came: int
    expected: int
    usual_s: int
    due_s: int
    ends_by: str = ""


def describe(schedule: Schedule) -> ScheduleView | None:
    """The schedule in words; None where there is none."""
    if not schedule.kind:
        return None
    expected = round(schedule.asked) - schedule.missed
    came = min(round(schedule.served), expected)
    return ScheduleView(_text(schedule), came, expected, int(schedule.usual_s), int(schedule.due_s), _ends_by(schedule))


def _text(schedule: Learned) -> str:
    if schedule.kind == INTERVAL:
        return f"every {_period(int(schedule.period_s))}{_hours(schedule)}"
    if schedule.kind == DAILY:
        if len(schedule.times) > 1:
            times = [_clock(time) for time in sorted(schedule.times)]
            return f"{_named([any(day) for day in _week(schedule)])} {', '.join(times[:-1])} and {times[-1]} UTC"
        return f"{_days(schedule)} {_range(schedule)} UTC"
    if schedule.kind == EVERY:
        days = schedule.period_s // DAY
        if days == 7:
            return f"{day_name[(schedule.day + 3) % 7]}s {_range(schedule)} UTC"  # day 0 was a Thursday
        return f"every {days} days {_range(schedule)} UTC"
    on = "on the last day" if schedule.last_day else f"on day {schedule.period_s}"
    return f"{on} of the month {_range(schedule)} UTC"


def _period(seconds: int) -> str:
    return f"{seconds // HOUR} h" if seconds % HOUR == 0 else f"{seconds // 60} min"


def _hours(schedule: Learned) -> str:
    """The hours of the week in which it runs, where they are not all."""
    days = _week(schedule)
    if all(all(day) for day in days) or schedule.hour - schedule.since_hour < WEEK_HOURS:
        return ""
    running = [day for day in days if any(day)]
    if not running:
        return ""
    names = _named([any(day) for day in days])
    first = min(day.index(True) for day in running)
    last = max(24 - day[::-1].index(True) for day in running)
    if last - first == 24:
        return f" on {names}" if names != "every day" else ""
    return f", {names} {first:02}:00 to {last:02}:00 UTC"


def _days(schedule: Learned) -> str:
    """On which days of the week it ran on most of the last three."""
    newest = schedule.newest // DAY
    monday = newest + 7 - (newest + 3) % 7  # day 0 was a Thursday
    return _named([runs_on(schedule, monday + weekday) for weekday in range(7)])


def _week(schedule: Learned) -> list[list[bool]]:
    """In which hours of each day it ran the last time they came, from Monday on."""
    monday = 96  # hours are counted from a Thursday on
    return [[has_hour(schedule.hours, monday + 24 * day + hour) for hour in range(24)] for day in range(7)]


def _named(on: list[bool]) -> str:
    """
    >>> _named([True] * 7), _named([True] * 5 + [False] * 2), _named([False] * 5 + [True] * 2)
    ('every day', 'weekdays', 'weekends')
    >>> _named([True, False, True, False, False, False, False])
    'Mondays and Wednesdays'
    """
    if all(on) or not any(on):
        return "every day"
    if on == [True] * 5 + [False] * 2:
        return "weekdays"
    if on == [False] * 5 + [True] * 2:
        return "weekends"
    names = [f"{day_name[day]}s" for day in range(7) if on[day]]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _range(schedule: Learned) -> str:
    """From when to when it usually starts, or the one minute."""
    time = schedule.times[0]
    offsets = sorted(int(offset_of(start, time)) for start in schedule.starts())
    near = [offset for offset in offsets if abs(offset) <= _NEAR_S] or [0]
    cut = int(_SET_BY * len(near))
    first, last = _clock(time + near[cut]), _clock(time + near[len(near) - 1 - cut])
    return first if first == last else f"{first} to {last}"


def _ends_by(schedule: Learned) -> str:
    if schedule.kind == INTERVAL or len(schedule.times) > 1 or not schedule.run_s:
        return ""
    return f"{_clock(schedule.times[0] + int(schedule.run_s) + 59)} UTC"


def _clock(seconds: int) -> str:
    """
    >>> _clock(7200), _clock(-60), _clock(86_460)
    ('02:00', '23:59', '00:01')
    """
    return datetime.fromtimestamp(seconds % DAY, UTC).strftime("%H:%M")

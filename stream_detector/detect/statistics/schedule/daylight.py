"""When clocks are put forward or back, in one of the zones in which many people do so."""

from datetime import date, timedelta
from typing import Final

from mypy_extensions import i64

DAY: Final = 86_400
HOUR: Final = 3_600
_FIRST: Final = date(1970, 1, 1).toordinal()
_WEEK: Final = timedelta(7)


def date_of(day: i64) -> date:
    """The date of a day since 1970."""
    return date.fromordinal(_FIRST + int(day))


def shift_between(after_s: i64, until_s: i64) -> bool:
    """Whether clocks are put forward or back between two times, nine days of them at most.

    Europe: the last Sundays of March and October, 01:00 UTC. North America: the second Sunday of March and the first of
    November, 06:00 to 11:00. Australia and New Zealand: the first Sundays of April and October and the last of
    September, 14:00 to 17:00 on the day before.

    >>> shift_between(1774700000, 1774764000), shift_between(1774800000, 1774900000)  # 2026-03-28, 2026-03-29
    (True, False)
    """
    day = max(after_s, until_s - 9 * DAY) // DAY
    day += (3 - day) % 7  # day 3 was a Sunday
    while day <= until_s // DAY + 1:
        hours = _shift_hours(day)
        if hours:
            begin = hours // 100 - 50
            end = hours % 100 - 50
            if until_s >= day * DAY + begin * HOUR and after_s < day * DAY + end * HOUR:
                return True
        day += 7
    return False


def _shift_hours(sunday: i64) -> i64:
    """From when to when clocks are changed, in hours of that Sunday in UTC, as 100 (begin + 50) + end + 50; else 0."""
    on = date_of(sunday)
    month, day = on.month, on.day
    is_last = (on + _WEEK).month != month
    if month in (3, 10) and is_last:
        return 5152
    if (month == 3 and 8 <= day <= 14) or (month == 11 and day <= 7):
        return 5661
    if (month in (4, 10) and day <= 7) or (month == 9 and is_last):
        return 4043
    return 0

"""At which times the next runs are expected, when they are due, and whether a run is one of them."""

from datetime import timedelta
from typing import Final

from mypy_extensions import i64

from stream_detector.detect.codec.binary import u16
from stream_detector.detect.statistics.schedule.daylight import date_of, shift_between
from stream_detector.detect.statistics.schedule.hours import WEEK_HOURS, has_hour
from stream_detector.detect.statistics.schedule.learned import (
    DAILY,
    DAY,
    EVERY,
    HOUR,
    INTERVAL,
    MONTHLY,
    Learned,
    gap_of,
)

LEAST_TOLERANCE_S: Final = 900
SHIFT_SLACK_S: Final = 900
"""A run may be so much later than its hour has moved by."""
BEFORE_HOUR_S: Final = 180
AGREE_S: Final = 720
_EARLY_S: Final = 900
_SELDOM_NEAR_S: Final = 10_800
_MORE_S: Final = 8
"""So much longer is waited for what runs often: of those a thousandth comes just then."""


def early_of(s: Learned) -> i64:
    """How much earlier than usual a run may start."""
    if s.kind == INTERVAL:
        return s.early_s
    return _SELDOM_NEAR_S if s.is_seldom else _EARLY_S


def near_of(s: Learned) -> i64:
    """How far from its time of day a run is one of that: what runs seldom may have moved more than once."""
    return _SELDOM_NEAR_S if s.is_seldom else HOUR + SHIFT_SLACK_S


def apart_of(s: Learned) -> i64:
    """The least gap between two usual starts, in seconds."""
    if s.kind == INTERVAL:
        return s.period_s
    return least_gap(s.times) if len(s.times) > 1 else DAY


def least_gap(times: list[int]) -> i64:
    """Of times of the day, around midnight too."""
    ordered = sorted(times)
    before = i64(ordered[len(ordered) - 1]) - DAY
    least: i64 = DAY
    for time in ordered:
        least = min(least, time - before)
        before = time
    return least


def offset_of(start_s: i64, time_s: i64) -> i64:
    """How long after a time of day it is, within half a day either way."""
    return (start_s - time_s + DAY // 2) % DAY - DAY // 2


def hour_offset(s: Learned) -> i64:
    """Where its hours begin: of what runs each hour or more seldom, a little before its usual start."""
    if s.kind != INTERVAL or s.period_s < HOUR:
        return 0
    place = s.times[0] % HOUR
    return place - min(place, s.early_s)


def pending_of(s: Learned) -> i64:
    """The first usual start after the last that is decided, which was at a slightly different time perhaps; 0: none."""
    return next_usual(s, s.settled_s + apart_of(s) // 2)


def usual_before(s: Learned, at_s: i64) -> i64:
    """The last usual start that a run at this time may belong to."""
    back: i64 = 9 * DAY
    if s.kind == INTERVAL:
        back = 3 * s.period_s
    elif s.kind == MONTHLY:
        back = 40 * DAY
    elif s.kind == EVERY:
        back = 2 * s.period_s
    slot, before = next_usual(s, at_s - back, any_day=True), i64(0)
    while slot and slot <= at_s + early_of(s):
        before = slot
        slot = next_usual(s, slot, any_day=True)
    return before or at_s


def next_usual(s: Learned, after_s: i64, any_day: bool = False) -> i64:
    """The first usual start after a time; 0 where none is expected.

    Args:
        any_day: also at hours and on days on which it does not run.
    """
    if s.kind == INTERVAL:
        return _next_in_hours(s, after_s, any_day)
    if s.kind == MONTHLY:
        return _next_in_month(s, after_s)
    if s.kind == EVERY:
        days, time = s.period_s // DAY, i64(s.times[0])
        day = after_s // DAY - 1
        day += (s.day - day) % days
        while day * DAY + time <= after_s:
            day += days
        return day * DAY + time
    if len(s.times) == 1:
        return _next_day(s, after_s, any_day)
    day = after_s // DAY
    end = day + 9
    times = sorted(s.times)
    while day < end:
        for one in times:
            slot = day * DAY + one
            if slot > after_s and (any_day or _runs_at(s, slot)):
                return slot
        day += 1
    return 0


def _next_in_hours(s: Learned, after_s: i64, any_day: bool) -> i64:
    period, phase = s.period_s, i64(s.times[0])
    slot = after_s + 1 + (phase - after_s - 1) % period
    if any_day:
        return slot
    offset, end, early = hour_offset(s), slot + 8 * DAY, s.early_s
    while slot < end:
        hour = (slot - offset + early) // HOUR
        if expects_hour(s, hour):
            return slot
        slot = (hour + 1) * HOUR + offset - early
        slot += (phase - slot) % period
    return 0


def _next_day(s: Learned, after_s: i64, any_day: bool) -> i64:
    time = i64(s.times[0])
    day = (after_s - time) // DAY + 1
    end = after_s // DAY + 9
    while day < end:
        if any_day or runs_on(s, day):
            return day * DAY + time
        day += 1
    return 0


def _next_in_month(s: Learned, after_s: i64) -> i64:
    first = date_of(after_s // DAY - 2).replace(day=1)
    while True:
        following = (first + timedelta(32)).replace(day=1)
        day = min(first + timedelta(int(s.period_s) - 1), following - timedelta(1))
        slot = (i64(day.toordinal()) - 719_163) * DAY + s.times[0]
        if slot > after_s:
            return slot
        first = following


# -- days of the week -------------------------------------------------------------------------------------------------


def runs_on(s: Learned, day: i64) -> bool:
    """Whether it ran at its time on most of the last three of this day of the week, of weeks in which it ran at all."""
    time, near = i64(s.times[0]), near_of(s)
    gaps, start = s.gaps, s.newest
    place = i64(len(gaps)) - 2
    seen = ran = at = oldest = i64(0)
    has_any = is_hit = False
    while True:
        one = (start - time + DAY // 2) // DAY  # the day to whose time it is nearest
        if abs_of(start - time - one * DAY) <= near:
            oldest = one
            if not at:  # weeks are counted back from the newest
                at = day - 7
                if at > one:
                    at -= (at - one + 6) // 7 * 7
            if one < at - 3:
                if has_any:
                    seen += 1
                    if is_hit:
                        ran += 1
                if seen == 3:
                    return 2 * ran > seen
                has_any = is_hit = False
                at -= (at - one + 3) // 7 * 7
            if one <= at + 3:
                has_any = True
                if one == at:
                    is_hit = True
        if place < 0:
            break
        start -= gap_of(u16(gaps, place))
        place -= 2
    if has_any and at >= oldest:
        seen += 1
        if is_hit:
            ran += 1
    return 2 * ran > seen


def abs_of(number: i64) -> i64:
    """How large it is, without its sign."""
    return number if number >= 0 else -number


# -- hours of the week ------------------------------------------------------------------------------------------------


def _runs_at(s: Learned, slot: i64) -> bool:
    """Of several times a day: whether it ran at that hour a week ago."""
    hour = slot // HOUR - WEEK_HOURS
    if hour < s.since_hour:
        return False
    hours = s.hours
    if _ran_at(hours, hour) or (hour - WEEK_HOURS >= s.since_hour and _ran_at(s.before, hour)):
        return True
    # It did not come then, or has moved: not so on a day of the week on which it does not run.
    by: i64 = -8
    while by <= 8:
        if has_hour(hours, hour + by):
            return _ran_at(hours, hour - 24) and _ran_at(hours, hour - 48)
        by += 1
    return False


def _ran_at(hours: bytes, hour: i64) -> bool:
    return has_hour(hours, hour) or has_hour(hours, hour - 1) or has_hour(hours, hour + 1)


def expects_hour(s: Learned, hour: i64) -> bool:
    """Whether it runs in this hour of the week, by a week ago, two weeks ago, and the last two days it ran.

    Of a day of the week what counts is whether it ran then at all, near that hour: hours that have moved since
    then are those of the last two days.
    """
    hours = s.hours
    if hour - WEEK_HOURS < s.since_hour or not _ran_near(s, hour):
        return False
    found: i64 = 0
    before = hour - 24
    while before >= hour - WEEK_HOURS:
        if _ran_near(s, before):
            if not has_hour(hours, before):
                break
            has_shift = not found and is_edge(s, before) and shift_between(before * HOUR, hour * HOUR)
            if has_shift and _may_have_moved(s, hour, before):
                return False
            found += 1
            if found == 2:
                return True
        before -= 24
    return found > 0 and has_hour(hours, hour) and has_hour(s.before, hour) and hour - 2 * WEEK_HOURS >= s.since_hour


def _may_have_moved(s: Learned, hour: i64, before: i64) -> bool:
    """Of the first or last hour of the day in which it runs, the first one since clocks were put forward or back.

    It has not moved where the day's first hour had its runs, and the one before it none.
    """
    since: i64 = 0
    while since < 23 and has_hour(s.hours, before - 1 - since):
        since += 1
    first = hour - since
    if since == 0 or first >= s.hour:
        return True
    return not has_hour(s.hours, first) or has_hour(s.hours, first - 1)


def _ran_near(s: Learned, hour: i64) -> bool:
    hours = s.hours
    if has_hour(hours, hour) and has_hour(s.before, hour) and hour - 2 * WEEK_HOURS >= s.since_hour:
        return True
    count: i64 = 0
    by: i64 = -2
    while by <= 2:
        if has_hour(hours, hour + by):
            count += 1
        by += 1
    return count >= 2


def is_edge(s: Learned, hour: i64) -> bool:
    """Whether it did not run in the hour before or after."""
    return not (has_hour(s.hours, hour - 1) and has_hour(s.hours, hour + 1))


# -- runs and due times -----------------------------------------------------------------------------------------------


def has_run(s: Learned, slot: i64) -> bool:
    """Whether a run began at this usual time, or near enough for it."""
    late = s.tolerance_s
    first = slot - early_of(s)
    by_hour, is_short, most = s.kind != INTERVAL, False, i64(AGREE_S)
    if by_hour:
        if is_extended(s, slot):
            late, most = max(late, HOUR + SHIFT_SLACK_S), late
        is_short = s.kind == DAILY and late < HOUR
    else:
        late = min(s.period_s - s.early_s - 1, late)
    earliest = min(first, slot - HOUR - BEFORE_HOUR_S) if by_hour else first
    gaps, start = s.gaps, s.newest
    place = i64(len(gaps)) - 2
    while start >= earliest:
        if first <= start <= slot + late:
            return True
        if by_hour and -BEFORE_HOUR_S < start - slot + HOUR < most:
            return True
        if is_short and -BEFORE_HOUR_S < start - slot - HOUR < AGREE_S:
            return True
        if place < 0:
            break
        start -= gap_of(u16(gaps, place))
        place -= 2
    return False


def has_late_run(s: Learned, slot: i64) -> bool:
    """Of an interval: whether one of the runs until the tolerance is over is more than what came for its own."""
    early, period = s.early_s, s.period_s
    owing: i64 = 1
    at, until = slot + period, slot + s.tolerance_s + 60
    starts = s.starts()
    while at - early <= until:
        runs: i64 = 0
        for start in starts:
            if at - early <= start < min(at + period - early, until):
                runs += 1
        if runs > 1 and runs - 1 >= owing:
            return True
        if runs != 1:
            owing += 1 - runs
        at += period
    return False


def due_of(s: Learned, slot: i64) -> i64:
    """By when the event of that run is due."""
    due = slot + s.tolerance_s + i64(s.run_s + s.delay_s)
    if s.kind == INTERVAL:
        return due + _MORE_S
    if s.is_seldom:
        return due - HOUR  # so much is left that one more by hours that have moved stays within a tenth of the gap
    return due + HOUR if is_extended(s, slot) else due


def is_extended(s: Learned, slot: i64) -> bool:
    """Whether it may come an hour later: another has, or clocks were put forward or back."""
    if s.kind != DAILY or s.tolerance_s >= HOUR:
        return False
    return s.shifted or shift_between(s.came_s, slot)

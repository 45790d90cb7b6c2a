"""Keeping a schedule up to date with each run: its usual times, the hours of its week, how late its events are."""

from typing import Final

from mypy_extensions import i64

from stream_detector.detect.codec.binary import u16
from stream_detector.detect.statistics.schedule.daylight import shift_between
from stream_detector.detect.statistics.schedule.expected import (
    AGREE_S,
    BEFORE_HOUR_S,
    SHIFT_SLACK_S,
    abs_of,
    apart_of,
    early_of,
    hour_offset,
    near_of,
    next_usual,
    offset_of,
)
from stream_detector.detect.statistics.schedule.hours import WEEK_HOURS, has_hour, with_hour
from stream_detector.detect.statistics.schedule.learned import (
    DAILY,
    DAY,
    EVERY,
    HOUR,
    INTERVAL,
    LEAST_RUNS,
    MONTHLY,
    Learned,
    gap_of,
    tail_of,
)
from stream_detector.detect.statistics.schedule.learning import MANY_NEAR_S

_UP: Final = 0.05
_RUN_DOWN: Final = 0.05 * 0.08 / 0.92
_DELAY_UP: Final = 0.2
_DELAY_DOWN: Final = 0.2 * 0.01 / 0.99
"""So that the durations follow their 92 % quantile and the delays their 99 %."""
_LOUD_FOR: Final = 5
_RECENT: Final = 5
_MOST_STEP_S: Final = 4
_LATE: Final = 0.5
"""What a run counts that came after it was reported as missed, if not much later."""


# -- durations and delays ---------------------------------------------------------------------------------------------


MOVED: Final = 3
"""So many runs in a row that come late have another time now: what was learned is forgotten."""


def follow_tails(s: Learned, run_s: float, delay_s: float) -> None:
    """Take how long one run took, and how long after its end its event came."""
    s.run_s = _tail(s, s.run_s, run_s, _UP, _RUN_DOWN)
    s.delay_s = _tail(s, s.delay_s, delay_s, _DELAY_UP, _DELAY_DOWN)
    if s.loud:
        s.loud -= 1


def _tail(s: Learned, tail: float, value: float, up: float, down: float) -> float:
    """Follow an upper quantile by small steps; more than twice of it is taken up where it comes again soon."""
    if value <= tail:
        return tail_of(tail - down * tail)
    if tail == 0.0 or len(s.gaps) < 2 * LEAST_RUNS:
        return tail_of(value)
    if value > 2.0 * tail:
        is_again = s.loud > 0
        s.loud = _LOUD_FOR
        return tail_of((tail + value) / 2.0 if is_again else tail * (1.0 + up))
    return tail_of(min(tail * (1.0 + up), value))


# -- hours of the week ------------------------------------------------------------------------------------------------


def mark_hour(s: Learned, start_s: i64) -> None:
    """Which hours of the week it ran in, the last time each came."""
    hour = (start_s - hour_offset(s)) // HOUR
    if not s.since_hour:
        s.since_hour = s.hour = hour
        s.hour_runs = 0
    if hour > s.hour:
        least = max(HOUR // s.period_s // 2, i64(1)) if s.kind == INTERVAL else i64(1)
        _set_hour(s, s.hour, s.hour_runs >= least)
        empty = max(s.hour + 1, hour - WEEK_HOURS)
        while empty < hour:
            _set_hour(s, empty, False)
            empty += 1
        s.hour, s.hour_runs, s.slot_mark = hour, 0, 0
        s.count_hours_from(s.since_hour)
    if s.kind != INTERVAL:
        s.hour_runs = min(s.hour_runs + 1, i64(255))
        return
    # Runs by hand lie anywhere: only one near each usual start counts.
    place = start_s - s.times[0] + s.early_s
    which = place // s.period_s % 255 + 1
    if place % s.period_s < s.period_s // 2 and which != s.slot_mark:
        s.hour_runs = min(s.hour_runs + 1, i64(255))
        s.slot_mark = which


def _set_hour(s: Learned, hour: i64, ran: bool) -> None:
    if hour - WEEK_HOURS >= s.since_hour:
        s.before = with_hour(s.before, hour, has_hour(s.hours, hour))
    s.hours = with_hour(s.hours, hour, ran)


# -- usual times ------------------------------------------------------------------------------------------------------


def follow(s: Learned, start_s: i64) -> None:
    """Keep the usual times up to date."""
    if s.kind == INTERVAL:
        _follow_phase(s, start_s)
        return
    near = near_of(s) if len(s.times) == 1 else i64(MANY_NEAR_S)
    for place in range(len(s.times)):
        time = i64(s.times[place])
        if abs_of(offset_of(start_s, time)) > near:
            continue
        moved = time + _moved(s, time, near)
        s.times[place] = int(moved % DAY // 2 * 2)
        if (s.kind == EVERY or s.kind == MONTHLY) and not 0 <= moved < DAY:
            _wrap(s, 1 if moved >= DAY else -1)


def _follow_phase(s: Learned, start_s: i64) -> None:
    """A step to where the run lies within the period, so to their median."""
    period, phase = s.period_s, i64(s.times[0])
    off = (start_s - phase + period // 2) % period - period // 2
    if off and -s.early_s <= off < period // 3:
        step = min(max(period // 225, i64(1)), i64(_MOST_STEP_S))
        s.times[0] = int((phase + (step if off > 0 else -step)) % period)


def _moved(s: Learned, time: i64, near: i64) -> i64:
    """How far the last five runs near a time of the day are from it."""
    recent: list[int] = []
    gaps, start = s.gaps, s.newest
    place = i64(len(gaps)) - 2
    while len(recent) < _RECENT:
        offset = offset_of(start, time)
        if -near <= offset <= near:
            recent.append(int(offset))
        if place < 0:
            break
        start -= gap_of(u16(gaps, place))
        place -= 2
    if len(recent) < 3:
        return 0
    last, before = i64(recent[0]), i64(recent[1])
    recent.sort()
    offset = i64(recent[max(len(recent) // 2 - 1, 0)])
    if abs_of(last - offset) <= AGREE_S:
        return offset
    is_hour = -BEFORE_HOUR_S < abs_of(last) - HOUR < SHIFT_SLACK_S and shift_between(s.newest - 8 * DAY, s.newest)
    if is_hour:
        return last
    return min(last, before) if abs_of(last - before) < AGREE_S else offset


def _wrap(s: Learned, by: i64) -> None:
    """The usual time has passed midnight."""
    if s.kind == EVERY:
        s.day += by
    elif not s.last_day:
        s.period_s += by
        if s.period_s == 0:
            s.period_s, s.last_day = 31, True


# -- a run after one that was missed ----------------------------------------------------------------------------------


def came_late(s: Learned, start_s: i64) -> i64:
    """A run after a miss that was reported: the usual start of that, where it is the one, else 0."""
    missed = s.reported_s
    if start_s < missed - early_of(s):
        return 0
    after = next_usual(s, missed + apart_of(s) // 2) if s.kind else i64(0)
    s.reported_s = 0
    if after and start_s >= after - early_of(s):
        return 0
    if start_s <= missed + 2 * s.tolerance_s:
        s.set_shares(s.asked, s.served + _LATE)
    s.missed = max(s.missed - 1, i64(0))
    if s.kind == DAILY and len(s.times) > 1:
        _vote(s, missed, start_s)
    elif s.kind != INTERVAL:
        s.votes += 1
        if s.votes >= MOVED:
            s.learn_anew(MOVED)
    return missed


def _vote(s: Learned, slot: i64, start_s: i64) -> None:
    """Several times a day: whether all of them have moved by an hour."""
    off = start_s - slot
    if not -BEFORE_HOUR_S < abs_of(off) - HOUR < SHIFT_SLACK_S:
        s.votes, s.shifted = 0, False
        return
    sign: i64 = 1 if off > 0 else -1
    s.votes = s.votes + sign if s.votes * sign > 0 else sign
    s.shifted = sign > 0
    if abs_of(s.votes) >= 2 or shift_between(s.came_s, slot):
        s.times = [int((time + sign * HOUR) % DAY) for time in s.times]
        s.settled_s += sign * HOUR
        s.votes, s.shifted = 0, False


def follow_shift(s: Learned, slot: i64) -> None:
    """A run of several times a day has come: whether they have moved, by the start that is nearest to its own."""
    nearest: i64 = HOUR + SHIFT_SLACK_S + 1
    found: i64 = 0
    gaps, start = s.gaps, s.newest
    place = i64(len(gaps)) - 2
    while start >= slot - HOUR - SHIFT_SLACK_S:
        if abs_of(start - slot) <= nearest - 1:
            nearest, found = abs_of(start - slot), start
        if place < 0:
            break
        start -= gap_of(u16(gaps, place))
        place -= 2
    if found:
        _vote(s, slot, found)

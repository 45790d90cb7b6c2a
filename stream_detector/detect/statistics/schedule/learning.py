"""Looking for a schedule in the last starts of a workflow."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from typing import Final

from mypy_extensions import i64

from stream_detector.detect.statistics.schedule.daylight import date_of
from stream_detector.detect.statistics.schedule.expected import (
    LEAST_TOLERANCE_S,
    SHIFT_SLACK_S,
    abs_of,
    has_run,
    least_gap,
    near_of,
    next_usual,
    offset_of,
    runs_on,
    usual_before,
)
from stream_detector.detect.statistics.schedule.learned import (
    DAILY,
    DAY,
    EVERY,
    HOUR,
    INTERVAL,
    LEAST_RUNS,
    MONTHLY,
    RING,
    Learned,
)

MANY_NEAR_S: Final = 1_200
"""Of several times a day, how far from one a run is of it."""
REST: Final = 64
_REST_SELDOM: Final = 16
_DOUBLE_S: Final = 90
"""Starts that are closer than this are one run that was started twice."""
_PERIODS: Final = (60, 120, 180, 240, 300, 360, 600, 720, 900, 1200, 1800, 3600, 7200, 10800, 14400)
_LEAST_FIT: Final = 0.6
_LEAST_COVERAGE: Final = 0.8
_RANDOM_COVERAGE: Final = 0.65
_MARGIN_S: Final = 25
_TRUSTED: Final = 0.9
_TRUSTED_ONCE: Final = 0.85
_LOST: Final = 0.8
"""Below it a schedule is given up; from there to what is trusted nothing is missed."""
_MOST_TIMES: Final = 8
_EXPLAINED: Final = 0.7
_RELEARN: Final = 8
_SOON: Final = 3
_TWO_WEEKS_S: Final = 14 * DAY
_FEW: Final = 14
_LEAST_OTHER: Final = 4
_AGAIN: Final = 14
_LEAST_DAYS_S: Final = 7 * DAY // 4
"""Three runs at one time of the day lie no nearer: what starts at any time has such within an afternoon."""
_JITTERS_S: Final = 450
_MOST_RESTED: Final = 5
"""A workflow without a schedule is looked at again after so many runs, then after twice as many, up to 2,048."""


def learn(s: Learned) -> bool:
    """Look for a schedule, or hold the one there is against the last starts; whether there is a new one."""
    s.wait = _RELEARN
    if s.kind:
        if is_lost(s) if s.asked >= LEAST_RUNS else is_random(s):
            s.forget_schedule()
        elif s.kind == INTERVAL:
            _check_period(s)
        elif s.kind == DAILY:
            return _add_times(s)
        return False
    starts = _undoubled(s.starts())
    # Too often for a schedule, or dates without a time of day.
    if len(starts) < LEAST_RUNS - 2 or 2 * sum(1 for start in starts if start % DAY == 0) > len(starts):
        if len(s.gaps) >= 2 * (RING - 1):
            _rest(s, REST)
        return False
    gaps = sorted(b - a for a, b in pairwise(starts))
    gap = gaps[len(gaps) // 2]
    # Most workflows have no schedule: without these two looks, a look for one takes 30 to 50 us in place of 5.
    if not (
        (gap <= 4 * HOUR and _is_even(gaps, gap) and _learn_interval(s, starts, gap))
        or (starts[-1] - starts[0] >= _LEAST_DAYS_S and _may_have_times(starts) and _learn_days(s, starts))
    ):
        s.forget_schedule()
        if len(s.gaps) >= 2 * (RING - 1):
            _rest(s, REST if gap < DAY // 2 else _REST_SELDOM)
        elif gap < DAY // 2:
            s.wait = _AGAIN
        else:
            s.wait = 1 if len(starts) < _FEW else _SOON
        return False
    s.rested = 0
    s.settled_s = usual_before(s, starts[-1]) - (s.tolerance_s if s.kind == INTERVAL else 0)
    return True


def _rest(s: Learned, runs: i64) -> None:
    """Remember nothing of a workflow without a schedule for a while."""
    s.rests, s.wait, s.gaps, s.newest, s.loud = True, runs << s.rested, b"", 0, 0
    s.rested = min(s.rested + 1, i64(_MOST_RESTED))
    s.run_s = s.delay_s = 0.0


def is_trusted(s: Learned) -> bool:
    """Whether nearly all runs that it expected have come."""
    share = _TRUSTED if s.has_hours else _TRUSTED_ONCE
    return s.served + 1.5 >= share * (s.asked + 1.0)


def is_lost(s: Learned) -> bool:
    """Whether so few runs come as expected that it has no schedule, or another one."""
    return s.served + 1.5 < _LOST * (s.asked + 1.0)


def is_random(s: Learned) -> bool:
    """Whether no more of the periods have a run than of a workflow without any."""
    return s.kind == INTERVAL and _coverage(_undoubled(s.starts()), s.period_s, s.times[0]) < _RANDOM_COVERAGE


# -- every so many minutes --------------------------------------------------------------------------------------------


def _is_even(gaps: list[int], gap: int) -> bool:
    """Whether enough of the gaps are near the usual one: of random starts a fifth is.

    Two fifths where the usual delay of a start moves the gaps of a few minutes themselves, else a little over a half.
    """
    low, high = 7 * gap, 13 * gap
    near = 0
    for one in gaps:
        if low <= 10 * one <= high:
            near += 1
    return 20 * near >= (8 if gap < _JITTERS_S else 11) * len(gaps)


def _learn_interval(s: Learned, starts: list[int], gap: int) -> bool:
    period, phase, fit = _best_period(starts, gap)
    if fit < _LEAST_FIT or _coverage(starts, period, phase) < _LEAST_COVERAGE:
        return False
    s.kind, s.period_s, s.times = INTERVAL, period, [phase]
    s.tolerance_s = max(period // 10, LEAST_TOLERANCE_S)
    find_early(s, starts)
    return True


def _best_period(starts: list[int], gap: int) -> tuple[int, int, float]:
    """Of the usual periods near the usual gap, the one that most starts fit; their place in it, and their share."""
    best, best_phase, best_fit = 0, 0, 0.0
    for period in _PERIODS:
        if 0.75 * gap <= period <= 1.34 * gap:
            phase, fit = _phase_of(starts, period)
            if fit > best_fit:
                best, best_phase, best_fit = period, phase, fit
    return best, best_phase, best_fit


def _check_period(s: Learned) -> None:
    """Where few of the last starts lie at the usual place within the period: find both anew; and how early they may be.

    Of ten starts another period may fit better, and most of its runs come, too.
    """
    period, starts = int(s.period_s), s.starts()
    near = sum(1 for offset in _offsets(starts, s.times[0], period) if -0.15 * period <= offset <= 0.3 * period)
    if near < _LEAST_FIT * len(starts):
        apart = _undoubled(starts)
        gaps = sorted(b - a for a, b in pairwise(apart))
        if gaps and _learn_interval(s, apart, gaps[len(gaps) // 2]):
            return
    find_early(s, starts)


def find_early(s: Learned, starts: list[int]) -> None:
    """How long before the usual start a run may come, from all but the earliest."""
    period, phase = int(s.period_s), s.times[0]
    near = sorted(off for off in _offsets(starts, phase, period) if -0.15 * period <= off <= period // 3)
    lowest = near[min(1, len(near) - 1)] if near else 0
    s.early_s = min(max(_MARGIN_S - lowest, _MARGIN_S), period // 4)


def _offsets(starts: list[int], phase: int, period: int) -> list[int]:
    return [(start - phase + period // 2) % period - period // 2 for start in starts]


def _phase_of(starts: list[int], period: int) -> tuple[int, float]:
    """The usual place within the period, and the share of the starts that lie there."""
    best, best_n = 0, -1
    low, high = -0.15 * period, 0.3 * period
    for start in starts:
        n = sum(1 for offset in _offsets(starts, start, period) if low <= offset <= high)
        if n > best_n:
            best, best_n = start % period, n
    offsets = sorted(offset for offset in _offsets(starts, best, period) if low <= offset <= high)
    return (best + offsets[len(offsets) // 2]) % period, best_n / len(starts)


def _coverage(starts: list[int], period: i64, phase: i64) -> float:
    """The share of the periods that have a run, breaks of four and more left out; of random runs 63 % have one."""
    places = sorted({(start - int(phase) + int(period) // 4) // int(period) for start in starts})
    expected = 1
    for before, after in pairwise(places):
        expected += after - before if after - before < 4 else 1
    return len(places) / expected


def _undoubled(starts: list[int]) -> list[int]:
    kept: list[int] = []
    for start in starts:
        if not kept or start - kept[-1] >= _DOUBLE_S:
            kept.append(start)
    return kept


# -- at times of the day ----------------------------------------------------------------------------------------------


def _may_have_times(starts: list[int]) -> bool:
    """Whether `_times_of_day` can find any: in a sorted day, enough starts lie within the reach of one or of three."""
    times = sorted([start % DAY for start in starts])
    count = len(times)
    need = int(_EXPLAINED * count)
    times += [time + DAY for time in times]
    reach, near = 2 * (HOUR + SHIFT_SLACK_S), 2 * MANY_NEAR_S
    begin = inside = 0
    for at in range(count):
        if times[at + max(need, 1) - 1] - times[at] <= reach:
            return True
        if times[at + 2] - times[at] <= near:  # it and the two after it
            inside += at + 3 - max(begin, at)
            begin = at + 3
    return inside >= need


def _learn_days(s: Learned, starts: list[int]) -> bool:
    times = _times_of_day(starts)
    if not times:
        return False
    s.times = times
    s.set_shares(0.0, 0.0)
    if len(times) > 1:
        s.kind = DAILY
        _set_tolerance(s)
        return True  # the days on which it runs show within a week; until then none is expected
    for kind in (DAILY, MONTHLY, EVERY):
        s.kind, s.last_day = kind, False
        if _fit_days(s, starts) and _is_backed(s, starts):
            return True
    return False


def _set_tolerance(s: Learned) -> None:
    """Of several times a day: a tenth of the least gap, and a minute more, since the times are known that well."""
    s.tolerance_s = max((least_gap(s.times) + 599) // 600 * 60 + 60, i64(LEAST_TOLERANCE_S))


def _add_times(s: Learned) -> bool:
    """Of what runs at times of the day: whether it runs at more of them than is known."""
    starts = _undoubled(s.starts())
    if sum(1 for start in starts if not _is_near(start, s.times, HOUR + SHIFT_SLACK_S)) < _LEAST_OTHER:
        return False
    times = _times_of_day(starts)
    if len(times) <= len(s.times) or not all(_is_near(time, times, MANY_NEAR_S) for time in s.times):
        return False
    counts = [sum(1 for start in starts if _is_near(start, [time], MANY_NEAR_S)) for time in times]
    if 3 * min(counts) < 2 * max(counts):
        return False  # of runs by hand, a few lie near each other
    recent = starts[-2 * len(times) - 2 :]
    if not all(any(_is_near(start, [time], MANY_NEAR_S) for start in recent) for time in times):
        return False  # it has moved
    s.times = times
    _set_tolerance(s)
    return True


def _is_near(start: int, times: list[int], near: int) -> bool:
    return any(abs_of(offset_of(start, time)) <= near for time in times)


def _fit_days(s: Learned, starts: list[int]) -> bool:
    """Whether the days are of the kind; its period and tolerance."""
    s.tolerance_s = DAY // 10
    near = near_of(s)
    days = sorted({day_of(start, s.times[0]) for start in starts if abs_of(offset_of(start, s.times[0])) <= near})
    if s.kind == DAILY:
        return _fit_weekdays(s, days[-1])
    if s.kind == MONTHLY:
        return _fit_month(s, days)
    return _fit_every(s, days)


def _fit_weekdays(s: Learned, newest: int) -> bool:
    on = [day for day in range(newest + 1, newest + 8) if runs_on(s, day)]
    if not on:
        return False
    s.tolerance_s = min(b - a for a, b in pairwise([*on, on[0] + 7])) * DAY // 10
    return True


def _fit_month(s: Learned, days: list[int]) -> bool:
    dates = [date_of(day) for day in days]
    in_month = [date.day for date in dates]
    common = _most_common(in_month)
    last = sum(1 for date in dates if (date + timedelta(1)).day == 1)
    s.last_day = last >= in_month.count(common) and last > 1
    s.period_s = 31 if s.last_day else common
    s.tolerance_s = 3 * DAY
    return max(last, in_month.count(common)) >= 0.7 * len(days)


def _fit_every(s: Learned, days: list[int]) -> bool:
    if len(days) < LEAST_RUNS // 2:
        return False
    common = _most_common(b - a for a, b in pairwise(days))
    if common < 2:
        return False
    residues = [day % common for day in days]
    residue = _most_common(residues)
    if residues.count(residue) < 0.75 * len(days):
        return False
    s.period_s, s.day, s.tolerance_s = common * DAY, residue, common * DAY // 10
    return True


def _is_backed(s: Learned, starts: list[int]) -> bool:
    """Whether the last runs came as this schedule would have expected them."""
    if s.kind == DAILY and starts[-1] - starts[0] < _TWO_WEEKS_S:
        asked, served = _back_by_days(s, starts)
        if asked < 7 or served < asked - 1:
            return False
    else:
        asked, served = _back(s, starts)
    s.set_shares(float(asked), float(served))
    return asked >= 4 and is_trusted(s)


def _back(s: Learned, starts: list[int]) -> tuple[int, int]:
    """How many runs it would have expected, each by those before, and how many there are."""
    asked = served = 0
    slot = next_usual(s, starts[0] + s.tolerance_s)
    while slot and slot <= starts[-1] and asked <= 60:
        asked += 1
        served += has_run(s, slot)
        slot = next_usual(s, slot)
    return asked, served


def _back_by_days(s: Learned, starts: list[int]) -> tuple[int, int]:
    """Of less than two weeks: how many runs there would be by its days of the week, and how many there are."""
    asked = served = 0
    time = s.times[0]
    next_week = day_of(starts[-1], time) // 7 * 7 + 7
    for day in range(day_of(starts[0], time), day_of(starts[-1], time) + 1):
        if runs_on(s, next_week + day % 7):
            asked += 1
            served += has_run(s, day * DAY + time)
    return asked, served


def day_of(start: int, time: int) -> int:
    """The day (since 1970) to whose time of day it is nearest."""
    return (start - time + DAY // 2) // DAY


def _most_common(numbers: Iterable[int]) -> int:
    known = list(numbers)
    return max(set(known), key=known.count)


def _times_of_day(starts: list[int]) -> list[int]:
    """The times of day at which nearly all began, eight at most; none where they began at any."""
    for near, most in ((HOUR + SHIFT_SLACK_S, 1), (MANY_NEAR_S, _MOST_TIMES)):
        times, explained = _clusters(starts, near, most)
        if explained >= _EXPLAINED * len(starts) and least_gap(times) > 4 * MANY_NEAR_S:
            return [time // 2 * 2 for time in times]
    return []


def _clusters(starts: list[int], near: int, most: int) -> tuple[list[int], int]:
    """The times of day around which most began, at most so many, and how many began near one of them."""
    left = [start % DAY for start in starts]
    times: list[int] = []
    explained = largest = 0
    while left and len(times) < most:
        best: list[int] = []
        centre = 0
        for time in left:
            cluster = [other for other in left if abs_of(offset_of(other, time)) <= near]
            if len(cluster) > len(best):
                best, centre = cluster, time
        if len(best) < max(3, largest // 2):
            break
        largest = max(largest, len(best))
        explained += len(best)
        offsets = sorted(offset_of(other, centre) for other in best)
        usual = int((centre + offsets[len(offsets) // 2]) % DAY)
        times.append(usual)
        left = [other for other in left if abs_of(offset_of(other, usual)) > near and other not in best]
    return times, explained

"""When a workflow usually starts, learned from its last starts; and which runs of it did not come.

A schedule is learned after ten runs, in one of four forms (`kind`):

INTERVAL  every so many minutes, within the hours of the week in which the workflow runs
DAILY     at one to eight times of the day, on the days of the week on which it runs
EVERY     every so many days, at one time of the day
MONTHLY   on one day of the month, or its last

It is used only while nearly all runs that it expects come, so a workflow without a schedule, such as most CI, never
has one for long. A run is due at its usual start, plus the larger of a tenth of the gap and 15 minutes, plus how long
after a start its event arrives (the duration and the delivery delay). A shift by an hour, as of a schedule in local
time when daylight saving begins or ends, is no miss; after three misses in a row the workflow is taken for retired.
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

from librt.strings import BytesWriter, read_f32_le, write_f32_le
from mypy_extensions import i64, mypyc_attr, u8

from stream_detector.detect.codec.binary import f32, put_u16, put_u32, u16, u32

NONE: Final = 0
INTERVAL: Final = 1
DAILY: Final = 2
EVERY: Final = 3
MONTHLY: Final = 4
RING: Final = 24
LEAST_RUNS: Final = 10
RETIRED_AFTER: Final = 3
LEAST_TOLERANCE_S: Final = 900
DAY: Final = 86_400
HOUR: Final = 3_600
WEEK_HOURS: Final = 168
_DOUBLE_S: Final = 90
"""Starts that are closer than this are one run that was started twice."""
_PERIODS: Final = (60, 120, 180, 240, 300, 360, 600, 720, 900, 1200, 1800, 3600, 7200, 10800, 14400)
_MANY_NEAR_S: Final = 1_200
_AGREE_S: Final = 720
_EARLY_S: Final = 900
_BEFORE_HOUR_S: Final = 180
_LEAST_FIT: Final = 0.6
_LEAST_COVERAGE: Final = 0.8
_RANDOM_COVERAGE: Final = 0.65
_MARGIN_S: Final = 25
_SELDOM_NEAR_S: Final = 10_800
_TRUSTED_ONCE: Final = 0.85
_LOST: Final = 0.8
"""Below it a schedule is given up; from there to what is trusted nothing is missed."""
_SHIFT_SLACK_S: Final = 900
_MOST_TIMES: Final = 8
_TRUSTED: Final = 0.9
_MEMORY: Final = 60.0
_EXPLAINED: Final = 0.7
_RELEARN: Final = 8
STEP_S: Final = 4
_AGAIN: Final = 7
REST: Final = 64
_MOST_RESTED: Final = 5
"""A workflow without a schedule is looked at again after so many runs, then after twice as many, up to 2,048."""
_NO_HOURS: Final = [False] * WEEK_HOURS
_ALL_HOURS: Final = [True] * WEEK_HOURS
"""Never changed: copied where hours begin to count."""
_STEPS: Final = 0xFF_FFFF
_LAST_DAY, _RESTS, _WEEKS = 8, 16, 32
_FIXED: Final = 65
_UP: Final = 0.05
_RUN_DOWN: Final = 0.05 * 0.08 / 0.92
_DELAY_DOWN: Final = 0.05 * 0.01 / 0.99
"""So that the durations follow their 92 % quantile and the delays their 99 %."""
_LOUD_FOR: Final = 5
_MOST_EXCUSED: Final = 2_000
"""After so many, all that are older are: what ran every five minutes a year ago would take a second."""


class Missed(NamedTuple):
    """A run that did not come: when it usually starts and when it was due, epoch s; the how manyth in a row."""

    usual_s: int
    due_s: int
    in_a_row: int


@mypyc_attr(acyclic=True)
class Schedule:
    """The learned times of one workflow. All times are epoch seconds.

    Attributes:
        ring: the last 24 starts, the oldest first, in steps of four seconds.
        kind, period_s, times, day, last_day: the schedule; `times` are usual starts within the day or the period, in
            seconds, `day` is which of every so many days, `last_day` says that it is the last of a month.
        tolerance_s, early_s: how much later and earlier than usual a run may start.
        week, before_week: the hours of the week, from Thursday 00:00 UTC on, in which it ran the last time they came,
            and the time before; `hour` is the last one, with `hour_runs` runs, `since_hour` the first one ever.
        settled_s: the last usual start whose run has come or is missed; `came_s` the last whose run has come, `told_s`
            the last that was reported as missed, 0 once a run has come; `missed` how many are, in a row.
        asked, served: runs that were expected lately, and how many of them came.
        run_s, delay_s: upper quantiles of durations and delivery delays; `loud` counts down after an outlier.
        votes, shifted: whether runs come an hour later (above 0) or earlier; whether the next one may.
        wait: so many runs until a schedule is looked for; where `rests`, until runs are remembered
            again, for which it has waited `rested` times in a row (5 at most).
    """

    __slots__ = (
        *("asked", "before_week", "came_s", "day", "delay_s", "due_s", "early_s", "hour", "hour_runs", "kind"),
        *(
            "last_day",
            "loud",
            "missed",
            "period_s",
            "ring",
            "rested",
            "rests",
            "run_s",
            "served",
            "settled_s",
            "shifted",
            "since_hour",
        ),
        *("slot_mark", "times", "told_s", "tolerance_s", "votes", "wait", "week"),
    )

    def __init__(self) -> None:
        self.ring: list[int] = []
        self.kind: int = NONE
        self.period_s: int = 0
        self.times: list[int] = []
        self.last_day: bool = False
        self.week: list[bool] = _NO_HOURS
        self.before_week: list[bool] = _ALL_HOURS
        self.slot_mark: int = 0
        self.came_s: int = 0
        self.votes: int = 0
        self.loud: int = 0
        self.early_s: int = 0
        self.day: int = 0
        self.hour: int = 0
        self.hour_runs: int = 0
        self.since_hour: int = 0
        self.settled_s: int = 0
        self.due_s: int = 0
        self.told_s: int = 0
        self.missed: int = 0
        self.shifted: int = 0
        self.tolerance_s: int = 0
        self.asked: float = 0.0
        self.served: float = 0.0
        self.run_s: float = 0.0
        self.delay_s: float = 0.0
        self.wait: int = LEAST_RUNS
        self.rests: bool = False
        self.rested: int = 0

    # -- learning ------------------------------------------------------------------------------------------------

    def note(self, start_s: int, run_s: float, delay_s: float) -> int:
        """Take one run. Returns the usual start of the missed run that it is, come late, else 0."""
        if self.rests:
            self.wait -= 1
            self.rests = self.wait > 0
            if not self.rests:
                self.wait = LEAST_RUNS
            return 0
        start_s -= start_s % STEP_S
        self.run_s = self._tail(self.run_s, run_s, _RUN_DOWN)
        self.delay_s = self._tail(self.delay_s, delay_s, _DELAY_DOWN)
        self.loud = max(self.loud - 1, 0)
        if self.kind and self._has_weeks:
            self._mark(start_s)
        ring = self.ring
        if ring and start_s < ring[-1]:
            ring.append(start_s)
            ring.sort()
        else:
            ring.append(start_s)
        if len(ring) > RING:
            del ring[0]
        came = 0
        if self.told_s and start_s >= self.told_s - self._early(self.told_s):
            came = self._came(start_s)
        self.wait -= 1
        if self.wait <= 0:
            self._learn()
        if self.kind:
            if self.kind == INTERVAL:
                self._follow_phase(start_s)
            else:
                self._follow()
            if self.due_s == 0:
                self.missed = 0
                self.settled_s = max(self.settled_s, self._slot_before(start_s))
            self._advance()
        return came

    def _tail(self, tail: float, value: float, down: float) -> float:
        """Follow an upper quantile by small steps; more than twice of it is taken up where it comes again soon."""
        if value <= tail:
            return f32(tail - down * tail)
        if tail == 0.0 or len(self.ring) < LEAST_RUNS:
            return f32(value)
        if value > 2.0 * tail:
            is_again = self.loud > 0
            self.loud = _LOUD_FOR
            return f32((tail + value) / 2.0 if is_again else tail * (1.0 + _UP))
        return f32(min(tail * (1.0 + _UP), value))

    def _came(self, start_s: int) -> int:
        """A run after a miss that was told: whether it is that one."""
        told = self.told_s
        after = self.next_slot(told + self._apart() // 2) if self.kind else 0
        if after and start_s >= after - self._early(after):
            self.told_s = 0
            return 0
        self.told_s = 0
        self.served = f32(self.served + 1.0)
        self.missed = max(self.missed - 1, 0)
        if self.kind == DAILY and len(self.times) > 1:
            self._vote(told, start_s)
        return told

    def _vote(self, slot: int, start_s: int) -> None:
        """Several times a day: whether all of them have moved by an hour."""
        off = start_s - slot
        if not -_BEFORE_HOUR_S < abs(off) - HOUR < _SHIFT_SLACK_S:
            self.votes = self.shifted = 0
            return
        sign = 1 if off > 0 else -1
        self.votes = self.votes + sign if self.votes * sign > 0 else sign
        self.shifted = 1 if sign > 0 else 0
        if abs(self.votes) >= (1 if shift_between(self.came_s, slot) else 2):
            self.times = [(time + sign * HOUR) % DAY for time in self.times]
            self.settled_s += sign * HOUR
            self.votes = self.shifted = 0

    def _mark(self, start_s: int) -> None:
        """Which hours of the week it ran in, the last time each came."""
        hour = (start_s - self._hour_offset()) // HOUR
        if not self.since_hour:
            self.since_hour = self.hour = hour
            self.hour_runs = 0
            self.week, self.before_week = list(_NO_HOURS), list(_ALL_HOURS)
        if hour > self.hour:
            self._close_hour()
            first = max(self.hour + 1, hour - WEEK_HOURS)
            for empty in range(first, hour):
                self._set_hour(empty, False)
            self.hour, self.hour_runs, self.slot_mark = hour, 0, 0
        if self.kind == INTERVAL:
            # Runs by hand lie anywhere: only one near each usual start counts.
            place = start_s - self.times[0] + self._early(0)
            if place % self.period_s < self.period_s // 2 and place // self.period_s != self.slot_mark:
                self.hour_runs += 1
                self.slot_mark = place // self.period_s
        else:
            self.hour_runs += 1

    def _close_hour(self) -> None:
        self._set_hour(self.hour, self.hour_runs >= self._least_an_hour())

    def _set_hour(self, hour: int, ran: bool) -> None:
        place = hour % WEEK_HOURS
        if hour - WEEK_HOURS >= self.since_hour:
            self.before_week[place] = self.week[place]
        self.week[place] = ran

    def _least_an_hour(self) -> int:
        return max(HOUR // self.period_s // 2, 1) if self.kind == INTERVAL else 1

    def _hour_offset(self) -> int:
        """Where its hours begin: of what runs each hour or more seldom, a little before its usual start."""
        if self.kind != INTERVAL or self.period_s < HOUR:
            return 0
        place = self.times[0] % HOUR
        return place - min(place, self._early(0))

    def _learn(self) -> None:
        """Look for a schedule in the ring, or hold the one there is against it."""
        self.wait = _RELEARN
        if self.kind:
            if self._is_lost() if self.asked >= LEAST_RUNS else self._is_random():
                self._forget()
            else:
                if self.kind == INTERVAL:
                    self._find_early()
                return
        starts = _undoubled(self.ring)
        if len(starts) < LEAST_RUNS - 2:
            return
        if 2 * sum(1 for start in starts if start % DAY == 0) > len(starts):
            return  # dates without a time of day
        gaps = sorted(b - a for a, b in pairwise(starts))
        gap = gaps[len(gaps) // 2]
        if not ((gap <= 4 * HOUR and self._learn_interval(starts, gap)) or self._learn_days(starts)):
            self._forget()
            self.wait = 3
            if gap < DAY // 2:
                self.wait = _AGAIN
                if len(self.ring) == RING:
                    self._rest()
        else:
            self.rested = 0
            if self._has_weeks:
                for start in self.ring:
                    self._mark(start)
            self.settled_s = self._slot_before(starts[-1]) - (self.tolerance_s if self.kind == INTERVAL else 0)

    def _rest(self) -> None:
        """Remember nothing of a workflow without a schedule for a while."""
        self.rests, self.wait, self.ring, self.loud = True, REST << self.rested, [], 0
        self.rested = min(self.rested + 1, _MOST_RESTED)
        self.run_s = self.delay_s = 0.0

    def _forget(self) -> None:
        """There is no schedule: of what one has, nothing is left, as nothing is packed."""
        self.kind, self.due_s, self.told_s, self.missed, self.asked, self.served = NONE, 0, 0, 0, 0.0, 0.0
        self.period_s = self.tolerance_s = self.early_s = self.day = self.settled_s = self.came_s = 0
        self.times, self.last_day, self.votes, self.shifted = [], False, 0, 0
        self.week, self.before_week = _NO_HOURS, _ALL_HOURS
        self.hour = self.hour_runs = self.since_hour = self.slot_mark = 0

    def _follow_phase(self, start_s: int) -> None:
        """Keep the usual place within the period up to date: a step to where the run lies, so to their median."""
        period, phase = self.period_s, self.times[0]
        off = _circular(start_s - phase, period)
        if off and -self.early_s <= off < period // 3:
            step = min(max(period // 225, 1), STEP_S)
            self.times = [(phase + (step if off > 0 else -step)) % period]

    def _find_early(self) -> None:
        """How long before the usual start a run may come, from all but the earliest."""
        period, phase = self.period_s, self.times[0]
        offsets = sorted(_circular(start - phase, period) for start in self.ring)
        near = [off for off in offsets if -0.15 * period <= off <= period // 3]
        lowest = near[min(1, len(near) - 1)] if near else 0
        self.early_s = min(max(_MARGIN_S - lowest, _MARGIN_S), period // 4)

    def _follow(self) -> None:
        """Keep the usual times up to date."""
        moved = []
        near = self._near() if len(self.times) == 1 else _MANY_NEAR_S
        for time in self.times:
            offsets = [o for o in (_offset(start, time) for start in self.ring) if abs(o) <= near][-5:]
            if len(offsets) < 3:
                moved.append(time)
                continue
            last, before = offsets[-1], offsets[-2]
            offset = sorted(offsets)[max(len(offsets) // 2 - 1, 0)]
            is_hour = -_BEFORE_HOUR_S < abs(last) - HOUR < _SHIFT_SLACK_S and shift_between(
                self.ring[-1] - 8 * DAY, self.ring[-1]
            )
            if abs(last - offset) > _AGREE_S and (abs(last - before) < _AGREE_S or is_hour):
                offset = min(last, before) if not is_hour else last
            moved.append((time + offset) % DAY)
            if self.kind in (EVERY, MONTHLY) and not 0 <= time + offset < DAY:
                self._wrap(1 if offset > 0 else -1)
        self.times = moved

    def _wrap(self, by: int) -> None:
        """The usual time has passed midnight."""
        if self.kind == EVERY:
            self.day += by
        elif not self.last_day:
            self.period_s += by
            if self.period_s == 0:
                self.period_s, self.last_day = 31, True

    def _learn_interval(self, starts: list[int], gap: int) -> bool:
        best, best_fit, best_phase = 0, 0.0, 0
        for period in _PERIODS:
            if 0.75 * gap <= period <= 1.34 * gap:
                phase, fit = _phase_of(starts, period)
                if fit > best_fit:
                    best, best_fit, best_phase = period, fit, phase
        if best_fit < _LEAST_FIT or _coverage(starts, best, best_phase) < _LEAST_COVERAGE:
            return False
        if (best, INTERVAL) != (self.period_s, self.kind):
            self.asked = self.served = 0.0
        self.kind, self.period_s, self.times = INTERVAL, best, [best_phase]
        self.tolerance_s = max(best // 10, LEAST_TOLERANCE_S)
        self._find_early()
        return True

    def _is_lost(self) -> bool:
        """Whether so few runs come as expected that it has no schedule, or another one."""
        return self.served + 1.5 < _LOST * (self.asked + 1.0)

    def _is_random(self) -> bool:
        """Whether no more of the periods have a run than of a workflow without any."""
        return (
            self.kind == INTERVAL and _coverage(_undoubled(self.ring), self.period_s, self.times[0]) < _RANDOM_COVERAGE
        )

    def _learn_days(self, starts: list[int]) -> bool:
        times = _times_of_day(starts)
        if not times:
            return False
        self.times, self.asked, self.served = times, 0.0, 0.0
        if len(times) > 1:
            self.kind = DAILY
            self.tolerance_s = self._tolerance_of_times()
            return True  # the days on which it runs show within a week; until then none is expected
        for kind in (DAILY, MONTHLY, EVERY):
            self.kind = kind
            if self._fit_days(starts) and self._is_backed(starts):
                return True
        return False

    def _tolerance_of_times(self) -> int:
        return max(_least_gap(self.times) // 10, LEAST_TOLERANCE_S)

    def _fit_days(self, starts: list[int]) -> bool:
        time = self.times[0]
        days = self._days_at(time)
        self.last_day = False
        if self.kind == DAILY:
            on = [d for d in range(7) if self._runs_on(days, days[-1] + 1 + d)]
            if not on:
                return False
            weekdays = sorted((days[-1] + 1 + d) % 7 for d in on)
            apart = min((b - a - 1) % 7 + 1 for a, b in pairwise([*weekdays, weekdays[0]]))
            self.tolerance_s = apart * DAY // 10
            return True
        if self.kind == MONTHLY:
            dates = [_date_of(day) for day in days]
            in_month = [date.day for date in dates]
            common = max(set(in_month), key=in_month.count)
            last = sum(1 for date in dates if (date + timedelta(1)).day == 1)
            self.last_day = last >= in_month.count(common) and last > 1
            self.period_s = 31 if self.last_day else common
            self.tolerance_s = 3 * DAY
            return max(last, in_month.count(common)) >= 0.7 * len(days)
        if len(days) < LEAST_RUNS // 2:
            return False
        gaps = [b - a for a, b in pairwise(days)]
        common = max(set(gaps), key=gaps.count)
        if common < 2:
            return False
        residues = [day % common for day in days]
        residue = max(set(residues), key=residues.count)
        if residues.count(residue) < 0.75 * len(days):
            return False
        self.period_s = common * DAY
        self.last_day = False
        self.times = [time]
        self.tolerance_s = common * DAY // 10
        self.day = residue
        return True

    def _is_backed(self, starts: list[int]) -> bool:
        """Whether the runs of the ring came as this schedule would have expected them."""
        asked = served = 0
        slot = self.next_slot(starts[0] + self.tolerance_s)
        while slot and slot <= starts[-1]:
            asked += 1
            served += self._has_run(slot)
            slot = self.next_slot(slot)
            if asked > 60:
                break
        self.asked, self.served = float(asked), float(served)
        return asked >= 4 and self.is_trusted

    @property
    def is_trusted(self) -> bool:
        """Whether nearly all runs that it expected have come."""
        share = _TRUSTED if self.kind == INTERVAL or len(self.times) > 1 else _TRUSTED_ONCE
        return self.served + 1.5 >= share * (self.asked + 1.0)

    # -- expecting -----------------------------------------------------------------------------------------------

    def _early(self, slot: int) -> int:
        if self.kind == INTERVAL:
            return self.early_s
        return _EARLY_S if self.tolerance_s < 6 * HOUR else _SELDOM_NEAR_S

    def _slot_before(self, at_s: int) -> int:
        """The last usual start that a run at this time may belong to."""
        slot, before = self.next_slot(at_s - 9 * DAY if self.kind != INTERVAL else at_s - 3 * self.period_s, True), 0
        if self.kind in (MONTHLY, EVERY):
            slot = self.next_slot(at_s - 40 * DAY if self.kind == MONTHLY else at_s - 2 * self.period_s, True)
        while slot and slot <= at_s + self._early(slot):
            before = slot
            slot = self.next_slot(slot, True)
        return before or at_s

    def _pending(self) -> int:
        """The first usual start after the last that is settled, which was at a slightly different time perhaps."""
        return self.next_slot(self.settled_s + self._apart() // 2)

    def _apart(self) -> int:
        if self.kind == INTERVAL:
            return self.period_s
        return _least_gap(self.times) if len(self.times) > 1 else DAY

    def next_slot(self, after_s: int, any_day: bool = False) -> int:
        """The first usual start after a time; 0 where none is expected."""
        if self.kind == INTERVAL:
            period, phase = self.period_s, self.times[0]
            slot = after_s + 1 + (phase - after_s - 1) % period
            if any_day:
                return slot
            offset, end = self._hour_offset(), slot + 8 * DAY
            while slot < end:
                early = self._early(slot)
                hour = (slot - offset + early) // HOUR
                if self._expects_hour(hour):
                    return slot
                slot = (hour + 1) * HOUR + offset - early
                slot += (phase - slot) % period
            return 0
        if self.kind == MONTHLY:
            return self._next_month(after_s)
        if self.kind == EVERY:
            n = self.period_s // DAY
            day = after_s // DAY - 1
            day += (self.day - day) % n
            while day * DAY + self.times[0] <= after_s:
                day += n
            return day * DAY + self.times[0]
        times = sorted(self.times)
        day = after_s // DAY
        is_one = len(times) == 1
        days = self._days_at(times[0]) if is_one else []
        for at in range(day, day + 9):
            for time in times:
                slot = at * DAY + time
                if slot <= after_s:
                    continue
                if any_day or (self._runs_on(days, at) if is_one else self._runs_at(slot)):
                    return slot
        return 0

    def _near(self) -> int:
        """How far from its time of day a run is one of that: what runs seldom may have moved more than once."""
        return HOUR + _SHIFT_SLACK_S if self.tolerance_s < 6 * HOUR else _SELDOM_NEAR_S

    def _days_at(self, time: int) -> list[int]:
        """The days, since 1970, on which it ran at about this time of day."""
        near = self._near()
        return sorted({_day_of(start, time) for start in self.ring if abs(_offset(start, time)) <= near})

    def _next_month(self, after_s: int) -> int:
        first = datetime.fromtimestamp(after_s - 2 * DAY, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        while True:
            following = (first + timedelta(32)).replace(day=1)
            day = min(first + timedelta(self.period_s - 1), following - timedelta(1))
            slot = int(day.timestamp()) + self.times[0]
            if slot > after_s:
                return slot
            first = following

    def _runs_on(self, days: list[int], day: int) -> bool:
        """Whether it ran on most of the last three of this day of the week."""
        if not days:
            return False
        seen = ran = 0
        at = day - 7
        while at >= days[-1] + 1:
            at -= 7
        while at >= days[0] and seen < 3:
            if any(at - 3 <= one <= at + 3 for one in days):  # not of weeks in which it has paused
                seen += 1
                ran += at in days
            at -= 7
        return 2 * ran > seen

    def _runs_at(self, slot: int) -> bool:
        """Of several times a day: whether it ran at that hour a week ago."""
        hour = slot // HOUR - WEEK_HOURS
        if hour < self.since_hour:
            return False
        has_two = hour - WEEK_HOURS >= self.since_hour
        if self._ran_at(self.week, hour) or (has_two and self._ran_at(self.before_week, hour)):
            return True
        # It did not come then, or has moved: not so on a day of the week on which it does not run.
        if not any(self.week[(hour + by) % WEEK_HOURS] for by in range(-8, 9)):
            return False
        return self._ran_at(self.week, hour - 24) and self._ran_at(self.week, hour - 48)

    def _ran_at(self, week: list[bool], hour: int) -> bool:
        return week[hour % WEEK_HOURS] or week[(hour - 1) % WEEK_HOURS] or week[(hour + 1) % WEEK_HOURS]

    def _expects_hour(self, hour: int) -> bool:
        """Whether it runs in this hour of the week, by a week ago, two weeks ago, and the last two days it ran.

        Of a day of the week what counts is whether it ran then at all, near that hour: hours that have moved since
        then are those of the last two days.
        """
        week = self.week
        if hour - WEEK_HOURS < self.since_hour or not self._ran_near(hour):
            return False
        found = 0
        for days in range(1, 8):
            before = hour - 24 * days
            if self._ran_near(before):
                if not week[before % WEEK_HOURS]:
                    break
                has_shift = not found and self._is_edge(before) and shift_between(before * HOUR, hour * HOUR)
                if has_shift and self._may_have_moved(hour, before):
                    return False
                found += 1
                if found == 2:
                    return True
        place = hour % WEEK_HOURS
        return found > 0 and week[place] and self.before_week[place] and hour - 2 * WEEK_HOURS >= self.since_hour

    def _may_have_moved(self, hour: int, before: int) -> bool:
        """Of the first or last hour of the day in which it runs, the first one since clocks were put forward or back.

        It has not moved where the day's first hour had its runs, and the one before it none.
        """
        since = 0
        while since < 23 and self.week[(before - 1 - since) % WEEK_HOURS]:
            since += 1
        first = hour - since
        if since == 0 or first >= self.hour:
            return True
        return not self.week[first % WEEK_HOURS] or self.week[(first - 1) % WEEK_HOURS]

    def _ran_near(self, hour: int) -> bool:
        place = hour % WEEK_HOURS
        if self.week[place] and self.before_week[place] and hour - 2 * WEEK_HOURS >= self.since_hour:
            return True
        return sum(self.week[(hour + by) % WEEK_HOURS] for by in range(-2, 3)) >= 2

    def _is_edge(self, hour: int) -> bool:
        return not (self.week[(hour - 1) % WEEK_HOURS] and self.week[(hour + 1) % WEEK_HOURS])

    def _has_run(self, slot: int) -> bool:
        """Whether a run began at this usual time, or near enough for it."""
        early, late = self._early(slot), self.tolerance_s
        if self._is_extended(slot):
            late = max(late, HOUR + _SHIFT_SLACK_S)
        if self.kind == INTERVAL:
            late = min(self.period_s - early - 1, self.tolerance_s)
        by_hour = self.kind != INTERVAL
        is_short = self.kind == DAILY and late < HOUR
        for start in self.ring:
            if slot - early <= start <= slot + late:
                return True
            if by_hour and -_BEFORE_HOUR_S < start - slot + HOUR < _AGREE_S:
                return True
            if is_short and -_BEFORE_HOUR_S < start - slot - HOUR < _AGREE_S:
                return True
        return False

    def _has_late_run(self, slot: int) -> bool:
        """Of an interval: whether one of the runs until the tolerance is over is more than what came for its own."""
        early, period = self._early(slot), self.period_s
        owing = 1
        at = slot + period
        until = slot + self.tolerance_s + 60
        while at - early <= until:
            runs = sum(1 for start in self.ring if at - early <= start < min(at + period - early, until))
            if runs > 1 and runs - 1 >= owing:
                return True
            owing += 1 - runs if runs != 1 else 0
            at += period
        return False

    def _due_of(self, slot: int) -> int:
        due = slot + self.tolerance_s + int(self.run_s + self.delay_s)
        if self.tolerance_s >= 6 * HOUR:
            return due - HOUR  # so much is left that one more by hours that have moved stays within a tenth of the gap
        return due + HOUR if self._is_extended(slot) else due

    def _is_extended(self, slot: int) -> bool:
        """Whether it may come an hour later: another has, or clocks were put forward or back."""
        if self.tolerance_s >= HOUR or self.kind != DAILY:
            return False
        return self.shifted > 0 or shift_between(self.came_s, slot)

    def _advance(self) -> None:
        """Settle what has come; set when the next run is due."""
        newest = self.ring[-1]
        while True:
            slot = self._pending()
            if not slot or not self._has_run(slot):
                break
            self._settle(slot, True)
            if slot > newest + self.tolerance_s:
                break
        self.due_s = self._due_of(slot) if slot else 0

    def _settle(self, slot: int, came: bool) -> None:
        self.settled_s = slot
        if self.asked >= _MEMORY:
            self.asked -= self.asked / _MEMORY
            self.served -= self.served / _MEMORY
        self.asked = f32(self.asked + 1.0)
        if came:
            if self.kind == DAILY and len(self.times) > 1:
                near = [start for start in self.ring if abs(start - slot) <= HOUR + _SHIFT_SLACK_S]
                if near:
                    self._vote(slot, min(near, key=lambda start: abs(start - slot)))
            self.came_s = slot
            self.served += 1.0
            self.missed = 0
            self.told_s = 0
        self.served = f32(self.served)

    def due(self, now_s: int) -> list[Missed]:
        """The runs that are missed by now, oldest first; after three in a row nothing more is due."""
        found: list[Missed] = []
        while self.due_s and self.due_s <= now_s:
            slot = self._pending()
            if not slot:
                self.due_s = 0
                break
            due_s = self.due_s = self._due_of(slot)
            if due_s > now_s:
                break
            if self._has_run(slot) or (self.kind == INTERVAL and self._has_late_run(slot)):
                self._settle(slot, True)
            else:
                trusted = self.is_trusted and self.asked >= self._least_asked()
                at_edge = self.missed > 0 and self._is_at_edge(slot)
                self._settle(slot, False)
                if not at_edge:
                    self.missed += 1
                if trusted and not at_edge:
                    found.append(Missed(slot, due_s, self.missed))
                    self.told_s = slot
                if self.missed >= RETIRED_AFTER:
                    self.due_s = 0
                    break
            slot = self._pending()
            self.due_s = self._due_of(slot) if slot else 0
        return found

    def excuse(self, until_s: int) -> int:
        """Take the runs that were due by then for neither come nor missed. Returns how many they are."""
        count = 0
        while self.due_s and self.due_s <= until_s:
            slot = self._pending()
            if slot and self._due_of(slot) <= until_s:
                if self._has_run(slot):
                    self._settle(slot, True)
                else:
                    count += 1
                    self.settled_s = slot if count < _MOST_EXCUSED else until_s
                slot = self._pending()
            self.due_s = self._due_of(slot) if slot else 0
        return count

    @property
    def usual_s(self) -> int:
        """When the run usually starts that is due next; 0 where none is."""
        return self._pending() if self.due_s else 0

    def _least_asked(self) -> int:
        """So many runs must have been expected before one is missed."""
        return 20 if self.kind == INTERVAL or len(self.times) > 1 else 4

    def _is_at_edge(self, slot: int) -> bool:
        """Whether it is in the first or last hour in which it runs: more misses there may be hours that have moved."""
        return self.kind == INTERVAL and self._is_edge((slot - self._hour_offset() + self._early(slot)) // HOUR)

    # -- packing -------------------------------------------------------------------------------------------------

    @property
    def _has_weeks(self) -> bool:
        """Whether the hours of the week count: not for what runs once a day or more seldom."""
        return self.kind == INTERVAL or len(self.times) > 1

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads: 4 bytes at rest; 18 and 3 a start while there is no schedule; else 67, 3 a start,
        4 a time of day and 42 of weeks. When the next run is due stands elsewhere.
        """
        has_weeks = self.kind != NONE and self._has_weeks
        flags = self.kind | (_LAST_DAY if self.last_day else 0) | (_WEEKS if has_weeks else 0)
        w.append(u8(flags | _RESTS if self.rests else flags))
        w.append(u8(self.rested))
        put_u16(w, self.wait)
        if self.rests:
            return
        ring = self.ring
        newest = ring[-1] if ring else 0
        kept = [start for start in ring if (newest - start) // STEP_S <= _STEPS]
        if not self.kind:
            w.append(u8(self.loud))
            w.append(u8(len(kept)))
            put_u32(w, newest)
            write_f32_le(w, self.run_s)
            write_f32_le(w, self.delay_s)
            _pack_starts(w, kept, newest)
            return
        for small in (self.loud, self.missed, self.votes + 128, self.shifted, min(self.hour_runs, 0xFF)):
            w.append(u8(small))
        w.append(u8(len(self.times)))
        w.append(u8(len(kept)))
        put_u16(w, self.early_s)
        put_u16(w, self.day)
        for large in (self.period_s, self.tolerance_s, self.settled_s, self.came_s, self.told_s, self.slot_mark):
            put_u32(w, large)
        for large in (self.hour, self.since_hour, newest):
            put_u32(w, large)
        for real in (self.asked, self.served, self.run_s, self.delay_s):
            write_f32_le(w, real)
        for time in self.times:
            put_u32(w, time)
        _pack_starts(w, kept, newest)
        if has_weeks:
            _pack_bits(w, self.week)
            _pack_bits(w, self.before_week)

    def fill(self, packed: bytes, at: i64, due_s: i64) -> i64:
        """Become what was packed, from `at` on, where it is new; returns where it ends.

        Args:
            due_s: when the next run is due, from the head.
        """
        flags = int(packed[at])
        self.kind, self.last_day, self.rests = flags & 7, flags & _LAST_DAY != 0, flags & _RESTS != 0
        self.rested, self.wait, self.due_s = int(packed[at + 1]), int(u16(packed, at + 2)), int(due_s)
        at += 2
        if self.rests:
            return at + 2
        if not self.kind:
            self.loud, starts, newest = int(packed[at + 2]), i64(packed[at + 3]), int(u32(packed, at + 4))
            self.run_s, self.delay_s = read_f32_le(packed, at + 8), read_f32_le(packed, at + 12)
            self.ring = _unpacked_starts(packed, at + 16, starts, newest)
            return at + 16 + 3 * starts
        self.loud, self.missed, self.votes = int(packed[at + 2]), int(packed[at + 3]), int(packed[at + 4]) - 128
        self.shifted, self.hour_runs = int(packed[at + 5]), int(packed[at + 6])
        times, starts = i64(packed[at + 7]), i64(packed[at + 8])
        self.early_s, self.day = int(u16(packed, at + 9)), int(u16(packed, at + 11))
        self.period_s, self.tolerance_s = int(u32(packed, at + 13)), int(u32(packed, at + 17))
        self.settled_s, self.came_s = int(u32(packed, at + 21)), int(u32(packed, at + 25))
        self.told_s, self.slot_mark = int(u32(packed, at + 29)), int(u32(packed, at + 33))
        self.hour, self.since_hour = int(u32(packed, at + 37)), int(u32(packed, at + 41))
        newest = int(u32(packed, at + 45))
        self.asked, self.served = read_f32_le(packed, at + 49), read_f32_le(packed, at + 53)
        self.run_s, self.delay_s = read_f32_le(packed, at + 57), read_f32_le(packed, at + 61)
        at += _FIXED
        self.times = [int(u32(packed, at + 4 * place)) for place in range(times)]
        at += 4 * times
        self.ring = _unpacked_starts(packed, at, starts, newest)
        at += 3 * starts
        if flags & _WEEKS:
            self.week = _unpacked_bits(packed, at)
            self.before_week = _unpacked_bits(packed, at + WEEK_HOURS // 8)
            return at + WEEK_HOURS // 4
        self.week, self.before_week = _NO_HOURS, _ALL_HOURS
        return at


def _pack_starts(w: BytesWriter, starts: list[int], newest: int) -> None:
    for start in starts:
        back = (newest - start) // STEP_S
        put_u16(w, back & 0xFFFF)
        w.append(u8(back >> 16))


def _unpacked_starts(packed: bytes, at: i64, count: i64, newest: int) -> list[int]:
    found: list[int] = []
    end = at + 3 * count
    while at < end:
        found.append(newest - STEP_S * int(u16(packed, at) | i64(packed[at + 2]) << 16))
        at += 3
    return found


def _pack_bits(w: BytesWriter, bits: list[bool]) -> None:
    for begin in range(0, WEEK_HOURS, 8):
        byte = 0
        for place in range(8):
            if bits[begin + place]:
                byte |= 1 << place
        w.append(u8(byte))


def _unpacked_bits(packed: bytes, at: i64) -> list[bool]:
    return [packed[at + place // 8] >> place % 8 & 1 == 1 for place in range(WEEK_HOURS)]


def _undoubled(ring: list[int]) -> list[int]:
    kept: list[int] = []
    for start in ring:
        if not kept or start - kept[-1] >= _DOUBLE_S:
            kept.append(start)
    return kept


def _least_gap(times: list[int]) -> int:
    ordered = sorted(times)
    return min((b - a - 1) % DAY + 1 for a, b in pairwise([*ordered, ordered[0]]))


def _circular(apart: int, period: int) -> int:
    """A distance within half a period either way."""
    return (apart + period // 2) % period - period // 2


def _offset(start_s: int, time_s: int) -> int:
    """How long after a time of day it is, within half a day either way."""
    return (start_s - time_s + DAY // 2) % DAY - DAY // 2


def _day_of(start_s: int, time_s: int) -> int:
    """The day (since 1970) to whose time of day it is nearest."""
    return (start_s - time_s + DAY // 2) // DAY


def _date_of(day: int) -> datetime:
    return datetime.fromtimestamp(day * DAY, UTC)


def _phase_of(starts: list[int], period: int) -> tuple[int, float]:
    """The usual place within the period, and the share of the starts that lie there."""
    best, best_n = 0, -1
    places = [start % period for start in starts]
    low, high = -0.15 * period, 0.3 * period
    for place in places:
        n = sum(1 for other in places if low <= _circular(other - place, period) <= high)
        if n > best_n:
            best, best_n = place, n
    offsets = sorted(_circular(other - best, period) for other in places)
    offsets = [offset for offset in offsets if low <= offset <= high]
    return (best + offsets[len(offsets) // 2]) % period, best_n / len(places)


def _times_of_day(starts: list[int]) -> list[int]:
    """The times of day at which nearly all began, eight at most; none where they began at any."""
    for near, most in ((HOUR + _SHIFT_SLACK_S, 1), (_MANY_NEAR_S, _MOST_TIMES)):
        times, explained = _clusters(starts, near, most)
        if explained >= _EXPLAINED * len(starts) and _least_gap(times) > 4 * _MANY_NEAR_S:
            return times
    return []


def _coverage(starts: list[int], period: int, phase: int) -> float:
    """The share of the periods that have a run, breaks of four and more left out; of random runs 63 % have one."""
    places = sorted({(start - phase + period // 4) // period for start in starts})
    expected = 1
    for before, after in pairwise(places):
        expected += after - before if after - before < 4 else 1
    return len(places) / expected


def _clusters(starts: list[int], near: int, most: int) -> tuple[list[int], int]:
    """The times of day around which most began, at most so many, and how many began near one of them."""
    left = [start % DAY for start in starts]
    times: list[int] = []
    explained = largest = 0
    while left and len(times) < most:
        best: list[int] = []
        centre = 0
        for time in left:
            cluster = [other for other in left if abs(_offset(other, time)) <= near]
            if len(cluster) > len(best):
                best, centre = cluster, time
        if len(best) < max(3, largest // 2):
            break
        largest = max(largest, len(best))
        explained += len(best)
        offsets = sorted(_offset(other, centre) for other in best)
        usual = (centre + offsets[len(offsets) // 2]) % DAY
        times.append(usual)
        left = [other for other in left if abs(_offset(other, usual)) > near and other not in best]
    return times, explained


def shift_between(after_s: int, until_s: int) -> bool:
    """Whether clocks are put forward or back between two times, in one of the zones in which many people do so.

    Europe: the last Sundays of March and October, 01:00 UTC. North America: the second Sunday of March and the first of
    November, 06:00 to 11:00. Australia and New Zealand: the first Sundays of April and October and the last of
    September, 14:00 to 17:00 on the day before.
    """
    day = max(after_s, until_s - 9 * DAY) // DAY
    while day <= until_s // DAY + 1:
        if (day + 4) % 7 == 0:
            begin, end = _shift_hours(_date_of(day))
            if begin < end and until_s >= day * DAY + begin * HOUR and after_s < day * DAY + end * HOUR:
                return True
        day += 1
    return False


def _shift_hours(sunday: datetime) -> tuple[int, int]:
    """From when to when clocks are changed, in hours of that Sunday in UTC; (0, 0) if they are not."""
    month, day = sunday.month, sunday.day
    is_last = (sunday + timedelta(7)).month != month
    if month in (3, 10) and is_last:
        return 1, 2
    if (month == 3 and 8 <= day <= 14) or (month == 11 and day <= 7):
        return 6, 11
    if (month in (4, 10) and day <= 7) or (month == 9 and is_last):
        return -10, -7
    return 0, 0

"""What is learned of when a workflow runs: its last starts and its schedule, and how a state holds them."""

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64, mypyc_attr, u8

from stream_detector.detect.codec.binary import put_u16, put_u32, u16, u32
from stream_detector.detect.statistics.schedule.hours import NO_HOURS, pack_hours, unpack_before, unpack_hours

NONE: Final = 0
INTERVAL: Final = 1
DAILY: Final = 2
EVERY: Final = 3
MONTHLY: Final = 4
RING: Final = 24
LEAST_RUNS: Final = 10
"""So many runs are seen before a schedule is looked for."""
DAY: Final = 86_400
HOUR: Final = 3_600
_DAYS: Final = 0x4000
_WEEK: Final = 0x8000
_MONTH: Final = 0xC000
_YEAR: Final = 0xE000
"""From each of these codes on, a gap has larger steps (`code_of`); its seconds there:"""
_DAYS_S: Final = 65_536
_WEEK_S: Final = 327_680
_MONTH_S: Final = 1_376_256
_YEAR_S: Final = 3_473_408
_LAST_DAY: Final = 8
_RESTS: Final = 16
_REPORTED: Final = 32
_SHIFTED: Final = 64
_MOST_KNOWN: Final = 1_023
"""Hours since the first one that counts: more make no difference."""
_TAIL_UNITS: Final = 1_024.0
_SHARE_UNITS: Final = 512.0
_MOST_TAIL: Final = 4_000_000.0


@mypyc_attr(acyclic=True)
class Learned:
    """The learned times of one workflow. All times are epoch seconds.

    Attributes:
        gaps, newest: the last 24 starts: the newest, and the gaps between them, the oldest first, two bytes each.
        kind, period_s, times, day, last_day: the schedule; `times` are usual starts within the day or the period, in
            seconds, `day` is which of every so many days, `last_day` means the last of a month.
        tolerance_s, early_s: how much later and earlier than usual a run may start.
        hours, before: the hours of the week, from Thursday 00:00 UTC on, in which it ran the last time they came, and
            the time before; `hour` is the last one, with `hour_runs` runs, `since_hour` the first one that counts.
        slot_mark: the last usual start that had a run, of which an hour counts each once (its last byte).
        settled_s: the last usual start that is decided; `came_s` the last whose run has come, `reported_s` the last
            that was reported as missed, 0 once a run has come; `missed` how many are, in a row.
        asked, served: runs that were expected lately, and how many of them came.
        run_s, delay_s: upper quantiles of durations and delivery delays; `loud` counts down after an outlier.
        votes, shifted: whether runs come an hour later (above 0) or earlier; whether the next one may.
        wait: so many runs until a schedule is looked for; where `rests`, until runs are remembered
            again, for which it has waited `rested` times in a row (5 at most).
    """

    __slots__ = (
        *("asked", "before", "came_s", "day", "delay_s", "due_s", "early_s", "gaps", "hour", "hour_runs", "hours"),
        *("kind", "last_day", "loud", "missed", "newest", "period_s", "reported_s", "rested", "rests", "run_s"),
        *("served", "settled_s", "shifted", "since_hour", "slot_mark", "times", "tolerance_s", "votes", "wait"),
    )

    def __init__(self) -> None:
        self.gaps: bytes = b""
        self.newest: i64 = 0
        self.kind: i64 = NONE
        self.period_s: i64 = 0
        self.times: list[int] = []
        self.last_day: bool = False
        self.hours: bytes = NO_HOURS
        self.before: bytes = NO_HOURS
        self.slot_mark: i64 = 0
        self.came_s: i64 = 0
        self.votes: i64 = 0
        self.loud: i64 = 0
        self.early_s: i64 = 0
        self.day: i64 = 0
        self.hour: i64 = 0
        self.hour_runs: i64 = 0
        self.since_hour: i64 = 0
        self.settled_s: i64 = 0
        self.due_s: i64 = 0
        self.reported_s: i64 = 0
        self.missed: i64 = 0
        self.shifted: bool = False
        self.tolerance_s: i64 = 0
        self.asked: float = 0.0
        self.served: float = 0.0
        self.run_s: float = 0.0
        self.delay_s: float = 0.0
        self.wait: i64 = LEAST_RUNS
        self.rests: bool = False
        self.rested: i64 = 0

    @property
    def has_hours(self) -> bool:
        """Whether the hours of the week count: not for what runs once a day or more seldom."""
        return self.kind == INTERVAL or len(self.times) > 1

    @property
    def is_seldom(self) -> bool:
        """Whether it runs once a week or more seldom."""
        return self.tolerance_s >= 6 * HOUR

    def starts(self) -> list[int]:
        """The last starts, the oldest first."""
        found: list[int] = []
        if self.newest:
            at = self.newest
            found.append(int(at))
            place = i64(len(self.gaps)) - 2
            while place >= 0:
                at -= gap_of(u16(self.gaps, place))
                found.append(int(at))
                place -= 2
            found.reverse()
        return found

    def remember(self, start_s: i64) -> None:
        """Add a start; the oldest of 24 is forgotten."""
        gaps = self.gaps
        if not self.newest or start_s < self.newest:
            self._insert(start_s)
            return
        code = code_of(start_s - self.newest)
        self.newest += gap_of(code)
        w = BytesWriter()
        w.write(gaps[2:] if len(gaps) >= 2 * (RING - 1) else gaps)
        put_u16(w, code)
        self.gaps = w.getvalue()

    def _insert(self, start_s: i64) -> None:
        """A start that is older than the newest, or the first."""
        starts = self.starts()
        starts.append(int(start_s))
        starts.sort()
        if len(starts) > RING:
            del starts[0]
        w = BytesWriter()
        at = i64(starts[0])
        for start in starts[1:]:
            code = code_of(i64(start) - at)
            at += gap_of(code)
            put_u16(w, code)
        self.gaps, self.newest = w.getvalue(), at

    def has_start(self, start_s: i64) -> bool:
        """Whether a run that started then is remembered."""
        at, gaps = self.newest, self.gaps
        place = i64(len(gaps)) - 2
        while place >= 0:
            code = u16(gaps, place)
            if 0 <= at - start_s < _step_of(code):
                return True
            at -= gap_of(code)
            place -= 2
        return at == start_s and at != 0

    def forget_schedule(self) -> None:
        """There is no schedule: of what one has, nothing is left, as nothing is packed."""
        self.kind = NONE
        self.due_s = self.reported_s = self.missed = self.votes = 0
        self.period_s = self.tolerance_s = self.early_s = self.day = self.settled_s = self.came_s = 0
        self.asked = self.served = 0.0
        self.times, self.last_day, self.shifted = [], False, False
        self.hours = self.before = NO_HOURS
        self.hour = self.hour_runs = self.since_hour = self.slot_mark = 0

    def learn_anew(self, runs: i64) -> None:
        """The schedule holds no more; of its runs only so many, the newest, are of another one."""
        self.forget_schedule()
        self.gaps = self.gaps[-2 * (runs - 1) :]
        self.wait = LEAST_RUNS - runs

    def count_hours_from(self, hour: i64) -> None:
        """No hour before this one counts."""
        self.since_hour = max(hour, self.hour - _MOST_KNOWN)

    def set_shares(self, asked: float, served: float) -> None:
        """How many runs were expected, and came: as two bytes hold them."""
        self.asked = float(i64(asked * _SHARE_UNITS)) / _SHARE_UNITS
        self.served = float(i64(served * _SHARE_UNITS)) / _SHARE_UNITS

    # -- packing -----------------------------------------------------------------------------------------------------

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads: 4 bytes at rest, 15 and 2 a start without a schedule, else 32 to 60 more."""
        flags = self.kind | (_LAST_DAY if self.last_day else 0) | (_RESTS if self.rests else 0)
        flags |= (_REPORTED if self.reported_s else 0) | (_SHIFTED if self.shifted else 0)
        w.append(u8(flags))
        if self.rests:
            w.append(u8(self.rested))
            put_u16(w, self.wait)
            return
        w.append(u8(self.loud | self.missed << 3 | (self.votes + 3) << 5))
        w.append(u8(self.wait | i64(len(self.times)) << 4))
        w.append(u8(i64(len(self.gaps)) // 2 | self.rested << 5))
        put_u32(w, self.newest)
        put_u32(w, i64(self.run_s * _TAIL_UNITS))
        put_u32(w, i64(self.delay_s * _TAIL_UNITS))
        w.write(self.gaps)
        if self.kind != NONE:
            self._pack_schedule(w)

    def _pack_schedule(self, w: BytesWriter) -> None:
        put_u16(w, self.period_s // DAY if self.kind == EVERY else self.period_s)
        put_u16(w, self.tolerance_s // 60)
        put_u32(w, self.settled_s)
        put_u32(w, self.came_s)
        put_u16(w, i64(self.asked * _SHARE_UNITS))
        put_u16(w, i64(self.served * _SHARE_UNITS))
        if self.reported_s:
            put_u32(w, self.reported_s)
        if self.kind == EVERY:
            put_u16(w, self.day)
        if self.kind == INTERVAL:
            put_u16(w, self.early_s)
            put_u16(w, i64(self.times[0]))
        else:
            for time in self.times:
                put_u16(w, i64(time) // 2)
        if self.has_hours:
            w.append(u8(self.hour & 0xFF))
            put_u16(w, self.hour >> 8)
            put_u16(w, self.hour - self.since_hour)
            w.append(u8(self.hour_runs))
            w.append(u8(self.slot_mark))
            pack_hours(w, self.hours, self.before)

    def fill(self, packed: bytes, at: i64, due_s: i64) -> i64:
        """Become what was packed, from `at` on, where it is new; returns where it ends.

        Args:
            due_s: when the next run is due, which is kept elsewhere.
        """
        flags = i64(packed[at])
        self.kind, self.last_day, self.rests = flags & 7, flags & _LAST_DAY != 0, flags & _RESTS != 0
        if self.rests:
            self.rested, self.wait = i64(packed[at + 1]), u16(packed, at + 2)
            return at + 4
        counts, more = i64(packed[at + 1]), i64(packed[at + 2])
        self.loud, self.missed, self.votes = counts & 7, counts >> 3 & 3, (counts >> 5) - 3
        self.wait = more & 15
        counts = i64(packed[at + 3])
        self.rested, self.newest = counts >> 5, u32(packed, at + 4)
        self.run_s = float(u32(packed, at + 8)) / _TAIL_UNITS
        self.delay_s = float(u32(packed, at + 12)) / _TAIL_UNITS
        end = at + 16 + 2 * (counts & 31)
        if end > len(packed):
            raise IndexError("it ends within the starts")
        self.gaps = packed[at + 16 : end]
        if self.kind == NONE:
            return end
        self.due_s, self.shifted = due_s, flags & _SHIFTED != 0
        return self._fill_schedule(packed, end, more >> 4, flags & _REPORTED != 0)

    def _fill_schedule(self, packed: bytes, at: i64, times: i64, is_reported: bool) -> i64:
        self.period_s, self.tolerance_s = u16(packed, at), 60 * u16(packed, at + 2)
        self.settled_s, self.came_s = u32(packed, at + 4), u32(packed, at + 8)
        self.asked = float(u16(packed, at + 12)) / _SHARE_UNITS
        self.served = float(u16(packed, at + 14)) / _SHARE_UNITS
        at += 16
        if is_reported:
            self.reported_s = u32(packed, at)
            at += 4
        if self.kind == EVERY:
            self.period_s, self.day = self.period_s * DAY, u16(packed, at)
            at += 2
        if self.kind == INTERVAL:
            self.early_s = u16(packed, at)
            self.times = [int(u16(packed, at + 2))]
            at += 4
        else:
            self.times = [int(2 * u16(packed, at + 2 * place)) for place in range(times)]
            at += 2 * times
        if self.has_hours:
            self.hour = i64(packed[at]) | u16(packed, at + 1) << 8
            self.since_hour = self.hour - u16(packed, at + 3)
            self.hour_runs, self.slot_mark = i64(packed[at + 5]), i64(packed[at + 6])
            self.hours, at = unpack_hours(packed, at + 7)
            self.before, at = unpack_before(packed, at, self.hours)
        return at


def code_of(gap_s: i64) -> i64:
    """A gap in two bytes: up to 18 h in steps of 4 s, 3 days of 16 s, 15 days of 64 s, 40 of 256 s, a year of 68 min.

    Rounded up: what starts at a full minute, or a few seconds later, does not seem to start before it.

    >>> gap_of(code_of(900)), gap_of(code_of(86_401)), gap_of(code_of(31 * 86_400))
    (900, 86416, 2678528)
    """
    if gap_s <= _DAYS_S:
        return (gap_s + 3) >> 2
    if gap_s <= _WEEK_S:
        return _DAYS + ((gap_s - _DAYS_S + 15) >> 4)
    if gap_s <= _MONTH_S:
        return _WEEK + ((gap_s - _WEEK_S + 63) >> 6)
    if gap_s <= _YEAR_S:
        return _MONTH + ((gap_s - _MONTH_S + 255) >> 8)
    return min(_YEAR + ((gap_s - _YEAR_S + 4095) >> 12), i64(0xFFFF))


def gap_of(code: i64) -> i64:
    """What `code_of` was given, up to a step more."""
    if code <= _DAYS:
        return code << 2
    if code <= _WEEK:
        return _DAYS_S + ((code - _DAYS) << 4)
    if code <= _MONTH:
        return _WEEK_S + ((code - _WEEK) << 6)
    if code <= _YEAR:
        return _MONTH_S + ((code - _MONTH) << 8)
    return _YEAR_S + ((code - _YEAR) << 12)


def _step_of(code: i64) -> i64:
    """How much more than the gap it may be."""
    if code <= _DAYS:
        return 4
    if code <= _WEEK:
        return 16
    if code <= _MONTH:
        return 64
    return 256 if code <= _YEAR else 4096


def tail_of(seconds: float) -> float:
    """A duration as four bytes hold it."""
    return float(i64(min(seconds, _MOST_TAIL) * _TAIL_UNITS)) / _TAIL_UNITS

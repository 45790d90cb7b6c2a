"""Thirty daily buckets of outcomes and durations, rotated by event time, in compact arrays.

The running day is kept in full precision; a day that has closed is rounded to 4-byte floats and 2-byte counts at the
moment it closes, never at packing, so that packing changes no number.
"""

import struct
from array import array
from typing import Any, Final, NamedTuple

DAYS: Final = 30
_OLDER: Final = DAYS - 1
_KEPT: Final = (1 << _OLDER) - 1
_MOST: Final = 0xFFFF
"""A closed day counts at most so many executions (shares kept); the running day counts all."""
RUSH_FROM: Final = 64
_RUSH_TIMES: Final = 3
_RUSH_DAYS: Final = 7
_TODAY: Final = struct.Struct("<iIIIddIB")
_NARROW_COUNTS: Final = 1
_NARROW_FAILURES: Final = 2
_UNTIMED: Final = 4
_NARROW_UNTIMED: Final = 8


class Totals(NamedTuple):
    """Thirty days added up. `squares` is the sum of squared distances from `mean`, in s²."""

    counted: int
    failures: int
    timed: int
    mean: float
    squares: float


class Closed:
    """The days before the running one, oldest first, a column each; `untimed` counts those without a duration."""

    __slots__ = ("counts", "failures", "means", "squares", "untimed")

    def __init__(self) -> None:
        self.counts, self.failures, self.untimed = array("H"), array("H"), array("H")
        self.means, self.squares = array("f"), array("f")

    def columns(self) -> "tuple[array[Any], ...]":
        """All columns."""
        return self.counts, self.failures, self.untimed, self.means, self.squares

    def pack(self) -> tuple[int, bytes]:
        """Flags and bytes: a count takes one byte where the whole column fits into bytes."""
        flags = _NARROW_COUNTS * _fits(self.counts) | _NARROW_FAILURES * _fits(self.failures)
        parts = [_narrowed(self.counts), _narrowed(self.failures), self.means.tobytes(), self.squares.tobytes()]
        if any(self.untimed):
            flags |= _UNTIMED | _NARROW_UNTIMED * _fits(self.untimed)
            parts.append(_narrowed(self.untimed))
        return flags, b"".join(parts)

    @classmethod
    def unpack(cls, packed: bytes, days: int, flags: int) -> "Closed":
        """The days that `pack` gave."""
        closed, at = cls(), 0
        for column, code in (
            (closed.counts, "B" if flags & _NARROW_COUNTS else "H"),
            (closed.failures, "B" if flags & _NARROW_FAILURES else "H"),
            (closed.means, "f"),
            (closed.squares, "f"),
            (closed.untimed, "B" if flags & _NARROW_UNTIMED else "H"),
        ):
            if column is closed.untimed and not flags & _UNTIMED:
                closed.untimed.extend([0] * days)
                break
            read = array(code)
            end = at + days * read.itemsize
            read.frombytes(packed[at:end])
            column.extend(read if code == column.typecode else read.tolist())
            at = end
        return closed


def _fits(column: "array[int]") -> bool:
    return not column or max(column) <= 0xFF


def _narrowed(column: "array[int]") -> bytes:
    return (array("B", column) if _fits(column) else column).tobytes()


def _bytes_a_day(flags: int) -> int:
    counts = 4 - bool(flags & _NARROW_COUNTS) - bool(flags & _NARROW_FAILURES)
    untimed = 2 - bool(flags & _NARROW_UNTIMED) if flags & _UNTIMED else 0
    return counts + untimed + 8


class Days:
    """Counts and durations of one workflow by day; `present` has bit k set for the day k + 1 days before `day`.

    The closed days stay bytes until one of them is looked at: most events touch the running day alone.
    """

    __slots__ = ("_closed", "_flags", "_packed", "count", "day", "failed", "mean", "present", "square", "timed")

    def __init__(self) -> None:
        self.day = self.count = self.failed = self.timed = self.present = 0
        self.mean = self.square = 0.0
        self._closed: Closed | None = Closed()
        self._packed: bytes | None = None
        self._flags = 0

    def add(self, day: int, failed: bool, duration_s: float) -> None:
        """Count one execution of `day` (days since 1970). A duration of 0 was not recorded."""
        if day != self.day:
            if day < self.day:
                self._add_late(day, failed, duration_s)
                return
            self._rotate(day)
        self.count += 1
        self.failed += failed
        if duration_s > 0.0:
            self.timed += 1
            step = duration_s - self.mean
            self.mean += step / self.timed
            self.square += step * (duration_s - self.mean)

    @property
    def closed(self) -> Closed:
        """The days before the running one."""
        if self._closed is None:
            assert self._packed is not None
            self._closed = Closed.unpack(self._packed, self.present.bit_count(), self._flags)
        return self._closed

    def _rotate(self, day: int) -> None:
        closed = self.closed
        if self.count:
            if self.count > _MOST:
                self._saturate()
            closed.counts.append(self.count)
            closed.failures.append(self.failed)
            closed.untimed.append(self.count - self.timed)
            closed.means.append(self.mean)
            closed.squares.append(self.square)
        gap = day - self.day
        seen = (self.present << 1 | (self.count > 0)) << min(gap - 1, DAYS)
        self.present = seen & _KEPT
        gone = len(closed.counts) - self.present.bit_count()
        if gone:
            for column in closed.columns():
                del column[:gone]
        self.day = day
        self.count = self.failed = self.timed = 0
        self.mean = self.square = 0.0
        self._packed = None

    def _saturate(self) -> None:
        share = _MOST / self.count
        self.count, self.failed, self.timed = _MOST, round(self.failed * share), round(self.timed * share)
        self.square *= share

    def _add_late(self, day: int, failed: bool, duration_s: float) -> None:
        back = self.day - day - 1
        if back >= _OLDER:
            return
        closed, self._packed = self.closed, None
        at = (self.present >> (back + 1)).bit_count()
        if not self.present >> back & 1:
            self.present |= 1 << back
            for column in closed.columns():
                column.insert(at, 0)
        if closed.counts[at] == _MOST:
            return
        closed.counts[at] += 1
        closed.failures[at] += failed
        if duration_s > 0.0:
            step = duration_s - closed.means[at]
            closed.means[at] += step / (closed.counts[at] - closed.untimed[at])
            closed.squares[at] += step * (duration_s - closed.means[at])
        else:
            closed.untimed[at] += 1

    def may_rush(self) -> bool:
        """Whether the day's count is one of those at which a rush is looked for: a power of two from 64 on."""
        count = self.count
        return count >= RUSH_FROM and not count & (count - 1)

    def rush(self) -> tuple[int, int, int] | None:
        """The running day's count, the busiest closed day's and how many those are, where the first is a rush.

        Looked at when the day's count is a power of two from 64 on: a rush is three times the busiest of seven closed
        days or more, told once a day.
        """
        if not self.may_rush():
            return None
        count = self.count
        counts = self.closed.counts
        busiest = max(counts, default=0)
        first = count // 2 < max(_RUSH_TIMES * busiest, RUSH_FROM)
        if len(counts) < _RUSH_DAYS or count < _RUSH_TIMES * busiest or not first:
            return None
        return count, busiest, len(counts)

    def outcomes(self) -> tuple[int, int]:
        """Executions and failures of thirty days."""
        closed = self.closed
        return self.count + sum(closed.counts), self.failed + sum(closed.failures)

    def totals(self) -> Totals:
        """All thirty days as one (Chan, Golub and LeVeque 1979 for the squares)."""
        closed = self.closed
        timed, mean, squares = self.timed, self.mean, self.square
        for count, untimed, other, square in zip(
            closed.counts, closed.untimed, closed.means, closed.squares, strict=True
        ):
            n = count - untimed
            if n:
                step, both = other - mean, timed + n
                squares += square + step * step * timed * n / both
                mean += step * n / both
                timed = both
        return Totals(*self.outcomes(), timed, mean, squares)

    def pack(self) -> bytes:
        """The bytes that `fill` reads: 37 and 10 to 14 a day."""
        if self._packed is None:
            assert self._closed is not None
            self._flags, self._packed = self._closed.pack()
        today = (self.day, self.count, self.failed, self.timed, self.mean, self.square)
        return _TODAY.pack(*today, self.present, self._flags) + self._packed

    def fill(self, packed: bytes, at: int) -> int:
        """Become what was packed, from `at` on; returns where it ends."""
        values = _TODAY.unpack_from(packed, at)
        self.day, self.count, self.failed, self.timed, self.mean, self.square, self.present, self._flags = values
        at += _TODAY.size
        end = at + self.present.bit_count() * _bytes_a_day(self._flags)
        self._packed, self._closed = packed[at:end], None
        return end

"""Thirty daily buckets of outcomes and durations, rotated by event time, in compact arrays.

The running day is kept in full precision; a day that has closed is rounded to 4-byte floats and 2-byte counts at the
moment it closes, never at packing, so that packing changes no number.
"""

import struct
from array import array
from typing import Any, NamedTuple

DAYS = 30
_OLDER = DAYS - 1
_KEPT = (1 << _OLDER) - 1
_MOST = 0xFFFF
"""A closed day counts at most so many executions (shares kept); the running day counts all."""
_TODAY = struct.Struct("<iIIIddI")


class Totals(NamedTuple):
    """Thirty days added up. `squares` is the sum of squared distances from `mean`, in s²."""

    counted: int
    failures: int
    timed: int
    mean: float
    squares: float


class Days:
    """Counts and durations of one workflow by day; `present` has bit k set for the day k + 1 days before `day`."""

    __slots__ = (
        *("day", "count", "failed", "timed", "mean", "square"),
        *("present", "counts", "failures", "timeds", "means", "squares"),
    )

    def __init__(self) -> None:
        self.day = self.count = self.failed = self.timed = self.present = 0
        self.mean = self.square = 0.0
        self.counts, self.failures, self.timeds = array("H"), array("H"), array("H")
        self.means, self.squares = array("f"), array("f")

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

    def _rotate(self, day: int) -> None:
        if self.count:
            share = min(1.0, _MOST / self.count)
            self.counts.append(min(self.count, _MOST))
            self.failures.append(round(self.failed * share))
            self.timeds.append(round(self.timed * share))
            self.means.append(self.mean)
            self.squares.append(self.square * share)
        gap = day - self.day
        seen = (self.present << 1 | (self.count > 0)) << min(gap - 1, DAYS)
        self.present = seen & _KEPT
        gone = len(self.counts) - self.present.bit_count()
        if gone:
            for column in (self.counts, self.failures, self.timeds, self.means, self.squares):
                del column[:gone]
        self.day = day
        self.count = self.failed = self.timed = 0
        self.mean = self.square = 0.0

    def _add_late(self, day: int, failed: bool, duration_s: float) -> None:
        back = self.day - day - 1
        if back >= _OLDER:
            return
        at = (self.present >> (back + 1)).bit_count()
        if not self.present >> back & 1:
            self.present |= 1 << back
            for column in (self.counts, self.failures, self.timeds, self.means, self.squares):
                column.insert(at, 0)
        if self.counts[at] == _MOST:
            return
        self.counts[at] += 1
        self.failures[at] += failed
        if duration_s > 0.0:
            self.timeds[at] += 1
            step = duration_s - self.means[at]
            self.means[at] += step / self.timeds[at]
            self.squares[at] += step * (duration_s - self.means[at])

    def totals(self) -> Totals:
        """All thirty days as one (Chan, Golub and LeVeque 1979 for the squares)."""
        count = self.count + sum(self.counts)
        failures = self.failed + sum(self.failures)
        timed, mean, squares = self.timed, self.mean, self.square
        for n, other, square in zip(self.timeds, self.means, self.squares, strict=True):
            if n:
                step, both = other - mean, timed + n
                squares += square + step * step * timed * n / both
                mean += step * n / both
                timed = both
        return Totals(count, failures, timed, mean, squares)

    def pack(self) -> bytes:
        """The bytes that `unpack` reads. Untimed executions cost 2 bytes a day, only where there are any."""
        today = _TODAY.pack(self.day, self.count, self.failed, self.timed, self.mean, self.square, self._mask())
        timeds = b"" if self.timeds == self.counts else self.timeds.tobytes()
        return b"".join(
            (
                today,
                self.counts.tobytes(),
                self.failures.tobytes(),
                self.means.tobytes(),
                self.squares.tobytes(),
                timeds,
            )
        )

    def _mask(self) -> int:
        return self.present | (self.timeds != self.counts) << 31

    @classmethod
    def unpack(cls, packed: bytes, at: int) -> tuple["Days", int]:
        """Read from `at`; returns the days and where they end."""
        days = cls()
        days.day, days.count, days.failed, days.timed, days.mean, days.square, mask = _TODAY.unpack_from(packed, at)
        days.present = mask & _KEPT
        at += _TODAY.size
        closed = days.present.bit_count()
        columns: list[array[Any]] = [days.counts, days.failures, days.means, days.squares]
        if mask >> 31:
            columns.append(days.timeds)
        for column in columns:
            end = at + closed * column.itemsize
            column.frombytes(packed[at:end])
            at = end
        if not mask >> 31:
            days.timeds = array("H", days.counts)
        return days, at

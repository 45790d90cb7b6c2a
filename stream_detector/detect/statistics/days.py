"""Thirty daily buckets of outcomes and durations, rotated by event time, in compact arrays.

The running day is kept in full precision; a day that has closed is rounded to 4-byte floats and 2-byte counts at the
moment it closes, never at packing, so that packing changes no number.
"""

from array import array
from typing import Any, Final, NamedTuple

from librt.strings import BytesWriter, read_f64_le, read_i32_le, write_f64_le, write_i32_le
from mypy_extensions import i32, i64, mypyc_attr, u8

from stream_detector.detect.codec.binary import ones, put_u32, u32
from stream_detector.detect.statistics.rhythm import nearest

DAYS: Final = 30
_OLDER: Final = DAYS - 1
_KEPT: Final = (1 << _OLDER) - 1
_MOST: Final = 0xFFFF
"""A closed day counts at most so many executions (shares kept); the running day counts all."""
VOLUME_SPIKE_FROM: Final = 64
_VOLUME_SPIKE_TIMES: Final = 3
_VOLUME_SPIKE_DAYS: Final = 7
_TODAY: Final = 37
_NARROW_COUNTS: Final = 1
_NARROW_FAILURES: Final = 2
_UNTIMED: Final = 4
_NARROW_UNTIMED: Final = 8
_NO_DAYS: Final = _NARROW_COUNTS | _NARROW_FAILURES


class Totals(NamedTuple):
    """Thirty days added up. `squares` is the sum of squared distances from `mean`, in s²."""

    counted: int
    failures: int
    timed: int
    mean: float
    squares: float


@mypyc_attr(acyclic=True)
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


def _bytes_a_day(flags: i64) -> i64:
    size: i64 = 12
    if flags & _NARROW_COUNTS:
        size -= 1
    if flags & _NARROW_FAILURES:
        size -= 1
    if flags & _UNTIMED:
        size += 1 if flags & _NARROW_UNTIMED else 2
    return size


@mypyc_attr(acyclic=True)
class Days:
    """Counts and durations of one workflow by day; `present` has bit k set for the day k + 1 days before `day`.

    The closed days stay bytes until one of them is looked at: most events touch the running day alone.
    """

    __slots__ = ("_closed", "_flags", "_packed", "count", "day", "failed", "mean", "present", "square", "timed")

    def __init__(self) -> None:
        self.day: i64 = 0
        self.count: i64 = 0
        self.failed: i64 = 0
        self.timed: i64 = 0
        self.present: i64 = 0
        self.mean: float = 0.0
        self.square: float = 0.0
        self._closed: Closed | None = None
        self._packed: bytes | None = b""
        self._flags: i64 = _NO_DAYS

    def add(self, day: i64, failed: bool, duration_s: float) -> None:
        """Count one execution of `day` (days since 1970). A duration of 0 was not recorded."""
        if day != self.day:
            if day < self.day:
                self._add_late(day, failed, duration_s)
                return
            self._rotate(day)
        self.count += 1
        self.failed += i64(failed)
        if duration_s > 0.0:
            self.timed += 1
            step = duration_s - self.mean
            self.mean += step / float(self.timed)
            self.square += step * (duration_s - self.mean)

    def take_failure_out(self) -> None:
        """Count the last execution, which failed, as one that did not."""
        if self.failed:
            self.failed -= 1
            return
        closed = self.closed
        for at in range(len(closed.failures) - 1, -1, -1):
            if closed.failures[at]:
                closed.failures[at] -= 1
                self._packed = None
                return

    @property
    def closed(self) -> Closed:
        """The days before the running one."""
        if self._closed is None:
            assert self._packed is not None
            self._closed = Closed.unpack(self._packed, ones(self.present), self._flags)
        return self._closed

    def _rotate(self, day: i64) -> None:
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
        seen = (self.present << 1 | i64(self.count > 0)) << min(gap - 1, DAYS)
        self.present = seen & _KEPT
        gone = len(closed.counts) - ones(self.present)
        if gone:
            for column in closed.columns():
                del column[:gone]
        self.day = day
        self.count = self.failed = self.timed = 0
        self.mean = self.square = 0.0
        self._packed = None

    def _saturate(self) -> None:
        share = _MOST / float(self.count)
        self.failed, self.timed = nearest(float(self.failed) * share), nearest(float(self.timed) * share)
        self.count = _MOST
        self.square *= share

    def move_to(self, day: i64) -> None:
        """Make `day` the running one; what was counted on later days is counted on it."""
        if day >= self.day:
            if day > self.day:
                self._rotate(day)
            return
        back, closed = self.day - day, self.closed
        self.day, self._packed = day, None
        self.present = self.present >> back if back < DAYS else 0
        kept = ones(self.present)
        while len(closed.counts) > kept:
            self._merge_last(closed)

    def _merge_last(self, closed: Closed) -> None:
        """Count the last closed day on the running one (as `totals`)."""
        count: i64 = closed.counts.pop()
        timed = count - i64(closed.untimed.pop())
        mean: float = closed.means.pop()
        square: float = closed.squares.pop()
        self.count += count
        self.failed += i64(closed.failures.pop())
        if timed:
            both, step = float(self.timed + timed), mean - self.mean
            self.square += square + step * step * float(self.timed) * float(timed) / both
            self.mean += step * float(timed) / both
            self.timed += timed

    def _add_late(self, day: i64, failed: bool, duration_s: float) -> None:
        back = self.day - day - 1
        if back >= _OLDER:
            return
        closed, self._packed = self.closed, None
        at = ones(self.present >> (back + 1))
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

    def may_spike(self) -> bool:
        """Whether the day's count is one of those at which a volume spike is looked for: a power of two from 64 on."""
        count = self.count
        return count >= VOLUME_SPIKE_FROM and not count & (count - 1)

    def volume_spike(self) -> tuple[int, int, int] | None:
        """The running day's count, the busiest closed day's and how many those are, where the first is a volume spike.

        Looked at when the day's count is a power of two from 64 on: a volume spike is three times the busiest of seven
        closed days or more, found once a day.
        """
        if not self.may_spike():
            return None
        count = self.count
        counts = self.closed.counts
        busiest = max(counts, default=0)
        first = count // 2 < max(_VOLUME_SPIKE_TIMES * busiest, VOLUME_SPIKE_FROM)
        if len(counts) < _VOLUME_SPIKE_DAYS or count < _VOLUME_SPIKE_TIMES * busiest or not first:
            return None
        return count, busiest, len(counts)

    def outcomes(self) -> tuple[int, int]:
        """Executions and failures of thirty days."""
        closed = self.closed
        return self.count + sum(closed.counts), self.failed + sum(closed.failures)

    def totals(self) -> Totals:
        """All thirty days as one (Chan, Golub and LeVeque 1979 for the squares)."""
        closed = self.closed
        timed, mean, squares = int(self.timed), self.mean, self.square
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

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads: 37 bytes and 10 to 14 a day."""
        if self._packed is None:
            assert self._closed is not None
            self._flags, self._packed = self._closed.pack()
            self._closed = None  # five arrays, which a day's other events do not need
        write_i32_le(w, i32(self.day))
        put_u32(w, self.count)
        put_u32(w, self.failed)
        put_u32(w, self.timed)
        write_f64_le(w, self.mean)
        write_f64_le(w, self.square)
        put_u32(w, self.present)
        w.append(u8(self._flags))
        w.write(self._packed)

    def fill(self, packed: bytes, at: i64) -> i64:
        """Become what was packed, from `at` on; returns where it ends."""
        self.day, self.count, self.failed = i64(read_i32_le(packed, at)), u32(packed, at + 4), u32(packed, at + 8)
        self.timed, self.mean, self.square = (
            u32(packed, at + 12),
            read_f64_le(packed, at + 16),
            read_f64_le(packed, at + 24),
        )
        self.present, self._flags = u32(packed, at + 32), i64(packed[at + 36])
        at += _TODAY
        end = at + ones(self.present) * _bytes_a_day(self._flags)
        self._packed, self._closed = packed[at:end], None
        return end

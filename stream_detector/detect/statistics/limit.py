"""How long an execution may run before it is told to be still running, learned from the key's own tail.

Of the last 80 to 120 executions the longest is kept, of those that `Level` remembers (the last 12, and 64 older ones)
the usual one and the ninth longest. With everything in log units less the usual time u:

    limit = u + 0.54 + 0.89 longest + 0.41 ninth + 0.21 max(0, median of the last 12)

It is at least 2.5 times the usual time; where the longest is below 1.5 times it, at most 3 times. Chosen on real
histories (benchmarks.hangs): twice the longest of the last 100 has as many false alarms, later.

>>> from stream_detector.detect.statistics.readings import remember
>>> longest = Longest()
>>> for _ in range(50):
...     longest.add(100.0)
>>> readings = b""
>>> for _ in range(50):
...     readings = remember(readings, on_grid(log(100.0 + Q)), keep=True)
>>> round(limit_s(longest, readings) / 100.0, 1)
2.5
"""

from math import exp, log
from typing import Final

from librt.strings import BytesWriter, read_i16_le, write_i16_le
from mypy_extensions import i16, i64, mypyc_attr, u8

from stream_detector.detect.statistics.level import Q
from stream_detector.detect.statistics.readings import GRID, RECENT, numbers, on_grid

BLOCK: Final = 40
BLOCKS: Final = 3
LEAST: Final = 2.5
LEAST_RUNS: Final = 10
"""Fewer executions with a duration give no limit."""
_STEADY, _MOST_STEADY = 1.5, 3.0
_NINTH: Final = 8
_BASE, _OF_LONGEST, _OF_NINTH, _OF_RECENT = 0.54, 0.89, 0.41, 0.21
_NONE: Final = -32768


@mypyc_attr(acyclic=True)
class Longest:
    """The longest execution of the running block of 40 and of the two before it: 7 bytes.

    Numbers on the grid of `readings`; `runs` counts those of the running block.
    """

    __slots__ = ("before", "longest", "oldest", "runs")

    def __init__(self) -> None:
        self.runs: i64 = 0
        self.longest: i64 = _NONE
        self.before: i64 = _NONE
        self.oldest: i64 = _NONE

    def add(self, duration_s: float) -> None:
        """Take one execution, of more than 0 s."""
        if self.runs >= BLOCK:
            self.oldest, self.before, self.longest, self.runs = self.before, self.longest, _NONE, 0
        self.runs += 1
        reading = on_grid(log(duration_s + Q))
        if reading > self.longest:
            self.longest = reading

    @property
    def reading(self) -> i64:
        """The longest of all, on the grid; the least number there is without any."""
        return max(self.longest, self.before, self.oldest)

    @property
    def count(self) -> i64:
        """How many executions it is the longest of."""
        return self.runs + BLOCK * ((self.before != _NONE) + (self.oldest != _NONE))

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads: 7 bytes."""
        w.append(u8(self.runs))
        write_i16_le(w, i16(self.longest))
        write_i16_le(w, i16(self.before))
        write_i16_le(w, i16(self.oldest))

    def fill(self, packed: bytes, at: i64) -> i64:
        """Become what was packed, from `at` on; returns where it ends."""
        self.runs = i64(packed[at])
        self.longest, self.before = i64(read_i16_le(packed, at + 1)), i64(read_i16_le(packed, at + 3))
        self.oldest = i64(read_i16_le(packed, at + 5))
        return at + 7


def limit_s(longest: Longest, readings: bytes) -> float:
    """The limit in seconds of an execution of the workflow; 0.0 while it has too few executions.

    Args:
        longest: of the last executions.
        readings: what `Level` remembers.
    """
    known = numbers(readings)
    if len(known) < LEAST_RUNS or longest.reading == _NONE:
        return 0.0
    recent = sorted(known[-RECENT:])
    known.sort()
    usual = known[len(known) // 2] / GRID
    top = int(longest.reading) / GRID - usual
    ninth = known[max(len(known) - 1 - _NINTH, len(known) // 2)] / GRID - usual
    shift = max(recent[len(recent) // 2] / GRID - usual, 0.0)
    usual_s = exp(usual) - Q
    found_s = exp(usual + _BASE + _OF_LONGEST * top + _OF_NINTH * ninth + _OF_RECENT * shift) - Q
    if exp(usual + top) - Q < _STEADY * usual_s:
        found_s = min(found_s, _MOST_STEADY * usual_s)
    return max(found_s, LEAST * usual_s)

"""What one workflow usually uses of each resource: level, spread and slope of the share of its limit."""

import struct
from array import array
from math import sqrt
from typing import Final
from zlib import crc32

MOST: Final = 16
"""At most so many resources of a workflow are remembered, 24 bytes each."""
WEIGHT: Final = 0.1
_HEAD: Final = struct.Struct("<B")
_COLUMNS: Final = 4


class Usual:
    """One resource before this execution: readings so far, mean, deviation, slope an execution, rises in a row."""

    __slots__ = ("deviation", "last", "mean", "n", "rises", "slope")

    def __init__(self, n: int, mean: float, variance: float, slope: float, last: float, rises: int) -> None:
        self.n, self.mean, self.deviation = n, mean, sqrt(max(variance, 0.0))
        self.slope, self.last, self.rises = slope, last, rises

    def is_rise(self, reading: float) -> bool:
        """Whether it is above the last, which is kept in four bytes: a steady 0.1 would else rise each time."""
        return reading - self.last > 1e-7 * abs(self.last)


class Resources:
    """A column for each number, a place for each resource: exponentially weighted at 0.1, 1/n while young."""

    __slots__ = ("_places", "counts", "lasts", "means", "names", "rises", "slopes", "variances")

    def __init__(self) -> None:
        self.names, self.counts, self.rises = array("I"), array("H"), array("H")
        self.means, self.variances, self.slopes, self.lasts = array("f"), array("f"), array("f"), array("f")
        self._places: dict[str, int] = {}
        """Where a resource lies, by its name; filled when first asked for."""

    def _place(self, name: str) -> int:
        """Where the resource lies, -1 if it is not known."""
        at = self._places.get(name, -1)
        if at < 0:
            crc = crc32(name.encode())
            if crc in self.names:
                at = self._places[name] = self.names.index(crc)
        return at

    def usual(self, name: str) -> Usual | None:
        """What is known of a resource; None for one that is new, or has no place."""
        at = self._place(name)
        if at < 0:
            return None
        return Usual(
            self.counts[at], self.means[at], self.variances[at], self.slopes[at], self.lasts[at], self.rises[at]
        )

    def learn(self, name: str, reading: float) -> None:
        """Learn one reading: the share of the limit, or what was used where there is none."""
        at = self._place(name)
        if at < 0:
            if len(self.names) < MOST:
                self.names.append(crc32(name.encode()))
                for column, first in ((self.counts, 1), (self.rises, 0)):
                    column.append(first)
                for numbers, value in (
                    (self.means, reading),
                    (self.variances, 0.0),
                    (self.slopes, 0.0),
                    (self.lasts, reading),
                ):
                    numbers.append(value)
            return
        n: int = self.counts[at]
        weight = max(WEIGHT, 1.0 / (n + 1))
        usual: float = self.means[at]
        off = reading - usual
        self.means[at] = usual + weight * off
        usual = self.variances[at]
        self.variances[at] = (1.0 - weight) * (usual + weight * min(off * off, 1e30))
        last: float = self.lasts[at]
        usual = self.slopes[at]
        self.slopes[at] = usual + WEIGHT * (reading - last - usual)
        self.lasts[at] = reading
        kept: float = self.lasts[at]  # in four bytes
        rises: int = self.rises[at]
        self.rises[at] = min(rises + 1, 0xFFFF) if kept > last else 0
        self.counts[at] = min(n + 1, 0xFFFF)

    def pack(self) -> bytes:
        """The bytes that `fill` reads: 1, and 24 a resource."""
        if not self.names:
            return b"\0"  # most have none: 0.05 us instead of 1.1
        columns = self.names, self.counts, self.rises, self.means, self.variances, self.slopes, self.lasts
        return _HEAD.pack(len(self.names)) + b"".join(column.tobytes() for column in columns)

    def fill(self, packed: bytes, at: int) -> int:
        """Become what was packed, from `at` on, if new; returns where it ends."""
        (places,) = _HEAD.unpack_from(packed, at)
        at += _HEAD.size
        if not places:
            return at
        for column in (self.names, self.counts, self.rises, self.means, self.variances, self.slopes, self.lasts):
            end = at + places * column.itemsize
            column.frombytes(packed[at:end])
            at = end
        return at

"""What one workflow usually uses of each resource: level, spread and slope of the share of its limit."""

from math import sqrt
from typing import Final

from librt.strings import BytesWriter, read_f32_le, write_f32_le
from mypy_extensions import i64, mypyc_attr, u8

from stream_detector.detect.codec.binary import f32, find_u32, put_u16, put_u32, u16
from stream_detector.detect.codec.crc32 import crc32_of

MOST: Final = 16
"""At most so many resources of a workflow are remembered, 24 bytes each."""
WEIGHT: Final = 0.1
_BYTES: Final = 24


@mypyc_attr(acyclic=True)
class ResourceBaseline:
    """One resource before this execution: readings so far, mean, variance, slope an execution, rises in a row."""

    __slots__ = ("last", "mean", "n", "rises", "slope", "variance")

    def __init__(self, n: i64, mean: float, variance: float, slope: float, last: float, rises: i64) -> None:
        self.n, self.mean, self.variance = n, mean, variance
        self.slope, self.last, self.rises = slope, last, rises

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return sqrt(max(self.variance, 0.0))

    def is_rise(self, reading: float) -> bool:
        """Whether it is above the last, which is kept in four bytes: a steady 0.1 would else rise each time."""
        return reading - self.last > 1e-7 * abs(self.last)


@mypyc_attr(acyclic=True)
class Resources:
    """Exponentially weighted at 0.1, 1/n while young.

    `columns` holds, each for all resources in the order in which they came: the names' hashes (4 bytes), readings so
    far (2), rises in a row (2), means, variances, slopes and last readings (4 each).
    """

    __slots__ = ("columns",)

    def __init__(self) -> None:
        self.columns: bytes = b""

    def place(self, name: str) -> i64:
        """Where the resource lies, -1 if it is not known."""
        return find_u32(self.columns, len(self.columns) // _BYTES, crc32_of(name))

    def baseline_at(self, at: i64) -> ResourceBaseline | None:
        """What is known of the resource at that place; None for -1, one that is new or has no place."""
        if at < 0:
            return None
        columns = self.columns
        n: i64 = len(columns) // _BYTES
        counts, rises, numbers = 4 * n + 2 * at, 6 * n + 2 * at, 8 * n + 4 * at
        return ResourceBaseline(
            u16(columns, counts),
            read_f32_le(columns, numbers),
            read_f32_le(columns, numbers + 4 * n),
            read_f32_le(columns, numbers + 8 * n),
            read_f32_le(columns, numbers + 12 * n),
            u16(columns, rises),
        )

    def learn(self, at: i64, name: str, known: ResourceBaseline | None, reading: float) -> None:
        """Learn one reading.

        Args:
            at: where `place` found the resource, of which `known` says what is known.
            reading: the share of the limit, or what was used where there is none.
        """
        columns = self.columns
        count: i64 = len(columns) // _BYTES
        n: i64 = 0
        rises: i64 = 0
        mean, variance, slope = reading, 0.0, 0.0
        if known is not None:
            n, last = known.n, known.last
            weight, off = max(WEIGHT, 1.0 / float(n + 1)), reading - known.mean
            mean = known.mean + weight * off
            variance = (1.0 - weight) * (known.variance + weight * min(off * off, 1e30))
            slope = known.slope + WEIGHT * (reading - last - known.slope)
            if reading > last and f32(reading) > last:  # `last` has four bytes
                rises = min(known.rises + 1, 0xFFFF)
        elif count == MOST:
            return
        w = BytesWriter()
        w.write(columns[: 4 * count])
        if at < 0:
            at = count
            put_u32(w, crc32_of(name))
        _counts(w, columns, 4 * count, count, at, min(n + 1, 0xFFFF))
        _counts(w, columns, 6 * count, count, at, rises)
        _numbers(w, columns, 8 * count, count, at, mean)
        _numbers(w, columns, 12 * count, count, at, variance)
        _numbers(w, columns, 16 * count, count, at, slope)
        _numbers(w, columns, 20 * count, count, at, reading)
        self.columns = w.getvalue()

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads: 1 byte, and 24 a resource."""
        w.append(u8(len(self.columns) // _BYTES))
        w.write(self.columns)

    def fill(self, packed: bytes, at: i64) -> i64:
        """Become what was packed, from `at` on; returns where it ends."""
        end = at + 1 + _BYTES * i64(packed[at])
        self.columns = packed[at + 1 : end]
        return end


def _counts(w: BytesWriter, columns: bytes, begin: i64, length: i64, at: i64, value: i64) -> None:
    """Write the column of 2-byte counts from `begin` on, with `value` at `at`, which may be right behind its end."""
    for place in range(length):
        put_u16(w, value if place == at else u16(columns, begin + 2 * place))
    if at == length:
        put_u16(w, value)


def _numbers(w: BytesWriter, columns: bytes, begin: i64, length: i64, at: i64, value: float) -> None:
    """The same of a column of 4-byte floats."""
    for place in range(length):
        write_f32_le(w, value if place == at else read_f32_le(columns, begin + 4 * place))
    if at == length:
        write_f32_le(w, value)

"""What one workflow usually uses of each resource: level, spread and slope of the share of its limit."""

from math import sqrt
from typing import Final

from librt.strings import BytesWriter, read_f32_le, write_f32_le
from mypy_extensions import i64, mypyc_attr, u8

from stream_detector.detect.binary import f32, put_u16, put_u32, u16, u32
from stream_detector.detect.names import hash_of

MOST: Final = 16
"""At most so many resources of a workflow are remembered, 24 bytes each."""
WEIGHT: Final = 0.1
_BYTES: Final = 24


@mypyc_attr(acyclic=True)
class Usual:
    """One resource before this execution: readings so far, mean, deviation, slope an execution, rises in a row."""

    __slots__ = ("deviation", "last", "mean", "n", "rises", "slope")

    def __init__(self, n: i64, mean: float, variance: float, slope: float, last: float, rises: i64) -> None:
        self.n, self.mean, self.deviation = n, mean, sqrt(max(variance, 0.0))
        self.slope, self.last, self.rises = slope, last, rises

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
        crc = hash_of(name)
        columns = self.columns
        at: i64 = 0
        end: i64 = 4 * (len(columns) // _BYTES)
        while at < end:
            if u32(columns, at) == crc:
                return at // 4
            at += 4
        return -1

    def rises(self, at: i64) -> i64:
        """How often in a row the resource at that place has risen; 0 for -1."""
        n: i64 = len(self.columns) // _BYTES
        return u16(self.columns, 6 * n + 2 * at) if at >= 0 else 0

    def usual(self, at: i64) -> Usual | None:
        """What is known of the resource at that place; None for -1, one that is new or has no place."""
        if at < 0:
            return None
        columns = self.columns
        n: i64 = len(columns) // _BYTES
        counts, rises, numbers = 4 * n + 2 * at, 6 * n + 2 * at, 8 * n + 4 * at
        return Usual(
            u16(columns, counts),
            read_f32_le(columns, numbers),
            read_f32_le(columns, numbers + 4 * n),
            read_f32_le(columns, numbers + 8 * n),
            read_f32_le(columns, numbers + 12 * n),
            u16(columns, rises),
        )

    def learn(self, at: i64, name: str, reading: float) -> None:
        """Learn one reading of the resource that `place` found at `at`.

        Args:
            reading: the share of the limit, or what was used where there is none.
        """
        columns = self.columns
        known: i64 = len(columns) // _BYTES
        if at < 0:
            if known < MOST:
                w = BytesWriter()
                w.write(columns[: 4 * known])
                put_u32(w, hash_of(name))
                w.write(columns[4 * known : 6 * known])
                put_u16(w, 1)
                w.write(columns[6 * known : 8 * known])
                put_u16(w, 0)
                _column(w, columns, 8 * known, known, known, reading)
                _column(w, columns, 12 * known, known, known, 0.0)
                _column(w, columns, 16 * known, known, known, 0.0)
                _column(w, columns, 20 * known, known, known, reading)
                self.columns = w.getvalue()
            return
        counts, rises, numbers = 4 * known + 2 * at, 6 * known + 2 * at, 8 * known + 4 * at
        n = u16(columns, counts)
        weight = max(WEIGHT, 1.0 / float(n + 1))
        mean = read_f32_le(columns, numbers)
        off = reading - mean
        variance = read_f32_le(columns, numbers + 4 * known)
        slope = read_f32_le(columns, numbers + 8 * known)
        last = read_f32_le(columns, numbers + 12 * known)
        rose = reading > last and f32(reading) > last  # `last` is kept in four bytes
        w = BytesWriter()
        w.write(columns[:counts])
        put_u16(w, min(n + 1, 0xFFFF))
        w.write(columns[counts + 2 : rises])
        put_u16(w, min(u16(columns, rises) + 1, 0xFFFF) if rose else 0)
        w.write(columns[rises + 2 : 8 * known])
        _column(w, columns, 8 * known, known, at, mean + weight * off)
        _column(w, columns, 12 * known, known, at, (1.0 - weight) * (variance + weight * min(off * off, 1e30)))
        _column(w, columns, 16 * known, known, at, slope + WEIGHT * (reading - last - slope))
        _column(w, columns, 20 * known, known, at, reading)
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


def _column(w: BytesWriter, columns: bytes, begin: i64, length: i64, at: i64, value: float) -> None:
    """Write the column of 4-byte floats from `begin` on, with `value` at `at`, which may be right behind its end."""
    for place in range(length):
        write_f32_le(w, value if place == at else read_f32_le(columns, begin + 4 * place))
    if at == length:
        write_f32_le(w, value)

"""How one series moves with the hour of the day and the weekend, in log units, once there are three weeks of it.

Holt and Winters' additive season (Winters 1960, Forecasting Sales by Exponentially Weighted Moving Averages), without a
trend: around a slow mean each two hours of the day (UTC) have an offset of their own, and Saturday and Sunday one
together. A reading moves the mean by 1/20 and its offset by as much, and less where readings come fast, so that they
remember 7 and 20 days. The offsets are taken off only when they are three weeks old and leave less than four fifths of
the variance: a workflow without a rhythm is judged as if this were not here.
"""

from typing import Final

from librt.strings import BytesWriter, read_f64_le, read_i16_le, write_f64_le, write_i16_le
from librt.vecs import vec
from mypy_extensions import i16, i64, mypyc_attr, u8

HOURS: Final = 2
PLACES: Final = 12
LEARNED_MS: Final = 21 * 86_400_000
"""Offsets younger than three weeks are learned, not used."""
LEFT: Final = 0.8
STAY: Final = 0.9
"""Offsets are used where they leave less of the variance than this share, and until they leave more than that."""
_HOURS_MS: Final = HOURS * 3_600_000
_DAY_MS: Final = 86_400_000
_TO_MONDAY: Final = 3
"""1970 began on a Thursday: three days later on in the week than Monday."""
_WEIGHT: Final = 0.05
_SPREAD_WEIGHT: Final = 0.02
_MEAN_MEMORY_MS: Final = 7.0 * _DAY_MS
_OFFSET_MEMORY_MS: Final = 40.0 * 3_600_000
_WEEKEND_MEMORY_MS: Final = 10.0 * _DAY_MS
_CLIP: Final = 4.0
_GRID: Final = 10_000
_MOST: Final = 0x7FFF
_NONE: Final = vec[i16]([0] * (PLACES + 1))


@mypyc_attr(acyclic=True)
class Rhythm:
    """`offsets` has a place for each two hours and, last, one for the weekend, in 1/10,000; `used`: they are taken off.

    `mean` is the slow mean; `spread` and `left` are the mean squares around it without and with the offsets.
    """

    __slots__ = ("left", "mean", "offsets", "spread", "used")

    def __init__(self) -> None:
        self.mean: float = 0.0
        self.spread: float = 0.0
        self.left: float = 0.0
        self.offsets = _NONE[:]
        self.used: bool = False

    def offset(self, at_ms: i64) -> float:
        """What is expected at this time in addition to the mean, used or not."""
        offset = i64(self.offsets[at_ms // _HOURS_MS % PLACES])
        if _is_weekend(at_ms):
            offset += i64(self.offsets[PLACES])
        return float(offset) / _GRID

    def frozen(self) -> bytes:
        """The offsets for `frozen_offset`, 2 bytes each; nothing where they are not used."""
        w = BytesWriter()
        if self.used:
            for offset in self.offsets:
                write_i16_le(w, offset)
        return w.getvalue()

    def learn(self, x: float, at_ms: i64, gap_ms: i64, sigma: float, n: i64) -> None:
        """Learn a reading, winsorised.

        Args:
            x: the reading in log units.
            gap_ms: since the newest reading before it; 0 for one that is older.
            sigma: the series' deviation.
            n: how many came before.
        """
        place, weekend, offsets = at_ms // _HOURS_MS % PLACES, _is_weekend(at_ms), self.offsets
        here = i64(offsets[place])
        there = i64(offsets[PLACES]) if weekend else 0
        young, off, gap = 1.0 / float(n + 1), x - self.mean, float(gap_ms)
        left = off - float(here + there) / _GRID
        if n >= 10:
            most = _CLIP * sigma
            left = min(max(left, -most), most)
            off = min(max(off, -2.0 * most), 2.0 * most)
        weight = max(min(gap / _MEAN_MEMORY_MS, _SPREAD_WEIGHT), young)
        self.spread += weight * (off * off - self.spread)
        self.left += weight * (left * left - self.left)
        self.mean += max(min(gap / _MEAN_MEMORY_MS, _WEIGHT), young) * left
        by = nearest(min(gap / _OFFSET_MEMORY_MS, _WEIGHT) * left * _GRID)
        if by:
            offsets[place] = i16(min(max(here + by, -_MOST), _MOST))
        if weekend:
            by = nearest(min(gap / _WEEKEND_MEMORY_MS, _WEIGHT) * left * _GRID)
            if by:
                offsets[PLACES] = i16(min(max(there + by, -_MOST), _MOST))

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads: 51 bytes."""
        write_f64_le(w, self.mean)
        write_f64_le(w, self.spread)
        write_f64_le(w, self.left)
        w.append(u8(self.used))
        for offset in self.offsets:
            write_i16_le(w, offset)

    def fill(self, packed: bytes, at: i64) -> i64:
        """Become what was packed, from `at` on; returns where it ends."""
        self.mean = read_f64_le(packed, at)
        self.spread = read_f64_le(packed, at + 8)
        self.left = read_f64_le(packed, at + 16)
        self.used = packed[at + 24] != 0
        at += 25
        place: i64 = 0
        while place <= PLACES:
            self.offsets[place] = read_i16_le(packed, at + 2 * place)
            place += 1
        return at + 2 * (PLACES + 1)


def frozen_offset(frozen: bytes, at_ms: i64) -> float:
    """What was expected at this time in addition to the mean, by the offsets that `Rhythm.frozen` gave."""
    if not frozen:
        return 0.0
    offset = i64(read_i16_le(frozen, 2 * (at_ms // _HOURS_MS % PLACES)))
    if _is_weekend(at_ms):
        offset += i64(read_i16_le(frozen, 2 * PLACES))
    return float(offset) / _GRID


def _is_weekend(at_ms: i64) -> bool:
    return (at_ms // _DAY_MS + _TO_MONDAY) % 7 >= 5


def nearest(x: float) -> i64:
    """`round(x)`, which as a call of the interpreter takes a third of the time that a reading takes to learn.

    >>> [nearest(x) for x in (0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -2.6)] == [0, 2, 2, 0, -2, 2, -3]
    True
    """
    whole = i64(x)
    rest = x - float(whole)
    if rest > 0.5 or (rest == 0.5 and whole % 2 == 1):
        return whole + 1
    if rest < -0.5 or (rest == -0.5 and whole % 2 == 1):
        return whole - 1
    return whole

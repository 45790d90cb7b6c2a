"""The level of one series on the log scale, and how surprising each reading and each recent mean is.

For a reading d: x = log(d + q), z = (x - level) / sigma, judged before it is learned. Level and variance are
exponentially weighted, 1/n while young, then 0.08 and 0.02 or less where readings come fast (their memory lasts 8
hours and 3.5 days at least), winsorised at 4 and 8 sigma. Four scales are looked at: the reading itself, the mean of
the last 3 and of the last 12 z clipped at 4, and their exponential mean over 80, each times the root of its number.
For each scale and direction the tail beyond 3.5 is learned as an exponential, how often it is passed and by how much,
with a Gaussian prior worth 1,000 readings; `surprise` is -log10 of that tail's probability, so that one budget of
false alarms fits every key. What was surprising lately makes the next surprise less of one. Readings beyond 1 sigma
on one side 25 times in a row, for a day or longer, have made a new level.

The constants were chosen on real CI histories with injected anomalies and on NAB, all at once; docs/detection.md
tells what was tried.
"""

import struct
from array import array
from math import erfc, exp, log, log10, pi, sqrt
from typing import NamedTuple

Q = 0.02
"""Added before the logarithm, in the reading's unit (s): below it durations are mostly the clock's own noise."""
ALPHA, ALPHA_SPREAD = 0.08, 0.02
_MEMORY_MS, _MEMORY_SPREAD_MS = 30_000_000.0, 300_000_000.0
FLOOR = 0.005
"""The least sigma, in log units: half a percent."""
WARM = 30
"""Readings that are learned before one is judged."""
RUNS = 1, 3, 12, 80
"""Readings that each scale averages over; the last one exponentially."""
TAIL_FROM = 3.5
EFFECT = 0.02
"""The least difference that is told, as a share of the usual."""
ACCEPTED_AFTER, ACCEPTED_BEYOND, ACCEPTED_MS = 25, 1.0, 86_400_000
_WEIGHTS = 1.0, 1.2, 1.7, 0.8
_YOUNG = 10
_MOST_SHIFTED = 30_000
_CLIP_LEVEL, _CLIP_SPREAD = 4.0, 8.0
_CLIP, _GRID, _MOST = 4.0, 30.0, 120
"""Clipped z are kept in steps of 1/30, one byte each."""
_FORGET, _PRIOR, _MOST_EXCESS = 0.998, 1000.0, 2.0
_HEARD_SHARE, _HEARD_MS = 0.6, 86_400_000.0
"""A surprise loses 0.6 of the largest before it, which fades with the days."""
_RATE = 0.5 * erfc(TAIL_FROM / sqrt(2.0))
_EXCESS = exp(-TAIL_FROM * TAIL_FROM / 2.0) / sqrt(2.0 * pi) / _RATE - TAIL_FROM
_ROOTS = sqrt(RUNS[1]), sqrt(RUNS[2]), sqrt(2 * RUNS[3] - 1)
_SHORT, _LONG = 1.0 / (_GRID * _ROOTS[0]), 1.0 / (_GRID * _ROOTS[1])
_SLOW_FROM = TAIL_FROM / _ROOTS[2]
_FIRST_SHORT = RUNS[2] - RUNS[1] + 1
_PLACES = 2 * len(RUNS)
_LOG10_E = 0.4342944819032518
_PACKED = struct.Struct(f"<IddqdIdqdhdq{RUNS[2]}b{2 * _PLACES}d")


def root_of(runs: int) -> float:
    """What the mean z of so many readings is multiplied by: a lone reading by 1."""
    return 1.0 if runs == 1 else _ROOTS[RUNS.index(runs) - 1]


class Surprise(NamedTuple):
    """How surprising a reading is at one scale; `value` is its z or scaled mean over `runs` readings."""

    size: float
    value: float
    runs: int


class Judged(NamedTuple):
    """What a level said of one reading before learning it: its surprises, and the level then, in its unit."""

    surprises: list[Surprise]
    z: float
    sigma: float
    usual: float
    low: float
    high: float
    n: int


class Level:
    """Plain numbers; `shifted` counts the readings in a row on one side, negative for below, since `shifted_from`.

    `z` is that of the last reading. `former` is the level that a new one has just replaced, else None; who tells of it
    sets it back. `in_short` and `in_long` are the sums of the last 2 and 11 of `recent`. `pack` keeps none of these.
    """

    __slots__ = (
        *("n", "level", "variance", "newest_ms", "recent", "slow"),
        *("at", "seen", "passed", "excess", "heard", "heard_ms"),
        *("shifted", "shifted_from", "shifted_ms", "former", "z", "in_short", "in_long"),
    )

    def __init__(self) -> None:
        self.n = self.at = self.shifted = self.newest_ms = self.shifted_ms = 0
        self.level = self.variance = self.slow = self.shifted_from = 0.0
        self.recent = array("b", bytes(RUNS[2]))
        self.seen = _PRIOR
        self.passed = [_RATE * _PRIOR] * _PLACES
        self.excess = [_RATE * _PRIOR * _EXCESS] * _PLACES
        self.heard, self.heard_ms = 0.0, 0
        self.former: float | None = None
        self.in_short = self.in_long = 0
        self.z = 0.0

    @property
    def usual(self) -> float:
        """The level in the reading's own unit."""
        return max(exp(self.level) - Q, 0.0)

    @property
    def band(self) -> tuple[float, float]:
        """Where the next reading is expected: two sigma around the level, in the reading's unit, from 0 up."""
        return self._around(max(sqrt(self.variance), FLOOR))

    def _around(self, sigma: float) -> tuple[float, float]:
        return max(exp(self.level - 2.0 * sigma) - Q, 0.0), exp(self.level + 2.0 * sigma) - Q

    def take(self, reading: float, at_ms: int, *, always: bool = False, late: bool = False) -> Judged | None:
        """Judge a reading of 0 or more, then learn it. Most readings surprise at no scale and get no answer.

        Args:
            always: answer in any case, for whoever wants the reason.
            late: only learn.
        """
        # 1. How far off?
        n, recent = self.n, self.recent
        x = log(reading + Q)
        sigma = sqrt(self.variance)
        if sigma < FLOOR:
            sigma = FLOOR
        before = self.level
        off = x - before
        z = self.z = off / sigma
        clipped = _MOST if z >= _CLIP else -_MOST if z <= -_CLIP else int(z * _GRID)
        in_short = self.in_short + clipped
        in_long = self.in_long + clipped
        short, long = in_short * _SHORT, in_long * _LONG
        slow = self.slow + (clipped / _GRID - self.slow) / RUNS[3]
        # 2. Judge.
        judged = None
        if n < WARM:
            self.at = n + 1
        elif (
            not -TAIL_FROM <= z <= TAIL_FROM
            or not -TAIL_FROM <= short <= TAIL_FROM
            or not -TAIL_FROM <= long <= TAIL_FROM
            or not -_SLOW_FROM <= slow <= _SLOW_FROM
        ):
            values = z, short, long, slow * _ROOTS[2]
            if not late:
                judged = self._judged(self._weigh(values, at_ms), z, sigma)
            self._learn_tails(values)
        if always and judged is None:
            judged = self._judged([], z, sigma)
        # 3. Learn.
        spread = off
        if n >= _YOUNG:
            most = _CLIP_LEVEL * sigma
            if off > most:
                off = most
            elif off < -most:
                off = -most
            most = _CLIP_SPREAD * sigma
            if spread > most:
                spread = most
            elif spread < -most:
                spread = -most
        gap_ms = at_ms - self.newest_ms
        if gap_ms > 0:
            self.newest_ms = at_ms
        young = 1.0 / (n + 1)
        weight = gap_ms / _MEMORY_MS
        if weight > ALPHA:
            weight = ALPHA
        self.level += (weight if weight > young else young) * off
        weight = gap_ms / _MEMORY_SPREAD_MS
        if weight > ALPHA_SPREAD:
            weight = ALPHA_SPREAD
        if weight < young:
            weight = young
        self.variance = (1.0 - weight) * (self.variance + weight * spread * spread)
        self.n = n + 1
        recent.append(clipped)
        del recent[0]
        # What the next means begin with: the sums without the readings that leave them.
        self.in_short, self.in_long = in_short - recent[_FIRST_SHORT - 1], in_long - recent[0]
        self.slow = slow
        if -ACCEPTED_BEYOND <= z <= ACCEPTED_BEYOND:
            self.shifted = 0
        else:
            self._shift(before, z > 0, at_ms)
        return judged

    def _judged(self, surprises: list[Surprise], z: float, sigma: float) -> Judged:
        low, high = self._around(sigma)
        return Judged(surprises, z, sigma, self.usual, low, high, self.n)

    def _weigh(self, values: tuple[float, ...], at_ms: int) -> list[Surprise]:
        """The surprises, largest first; the largest is kept in mind and taken off later ones."""
        found = [Surprise(self._tail(scale, value), value, RUNS[scale]) for scale, value in enumerate(values)]
        echo = self.heard * exp(-max(at_ms - self.heard_ms, 0) / _HEARD_MS)
        loudest = max(one.size for one in found)
        if loudest > echo:
            self.heard, self.heard_ms = loudest, at_ms
        quieter = _HEARD_SHARE * echo
        found = [Surprise(one.size - quieter, one.value, one.runs) for one in found if one.size > quieter]
        return sorted(found, reverse=True)

    def _tail(self, scale: int, value: float) -> float:
        """-log10 of the tail probability of `value` at a scale, weighted; 0 where no tail begins yet."""
        beyond = abs(value) - TAIL_FROM
        if beyond <= 0.0:
            return 0.0
        kept, seen = self._decayed(self.n - self.at)
        place = scale if value > 0 else scale + len(RUNS)
        passed, excess = self.passed[place] * kept, self.excess[place] * kept
        mean = max(excess / max(passed, 1e-9), 1e-3)
        return (beyond / mean * _LOG10_E - log10(max(passed / seen, 1e-9))) * _WEIGHTS[scale]

    def _decayed(self, readings: int) -> tuple[float, float]:
        """What `readings` since the last passing have left of the counts, and how many readings that makes."""
        kept = _FORGET**readings
        return kept, self.seen * kept + (1.0 - kept) / (1.0 - _FORGET)

    def _learn_tails(self, values: tuple[float, ...]) -> None:
        kept, self.seen = self._decayed(self.n + 1 - self.at)
        self.at = self.n + 1
        for place, value in enumerate((*values, *(-value for value in values))):
            self.passed[place] *= kept
            self.excess[place] *= kept
            if value > TAIL_FROM:
                self.passed[place] += 1.0
                self.excess[place] += min(value - TAIL_FROM, _MOST_EXCESS)

    def _shift(self, before: float, above: bool, at_ms: int) -> None:
        side = 1 if above else -1
        if self.shifted * side <= 0:
            self.shifted, self.shifted_from, self.shifted_ms = side, before, at_ms
            return
        shifted = self.shifted + side
        if not -_MOST_SHIFTED <= shifted <= _MOST_SHIFTED:
            return
        self.shifted = shifted
        if -ACCEPTED_AFTER < shifted < ACCEPTED_AFTER or at_ms - self.shifted_ms < ACCEPTED_MS:
            return
        self.former, self.shifted = max(exp(self.shifted_from) - Q, 0.0), 0

    def pack(self) -> bytes:
        """The bytes that `unpack` reads."""
        return _PACKED.pack(
            *(self.n, self.level, self.variance, self.newest_ms, self.slow, self.at, self.seen),
            *(self.heard_ms, self.heard),
            *(self.shifted, self.shifted_from, self.shifted_ms),
            *self.recent,
            *self.passed,
            *self.excess,
        )

    @classmethod
    def unpack(cls, packed: bytes, at: int) -> tuple["Level", int]:
        """Read from `at`; returns the level and where it ends."""
        level = cls()
        values = _PACKED.unpack_from(packed, at)
        level.n, level.level, level.variance, level.newest_ms, level.slow, level.at, level.seen = values[:7]
        level.heard_ms, level.heard, level.shifted, level.shifted_from, level.shifted_ms = values[7:12]
        tails = 12 + RUNS[2]
        level.recent = array("b", values[12:tails])
        level.in_short, level.in_long = sum(level.recent[_FIRST_SHORT:]), sum(level.recent[1:])
        level.passed, level.excess = list(values[tails : tails + _PLACES]), list(values[tails + _PLACES :])
        return level, at + _PACKED.size

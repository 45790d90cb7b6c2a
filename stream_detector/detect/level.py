"""The level of one series on the log scale, and how far each reading and each recent mean lies from it.

For a reading d: x = log(d + q), z = (x - level) / sigma, judged before it is learned. Level and variance are
exponentially weighted (0.08 and 0.015, 1/n while young), winsorised at 5 and 8 sigma. Three scales are looked at: the
reading itself, and the mean of the last 6 and of the last 15 z, clipped at 3, times the root of their number. For each
scale and direction the tail beyond 2.5 is learned as an exponential, how often it is passed and by how much, with a
Gaussian prior worth 1,000 readings; `surprise` is -log10 of that tail's probability, so that one budget of false alarms
fits every key. Readings that lie beyond 1 sigma on one side 25 times in a row are the new level.

The constants were chosen on real CI histories with injected anomalies; docs/detection.md tells what was tried.
"""

import struct
from array import array
from math import erfc, exp, log, log10, pi, sqrt
from typing import NamedTuple

Q = 0.02
"""Added before the logarithm, in the reading's unit (s): below it durations are mostly the clock's own noise."""
ALPHA, ALPHA_SPREAD = 0.08, 0.015
FLOOR = 0.005
"""The least sigma, in log units: half a percent."""
WARM = 30
"""Readings that are learned before one is judged."""
SCALES = 1, 6, 15
TAIL_FROM = 2.5
ACCEPTED_AFTER, ACCEPTED_BEYOND = 25, 1.0
_WEIGHTS = 1.0, 1.0, 2.0
_YOUNG = 10
_CLIP_LEVEL, _CLIP_SPREAD = 5.0, 8.0
_CLIP, _GRID, _MOST = 3.0, 40.0, 120
"""Clipped z are kept in steps of 1/40, one byte each."""
_FORGET, _PRIOR, _MOST_EXCESS = 0.998, 1000.0, 1.0
_RATE = 0.5 * erfc(TAIL_FROM / sqrt(2.0))
_EXCESS = exp(-TAIL_FROM * TAIL_FROM / 2.0) / sqrt(2.0 * pi) / _RATE - TAIL_FROM
_SHORT = 1.0 / (_GRID * sqrt(6.0))
_LONG = 1.0 / (_GRID * sqrt(15.0))
_PACKED = struct.Struct("<IddIdhdd15b12d")


class Look(NamedTuple):
    """One reading against a level that has not learned it: x, sigma and z, and the two means times their roots."""

    x: float
    sigma: float
    z: float
    short: float
    long: float
    step: int


class Level:
    """Plain numbers; `shifted` counts the readings in a row on one side, negative for below."""

    __slots__ = (
        *("n", "level", "variance", "recent"),
        *("at", "seen", "passed", "excess"),
        *("shifted", "shift_mean", "shift_squares"),
    )

    def __init__(self) -> None:
        self.n = self.at = self.shifted = 0
        self.level = self.variance = self.shift_mean = self.shift_squares = 0.0
        self.recent = array("b", bytes(SCALES[-1]))
        self.seen = _PRIOR
        self.passed = [_RATE * _PRIOR] * 6
        self.excess = [_RATE * _PRIOR * _EXCESS] * 6

    @property
    def usual(self) -> float:
        """The level in the reading's own unit."""
        return max(exp(self.level) - Q, 0.0)

    def band(self, sigmas: float) -> tuple[float, float]:
        """The readings that lie `sigmas` below and above the level."""
        off = sigmas * max(sqrt(self.variance), FLOOR)
        return max(exp(self.level - off) - Q, 0.0), exp(self.level + off) - Q

    def look(self, reading: float) -> Look:
        """How far a reading of 0 or more lies off; nothing is learned."""
        x = log(reading + Q)
        sigma = sqrt(self.variance)
        if sigma < FLOOR:
            sigma = FLOOR
        z = (x - self.level) / sigma
        step = _MOST if z >= _CLIP else -_MOST if z <= -_CLIP else int(z * _GRID)
        recent = self.recent
        return Look(x, sigma, z, (sum(recent[10:]) + step) * _SHORT, (sum(recent) - recent[0] + step) * _LONG, step)

    def surprise(self, scale: int, value: float) -> float:
        """-log10 of the tail probability of `value` at a scale (0, 1, 2), weighted; 0 where no tail begins yet."""
        beyond = abs(value) - TAIL_FROM
        if beyond <= 0.0:
            return 0.0
        kept, seen = self._decayed(self.n - self.at)
        place = scale if value > 0 else scale + 3
        passed, excess = self.passed[place] * kept, self.excess[place] * kept
        mean = max(excess / max(passed, 1e-9), 1e-3)
        return (beyond / mean * 0.4342944819032518 - log10(max(passed / seen, 1e-9))) * _WEIGHTS[scale]

    def _decayed(self, readings: int) -> tuple[float, float]:
        """What `readings` since the last passing have left of the counts, and how many readings that makes."""
        kept = _FORGET**readings
        return kept, self.seen * kept + (1.0 - kept) / (1.0 - _FORGET)

    def learn(self, look: Look) -> float | None:
        """Learn what was looked at. Returns the former level where a new one was accepted."""
        n, x, sigma, z = self.n, look.x, look.sigma, look.z
        if n >= WARM and (abs(z) > TAIL_FROM or abs(look.short) > TAIL_FROM or abs(look.long) > TAIL_FROM):
            self._learn_tails(look)
        elif n < WARM:
            self.at = n + 1
        off = x - self.level
        spread = off
        if n >= _YOUNG:
            most = _CLIP_LEVEL * sigma
            off = most if off > most else -most if off < -most else off
            most = _CLIP_SPREAD * sigma
            spread = most if spread > most else -most if spread < -most else spread
        weight = young = 1.0 / (n + 1)
        if weight < ALPHA:
            weight = ALPHA
        if young < ALPHA_SPREAD:
            young = ALPHA_SPREAD
        self.level += weight * off
        self.variance = (1.0 - young) * (self.variance + young * spread * spread)
        self.n = n + 1
        recent = self.recent
        del recent[0]
        recent.append(look.step)
        if -ACCEPTED_BEYOND <= z <= ACCEPTED_BEYOND:
            self.shifted = 0
            return None
        return self._shift(x, z > 0)

    def _learn_tails(self, look: Look) -> None:
        kept, self.seen = self._decayed(self.n + 1 - self.at)
        self.at = self.n + 1
        for place, value in enumerate((look.z, look.short, look.long, -look.z, -look.short, -look.long)):
            self.passed[place] *= kept
            self.excess[place] *= kept
            if value > TAIL_FROM:
                self.passed[place] += 1.0
                self.excess[place] += min(value - TAIL_FROM, _MOST_EXCESS)

    def _shift(self, x: float, above: bool) -> float | None:
        side = 1 if above else -1
        if self.shifted * side <= 0:
            self.shifted, self.shift_mean, self.shift_squares = 0, 0.0, 0.0
        self.shifted += side
        step = x - self.shift_mean
        self.shift_mean += step / abs(self.shifted)
        self.shift_squares += step * (x - self.shift_mean)
        if abs(self.shifted) < ACCEPTED_AFTER:
            return None
        former = self.usual
        self.level, self.variance = self.shift_mean, self.shift_squares / ACCEPTED_AFTER
        self.shifted, self.recent = 0, array("b", bytes(SCALES[-1]))
        return former

    def pack(self) -> bytes:
        """153 bytes."""
        head = self.n, self.level, self.variance, self.at, self.seen
        shift = self.shifted, self.shift_mean, self.shift_squares
        return _PACKED.pack(*head, *shift, *self.recent, *self.passed, *self.excess)

    @classmethod
    def unpack(cls, packed: bytes, at: int) -> tuple["Level", int]:
        """Read from `at`; returns the level and where it ends."""
        level = cls()
        values = _PACKED.unpack_from(packed, at)
        level.n, level.level, level.variance, level.at, level.seen = values[:5]
        level.shifted, level.shift_mean, level.shift_squares = values[5:8]
        level.recent = array("b", values[8:23])
        level.passed, level.excess = list(values[23:29]), list(values[29:35])
        return level, at + _PACKED.size

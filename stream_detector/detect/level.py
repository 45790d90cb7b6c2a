"""The level of one series on the log scale, and how surprising each reading, and each recent mean, is.

For a reading d: x = log(d + q) less the rhythm of the day, z = (x - level) / sigma, judged before it is learned. Level
and variance are exponentially weighted, 1/n while young, then ALPHA and ALPHA_SPREAD or less where readings come fast
(their memory lasts 18 hours and 3.5 days at least), winsorised at 4 and 8 sigma.

Two things surprise, each by how far off it is and by how seldom that was seen among the older `readings`:

    lone     LONE + SEEN (-log10 p) + FAR |z|, p the share that lies seven tenths as far off, or further
    lasting  LASTING + SEEN_LASTING (-log10 p) + FAR_LASTING m, p the share beyond the median of the last four, and m
             the mean of the last 12 z, clipped at 3, times the root of 12, or their exponential mean over 80 times
             sqrt(159), whichever is more

Less where the series is young, and less where something surprised lately. On real CI histories a lone reading of size
s comes about once in 10^s readings, which is what scales the constants. They were chosen on real CI histories with
injected anomalies and on NAB, all at once; docs/detection.md tells what was tried.
"""

import struct
from array import array
from math import exp, log, log10, sqrt
from typing import Final, NamedTuple

from stream_detector.detect.readings import GRID, OLDER, RECENT, beyond, older, on_grid, remember
from stream_detector.detect.rhythm import LEARNED_MS, LEFT, STAY, Rhythm

Q: Final = 0.02
"""Added before the logarithm, in the reading's unit (s): below it durations are mostly the clock's own noise."""
ALPHA: Final = 0.065
ALPHA_SPREAD: Final = 0.05
_MEMORY_MS: Final = 64_000_000.0
_MEMORY_SPREAD_MS: Final = 300_000_000.0
FLOOR: Final = 0.001
"""The least sigma, in log units: a tenth of a percent."""
WARM: Final = 30
"""Readings that are learned before one is judged."""
EFFECT: Final = 0.005
"""The least difference that is told, as a share of the usual."""
ACCEPTED_AFTER: Final = 25
ACCEPTED_BEYOND: Final = 1.0
ACCEPTED_MS: Final = 86_400_000
LONE_FROM: Final = 1.55
LASTING_FROM: Final = 3.0
SLOW_FROM: Final = 7.2
"""The least z of a reading, and of the two means, that can pass a budget: below them nothing is looked at."""
LONE: Final = 0.55
LASTING: Final = 1.13
SEEN: Final = 0.565
FAR: Final = 0.21
MOST_FAR: Final = 9.7
NEARLY: Final = 0.7
SEEN_LASTING: Final = 0.575
FAR_LASTING: Final = 0.205
MOST_FAR_LASTING: Final = 7.0
_SLOW_SHARE: Final = 0.975
"""The mean over 80 counts so much."""
RUNS: Final = 80
"""Readings that the slow mean is over."""
_YOUNG: Final = 10
_MOST_SHIFTED: Final = 30_000
_CLIP_LEVEL: Final = 4.0
_CLIP_SPREAD: Final = 8.0
_CLIP: Final = 3.0
_GRID: Final = 42.0
_MOST: Final = 126
"""Clipped z are kept in steps of 1/42, one byte each."""
_MEAN: Final = 1.0 / (_GRID * sqrt(RECENT))
_SLOW: Final = sqrt(2 * RUNS - 1)
_SLOWLY: Final = SLOW_FROM / _SLOW
_NEWNESS: Final = 24.0
"""A series of n readings is less surprising by 24 / n."""
_ECHO_SHARE: Final = 0.33
_ECHO_MS: Final = 130_000_000.0
"""A surprise loses a third of the largest before it, which fades in a day and a half."""
_SPACING_MS: Final = 10_800_000.0
_SPREAD_OUT: Final = 1.6
"""An older reading is kept three hours or more after the one before it; while young, as far apart as its age allows."""
_PACKED: Final = struct.Struct("<IddqIIdIhdIdB")
_PACKED_1: Final = struct.Struct("<IddqdIdqdhdq12b16d")
_GRID_1: Final = 30.0
"""Layout 1 of `packed` had its clipped z in steps of 1/30, no readings and no rhythm."""


def root_of(runs: int) -> float:
    """What the mean z of so many readings is multiplied by."""
    return _SLOW if runs == RUNS else sqrt(runs)


class Surprise(NamedTuple):
    """How surprising a reading, or the mean of `runs` of them, is.

    `value` is its z, or the mean's times the root of `runs`; `beyond` of `of` remembered readings lie as far, nearly.
    """

    size: float
    value: float
    runs: int
    beyond: int
    of: int


class Judged(NamedTuple):
    """What a level said of one reading before learning it: what surprised, and the level then, in its unit."""

    lone: Surprise | None
    lasting: Surprise | None
    z: float
    sigma: float
    usual: float
    low: float
    high: float
    n: int


class Level:
    """Plain numbers. Instants are whole seconds where a second more or less is nothing.

    `shifted` counts the readings in a row on one side, negative for below, since `shifted_from`. `heard` is the largest
    surprise above LONE so far, and when. `kept_s` is when an older reading was last kept.

    `z` is that of the last reading. `former` is the level that a new one has just replaced, else None; who tells of it
    sets it back. `sum` is that of the last 11 of `scores`. `pack` keeps none of these.
    """

    __slots__ = (
        *("n", "level", "variance", "first_s", "newest_ms", "scores", "sum", "slow", "readings", "kept_s", "rhythm"),
        *("heard", "heard_s", "shifted", "shifted_from", "shifted_s", "former", "z"),
    )

    def __init__(self) -> None:
        self.n: int = 0
        self.first_s: int = 0
        self.newest_ms: int = 0
        self.kept_s: int = 0
        self.heard_s: int = 0
        self.level: float = 0.0
        self.variance: float = 0.0
        self.scores = array("b", bytes(RECENT))
        self.sum: int = 0
        self.slow: float = 0.0
        self.readings = array("h")
        self.rhythm: Rhythm = Rhythm()
        self.heard: float = 0.0
        self.shifted: int = 0
        self.shifted_from: float = 0.0
        self.shifted_s: int = 0
        self.former: float | None = None
        self.z: float = 0.0

    @property
    def usual(self) -> float:
        """The level in the reading's own unit, at the time of the newest."""
        return self.expected(self.newest_ms)[1]

    def expected(self, at_ms: int) -> tuple[float, float, float]:
        """What a reading at that time is expected to be: two sigma below, the level, two sigma above, in its unit."""
        rhythm = self.rhythm
        middle = self.level + (rhythm.offset(at_ms) if rhythm.used else 0.0)
        reach = 2.0 * max(sqrt(self.variance), FLOOR)
        return max(exp(middle - reach) - Q, 0.0), max(exp(middle) - Q, 0.0), max(exp(middle + reach) - Q, 0.0)

    def take(self, reading: float, at_ms: int, *, always: bool = False, late: bool = False) -> Judged | None:
        """Judge a reading of 0 or more, then learn it. Most readings are nothing to look at and get no answer.

        Args:
            always: answer in any case, for whoever wants the reason.
            late: only learn.
        """
        # 1. How far off?
        n, rhythm = self.n, self.rhythm
        raw = x = log(reading + Q)
        if rhythm.used:
            x -= rhythm.offset(at_ms)
        sigma = sqrt(self.variance)
        if sigma < FLOOR:
            sigma = FLOOR
        before = self.level
        off = x - before
        z = self.z = off / sigma
        clipped = _MOST if z >= _CLIP else -_MOST if z <= -_CLIP else int(z * _GRID)
        total = self.sum + clipped
        mean = total * _MEAN
        slow = self.slow = self.slow + (clipped / _GRID - self.slow) / RUNS
        newest_ms = self.newest_ms
        gap_ms = at_ms - newest_ms if n else 0
        if not n:
            self.first_s = at_ms // 1000
        # 2. Remember and judge.
        age_ms = at_ms - self.first_s * 1000
        keep = at_ms - self.kept_s * 1000 >= min(_SPACING_MS, _SPREAD_OUT * age_ms / OLDER)
        if keep and n >= RECENT:
            self.kept_s = at_ms // 1000
        remember(self.readings, on_grid(x), keep)
        judged = None
        looked_at = always or abs(z) >= LONE_FROM or abs(mean) >= LASTING_FROM or abs(slow) >= _SLOWLY
        if looked_at and n >= WARM and not late:
            judged = self._judge(x, z, mean, slow * _SLOW, sigma, at_ms)
        elif always:
            judged = self._judged(None, None, z, sigma, at_ms)
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
        if gap_ms > 0 or not n:
            self.newest_ms = at_ms
        else:
            gap_ms = 0
        young = 1.0 / (n + 1)
        weight = gap_ms / _MEMORY_MS
        if weight > ALPHA:
            weight = ALPHA
        self.level = before + (weight if weight > young else young) * off
        weight = gap_ms / _MEMORY_SPREAD_MS
        if weight > ALPHA_SPREAD:
            weight = ALPHA_SPREAD
        if weight < young:
            weight = young
        self.variance = (1.0 - weight) * (self.variance + weight * spread * spread)
        self.n = n + 1
        scores = self.scores
        scores.append(clipped)
        del scores[0]
        self.sum = total - scores[0]
        rhythm.learn(raw, at_ms, gap_ms, sigma, n)
        self._follow_rhythm(age_ms)
        if -ACCEPTED_BEYOND <= z <= ACCEPTED_BEYOND:
            self.shifted = 0
        else:
            self._shift(before, z > 0, at_ms)
        return judged

    def _judge(self, x: float, z: float, mean: float, slow: float, sigma: float, at_ms: int) -> Judged:
        """What surprises of a reading that is remembered already; the largest is kept in mind and taken off later."""
        echo = self.heard * exp(-max(at_ms - self.heard_s * 1000, 0) / _ECHO_MS)
        quieter = _ECHO_SHARE * echo
        less = _NEWNESS / self.n + quieter
        lone, lasting = self._lone(x, z, less), self._lasting(mean, slow, less)
        loudest = quieter - LONE + max(lone.size if lone else 0.0, lasting.size if lasting else 0.0)
        if loudest > echo:
            self.heard, self.heard_s = loudest, at_ms // 1000
        return self._judged(lone, lasting, z, sigma, at_ms)

    def _lone(self, x: float, z: float, less: float) -> Surprise | None:
        if abs(z) < LONE_FROM:
            return None
        seen = older(self.readings)
        near, of = beyond(seen, on_grid(self.level + NEARLY * (x - self.level)), z > 0), len(seen)
        return Surprise(LONE + SEEN * _seldom(near, of) + FAR * min(abs(z), MOST_FAR) - less, z, 1, near, of)

    def _lasting(self, mean: float, slow: float, less: float) -> Surprise | None:
        value, runs = mean, RECENT
        if abs(mean) < LASTING_FROM:
            if abs(slow) < SLOW_FROM:
                return None
            value, runs = slow, RUNS
        above = value > 0
        last = sorted(self.readings[-4:])
        middle = (last[1] + last[2]) // 2
        if (middle > GRID * self.level) is not above:
            return None
        seen = older(self.readings)
        near, of = beyond(seen, middle, above), len(seen)
        side = 1.0 if above else -1.0
        far = max(min(side * mean, MOST_FAR_LASTING), _SLOW_SHARE * min(side * slow, MOST_FAR_LASTING))
        return Surprise(LASTING + SEEN_LASTING * _seldom(near, of) + FAR_LASTING * far - less, value, runs, near, of)

    def _judged(self, lone: Surprise | None, lasting: Surprise | None, z: float, sigma: float, at_ms: int) -> Judged:
        low, usual, high = self.expected(at_ms)
        return Judged(lone, lasting, z, sigma, usual, low, high, self.n)

    def _follow_rhythm(self, age_ms: int) -> None:
        """Begin to take the rhythm off once it is old enough and worth it, or stop; the level is then its mean."""
        rhythm = self.rhythm
        limit = STAY if rhythm.used else LEFT
        used = age_ms > LEARNED_MS and rhythm.left < limit * rhythm.spread
        if used is not rhythm.used:
            rhythm.used = used
            self.level = rhythm.mean

    def _shift(self, before: float, above: bool, at_ms: int) -> None:
        side = 1 if above else -1
        if self.shifted * side <= 0:
            self.shifted, self.shifted_from, self.shifted_s = side, before, at_ms // 1000
            return
        shifted = self.shifted + side
        if not -_MOST_SHIFTED <= shifted <= _MOST_SHIFTED:
            return
        self.shifted = shifted
        if -ACCEPTED_AFTER < shifted < ACCEPTED_AFTER or at_ms - self.shifted_s * 1000 < ACCEPTED_MS:
            return
        self.former, self.shifted = max(exp(self.shifted_from) - Q, 0.0), 0

    def pack(self) -> bytes:
        """The bytes that `fill` reads: 80, 2 a reading and the rhythm."""
        numbers = _PACKED.pack(
            self.n,
            self.level,
            self.variance,
            self.newest_ms,
            self.first_s,
            self.kept_s,
            self.heard,
            self.heard_s,
            self.shifted,
            self.shifted_from,
            self.shifted_s,
            self.slow,
            len(self.readings),
        )
        return numbers + self.scores.tobytes() + self.readings.tobytes() + self.rhythm.pack()

    def fill(self, packed: bytes, at: int) -> int:
        """Become what was packed, from `at` on; returns where it ends."""
        values = _PACKED.unpack_from(packed, at)
        self.n, self.level, self.variance, self.newest_ms, self.first_s, self.kept_s, self.heard = values[:7]
        self.heard_s, self.shifted, self.shifted_from, self.shifted_s, self.slow, readings = values[7:]
        at += _PACKED.size
        end = at + RECENT
        self.scores = array("b", packed[at:end])
        self.sum = sum(self.scores) - self.scores[0]
        at, end = end, end + 2 * readings
        self.readings = array("h", packed[at:end])
        return self.rhythm.fill(packed, end)

    def fill_1(self, packed: bytes, at: int) -> int:
        """What layout 1 wrote: level and spread go on, readings and rhythm begin anew."""
        values = _PACKED_1.unpack_from(packed, at)
        self.n, self.level, self.variance, self.newest_ms, self.slow = values[:5]
        self.shifted, self.shifted_from, self.shifted_s = values[9], values[10], values[11] // 1000
        self.scores = array("b", [max(-_MOST, min(round(z / _GRID_1 * _GRID), _MOST)) for z in values[12:24]])
        self.sum = sum(self.scores) - self.scores[0]
        self.first_s = self.newest_ms // 1000
        self.rhythm.mean = self.level
        return at + _PACKED_1.size


def _seldom(near: int, of: int) -> float:
    """-log10 of the share of `near` among `of`; what was never seen counts as half a time."""
    return -log10((near + 0.5) / (of + 1))

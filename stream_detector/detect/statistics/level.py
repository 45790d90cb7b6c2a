"""The level of one series on the log scale, and the anomaly score of each reading and each recent mean.

For a reading d: x = log(d + q) less the rhythm of the day, z = (x - level) / sigma, judged before it is learned. Level
and variance are exponentially weighted, 1/n while young, then ALPHA and ALPHA_SPREAD or less where readings come fast
(their memory lasts 18 hours and 3.5 days at least), winsorised at 4 and 8 sigma.

Two things get an anomaly score, by how far off they are and by how seldom that was seen among the older `readings`:

    point  POINT + SEEN (-log10 p) + FAR |z|, p the share that lies seven tenths as far off, or further
    shift  SHIFT + SEEN_SHIFT (-log10 p) + FAR_SHIFT m, p the share beyond the median of the last four, and m
             the mean of the last 12 z, clipped at 3, times the root of 12, or their exponential mean over 80 times
             sqrt(159), whichever is more

Less where the series is young, and less soon after a large score (refractory). On real CI histories a single reading of
score s comes about once in 10^s readings, which is what scales the constants. They were chosen on real CI histories
with injected anomalies and on NAB, all at once; docs/detection.md lists what was tried.
"""

from math import exp, log, log10, sqrt
from typing import Final

from librt.strings import BytesWriter, read_f64_le, read_i16_le, read_i64_le, write_f64_le, write_i16_le, write_i64_le
from mypy_extensions import i16, i64, mypyc_attr, u8

from stream_detector.detect.codec.binary import i8, put_u32, u32
from stream_detector.detect.statistics.readings import GRID, OLDER, RECENT, beyond, numbers, older, on_grid, remember
from stream_detector.detect.statistics.rhythm import LEARNED_MS, LEFT, STAY, Rhythm, nearest

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
"""The least difference that is reported, as a share of the expected."""
ACCEPTED_AFTER: Final = 25
ACCEPTED_BEYOND: Final = 1.0
ACCEPTED_MS: Final = 86_400_000
POINT_FROM: Final = 1.55
SHIFT_FROM: Final = 3.0
SLOW_FROM: Final = 7.2
"""The least z of a reading, and of the two means, that can alert: below them nothing is scored."""
POINT: Final = 0.55
SHIFT: Final = 1.13
SEEN: Final = 0.565
FAR: Final = 0.21
MOST_FAR: Final = 9.7
NEARLY: Final = 0.7
SEEN_SHIFT: Final = 0.575
FAR_SHIFT: Final = 0.205
MOST_FAR_SHIFT: Final = 7.0
_SLOW_SHARE: Final = 0.975
"""The weight of the mean over 80."""
RUNS: Final = 80
"""Readings that the slow mean is over."""
_YOUNG: Final = 10
_MOST_SHIFTED: Final = 30_000
_CLIP_LEVEL: Final = 4.0
_CLIP_SPREAD: Final = 8.0
_CLIP: Final = 3.0
_GRID: Final = 42.0
_SIGMA: Final = 42
SETTLED: Final = 3
_ROW: Final = 4
_MOST: Final = 126
"""Clipped z are kept in steps of 1/42, one byte each."""
_MEAN: Final = 1.0 / (_GRID * sqrt(RECENT))
_SLOW: Final = sqrt(2 * RUNS - 1)
_SLOWLY: Final = SLOW_FROM / _SLOW
_NEWNESS: Final = 24.0
"""The score of a series of n readings is less by 24 / n."""
_REFRACTORY_SHARE: Final = 0.33
_REFRACTORY_MS: Final = 130_000_000.0
"""A score is less by a third of the largest before it, which decays in a day and a half."""
_SPACING_MS: Final = 10_800_000.0
_SPREAD_OUT: Final = 1.6
"""An older reading is kept three hours or more after the one before it; while young, as far apart as its age allows."""
_PACKED_1: Final = 222
_GRID_1: Final = 30.0
"""Layout 1 of `packed` had its clipped z in steps of 1/30, no readings and no rhythm."""
_NONE: Final = bytes(RECENT)


def root_of(runs: i64) -> float:
    """What the mean z of so many readings is multiplied by."""
    return _SLOW if runs == RUNS else sqrt(float(runs))


@mypyc_attr(acyclic=True)
class AnomalyScore:
    """The anomaly score of a reading, or of the mean of `runs` of them: about one reading in 10^`score` is as unusual.

    `z` is the reading's, or the mean's times the root of `runs`; `beyond` of `remembered` ones lie as far off, nearly.
    """

    __slots__ = ("beyond", "remembered", "runs", "score", "z")

    def __init__(self, score: float, z: float, runs: i64, beyond: i64, remembered: i64) -> None:
        self.score, self.z, self.runs, self.beyond, self.remembered = score, z, runs, beyond, remembered


@mypyc_attr(acyclic=True)
class Assessment:
    """What a level says of one reading before learning it.

    `point` and `shift` are the scores of the reading and of the recent mean, None below what is looked at; `expected`,
    `low` and `high` the level then and two sigma around it, in the reading's unit.
    """

    __slots__ = ("expected", "high", "low", "n", "point", "shift", "sigma", "z")

    def __init__(
        self,
        point: AnomalyScore | None,
        shift: AnomalyScore | None,
        z: float,
        sigma: float,
        expected: float,
        low: float,
        high: float,
        n: i64,
    ) -> None:
        self.point, self.shift, self.z, self.sigma = point, shift, z, sigma
        self.expected, self.low, self.high, self.n = expected, low, high, n


@mypyc_attr(acyclic=True)
class Level:
    """Plain numbers. Instants are whole seconds where a second more or less is nothing.

    `shifted` counts the readings in a row on one side, negative for below, since `shifted_from`. `last_score` is the
    largest score above POINT so far, at `last_score_s`. `kept_s` is when an older reading was last kept.

    `z` is that of the last reading. `previous_level` is the level that a new one has just replaced, else None; who
    reports it sets it back. `z_sum` is that of the last 11 of `recent_z`. `pack` keeps none of these.
    """

    __slots__ = (
        *(
            "n",
            "level",
            "variance",
            "first_s",
            "newest_ms",
            "recent_z",
            "z_sum",
            "slow_mean",
            "readings",
            "kept_s",
            "rhythm",
        ),
        *("last_score", "last_score_s", "shifted", "shifted_from", "shifted_s", "previous_level", "z"),
    )

    def __init__(self) -> None:
        self.n: i64 = 0
        self.first_s: i64 = 0
        self.newest_ms: i64 = 0
        self.kept_s: i64 = 0
        self.last_score_s: i64 = 0
        self.level: float = 0.0
        self.variance: float = 0.0
        self.recent_z: bytes = _NONE
        self.z_sum: i64 = 0
        self.slow_mean: float = 0.0
        self.readings: bytes = b""
        self.rhythm: Rhythm = Rhythm()
        self.last_score: float = 0.0
        self.shifted: i64 = 0
        self.shifted_from: float = 0.0
        self.shifted_s: i64 = 0
        self.previous_level: float | None = None
        self.z: float = 0.0

    @property
    def expected(self) -> float:
        """The level in the reading's own unit, at the time of the newest."""
        return self.expected_range(self.newest_ms)[1]

    def expected_range(self, at_ms: i64) -> tuple[float, float, float]:
        """What a reading at that time is expected to be: two sigma below, the level, two sigma above, in its unit."""
        rhythm = self.rhythm
        middle = self.level + (rhythm.offset(at_ms) if rhythm.used else 0.0)
        reach = 2.0 * max(sqrt(self.variance), FLOOR)
        return max(exp(middle - reach) - Q, 0.0), max(exp(middle) - Q, 0.0), max(exp(middle + reach) - Q, 0.0)

    def update(self, reading: float, at_ms: i64, *, always: bool = False, late: bool = False) -> Assessment | None:
        """Judge a reading of 0 or more, then learn it. Most readings are nothing unusual and get no answer.

        Args:
            always: answer in any case, for whoever wants the reason.
            late: only learn.
        """
        # 1. How far off?
        n, rhythm, before = self.n, self.rhythm, self.level
        raw = x = log(reading + Q)
        if rhythm.used:
            x -= rhythm.offset(at_ms)
        sigma = max(sqrt(self.variance), FLOOR)
        off = x - before
        z = self.z = off / sigma
        # 2. Remember and judge.
        if not n:
            self.first_s = at_ms // 1000
        age_ms = at_ms - self.first_s * 1000
        mean = self._remember(x, z, at_ms, age_ms)
        slow = self.slow_mean
        assessment = None
        unusual = always or abs(z) >= POINT_FROM or abs(mean) >= SHIFT_FROM or abs(slow) >= _SLOWLY
        if unusual and n >= WARM and not late:
            assessment = self._assess(x, z, mean, slow * _SLOW, sigma, at_ms)
        elif always:
            assessment = self._assessment(None, None, z, sigma, at_ms)
        # 3. Learn.
        gap_ms: i64 = at_ms - self.newest_ms if n else 0
        if gap_ms > 0 or not n:
            self.newest_ms = at_ms
        else:
            gap_ms = 0
        self._learn(off, sigma, gap_ms)
        rhythm.learn(raw, at_ms, gap_ms, sigma, n)
        self._follow_rhythm(age_ms)
        if not -ACCEPTED_BEYOND <= z <= ACCEPTED_BEYOND:
            self._shift(before, z > 0, at_ms)
        elif self.shifted:
            self._settle(at_ms)
        return assessment

    def _remember(self, x: float, z: float, at_ms: i64, age_ms: i64) -> float:
        """Keep a reading and its z; returns the mean of the last 12 z, times the root of 12."""
        keep = float(at_ms - self.kept_s * 1000) >= min(_SPACING_MS, _SPREAD_OUT * float(age_ms) / OLDER)
        if keep and self.n >= RECENT:
            self.kept_s = at_ms // 1000
        self.readings = remember(self.readings, on_grid(x), keep)
        clipped: i64 = _MOST if z >= _CLIP else -_MOST if z <= -_CLIP else i64(z * _GRID)
        total = self.z_sum + clipped
        w = BytesWriter()
        w.write(self.recent_z[1:])
        w.append(u8(clipped & 0xFF))
        self.recent_z = w.getvalue()
        self.z_sum = total - i8(self.recent_z, 0)
        self.slow_mean += (float(clipped) / _GRID - self.slow_mean) / RUNS
        return float(total) * _MEAN

    def _learn(self, off: float, sigma: float, gap_ms: i64) -> None:
        """Move level and variance, winsorised."""
        n, spread, gap = self.n, off, float(gap_ms)
        if n >= _YOUNG:
            most = _CLIP_LEVEL * sigma
            off = most if off > most else -most if off < -most else off
            most = _CLIP_SPREAD * sigma
            spread = most if spread > most else -most if spread < -most else spread
        young = 1.0 / float(n + 1)
        weight = min(gap / _MEMORY_MS, ALPHA)
        self.level += (weight if weight > young else young) * off
        weight = min(gap / _MEMORY_SPREAD_MS, ALPHA_SPREAD)
        weight = weight if weight > young else young
        self.variance = (1.0 - weight) * (self.variance + weight * spread * spread)
        self.n = n + 1

    def _assess(self, x: float, z: float, mean: float, slow: float, sigma: float, at_ms: i64) -> Assessment:
        """The scores of a reading that is remembered already; the largest is kept, decays, and lowers later ones."""
        decayed = self.last_score * exp(-float(max(at_ms - self.last_score_s * 1000, 0)) / _REFRACTORY_MS)
        refractory = _REFRACTORY_SHARE * decayed
        less = _NEWNESS / float(self.n) + refractory
        point, shift = self._point_score(x, z, less), self._shift_score(mean, slow, less)
        largest = refractory - POINT + max(point.score if point else 0.0, shift.score if shift else 0.0)
        if largest > decayed:
            self.last_score, self.last_score_s = largest, at_ms // 1000
        return self._assessment(point, shift, z, sigma, at_ms)

    def _point_score(self, x: float, z: float, less: float) -> AnomalyScore | None:
        if abs(z) < POINT_FROM:
            return None
        seen = older(self.readings)
        near, of = beyond(seen, on_grid(self.level + NEARLY * (x - self.level)), z > 0), len(seen) // 2
        return AnomalyScore(POINT + SEEN * _seldom(near, of) + FAR * min(abs(z), MOST_FAR) - less, z, 1, near, of)

    def _shift_score(self, mean: float, slow: float, less: float) -> AnomalyScore | None:
        value = mean
        runs: i64 = RECENT
        if abs(mean) < SHIFT_FROM:
            if abs(slow) < SLOW_FROM:
                return None
            value, runs = slow, RUNS
        above = value > 0
        last = sorted(numbers(self.readings[-8:]))
        if len(last) < 4:  # begun by layout 1, which knew no readings
            return None
        middle = (last[1] + last[2]) // 2
        if (float(middle) > GRID * self.level) is not above:
            return None
        seen = older(self.readings)
        near, of = beyond(seen, middle, above), len(seen) // 2
        side = 1.0 if above else -1.0
        far = max(min(side * mean, MOST_FAR_SHIFT), _SLOW_SHARE * min(side * slow, MOST_FAR_SHIFT))
        return AnomalyScore(SHIFT + SEEN_SHIFT * _seldom(near, of) + FAR_SHIFT * far - less, value, runs, near, of)

    def _assessment(
        self, point: AnomalyScore | None, shift: AnomalyScore | None, z: float, sigma: float, at_ms: i64
    ) -> Assessment:
        low, expected, high = self.expected_range(at_ms)
        return Assessment(point, shift, z, sigma, expected, low, high, self.n)

    def _follow_rhythm(self, age_ms: i64) -> None:
        """Begin to take the rhythm off once it is old enough and worth it, or stop; the level is then its mean."""
        rhythm = self.rhythm
        limit = STAY if rhythm.used else LEFT
        used = age_ms > LEARNED_MS and rhythm.left < limit * rhythm.spread
        if used is not rhythm.used:
            rhythm.used = used
            self.level = rhythm.mean

    def _shift(self, before: float, above: bool, at_ms: i64) -> None:
        side: i64 = 1 if above else -1
        if self.shifted * side <= 0:
            self.shifted, self.shifted_from, self.shifted_s = side, before, at_ms // 1000
            return
        shifted = self.shifted + side
        if -_MOST_SHIFTED <= shifted <= _MOST_SHIFTED:
            self.shifted = shifted

    def _settle(self, at_ms: i64) -> None:
        """A reading within 1 sigma ends the row; the third one after a long row: the level has come to the readings.

        Not before: readings that keep moving stay ahead of the level, and it would be out of date when it is reported.
        """
        if -ACCEPTED_AFTER < self.shifted < ACCEPTED_AFTER or at_ms - self.shifted_s * 1000 < ACCEPTED_MS:
            self.shifted = 0
            return
        for back in range(SETTLED):
            if not -_SIGMA <= i8(self.recent_z, RECENT - 1 - back) <= _SIGMA:
                return
        self.previous_level, self.shifted = max(exp(self.shifted_from) - Q, 0.0), 0

    def rewind(self, at_ms: i64) -> None:
        """Date nothing after `at_ms`."""
        at_s: i64 = at_ms // 1000
        self.newest_ms = min(self.newest_ms, at_ms)
        self.first_s, self.kept_s = min(self.first_s, at_s), min(self.kept_s, at_s)
        self.last_score_s, self.shifted_s = min(self.last_score_s, at_s), min(self.shifted_s, at_s)

    @property
    def is_settled(self) -> bool:
        """Whether the last reading lay within 1 sigma of the level."""
        return -ACCEPTED_BEYOND <= self.z <= ACCEPTED_BEYOND

    @property
    def recent_mean_z(self) -> float:
        """The mean of the last 11 z, clipped."""
        return float(self.z_sum) / (_GRID * (RECENT - 1))

    def before_shift(self, before: float, sigma: float, one: "AnomalyScore") -> float:
        """The level before a shift began that `one` is the score of.

        Args:
            before: the level before the reading that gave the score, in log units, as is `sigma`.
        """
        side: i64 = 1 if one.z > 0 else -1
        if self.shifted * side >= _ROW:
            return self.shifted_from
        # How far the level has followed meanwhile: by its weight times each of the readings that the mean is over.
        gap_ms = float(self.newest_ms - self.first_s * 1000) / float(self.n)
        return before - min(gap_ms / _MEMORY_MS, ALPHA) * float(one.runs) * one.z / root_of(one.runs) * sigma

    def shift_since_s(self, side: float) -> i64:
        """When the row of readings began that lie on that side, epoch s; 0 where there are too few to say."""
        return self.shifted_s if float(self.shifted) * side >= float(_ROW) else 0

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads: 80 bytes, 2 a reading and the rhythm."""
        put_u32(w, self.n)
        write_f64_le(w, self.level)
        write_f64_le(w, self.variance)
        write_i64_le(w, self.newest_ms)
        put_u32(w, self.first_s)
        put_u32(w, self.kept_s)
        write_f64_le(w, self.last_score)
        put_u32(w, self.last_score_s)
        write_i16_le(w, i16(self.shifted))
        write_f64_le(w, self.shifted_from)
        put_u32(w, self.shifted_s)
        write_f64_le(w, self.slow_mean)
        w.append(u8(len(self.readings) // 2))
        w.write(self.recent_z)
        w.write(self.readings)
        self.rhythm.pack(w)

    def fill(self, packed: bytes, at: i64) -> i64:
        """Become what was packed, from `at` on; returns where it ends."""
        self.previous_level, self.z = None, 0.0
        self.n = u32(packed, at)
        self.level, self.variance = read_f64_le(packed, at + 4), read_f64_le(packed, at + 12)
        self.newest_ms, self.first_s = read_i64_le(packed, at + 20), u32(packed, at + 28)
        self.kept_s, self.last_score, self.last_score_s = (
            u32(packed, at + 32),
            read_f64_le(packed, at + 36),
            u32(packed, at + 44),
        )
        self.shifted, self.shifted_from = i64(read_i16_le(packed, at + 48)), read_f64_le(packed, at + 50)
        self.shifted_s, self.slow_mean = u32(packed, at + 58), read_f64_le(packed, at + 62)
        end = at + 71 + RECENT
        self._set_recent_z(packed[at + 71 : end])
        at = end + 2 * i64(packed[at + 70])
        self.readings = packed[end:at]
        return self.rhythm.fill(packed, at)

    def fill_1(self, packed: bytes, at: i64) -> i64:
        """What layout 1 wrote: level and spread continue, readings and rhythm start from nothing."""
        self.n = u32(packed, at)
        self.level, self.variance = read_f64_le(packed, at + 4), read_f64_le(packed, at + 12)
        self.newest_ms, self.slow_mean = read_i64_le(packed, at + 20), read_f64_le(packed, at + 28)
        self.shifted, self.shifted_from = i64(read_i16_le(packed, at + 64)), read_f64_le(packed, at + 66)
        self.shifted_s = read_i64_le(packed, at + 74) // 1000
        scores = BytesWriter()
        for n in range(12):
            z = float(i8(packed, at + 82 + n)) / _GRID_1 * _GRID
            scores.append(u8(max(-_MOST, min(nearest(z), _MOST)) & 0xFF))
        self._set_recent_z(scores.getvalue())
        self.first_s = self.newest_ms // 1000
        self.rhythm.mean = self.level
        return at + _PACKED_1

    def _set_recent_z(self, scores: bytes) -> None:
        self.recent_z, self.z_sum = scores, 0
        for at in range(1, RECENT):
            self.z_sum += i8(scores, at)


def _seldom(near: i64, of: i64) -> float:
    """-log10 of the share of `near` among `of`; what was never seen counts as half a time."""
    return -log10((float(near) + 0.5) / float(of + 1))

"""Whether executions have been taking their usual time: what they are compared with must be from before a shift began.

A one-sided CUSUM (Page 1954) on successful executions. With the usual time m and its spread s, slow exponential means
that rest while a shift is suspected, and z = (d - m) / s: S = max(0, S + z - ALLOWANCE). The last execution at which S
was 0 is the estimate of where a shift began. The profiles' own baselines do not serve for it: they follow within 30
executions, so that what is slow itself soon is usual by them, and of a gradual rise every execution is.
"""

from typing import Final

from librt.strings import BytesWriter, read_f32_le, read_f64_le, write_f32_le, write_f64_le
from mypy_extensions import i64, mypyc_attr, u8

from stream_detector.detect.codec.binary import f32

ALLOWANCE: Final = 0.5
SUSPECTED: Final = 5.0
"""From this S on a shift is suspected: of executions without one once in 930 (iid normal), for some dozen."""
MOST: Final = 8.0
"""S is held to this, so that it is 0 again some 16 executions after the end of a shift."""
_MOST_Z: Final = 6.0
_YOUNG: Final = 10
_FAST: Final = 0.05
_SIGMA: Final = 1.25
"""Standard deviations in a mean absolute one, for normal readings."""
_LEAST: Final = 0.01
"""The spread is at least so much of the usual time."""
_MEMORY: Final = 80
"""The means are over so many: a level that rises by a thirtieth of the spread an execution leaves them behind."""
_SETTLE: Final = 50
"""What has been slow for twice as many executions, and no more rises over the last of them, is usual from then on."""
_STILL: Final = 0.5
_STEPS: Final = 16.0
"""S is kept in steps of so much of a spread, as it is packed."""
_LARGE: Final = 5.0
"""A shift that is suspected from an execution with so large a z on has begun with that."""
_IN_STEPS: Final = i64(SUSPECTED * _STEPS)
_ABRUPT: Final = 0x80


@mypyc_attr(acyclic=True)
class UsualTime:
    """`n` executions, 80 at most; `mean` and `spread` in s; `excess` is S in sixteenths.

    `fast` is a quicker mean of all, which was `mark` when a row of `above` executions with S above 0 was 50 long;
    `abrupt` says of that row that one execution alone made a shift suspected.
    """

    __slots__ = ("above", "abrupt", "excess", "fast", "mark", "mean", "n", "spread", "z")

    def __init__(self) -> None:
        self.z: float = 0.0
        """Of the last execution; not packed."""
        self.restart()

    def restart(self) -> None:
        """Learn anew: what is now is usual."""
        self.z = 0.0
        self.n: i64 = 0
        self.above: i64 = 0
        self.abrupt: bool = False
        self.excess: i64 = 0
        self.mean: float = 0.0
        self.spread: float = 0.0
        self.fast: float = 0.0
        self.mark: float = 0.0

    @property
    def is_suspected(self) -> bool:
        """Whether executions may be slower than usual, this one or those before it."""
        return self.excess >= _IN_STEPS or self.z > 1.0

    def _z_of(self, duration_s: float) -> float:
        z = (duration_s - self.mean) / self._spread()
        return _MOST_Z if z > _MOST_Z else -_MOST_Z if z < -_MOST_Z else z

    def _spread(self) -> float:
        spread, least = _SIGMA * self.spread, _LEAST * self.mean
        return spread if spread > least else least

    def learn(self, duration_s: float) -> None:
        """One more successful execution, of more than 0 s."""
        n, mean = self.n, self.mean
        if n < _YOUNG:
            self.n = n + 1
            self.mean = mean + (duration_s - mean) / float(n + 1)
            self.spread += (abs(duration_s - self.mean) - self.spread) / float(n + 1)
            self.fast, self.z = self.mean, 0.0
            return
        z = self.z = self._z_of(duration_s)
        if z >= _LARGE and self.excess < _IN_STEPS:
            self.abrupt = True
        excess = float(self.excess) / _STEPS + z - ALLOWANCE
        if excess < 0.0:
            excess = 0.0
        elif excess > MOST:
            excess = MOST
        self.fast += _FAST * (duration_s - self.fast)
        if excess < SUSPECTED:
            if n < _MEMORY:
                n += 1
                self.n = n
            weight, off = 1.0 / float(n), z * self._spread()
            self.mean = mean + weight * off
            self.spread += weight * ((off if off > 0.0 else -off) - self.spread)
        self.excess = i64(excess * _STEPS)
        if self.excess:
            self._note_above()
        else:
            self.above, self.abrupt = 0, False

    def _note_above(self) -> None:
        self.above += 1
        if self.above == _SETTLE:
            self.mark = f32(self.fast)
        elif self.above == 2 * _SETTLE:
            if self.fast - self.mark <= _STILL * self._spread():
                self.restart()
            else:
                self.above, self.mark = _SETTLE, f32(self.fast)

    def is_abrupt(self, duration_s: float) -> bool:
        """Whether what such an execution belongs to began so abruptly that the last usual one is from before it."""
        return self.abrupt or (self.excess < _IN_STEPS and self._z_of(duration_s) >= _LARGE)

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads: 31 bytes."""
        write_f64_le(w, self.mean)
        write_f64_le(w, self.spread)
        write_f64_le(w, self.fast)
        write_f32_le(w, self.mark)
        w.append(u8(self.n | _ABRUPT if self.abrupt else self.n))
        w.append(u8(self.above))
        w.append(u8(self.excess))

    def fill(self, packed: bytes, at: i64) -> i64:
        """Become what was packed, from `at` on; returns where it ends."""
        self.mean, self.spread = read_f64_le(packed, at), read_f64_le(packed, at + 8)
        self.fast, self.mark = read_f64_le(packed, at + 16), read_f32_le(packed, at + 24)
        self.n, self.above, self.excess = i64(packed[at + 28]), i64(packed[at + 29]), i64(packed[at + 30])
        self.abrupt = self.n >= _ABRUPT
        if self.abrupt:
            self.n -= _ABRUPT
        return at + 31

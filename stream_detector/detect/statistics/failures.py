"""How often one workflow fails: its last 10 outcomes, and an exponentially weighted history of those before."""

from statistics import NormalDist
from typing import Final

from librt.strings import BytesWriter, read_f64_le, write_f64_le
from mypy_extensions import i64, mypyc_attr

from stream_detector.detect.codec.binary import ones, put_u16, put_u32, u16, u32

RECENT: Final = 10
WARM: Final = 30
"""Outcomes before the last 10 are judged against their history."""
FORGET: Final = 0.985
PRIOR_FAILURES: Final = 0.2
PRIOR_SUCCESSES: Final = 8.0
LEAST: Final = 2
"""A single failure is no spike, however rarely the workflow fails."""
_MASK: Final = (1 << RECENT) - 1
_NORMAL: Final = NormalDist()
_MOST_Z: Final = 8.0


@mypyc_attr(acyclic=True)
class Failures:
    """`outcomes` has bit 0 for the newest; `failed` and `counted` are the weighted history before the last 10."""

    __slots__ = ("counted", "failed", "n", "outcomes")

    def __init__(self) -> None:
        self.n: i64 = 0
        self.outcomes: i64 = 0
        self.failed: float = 0.0
        self.counted: float = 0.0

    def recent(self, failed: bool) -> i64:
        """Failures among the last 10, this one among them."""
        return ones(self.outcomes & _MASK >> 1) + i64(failed)

    @property
    def rate(self) -> float:
        """The expected failure rate, with the prior of 0.2 failures in 8.2 executions."""
        return (self.failed + PRIOR_FAILURES) / (self.counted + PRIOR_FAILURES + PRIOR_SUCCESSES)

    @property
    def observed_rate(self) -> float:
        """The share of failures among the weighted history, without the prior: what people are told. 0 without one."""
        return self.failed / self.counted if self.counted else 0.0

    def z(self, failed: bool) -> float:
        """Phi^-1(1 - p), p the beta-binomial chance of as many failures among 10, or more, under the history."""
        a, b = self.failed + PRIOR_FAILURES, self.counted - self.failed + PRIOR_SUCCESSES
        return z_of(upper_tail(self.recent(failed), a, b))

    def learn(self, failed: bool) -> None:
        """The outcome that leaves the last 10 enters the history."""
        self.outcomes = (self.outcomes << 1 | i64(failed)) & _MASK
        self.n += 1
        if self.n >= RECENT:
            self.failed = self.failed * FORGET + float(self.outcomes >> RECENT - 1 & 1)
            self.counted = self.counted * FORGET + 1.0

    @property
    def last_failed(self) -> bool:
        """Whether the last execution that counted has failed."""
        return self.outcomes & 1 == 1

    def unlearn(self) -> None:
        """Take the last outcome out: another attempt of its execution ended otherwise."""
        if self.n >= RECENT:
            self.failed = max((self.failed - float(self.outcomes >> RECENT - 1 & 1)) / FORGET, 0.0)
            self.counted = max((self.counted - 1.0) / FORGET, 0.0)
        self.n -= 1
        self.outcomes >>= 1

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads: 22 bytes."""
        put_u32(w, min(self.n, 0xFFFFFFFF))
        put_u16(w, self.outcomes)
        write_f64_le(w, self.failed)
        write_f64_le(w, self.counted)

    def fill(self, packed: bytes, at: i64) -> i64:
        """Become what was packed, from `at` on; returns where it ends."""
        self.n, self.outcomes = u32(packed, at), u16(packed, at + 4)
        self.failed, self.counted = read_f64_le(packed, at + 6), read_f64_le(packed, at + 14)
        return at + 22


def upper_tail(failures: int, a: float, b: float) -> float:
    """P(K >= failures) of a beta-binomial K over 10 draws with parameters a and b.

    >>> round(upper_tail(1, 1.0, 1.0), 6), upper_tail(0, 2.0, 5.0)
    (0.909091, 1.0)
    """
    if failures <= 0:
        return 1.0
    mass = 1.0
    for i in range(RECENT):
        mass *= (b + i) / (a + b + i)
    below = 0.0
    for k in range(failures):
        below += mass
        mass *= (RECENT - k) * (a + k) / ((k + 1) * (b + RECENT - 1 - k))
    return min(max(1.0 - below, 0.0), 1.0)


def z_of(tail: float) -> float:
    """The standard normal deviate with that upper tail, within 8 either way.

    >>> round(z_of(0.02275), 3), z_of(0.0)
    (2.0, 8.0)
    """
    if tail <= 1e-15:
        return _MOST_Z
    return -_MOST_Z if tail >= 1.0 else -_NORMAL.inv_cdf(tail)

"""How improbable a reading is, as L = -log10 of its tail, and the confidence that is made of it (W15, X8).

Own code, since scipy, which has these tails, takes 3.4 s to load. Compiled, since interpreted it is 60 of 200
instructions an event in profile `classic`, where one in twenty has a finding (`benchmarks.hot_path --instructions`).

>>> [round(confidence(t_tail(z, 30)), 2) for z in (2.0, 3.0, 10.0)]
[0.55, 0.69, 0.91]
"""

from bisect import bisect_left
from collections.abc import Sequence
from math import erfc, exp, inf, lgamma, log, log1p, log10, pi, sqrt

_LEAST_CHANGES = 5
_MOST = 1e6
"""Of L: a confidence never reaches 1, also as a float."""
_ROUNDED = 1.0 - 1e-6
"""Past changes are kept in single precision: an equal one may be smaller by so much."""
UNKNOWN = 0.5
"""The confidence of a reading that nothing is known about: as likely as not."""


def confidence(tail: float) -> float:
    """L / (1 + L), from 0 to below 1.

    Args:
        tail: L, -log10 of the probability of a reading at least as far off.

    >>> confidence(0.0), confidence(1.0), confidence(3.0)
    (0.0, 0.5, 0.75)
    """
    tail = min(max(tail, 0.0), _MOST)
    return tail / (1.0 + tail)


def t_tail(z: float, n: int) -> float:
    """L of the two-sided tail of a new reading that lies `z` standard deviations off the mean of `n` readings.

    t = z / sqrt(1 + 1 / n) has Student's distribution with n - 1 degrees of freedom; below 2 readings L is 0.

    >>> t_tail(0.0, 30), t_tail(3.0, 1)
    (0.0, 0.0)
    >>> t_tail(3.0, 31) > t_tail(3.0, 30) > t_tail(2.9, 30)
    True
    """
    if n < 2 or not z:
        return 0.0
    t2, freedom = z * z / (1.0 + 1.0 / n), float(n - 1)
    if t2 == inf:
        return _MOST
    return -_log_beta_tail(freedom / 2.0, 0.5, t2 / freedom) / log(10.0)


def normal_tail(z: float) -> float:
    """L of the one-sided tail of a standard normal reading.

    >>> round(normal_tail(0.0), 3), round(normal_tail(2.0), 3), round(normal_tail(40.0), 1)
    (0.301, 1.643, 349.4)
    """
    if z < 30.0:
        return -log10(0.5 * erfc(z / sqrt(2.0)))
    return (z * z / 2.0 + log(z * sqrt(2.0 * pi)) + log1p(1.0 / (z * z))) / log(10.0)


def poisson_tail(count: int, mean: float) -> float:
    """L of at least `count` events where `mean` are expected, `mean` above 0 and below `count`.

    >>> round(poisson_tail(1, 0.5), 4)
    0.4051
    """
    term = total = 1.0
    for more in range(1, 1000):
        term *= mean / (count + more)
        total += term
        if term < 1e-12 * total:
            break
    return (mean - count * log(mean) + lgamma(count + 1.0) - log(total)) / log(10.0)


def rank_confidence(change: float, changes: Sequence[float]) -> float:
    """The confidence of a change by its rank among the past changes of the same score, `UNKNOWN` below 5 of them.

    Args:
        change: its size, at least 0.
        changes: the sizes of the past ones, in any order.

    >>> rank_confidence(2.0, [0.1] * 4), round(rank_confidence(2.0, [0.1] * 30), 2), rank_confidence(0.1, [0.1] * 30)
    (0.5, 0.6, 0.0)
    """
    kept = len(changes)
    if kept < _LEAST_CHANGES:
        return UNKNOWN
    as_large = kept - bisect_left(sorted(changes), change * _ROUNDED)
    return confidence(log10((1 + kept) / (1 + as_large)))


def _log_beta_tail(a: float, b: float, ratio: float) -> float:
    """Natural logarithm of the regularised incomplete beta function I_x(a, b) at x = 1 / (1 + ratio).

    By its continued fraction (Abramowitz and Stegun 26.5.8), which converges where x lies below (a + 1) / (a + b + 2),
    elsewhere by the symmetry I_x(a, b) = 1 - I_1-x(b, a). x comes as a ratio, so that no digit of 1 - x is lost.
    """
    log_x, log_rest = -log1p(ratio), log(ratio) - log1p(ratio)
    x = 1.0 / (1.0 + ratio)
    if x >= (a + 1.0) / (a + b + 2.0):
        return log1p(-exp(_log_beta_tail(b, a, 1.0 / ratio)))
    front = a * log_x + b * log_rest + lgamma(a + b) - lgamma(a) - lgamma(b) - log(a)
    # Lentz's way: numerator and denominator of the fraction as ratios of neighbours, which neither under- nor overflow.
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d or tiny)
    fraction = d
    for m in range(1, 500):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / ((1.0 + numerator * d) or tiny)
            c = (1.0 + numerator / c) or tiny
            step = c * d
            fraction *= step
        if abs(step - 1.0) < 1e-14:
            break
    return front + log(fraction)

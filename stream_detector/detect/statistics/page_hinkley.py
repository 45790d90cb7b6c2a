"""Page and Hinkley's test on the plain numbers that a baseline packs (Page 1954, Continuous Inspection Schemes).

The test itself is `river.drift.PageHinkley`. An object of it is 1 KB and has no layout of bytes, so it is rebuilt from
six numbers for each score and taken apart again: `rebuild` and `fields_of`, the only code that touches river's private
fields. The exact version of river is pinned for it, and test_page_hinkley.py compares a test that is rebuilt at each
step with river's own over long random series.

>>> fields = START
>>> for x in (15.0, 14.2, 13.4, 12.6):
...     test = rebuild(fields)
...     test.update(x)
...     fields = fields_of(test)
>>> test.drift_detected, fields.n, round(fields.mean, 6)
(True, 4, 13.8)
"""

from typing import Any, NamedTuple

ALLOWANCE, LIMIT, LEAST = 0.1, 2.0, 3
"""In units of a score's threshold: allowance (river's `delta`) and limit (`threshold`). Scores before it judges."""


class Fields(NamedTuple):
    """What river's test remembers: `n` values of mean `mean`, the cumulated deviations `rise` and `fall`, the smallest
    rise and the largest fall so far."""

    n: int
    mean: float
    rise: float
    fall: float
    least: float
    most: float


START = Fields(0, 0.0, 0.0, 0.0, float("inf"), -1.0)
"""Of a test that has seen nothing, or that is reset."""


def rebuild(fields: Fields) -> Any:
    """River's two-sided test that has seen what `fields` were taken from, and has not fired."""
    # Not at the top: river takes scipy with it, a second of start for all who only unpack baselines.
    from river.drift.page_hinkley import PageHinkley

    test = PageHinkley(min_instances=LEAST, delta=ALLOWANCE, threshold=LIMIT)
    test._x_mean.n, test._x_mean._mean = fields.n, fields.mean
    test._sum_increase, test._sum_decrease = fields.rise, fields.fall
    test._min_increase, test._max_decrease = fields.least, fields.most
    return test


def fields_of(test: Any) -> Fields:
    """The numbers from which `rebuild` gives an equal test. River resets one that has fired before its next value."""
    mean = test._x_mean
    sums = test._sum_increase, test._sum_decrease, test._min_increase, test._max_decrease
    return Fields(int(mean.n), mean._mean, *sums)


class Drift:
    """The test of one score: `fields` in units of `scale`, the threshold at the reset."""

    __slots__ = ("fields", "scale")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next score is the first."""
        self.fields, self.scale = START, 1.0

    def update(self, score: float, threshold: float) -> float | None:
        """Learn one score. Where the test fires: the mean it drifted away from, and the next drift starts here.

        Where it fires and the score lies less than a threshold from the mean, it continues without a reset.
        """
        if not self.fields.n:
            self.scale = threshold
        scale, before = self.scale, self.fields.mean
        test = rebuild(self.fields)
        # In units of the threshold, so that one setting of the test fits every scale of scores.
        test.update(score / scale)
        self.fields = fields_of(test)
        left = before * scale  # without this score: what judges has not seen it (W2)
        if not test.drift_detected or abs(score - left) < scale:
            return None
        self.reset()
        self.update(score, threshold)
        return left

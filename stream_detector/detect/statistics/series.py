"""Any series of measured values through the product's own level: the anomaly score of each value.

For benchmarks on public series, and for whoever wants a score instead of an alarm.
"""

from stream_detector.detect.statistics.level import EFFECT, Level


class Series:
    """One series of values of 0 or more; what lies below counts as 0."""

    def __init__(self) -> None:
        self.level = Level()

    def score(self, value: float, at_ms: int) -> float:
        """Judge one value, either way off, then learn it. Returns its score: 2 is about one value in a hundred."""
        assessment = self.level.update(max(value, 0.0), at_ms)
        if assessment is None or abs(value - assessment.expected) <= EFFECT * assessment.expected:
            return 0.0
        return max([0.0] + [one.score for one in (assessment.point, assessment.shift) if one is not None])

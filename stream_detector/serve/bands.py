"""Between which values a reading is nothing unusual, as `step` judges it."""

from datetime import datetime

from stream_detector.detect import WorkflowBaseline
from stream_detector.detect.baseline import LEAST_TIMED
from stream_detector.detect.classic import mean_and_spread
from stream_detector.detect.rules import spike_in_failures
from stream_detector.detect.statistics.failures import LEAST, PRIOR_FAILURES, PRIOR_SUCCESSES, RECENT, upper_tail, z_of
from stream_detector.detect.statistics.failures import WARM as OUTCOMES_WARM
from stream_detector.detect.statistics.level import WARM
from stream_detector.events.times import epoch_ms

Band = tuple[float, float, float]
"""(lower, mean, upper): a reading from lower to upper is not anomalous.

Of a failure rate, `mean` is the observed rate, as in the anomaly's baseline; `upper` is derived from the smoothed rate
that the rule evaluates.
"""

GATE = 2.0


def robust_failure_band(baseline: WorkflowBaseline) -> Band | None:
    """The failure rates that are nothing unusual in profile `robust`; None while it is learning."""
    failures = baseline.failures
    if failures.n < OUTCOMES_WARM:
        return None
    a, b = failures.failed + PRIOR_FAILURES, failures.counted - failures.failed + PRIOR_SUCCESSES
    gate = GATE * float(baseline.threshold_multiplier)
    least = next((k for k in range(LEAST, RECENT + 1) if z_of(upper_tail(k, a, b)) > gate), RECENT + 1)
    return 0.0, failures.observed_rate, (least - 1) / RECENT


def classic_failure_band(baseline: WorkflowBaseline, at: datetime) -> Band | None:
    """The same of profile `classic`; None while there are too few executions before the last 10."""
    history = baseline.history
    before = min(history.within(int(at.timestamp() * 1000)) - (RECENT - 1), spike_in_failures.BEFORE)
    if before < spike_in_failures.LEAST_BEFORE:
        return None
    failed = (history.outcomes >> RECENT - 1 & (1 << before) - 1).bit_count()
    gate = GATE * float(baseline.threshold_multiplier)
    least = next((k for k in range(1, RECENT + 1) if spike_in_failures.z_of(k, failed, before) > gate), RECENT + 1)
    return 0.0, failed / before, (least - 1) / RECENT


def classic_duration_band(baseline: WorkflowBaseline, at: datetime) -> Band | None:
    """(lower, mean, upper) between which a duration at that time is nothing unusual; None while learning."""
    times = baseline.history.recorded(baseline.history.within(int(at.timestamp() * 1000)))
    if len(times) < LEAST_TIMED:
        return None
    mean, spread = mean_and_spread(times)
    if not spread:
        return None
    reach = GATE * float(baseline.threshold_multiplier) * spread
    return max(0.0, mean - reach), mean, mean + reach


def robust_duration_band(baseline: WorkflowBaseline, at: datetime) -> Band | None:
    """The same of profile `robust`; None while its level is learning."""
    level = baseline.level
    return None if level.n < WARM else level.expected_range(epoch_ms(at))

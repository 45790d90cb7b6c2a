"""Profile `classic`: the plain rules to the letter, each on the last executions (W5 to W11, W20)."""

from math import dist, fsum, sqrt
from typing import Final

from mypy_extensions import i64

from stream_detector.detect import wording
from stream_detector.detect.baseline import LEAST_TIMED, WorkflowBaseline
from stream_detector.detect.finding import Finding
from stream_detector.detect.incident import MEAN_OF_OUTCOMES, Frozen, Incident
from stream_detector.detect.rules import performance_degradation, spike_in_failures, unusual_execution_time
from stream_detector.detect.statistics.history import OUTCOMES
from stream_detector.events import Completion

_GATE: Final = 2.0
_NEAR: Final = 1.9
"""Below this z by a quick computation, the exact one cannot reach 2: the two differ by rounding alone. Without the
quick one an event costs a tenth more (3,305 of the interpreter's instructions for 3,007)."""
_AGREE: Final = 1.0
"""The last 10 and the 30 before them fail alike below this z."""
_NONE: Final[list[Finding]] = []


def judge_duration(
    baseline: WorkflowBaseline, event: Completion, finished_ms: i64, duration_s: float, explain: list[str] | None
) -> list[Finding]:
    """The findings for a duration against those of the last executions, which do not hold it yet."""
    history = baseline.history
    times = history.recorded(history.within(finished_ms))
    n = len(times)
    if n < LEAST_TIMED:
        if explain is not None:
            explain.append(f"learning: {n} recorded durations, a z-score needs {LEAST_TIMED}")
        return _NONE
    gate = _GATE * float(baseline.threshold_multiplier) if baseline.feedbacks else _GATE
    rough = sum(times) / n
    off, reach = (duration_s - rough) * sqrt(n - 1), dist(times, [rough] * n)
    if explain is None and abs(off) < _NEAR * reach:
        return _NONE
    mean, spread = mean_and_spread(times)
    if not spread:
        if explain is not None:
            explain.append(f"all {n} recorded durations are {wording.duration(mean)}: no spread, so no z-score")
        return _NONE
    z = (duration_s - mean) / spread
    if explain is not None:
        around = f"{wording.duration(mean)} ± {wording.duration(spread)} of {n} executions"
        explain.append(f"z {z:.2f} of {wording.duration(duration_s)} against {around}; the gate is |z| > {gate:.2f}")
    if not abs(z) > gate:
        return _NONE
    name = wording.name_of(event)
    findings = [unusual_execution_time.find_by_z(name, duration_s, mean=mean, spread=spread, n=n, z=z, gate=gate)]
    if z > 0:
        findings.append(
            performance_degradation.find_by_z(name, duration_s, mean=mean, spread=spread, n=n, z=z, gate=gate)
        )
    return findings


def mean_and_spread(times) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Mean and sample standard deviation (n - 1) of two or more durations; 0 exactly where all are the same.

    >>> mean_and_spread([90.0] * 5 + [110.0] * 5 + [100.0])
    (100.0, 10.0)
    """
    n = len(times)
    if min(times) == max(times):
        return times[0], 0.0
    mean = fsum(times) / n
    return mean, sqrt(fsum([(time - mean) ** 2 for time in times]) / (n - 1))


def find_spike(baseline: WorkflowBaseline, name: str, finished_ms: i64, explain: list[str] | None) -> Finding | None:
    """The finding for a failing execution with which the last 10 fail more often than those before them."""
    before = _before_the_last_10(baseline, finished_ms)
    if before < spike_in_failures.LEAST_BEFORE:
        if explain is not None:
            explain.append(f"learning: {max(before, 0)} executions before the last 10, a failure rate needs 10")
        return None
    recent, failures, z = _spike(baseline, before, True)
    gate = _GATE * float(baseline.threshold_multiplier)
    if explain is not None:
        explain.append(
            f"{recent} of the last 10 failed, {failures} of {before} before: z {z:.2f}; the gate is {gate:.2f}"
        )
    if not z > gate:
        return None
    return spike_in_failures.find_by_z(name, recent_failures=recent, failures=failures, n=before, z=z, gate=gate)


def ended_spike(
    baseline: WorkflowBaseline, incident: Incident, name: str, finished_ms: int, failed: bool
) -> Finding | None:
    """The end of an open spike by this execution, which the history does not hold yet.

    Today's usual rate is accepted once all of the executions that are looked at came after the opening, and agree.
    """
    before = _before_the_last_10(baseline, finished_ms)
    n = max(before, 0)
    recent, failures, z = _spike(baseline, n, failed)
    frozen, limit = incident.frozen, _GATE * float(baseline.threshold_multiplier)
    if frozen is None:  # opened by a version that froze nothing
        frozen = incident.frozen = Frozen(float(failures), float(n), 0.0, recent / spike_in_failures.RECENT)
    now = spike_in_failures.Spike(
        recent,
        failures / n if n else 0.0,
        z if before >= spike_in_failures.LEAST_BEFORE else 0.0,
        spike_in_failures.z_of(recent, frozen.baseline, frozen.spread),
        limit,
        limit * spike_in_failures.CLEARED_Z / _GATE,
        n,
    )
    frozen.follow(float(failed), MEAN_OF_OUTCOMES)
    all_since = frozen.is_steady(0.0, 1.0, finished_ms, OUTCOMES, 0)
    is_accepted = all_since and n == spike_in_failures.BEFORE and -_AGREE < z < _AGREE
    return spike_in_failures.find_end(name, incident, frozen, now, is_accepted=is_accepted)


def _before_the_last_10(baseline: WorkflowBaseline, finished_ms: i64) -> int:
    """How many executions before the last 10 (with this one) are compared with; 0 or less where there are none."""
    counted = baseline.history.within(finished_ms)
    return min(counted - (spike_in_failures.RECENT - 1), spike_in_failures.BEFORE)


def recent_failures(baseline: WorkflowBaseline, failed: bool) -> int:
    """Failures among the last 10, with this execution, which the history does not hold yet."""
    return (baseline.history.outcomes & (1 << spike_in_failures.RECENT - 1) - 1).bit_count() + failed


def _spike(baseline: WorkflowBaseline, before: int, failed: bool) -> tuple[int, int, float]:
    outcomes, others = baseline.history.outcomes, spike_in_failures.RECENT - 1
    recent = recent_failures(baseline, failed)
    failures = (outcomes >> others & (1 << before) - 1).bit_count()
    return recent, failures, spike_in_failures.z_of(recent, failures, before)


def failure_rate(baseline: WorkflowBaseline) -> float:
    """This workflow's own over thirty days, with one success and one failure added."""
    count, failures = baseline.days.outcomes()
    return (failures + 1) / (count + 2)

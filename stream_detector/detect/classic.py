"""Profile `classic`: the plain rules to the letter, each detector on the last executions (W5 to W11, W20)."""

from math import dist, fsum, sqrt
from typing import Final

from mypy_extensions import i64

from stream_detector.detect import wording
from stream_detector.detect.baseline import LEAST_TIMED, WorkflowBaseline
from stream_detector.detect.finding import Finding
from stream_detector.detect.rules import (
    consecutive_failures,
    performance_degradation,
    spike_in_failures,
    unusual_execution_time,
)
from stream_detector.events import Completion

_GATE: Final = 2.0
_NEAR: Final = 1.9
"""Below this z by a quick computation, the exact one cannot reach 2: the two differ by rounding alone."""
_NO_FINDINGS: list[Finding] = []
_STREAK: Final = (consecutive_failures.NAME, 0)
_SPIKE: Final = (spike_in_failures.NAME, 0)


def judge(
    baseline: WorkflowBaseline,
    event: Completion,
    finished_ms: i64,
    failed: bool,
    duration_s: float,
    explain: list[str] | None,
) -> tuple[list[Finding], list[Finding]]:
    """Score one execution against a baseline that has not learned it; `baseline.streak` counts it already.

    Returns:
        The findings, and the endings of open incidents.
    """
    counted = baseline.history.within(finished_ms)
    findings = _NO_FINDINGS
    if duration_s:
        findings = _judge_duration(baseline, event, counted, duration_s, explain)
    elif explain is not None:
        explain.append("no duration was recorded: the time is neither judged nor learned")
    incidents = baseline.incidents
    if not failed and not incidents:
        return findings, _NO_FINDINGS
    name = event.workflow_name or event.workflow_id
    ended = _NO_FINDINGS
    if failed:
        spike = _judge_failures(baseline, name, counted, explain)
        streak = consecutive_failures.find_streak(name, baseline.streak, _usual_failure_rate(baseline))
        findings = [*findings, *(found for found in (spike, streak) if found is not None)]
        if explain is not None:
            explain.append(f"{baseline.streak} failures in a row; 3 and 5 are told")
    if incidents:
        ended = _ended(baseline, name, counted, failed, findings)
    return findings, ended


def _judge_duration(
    baseline: WorkflowBaseline, event: Completion, counted: int, duration_s: float, explain: list[str] | None
) -> list[Finding]:
    times = baseline.history.recorded(counted)
    n = len(times)
    if n < LEAST_TIMED:
        if explain is not None:
            explain.append(f"learning: {n} recorded durations, a z needs {LEAST_TIMED}")
        return _NO_FINDINGS
    gate = _GATE * float(baseline.threshold_multiplier) if baseline.feedbacks else _GATE
    rough = sum(times) / n
    if explain is None and abs(duration_s - rough) * sqrt(n - 1) < _NEAR * dist(times, [rough] * n):
        return _NO_FINDINGS
    mean, spread = mean_and_spread(times)
    if not spread:
        if explain is not None:
            explain.append(f"all {n} recorded durations are {wording.duration(mean)}: no spread, no z")
        return _NO_FINDINGS
    z = (duration_s - mean) / spread
    if explain is not None:
        around = f"{wording.duration(mean)} ± {wording.duration(spread)} of {n} executions"
        explain.append(f"z {z:.2f} of {wording.duration(duration_s)} against {around}; the gate is |z| > {gate:.2f}")
    if not abs(z) > gate:
        return _NO_FINDINGS
    name = event.workflow_name or event.workflow_id
    findings = [unusual_execution_time.classic(name, duration_s, mean=mean, spread=spread, n=n, z=z, gate=gate)]
    if z > 0:
        findings.append(
            performance_degradation.classic(name, duration_s, mean=mean, spread=spread, n=n, z=z, gate=gate)
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


def _judge_failures(baseline: WorkflowBaseline, name: str, counted: int, explain: list[str] | None) -> Finding | None:
    before = min(counted - (spike_in_failures.RECENT - 1), spike_in_failures.BEFORE)
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
    return spike_in_failures.classic(name, recent_failures=recent, failures=failures, n=before, z=z, gate=gate)


def _spike(baseline: WorkflowBaseline, before: int, failed: bool) -> tuple[int, int, float]:
    outcomes, others = baseline.history.outcomes, spike_in_failures.RECENT - 1
    recent = (outcomes & (1 << others) - 1).bit_count() + failed
    failures = (outcomes >> others & (1 << before) - 1).bit_count()
    return recent, failures, spike_in_failures.z_of(recent, failures, before)


def _usual_failure_rate(baseline: WorkflowBaseline) -> float:
    count, failures = baseline.days.outcomes()
    return (failures + 1) / (count + 2)


def _ended(baseline: WorkflowBaseline, name: str, counted: int, failed: bool, findings: list[Finding]) -> list[Finding]:
    """A streak ends by a success; a spike by the first execution at which its z no longer passes."""
    ended = []
    if not failed and _STREAK in baseline.incidents:
        ended.append(consecutive_failures.streak_ended(name))
    if _SPIKE in baseline.incidents and not any(found.detector == spike_in_failures.NAME for found in findings):
        before = min(counted - (spike_in_failures.RECENT - 1), spike_in_failures.BEFORE)
        recent, failures, z = _spike(baseline, max(before, 0), failed)
        if not z > _GATE * float(baseline.threshold_multiplier) or before < spike_in_failures.LEAST_BEFORE:
            ended.append(
                spike_in_failures.spike_ended(name, recent_failures=recent, failures=failures, n=max(before, 0), z=z)
            )
    return ended

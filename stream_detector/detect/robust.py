"""Profile `robust`: few false alarms on real histories.

Where it departs from `classic`: durations on the log scale against an exponentially weighted level less the rhythm of
the day, how rarely a reading was seen beside how far off it is, level shifts distinguished from single readings,
incidents with an end, failures by a beta-binomial tail, nothing but streaks before 30 executions.
"""

from typing import Final

from mypy_extensions import i64

from stream_detector.detect import wording
from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.detect.finding import Finding
from stream_detector.detect.rules import (
    pattern_deviation,
    performance_degradation,
    spike_in_failures,
    unusual_execution_time,
)
from stream_detector.detect.statistics.failures import WARM as OUTCOMES_WARM
from stream_detector.detect.statistics.level import WARM, AnomalyScore, Assessment, Level
from stream_detector.detect.statistics.readings import RECENT
from stream_detector.events import Completion
from stream_detector.events.anomaly_types import TYPES

ALERT_THRESHOLD: Final = 2.15
"""An alert needs an anomaly score above this: about one reading in 140. A quarter more for each feedback."""
_CALM_Z: Final = 1.0
_CALM_RUNS: Final = 3
_CLEARED_Z: Final = 1.0
_SPIKE_Z: Final = 2.0
_NONE: Final[list[Finding]] = []
_POINT: Final = (unusual_execution_time.NAME, 0)
_SHIFT: Final = (performance_degradation.NAME, 0)


def judge_duration(
    baseline: WorkflowBaseline, event: Completion, finished_ms: i64, duration_s: float, explain: list[str] | None
) -> list[Finding]:
    """The findings for a duration; it is learned as well."""
    level = baseline.level
    if not level.n and baseline.has_executions:
        _begin(level, baseline)
    assessment = level.update(duration_s, finished_ms, always=explain is not None)
    if assessment is None and level.previous_level is None:
        return _NONE
    name = wording.name_of(event)
    findings: list[Finding] = []
    if assessment is not None:
        findings = _judge_scores(baseline, name, duration_s, assessment)
        if explain is not None:
            explain.extend(_gates(assessment, alert_threshold(baseline)))
    if level.previous_level is not None:
        accepted = pattern_deviation.level_accepted(name, level.expected, level.previous_level, duration_s)
        level.previous_level = None
        findings.append(accepted)
        if explain is not None:
            explain.extend(accepted.gates)
    return findings


def _begin(level: Level, baseline: WorkflowBaseline) -> None:
    """A key that was judged by `classic` so far: its last durations are the start."""
    history = baseline.history
    for after, duration_s in zip(history.times[-len(history.durations) :], history.durations, strict=True):
        finished_ms = history.base_ms + after
        if duration_s:
            level.update(duration_s, finished_ms, late=True)
    baseline.forget_executions()


def alert_threshold(baseline: WorkflowBaseline) -> float:
    """The anomaly score above which this key alerts."""
    return ALERT_THRESHOLD * float(baseline.threshold_multiplier) if baseline.feedbacks else ALERT_THRESHOLD


def _judge_scores(baseline: WorkflowBaseline, name: str, duration_s: float, assessment: Assessment) -> list[Finding]:
    """A point anomaly is an unusual time, a level shift a degradation; each is above the threshold or is nothing."""
    threshold = alert_threshold(baseline)
    findings: list[Finding | None] = []
    point, shift = assessment.point, assessment.shift
    if point is not None and point.score > threshold:
        findings.append(unusual_execution_time.find_by_score(name, duration_s, assessment, point, threshold))
    if shift is not None and shift.score > threshold:
        findings.append(performance_degradation.find_by_score(name, duration_s, assessment, shift, threshold))
    return [found for found in findings if found is not None]


def find_spike(baseline: WorkflowBaseline, name: str, explain: list[str] | None) -> Finding | None:
    """The finding for a failing execution with which too many of the last 10 have failed for this workflow."""
    failures = baseline.failures
    if failures.n < OUTCOMES_WARM:
        if explain is not None:
            explain.append(f"learning: {failures.n} executions, a failure rate needs {OUTCOMES_WARM}")
        return None
    z, gate = failures.z(True), _SPIKE_Z * float(baseline.threshold_multiplier)
    if explain is not None:
        explain.append(
            f"{failures.recent(True)} of the last 10 failed, usually {wording.share(failures.observed_rate)}: "
            f"z {z:.2f}; the gate is {gate:.2f}"
        )
    return spike_in_failures.find_by_tail(name, failures, z, gate)


def ended_spike(baseline: WorkflowBaseline, name: str, failed: bool) -> Finding | None:
    """The end of an open spike: its z is below 1."""
    failures = baseline.failures
    z = failures.z(failed)
    if not z < _CLEARED_Z:
        return None
    return spike_in_failures.back_to_usual(
        name, failures.recent(failed), failures.observed_rate, z, failures.n, "below 1"
    )


def ended_durations(
    baseline: WorkflowBaseline, event: Completion, duration_s: float, findings: list[Finding]
) -> list[Finding]:
    """An incident of durations ends by three executions in a row within 1 sigma, or by the accepted level."""
    open_now = [place for place in (_POINT, _SHIFT) if place in baseline.incidents]
    if not open_now:
        return _NONE
    level = baseline.level
    found = any(TYPES[one.anomaly_type].is_timing for one in findings)
    baseline.calm = baseline.calm + 1 if -_CALM_Z < level.z < _CALM_Z and not found else 0
    if baseline.calm < _CALM_RUNS:
        return _NONE
    baseline.calm = 0
    name = wording.name_of(event)
    ends = {_POINT: unusual_execution_time.back_to_usual, _SHIFT: performance_degradation.back_at_level}
    return [ends[place](name, duration_s, level.expected, level.z, level.n) for place in open_now]


def _gates(assessment: Assessment, threshold: float) -> list[str]:
    if assessment.n < WARM:
        return [f"learning: {assessment.n} recorded durations, {WARM} are learned before one is evaluated"]
    expected, sigma = wording.duration(assessment.expected), wording.share(assessment.sigma)
    usual = f"usually {expected}, sigma {sigma}, z {assessment.z:.2f}"
    scores = [one for one in (assessment.point, assessment.shift) if one is not None]
    if not scores:
        return [f"{usual}: neither this execution nor the mean of the last {RECENT} is anomalous"]
    return [usual] + [f"{_describe(one)}: anomaly score {one.score:.2f}, alert above {threshold:.2f}" for one in scores]


def _describe(one: AnomalyScore) -> str:
    what = "this execution" if one.runs == 1 else f"the last {one.runs}"
    return f"{one.z:.2f} over {what}, {one.beyond} of {one.remembered} earlier readings deviated about as much"

"""Profile `robust`: few false alarms on real histories.

Where it departs from `classic`: durations on the log scale against an exponentially weighted level less the rhythm of
the day, how seldom a reading was seen beside how far off it is, level shifts distinguished from single readings,
incidents with an end, failures by a beta-binomial tail, nothing but streaks before 30 executions.
"""

from typing import Final

from mypy_extensions import i64

from stream_detector.detect import wording
from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.detect.finding import Finding
from stream_detector.detect.rules import (
    consecutive_failures,
    pattern_deviation,
    performance_degradation,
    spike_in_failures,
    unusual_execution_time,
)
from stream_detector.detect.statistics.failures import WARM as OUTCOMES_WARM
from stream_detector.detect.statistics.level import WARM, AnomalyScore, Assessment, Level
from stream_detector.detect.statistics.readings import RECENT
from stream_detector.events import Completion

BUDGET: Final = 2.15
"""An alarm needs a surprise above this: about one reading in 140. A quarter more for each feedback."""
_CALM_Z: Final = 1.0
_CALM_RUNS: Final = 3
_CLEARED_Z: Final = 1.0
_SPIKE_Z: Final = 2.0
_NONE: list[Finding] = []
_POINT: Final = (unusual_execution_time.NAME, 0)
_SHIFT: Final = (performance_degradation.NAME, 0)
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
    """Score one execution, then learn its duration and outcome; `baseline.streak` counts it already.

    Returns:
        The findings, and the endings of open incidents.
    """
    findings, ended = _NONE, _NONE
    if duration_s:
        level = baseline.level
        if not level.n and baseline.has_executions:
            _begin(level, baseline)
        assessment = level.update(duration_s, finished_ms, always=explain is not None)
        if assessment is not None or level.previous_level is not None:
            findings = _judge_duration(baseline, event, duration_s, assessment, explain)
    elif explain is not None:
        explain.append("no duration was recorded: the time is neither judged nor learned")
    if failed:
        findings = [*findings, *_judge_failure(baseline, event, explain)]
    if baseline.incidents:
        ended = _ended_failures(baseline, event, failed)
        if duration_s:
            ended += _ended_durations(baseline, event, duration_s, findings)
    baseline.failures.learn(failed)
    return findings, ended


def _judge_duration(
    baseline: WorkflowBaseline,
    event: Completion,
    duration_s: float,
    assessment: Assessment | None,
    explain: list[str] | None,
) -> list[Finding]:
    findings: list[Finding] = []
    level = baseline.level
    if assessment is not None:
        findings = _judge_tails(baseline, event, duration_s, assessment)
        if explain is not None:
            explain.extend(_gates(assessment, budget_of(baseline)))
    if level.previous_level is not None:
        findings.append(
            pattern_deviation.level_accepted(_name(event), level.expected, level.previous_level, duration_s)
        )
        level.previous_level = None
        if explain is not None:
            explain.extend(findings[-1].gates)
    return findings


def _begin(level: Level, baseline: WorkflowBaseline) -> None:
    """A key that was watched by `classic` so far: its last durations are the start."""
    history = baseline.history
    for after, duration_s in zip(history.times[-len(history.durations) :], history.durations, strict=True):
        finished_ms = history.base_ms + after
        if duration_s:
            level.update(duration_s, finished_ms, late=True)
    baseline.forget_executions()


def budget_of(baseline: WorkflowBaseline) -> float:
    """The least surprise of an alarm of this key."""
    return BUDGET * float(baseline.threshold_multiplier) if baseline.feedbacks else BUDGET


def _judge_tails(
    baseline: WorkflowBaseline, event: Completion, duration_s: float, assessment: Assessment
) -> list[Finding]:
    """A single reading is an unusual time, a mean of several a shift; each passes the budget or is nothing."""
    budget, name = budget_of(baseline), _name(event)
    findings: list[Finding | None] = []
    point, shift = assessment.point, assessment.shift
    if point is not None and point.size > budget:
        findings.append(unusual_execution_time.robust(name, duration_s, assessment, point, budget))
    if shift is not None and shift.size > budget:
        findings.append(performance_degradation.robust(name, duration_s, assessment, shift, budget))
    return [found for found in findings if found is not None]


def _judge_failure(baseline: WorkflowBaseline, event: Completion, explain: list[str] | None) -> list[Finding]:
    failures, name, findings = baseline.failures, _name(event), []
    if failures.n < OUTCOMES_WARM:
        if explain is not None:
            explain.append(f"learning: {failures.n} executions, a failure rate needs {OUTCOMES_WARM}")
    else:
        z, gate = failures.z(True), _SPIKE_Z * float(baseline.threshold_multiplier)
        recent = failures.recent(True)
        if explain is not None:
            explain.append(
                f"{recent} of the last 10 failed, usually {wording.share(failures.rate)}: "
                f"z {z:.2f}; the gate is {gate:.2f}"
            )
        found = spike_in_failures.robust(name, failures, z, gate)
        if found is not None:
            findings.append(found)
    streak = consecutive_failures.find_streak(name, baseline.streak, failures.rate)
    if explain is not None:
        explain.append(f"{baseline.streak} failures in a row; 3 and 5 are told")
    return findings if streak is None else [*findings, streak]


def _ended_durations(
    baseline: WorkflowBaseline, event: Completion, duration_s: float, findings: list[Finding]
) -> list[Finding]:
    """An incident of durations ends by three executions in a row within 1 sigma, or by the accepted level."""
    open_now = [place for place in (_POINT, _SHIFT) if place in baseline.incidents]
    if not open_now:
        return _NONE
    told = any(found.anomaly_type in ("UnusualExecutionTime", "PerformanceDegradation") for found in findings)
    baseline.calm = baseline.calm + 1 if -_CALM_Z < baseline.level.z < _CALM_Z and not told else 0
    if baseline.calm < _CALM_RUNS:
        return _NONE
    baseline.calm = 0
    name, level = _name(event), baseline.level
    ends = {_POINT: unusual_execution_time.time_back_to_usual, _SHIFT: performance_degradation.level_restored}
    return [ends[place](name, duration_s, level.expected, level.z, level.n) for place in open_now]


def _ended_failures(baseline: WorkflowBaseline, event: Completion, failed: bool) -> list[Finding]:
    ended = []
    if not failed and _STREAK in baseline.incidents:
        ended.append(consecutive_failures.streak_ended(_name(event)))
    if _SPIKE in baseline.incidents:
        z = baseline.failures.z(failed)
        if z < _CLEARED_Z:
            ended.append(spike_in_failures.spike_ended_robust(_name(event), baseline.failures, failed, z))
    return ended


def _gates(assessment: Assessment, budget: float) -> list[str]:
    if assessment.n < WARM:
        return [f"learning: {assessment.n} recorded durations, {WARM} are learned before one is judged"]
    expected, sigma = wording.duration(assessment.expected), wording.share(assessment.sigma)
    usual = f"usually {expected}, sigma {sigma}, z {assessment.z:.2f}"
    surprises = [one for one in (assessment.point, assessment.shift) if one is not None]
    if not surprises:
        return [f"{usual}: nothing to look at, neither of itself nor in the mean of the last {RECENT}"]
    return [usual] + [
        f"{_describe_score(one)}: surprise {one.size:.2f}, the budget is {budget:.2f}" for one in surprises
    ]


def _describe_score(one: AnomalyScore) -> str:
    what = "this execution" if one.runs == 1 else f"the last {one.runs}"
    return f"{one.value:.2f} over {what}, {one.beyond} of {one.of} before lay as far off"


def _name(event: Completion) -> str:
    return event.workflow_name or event.workflow_id

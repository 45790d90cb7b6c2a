"""One execution against its workflow's baseline: durations, failures, and the ends of open incidents.

The steps are those of both profiles; what each of them finds unusual is in `classic` and in `robust`.
"""

from typing import Final

from mypy_extensions import i64

from stream_detector.detect import classic, robust, wording
from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.detect.finding import Finding
from stream_detector.detect.rules import branch_failures, consecutive_failures, spike_in_failures
from stream_detector.detect.statistics.failures import WARM
from stream_detector.detect.variant_state import is_of_branches
from stream_detector.events import Completion

_NONE: Final[list[Finding]] = []
_STREAK: Final = (consecutive_failures.NAME, 0)
_SPIKE: Final = (spike_in_failures.NAME, 0)
_WARM: Final = WARM
COUNTS: Final = 0
"""An execution, or an attempt of one that is not known to be a further one."""
REPEATS: Final = 1
"""A further attempt of the last execution that leaves its outcome as it is."""
RECOVERS: Final = 2
"""A further attempt that succeeds after the last one has failed: a flaky execution, not a broken one."""


def judge(
    baseline: WorkflowBaseline,
    event: Completion,
    finished_ms: i64,
    failed: bool,
    duration_s: float,
    by_robust: bool,
    attempt: i64,
    explain: list[str] | None,
) -> tuple[list[Finding], list[Finding]]:
    """Score one execution; `baseline.streak` counts it already. Profile `robust` learns duration and outcome as well.

    Args:
        duration_s: 0 where none was recorded.
        by_robust: by profile `robust`, else by `classic`.
        attempt: `COUNTS`, `REPEATS` or `RECOVERS`: the outcome is judged and learned once an execution.

    Returns:
        The findings, and the ends of open incidents.
    """
    # 1. The duration.
    findings = _NONE
    if duration_s:
        if by_robust:
            findings = robust.judge_duration(baseline, event, finished_ms, duration_s, explain)
        else:
            findings = classic.judge_duration(baseline, event, finished_ms, duration_s, explain)
    elif explain is not None:
        explain.append("no duration was recorded: it is neither evaluated nor learned")
    # 2. The failure.
    if attempt == RECOVERS:
        baseline.failures.unlearn()
    if failed and attempt == COUNTS:
        findings = [*findings, *_judge_failure(baseline, event, finished_ms, by_robust, explain)]
    # 3. What has ended by it.
    ended = _NONE
    if baseline.incidents:
        ended = [] if attempt == REPEATS else _ended_failures(baseline, event, finished_ms, failed, by_robust)
        if by_robust and duration_s:
            ended += robust.ended_durations(baseline, event, finished_ms, duration_s, findings)
    # 4. Learn.
    if by_robust and attempt != REPEATS:
        baseline.failures.learn(failed)
    return findings, ended


def _judge_failure(
    baseline: WorkflowBaseline, event: Completion, finished_ms: i64, by_robust: bool, explain: list[str] | None
) -> list[Finding]:
    name = wording.name_of(event)
    if by_robust:
        spike, rate = robust.find_spike(baseline, name, explain), baseline.failures.rate
    else:
        spike, rate = classic.find_spike(baseline, name, finished_ms, explain), classic.failure_rate(baseline)
    known = _known_rate(baseline)
    if baseline.variant_state is not None and is_of_branches(event.variant):
        is_warm = not by_robust or baseline.failures.n >= _WARM
        found = branch_failures.judge(name, baseline.variant_state, baseline.streak, max(rate, known), is_warm, spike)
        if explain is not None:
            explain.extend(found.gates)
        return found.findings
    streak = consecutive_failures.find_streak(name, baseline.streak, rate, known)
    if explain is not None:
        explain.append(f"{baseline.streak} failures in a row; 3 and 5 are reported")
    return [found for found in (spike, streak) if found is not None]


def _known_rate(baseline: WorkflowBaseline) -> float:
    """The failure rate that was reported: of an open spike that had a streak already, or of the new normal; else 0."""
    spike = baseline.incidents.get(_SPIKE)
    if spike is None:
        spike = baseline.former.get(_SPIKE)
        is_known = spike is not None and spike.accepted
    else:
        is_known = spike.had_streak
    return spike.frozen.mean if spike is not None and is_known and spike.frozen is not None else 0.0


def _ended_failures(
    baseline: WorkflowBaseline, event: Completion, finished_ms: i64, failed: bool, by_robust: bool
) -> list[Finding]:
    """A streak ends by a success; a spike by the execution that `spike_in_failures.find_end` says."""
    ended: list[Finding] = []
    name, incidents = wording.name_of(event), baseline.incidents
    spike = incidents.get(_SPIKE)
    if spike is not None:
        if by_robust:
            end = spike_in_failures.robust_end(name, spike, baseline.failures, failed, finished_ms)
        else:
            end = classic.ended_spike(baseline, spike, name, finished_ms, failed)
        if end is not None:
            ended.append(end)
    if not failed and _STREAK in incidents:
        recent = 0
        if spike is not None and not ended:
            recent = baseline.failures.recent(failed) if by_robust else classic.recent_failures(baseline, failed)
        ended.append(consecutive_failures.streak_ended(name, recent))
    return ended

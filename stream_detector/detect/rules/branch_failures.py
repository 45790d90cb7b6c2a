"""Failures in the variants `pull request` and `branch`: somebody's daily work, unless several branches fail in a row.

A streak is reported as everywhere, by its third and its fifth failure, but as `info`; a spike as well. Where so many
different branches (label `branch`) fail in a row that the chance of it at the variant's own failure rate is below 3 in
10,000, the branch that makes it so is reported as `warning`, and the one that makes it less than 1 in 100,000 as
`critical`: what they share, an image or a service, is broken. At least 4 branches, 6 before the failure rate is known.
"""

from typing import NamedTuple

from msgspec.structs import replace
from mypy_extensions import i64

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding
from stream_detector.detect.rules import consecutive_failures
from stream_detector.detect.variant_state import LEAST_COLD, RARE, VERY_RARE, VariantState, branches_needed
from stream_detector.events import Severity

_LEVELS: tuple[Severity, ...] = ("info", "warning", "critical")


class BranchFailures(NamedTuple):
    """What one failure in such a variant led to, and why."""

    findings: list[Finding]
    gates: list[str]


def judge(
    name: str, state: VariantState, streak: i64, failure_rate: float, is_warm: bool, spike: Finding | None
) -> BranchFailures:
    """The findings for a failing execution, whose branch `state` knows already.

    Args:
        streak: failures in a row, with this one.
        failure_rate: the variant's own, or the one that was reported already, 0 to 1.
        is_warm: whether the failure rate is known.
        spike: the finding of a spike in failures, of the profile.
    """
    branches = state.failing_branches(streak)
    needed = branches_needed(failure_rate, RARE, is_warm)
    for_critical = max(branches_needed(failure_rate, VERY_RARE, is_warm), LEAST_COLD)
    level: i64 = (branches >= needed) + i64(branches >= for_critical)
    gate = (
        f"{branches} different branches failed in a row; at a failure rate of {wording.share(failure_rate)} {needed} "
        f"are a warning, {for_critical} are critical, fewer are info"
    )
    findings: list[Finding] = []
    if spike is not None:
        severity = min(spike.severity, _LEVELS[level], key=_LEVELS.index)
        findings.append(replace(spike, severity=severity, gates=[*spike.gates, gate]))
    is_rise = level > state.reported
    streak_finding = consecutive_failures.find_streak(name, streak, failure_rate, always=is_rise)
    if streak_finding is not None:
        described = streak_finding.description
        if branches > 1:
            described += f", on {branches} different branches"
        findings.append(
            replace(
                streak_finding,
                severity=_LEVELS[max(level, state.reported)],
                description=described,
                gates=[*streak_finding.gates, gate],
            )
        )
    if is_rise:
        state.reported = level
    return BranchFailures(findings, [gate])

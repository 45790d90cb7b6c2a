"""PatternDeviation: something that this workflow or score does not usually show.

Sub-rule drift: a score that moves away step by step, each step below the threshold: 7.5, 7.1, 6.7, 6.3. Page and
Hinkley's test (`statistics/page_hinkley`) in units of the score's threshold: allowance 0.1, limit 2, from the 3rd score
on; and the score must lie a threshold or more from the mean since the last reset. A significant change resets it,
because that move has been reported.

>>> drift_found("Lido", 6.3, 7.1, 0.5).description
'Lido drifts down: 6.3 now, 7.1 on average since the last change'
"""

from collections.abc import Sequence
from math import log10
from typing import Final

from stream_detector.detect import wording
from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.detect.finding import Finding
from stream_detector.detect.statistics.evidence import Evidence
from stream_detector.detect.statistics.level import ACCEPTED_AFTER
from stream_detector.detect.statistics.page_hinkley import LIMIT
from stream_detector.detect.statistics.tails import UNKNOWN, confidence, poisson_tail, rank_confidence, t_tail
from stream_detector.events import Completion, Step

NAME = "pattern_deviation"
DRIFT, ACCEPTED, SEQUENCE, SHARE, ARRIVAL = "drift", "accepted level", "sequence", "share", "arrival"
MISSING = "missing"


def drift_found(name: str, score: float, left: float, threshold: float, changes: Sequence[float] = ()) -> Finding:
    """The finding for a score that drifted away from `left`, the mean since its last reset and before this score.

    Args:
        changes: the sizes of this score's past moves, 30 at most.
    """
    moved = score - left
    return Finding(
        detector=NAME,
        anomaly_type="PatternDeviation",
        severity="info",
        description=f"{name} drifts {'up' if moved > 0 else 'down'}: {score:g} now, "
        f"{left:.4g} on average since the last change",
        current=score,
        baseline=left,
        deviation=moved,
        z=None,
        confidence=rank_confidence(abs(moved), changes),
        unit="points",
        direction="up" if moved > 0 else "down",
        gates=[
            f"no single change reached the threshold of {threshold:g}",
            f"the cumulated deviation is above {LIMIT * threshold:g} (Page-Hinkley)",
            f"{abs(moved):.4g} from the mean reaches the threshold of {threshold:g}",
        ],
        subject=DRIFT,
        threshold=threshold,
    )


def level_accepted(name: str, level: float, previous: float, duration_s: float) -> Finding:
    """The announcement that a level of durations was accepted as normal after the `previous` one, both in s."""
    return Finding(
        detector=NAME,
        anomaly_type="PatternDeviation",
        severity="info",
        description=f"{name} has a new usual time: {wording.duration(level)} instead of {wording.duration(previous)}",
        current=level,
        baseline=previous,
        deviation=level - previous,
        z=None,
        confidence=UNKNOWN,
        unit="s",
        direction="up" if level > previous else "down",
        gates=[
            f"{ACCEPTED_AFTER} executions in a row lay on one side of it, the last of {wording.duration(duration_s)}"
        ],
        subject=ACCEPTED,
    )


_LEARNED: Final = 30
_SHARE_Z: Final = 6.0
_SHARE_LEAST: Final = 0.2
_LEAST_SPREAD: Final = 0.01
"""Of a share, where it never moved: a point."""


def judge(
    baseline: WorkflowBaseline, event: Completion, failed: bool, explain: list[str] | None
) -> tuple[list[Finding], list[Finding]]:
    """Score the count of the day so far, and the steps of a good execution; none of it opens an incident."""
    found: list[Finding] = []
    name = wording.name_of(event)
    volume = baseline.days.volume_spike()
    if volume is not None:
        found.append(volume_spiked(name, *volume))
    if event.steps and not failed:
        found += find_step_deviations(name, event.steps, baseline.evidence, explain)
    return found, []


def find_step_deviations(name: str, steps: list[Step], evidence: Evidence, explain: list[str] | None) -> list[Finding]:
    """What a good execution's steps show that the last ones did not, from 30 executions with steps on.

    Sub-rule sequence: the names in their order are none of the last four sequences. Sub-rule share: a step's share of
    all steps' time lies 20 points and six mean deviations off its usual one; the step that is furthest off is reported.
    """
    if evidence.n < _LEARNED:
        if explain is not None:
            explain.append(f"learning: {evidence.n} successful executions with steps, {_LEARNED} are learned first")
        return []
    found = []
    seen = evidence.observe(steps)
    if evidence.is_new(seen.names.sequence):
        found.append(_sequence(name, steps, evidence))
    furthest = evidence.furthest(seen, _SHARE_LEAST, _SHARE_Z) if seen.total_s > 0.0 else -1
    expected = evidence.expected_share(steps[furthest].name) if furthest >= 0 else None
    if expected is not None:
        found.append(_share(name, steps[furthest], evidence.n, seen.durations_s[furthest] / seen.total_s, *expected))
    if explain is not None:
        explain.extend(gate for one in found for gate in one.gates)
    return found


def _sequence(name: str, steps: list[Step], evidence: Evidence) -> Finding:
    new = [step.name for step in steps if evidence.expected_share(step.name) is None]
    what = f"step {new[0]} is new" if new else f"{len(steps)} steps, in an order or number that is new"
    return Finding(
        detector=NAME,
        anomaly_type="PatternDeviation",
        severity="info",
        description=f"{name} ran a sequence of steps that its last executions did not show: {what}",
        current=float(len(steps)),
        baseline=float(len(steps)),
        deviation=0.0,
        z=None,
        confidence=confidence(log10(1 + evidence.n)),  # none of so many was like it
        unit="steps",
        direction="up",
        gates=[
            f"{evidence.n} good executions with steps are {_LEARNED} or more",
            f"the sequence is none of the last {len(evidence.sequences) // 4} different ones",
        ],
        subject=SEQUENCE,
    )


def _share(name: str, step: Step, n: int, share: float, expected: float, spread: float) -> Finding:
    return Finding(
        detector=NAME,
        anomaly_type="PatternDeviation",
        severity="info",
        description=f"step {step.name} took {wording.share(share)} of {name}'s time, usually {wording.share(expected)}",
        current=share,
        baseline=expected,
        deviation=share - expected,
        z=None,
        confidence=confidence(t_tail((share - expected) / max(spread, _LEAST_SPREAD), n)),
        unit="ratio",
        direction="up" if share > expected else "down",
        gates=[
            f"{wording.share(abs(share - expected))} off is {wording.share(_SHARE_LEAST)} or more",
            f"and above {_SHARE_Z:.0f} mean deviations of {wording.share(spread)}",
        ],
        subject=f"{SHARE} {step.name}"[:512],
    )


def volume_spiked(name: str, count: int, busiest: int, days: int) -> Finding:
    """Sub-rule arrival: more executions in a day than three times the busiest of the closed days."""
    return Finding(
        detector=NAME,
        anomaly_type="PatternDeviation",
        severity="info",
        description=f"{name} has run {count} times today already; its busiest of {days} days before had {busiest}",
        current=float(count),
        baseline=float(busiest),
        deviation=float(count - busiest),
        z=None,
        confidence=confidence(poisson_tail(count, max(busiest, 1))),
        unit="runs",
        direction="up",
        gates=[f"{count} executions in a day are three times {busiest} or more, the busiest of {days} days"],
        subject=ARRIVAL,
    )


def entity_missing(name: str, previous_run: str, run: str, before: int, gone: int) -> Finding:
    """Sub-rule missing: a completed run lacks an entity that the last run of its kind had, of `before` entities."""
    return Finding(
        detector=NAME,
        anomaly_type="PatternDeviation",
        severity="info",
        description=f"{name} is missing from run {run}; run {previous_run} had it",
        current=0.0,
        baseline=1.0,
        deviation=-1.0,
        z=None,
        confidence=confidence(log10((1 + before) / (1 + gone))),  # so many of them are here
        unit="scores",
        direction="down",
        gates=[
            f"run {run} has completed, and {previous_run} is the last run of its kind before it",
            f"{before - gone} of the {before} entities of run {previous_run} are here, half of them or more",
        ],
        subject=MISSING,
    )


def entity_came(name: str, run: str) -> Finding:
    """The end of sub-rule missing: the entity came after the end of its run."""
    return Finding(
        detector=NAME,
        anomaly_type="PatternDeviation",
        severity="info",
        description=f"{name} was missing from run {run} when it ended, and came later",
        current=1.0,
        baseline=1.0,
        deviation=0.0,
        z=None,
        confidence=1.0,
        unit="scores",
        direction="up",
        gates=[f"run {run} has a score of {name}, or one that was refused"],
        subject=MISSING,
    )

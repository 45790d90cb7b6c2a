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
from stream_detector.detect.statistics.evidence import OTHER_SET, SAME, STABLE, Evidence, ObservedSteps
from stream_detector.detect.statistics.level import ACCEPTED_AFTER
from stream_detector.detect.statistics.page_hinkley import LIMIT
from stream_detector.detect.statistics.tails import UNKNOWN, confidence, poisson_tail, rank_confidence, t_tail
from stream_detector.events import Completion, Step
from stream_detector.events.anomaly_types import TYPES

NAME = "pattern_deviation"
DRIFT, ACCEPTED, SEQUENCE, SHARE, ARRIVAL = "drift", "accepted level", "sequence", "share", "arrival"
MISSING = "missing"
CLOCK = "clock"


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
_MOST_NAMED: Final = 3
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

    Sub-rule sequence: the steps are none of the last four sets, or a set whose order has been the same for 30
    executions comes in another one. Sub-rule share, where the steps are the usual ones: a step's share of all steps'
    time lies 20 points and six mean deviations off; the one that is furthest off is reported, and once.
    """
    if evidence.n < _LEARNED:
        if explain is not None:
            explain.append(f"learning: {evidence.n} successful executions with steps, {_LEARNED} are learned first")
        return []
    found = []
    seen = evidence.observe(steps)
    change = evidence.compare(seen)
    if change != SAME:
        found.append(_sequence(name, seen, evidence, change))
    else:
        furthest = evidence.furthest(seen, _SHARE_LEAST, _SHARE_Z) if seen.total_s > 0.0 else -1
        expected = evidence.expected_share(steps[furthest].name) if furthest >= 0 else None
        if expected is not None:
            share = seen.durations_s[furthest] / seen.total_s
            found.append(_share(name, steps[furthest], evidence.n, share, *expected))
            evidence.accept_shares(seen, _SHARE_LEAST, _SHARE_Z)
    if explain is not None:
        explain.extend(gate for one in found for gate in one.gates)
    return found


def without_repeats(found: list[Finding], others: list[Finding]) -> list[Finding]:
    """Without the steps that take another share of a time that is unusual itself: it is the same shift."""
    if not any(TYPES[one.anomaly_type].is_timing for one in others):
        return found
    return [one for one in found if not one.subject.startswith(f"{SHARE} ")]


def _sequence(name: str, seen: ObservedSteps, evidence: Evidence, change: int) -> Finding:
    count, before = len(seen.steps), evidence.nearest_set(seen)[0]
    if change == OTHER_SET:
        words = [_names("missing", evidence.missing(seen)), _names("new", evidence.new(seen))]
        what = "; ".join(filter(None, words)) or f"{count} steps, {before} before"
        description = f"{name} ran other steps than its last executions: {what}"
        gate = "its steps are none of the sets of steps that the last executions had"
    else:
        moved = moved_steps(seen)
        description = f"{name} ran its steps in another order{': ' if moved else ''}{_names('moved', moved)}"
        gate = f"its steps came in one order in the last {STABLE} executions or more, and now in another"
    return Finding(
        detector=NAME,
        anomaly_type="PatternDeviation",
        severity="info",
        description=description,
        current=float(count),
        baseline=float(before),
        deviation=float(count - before),
        z=None,
        confidence=confidence(log10(1 + evidence.n)),  # none of so many was like it
        unit="steps",
        direction="up" if count >= before else "down",
        gates=[f"{evidence.n} good executions with steps are {_LEARNED} or more", gate],
        subject=SEQUENCE,
    )


def _names(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{what} {', '.join(names[:_MOST_NAMED])}{more}"


def moved_steps(seen: ObservedSteps) -> list[str]:
    """The fewest steps without which the others come in the order in which they first came; none where most moved."""
    known = [index for index in range(len(seen.steps)) if seen.places[index] >= 0]
    places = [int(seen.places[index]) for index in known]
    names = [seen.steps[index].name for index in known]
    best: list[list[int]] = []  # of each, the longest rising row of places that ends with it
    for index, place in enumerate(places):
        before = [row for row in best if places[row[-1]] < place]
        best.append([*max(before, key=len, default=[]), index])
    kept = max(best, key=len, default=[])
    moved = [name for index, name in enumerate(names) if index not in kept]
    return moved if 2 * len(moved) <= len(names) else []


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


def first_step(found: Finding) -> str | None:
    """What to look at first: who started so many, which clock, or what was done to the steps."""
    if found.subject == ARRIVAL:
        return "See who or what started the executions of today: a schedule, a loop, retries, or many changes at once"
    if found.subject == CLOCK:
        return "Correct the clock, or the time zone, of what published the event of that date: others are late by it"
    if found.subject == SEQUENCE:
        return "See in the workflow's definition whether its steps were changed on purpose"
    return None


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


def clock_was_ahead(name: str, ahead_ms: int, now_ms: int, needed: int, what: str) -> Finding:
    """Sub-rule clock: the newest event was ahead of its time, by so many in a row that came before it by both clocks.

    Args:
        ahead_ms: when the newest was dated, epoch ms.
        now_ms: when the last of those is, which is the newest from now on.
        needed: how many those are.
        what: what they are, in the plural.
    """
    ahead_s = (ahead_ms - now_ms) / 1000
    return Finding(
        detector=NAME,
        anomaly_type="PatternDeviation",
        severity="info",
        description=f"{name} is evaluated again from {wording.instant(now_ms)} on: an earlier event was dated "
        f"{wording.instant(ahead_ms)}, by a clock that was ahead",
        current=ahead_s,
        baseline=0.0,
        deviation=ahead_s,
        z=None,
        confidence=UNKNOWN,
        unit="s",
        direction="up",
        gates=[
            f"{needed} {what} in a row are dated more than an hour before it",
            "and the timestamps of their records are more than 10 minutes before that of its record",
        ],
        subject=CLOCK,
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
        end_reason="recovered",
    )

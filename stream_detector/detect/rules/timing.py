"""What the two rules about execution time share: gates in words, severities, and the end of an incident."""

from math import exp, log, sqrt
from typing import Final, NamedTuple

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding, ended
from stream_detector.detect.incident import Frozen, Incident
from stream_detector.detect.statistics.level import (
    ACCEPTED_AFTER,
    ACCEPTED_MS,
    FLOOR,
    POINT_FROM,
    SHIFT_FROM,
    WARM,
    AnomalyScore,
    Assessment,
    Level,
    Q,
    root_of,
)
from stream_detector.detect.statistics.readings import RECENT
from stream_detector.detect.statistics.rhythm import frozen_offset
from stream_detector.detect.statistics.tails import UNKNOWN, confidence, t_tail
from stream_detector.events import AnomalyType
from stream_detector.events.anomaly import EndReason

CRITICAL_MORE: Final = 0.75
"""A score so much above the threshold is `critical`: five times rarer."""
_CALM_Z: Final = 1.0
_CALM_RUNS: Final = 3
_MOST_Z: Final = 4.0
_SHIFT: Final = "performance_degradation"
_WEIGHT: Final = 2.0 / (RECENT + 1)
"""Of the newest z in the mean since the opening: as if over 12."""
_CALM_MEAN: Final = 0.5 * SHIFT_FROM / sqrt(RECENT)
"""Half of the mean z from which on a shift is looked for."""
_STEADY: Final = 0.5
"""A level that stays within half a sigma does not move: by chance alone one over 30 readings moves by a quarter."""


def history_gates(mean: float, spread: float, n: int) -> list[str]:
    """Profile `classic`: the gates that every duration passed before its z was looked at."""
    return [
        f"{n} recorded durations are 10 or more",
        f"their spread, {wording.duration(spread)} around {wording.duration(mean)}, is above 0",
    ]


def score_gates(distance: str, assessment: Assessment, score: AnomalyScore, threshold: float) -> list[str]:
    """Profile `robust`: the gates of an anomaly score; `distance` says how far off the reading or mean lies."""
    return [
        f"{assessment.n} recorded durations are {WARM} or more",
        distance,
        f"{score.beyond} of {score.remembered} remembered executions lay as far off, or nearly",
        f"surprise {score.score:.2f} is above {threshold:.2f}",
    ]


class End(NamedTuple):
    """Which incident of durations is asked about: the rule that opened it, its type and subject, and its workflow."""

    detector: str
    anomaly_type: AnomalyType
    subject: str
    name: str


def freeze(level: Level, assessment: Assessment, one: AnomalyScore, at_ms: int) -> Frozen:
    """What an incident keeps that a point anomaly or a level shift opens: level and sigma, in log units, before it.

    Args:
        level: it has learned the reading already.
        one: the score that opens the incident.
    """
    side, offsets = (1.0 if one.z > 0 else -1.0), level.rhythm.frozen()
    before, mean = log(assessment.expected + Q) - frozen_offset(offsets, at_ms), 0.0
    if one.runs > 1:
        began = level.before_shift(before, assessment.sigma, one)
        mean = min(abs(one.z) / root_of(one.runs) + max(side * (before - began) / assessment.sigma, 0.0), _MOST_Z)
        before = began
    frozen = Frozen(before, assessment.sigma, side, mean, offsets)
    if one.runs > 1:
        frozen.since_s = level.shift_since_s(side)
    return frozen


def usual_s(frozen: Frozen, at_ms: int) -> float:
    """What an execution at that time was expected to take by the level that was frozen."""
    return max(exp(frozen.baseline + frozen_offset(frozen.offsets, at_ms)) - Q, 0.0)


def freeze_now(level: Level, side: float) -> Frozen:
    """What an incident keeps that a version opened which froze nothing: level and sigma of today."""
    return Frozen(level.level, max(sqrt(level.variance), FLOOR), side, 0.0, level.rhythm.frozen())


def find_end(
    incident: Incident,
    frozen: Frozen,
    level: Level,
    duration_s: float,
    at_ms: int,
    found: bool,
    end: End,
) -> Finding | None:
    """The end of an incident of durations, if this execution ends it.

    recovered: for three executions in a row, on the incident's side, what opened it is inside the gates of the level
    frozen at the opening, and they lie within 1 sigma of today's. Of a lone reading the gate is the least z that can
    alert; of a shift 1 sigma, and half of the least mean that can, for as many executions in a row as the mean is over.

    new_normal: the level has stayed in its place for 25 executions and a day or more, outside of the frozen one's
    sigma, and this execution lies within 1 sigma of it.

    Args:
        level: it has learned the execution already.
        found: whether the execution is anomalous itself.
    """
    side, sigma = frozen.gate, max(sqrt(level.variance), FLOOR)
    offset = frozen_offset(frozen.offsets, at_ms)
    z = side * (log(duration_s + Q) - offset - frozen.baseline) / frozen.spread
    frozen.follow(min(max(z, -_MOST_Z), _MOST_Z), _WEIGHT)
    is_shift = end.detector == _SHIFT
    is_calm = z < (_CALM_Z if is_shift else POINT_FROM) and side * level.z < _CALM_Z and not found
    calm = frozen.count_calm(is_calm, _CALM_RUNS)
    is_quiet = level.is_settled and not found
    if is_shift:  # not while the level still follows: some readings by chance near it make what goes on no news
        is_quiet = is_quiet and side * level.recent_mean_z < _CALM_MEAN
    frozen.note_quiet(is_quiet, _CALM_RUNS)
    steady = frozen.is_steady(level.level, _STEADY * sigma, at_ms, ACCEPTED_AFTER, ACCEPTED_MS)
    before_s = usual_s(frozen, at_ms)
    is_inside = frozen.count_inside(frozen.mean < _CALM_MEAN, RECENT)
    if calm and (is_inside or not is_shift):
        return recovered(end, duration_s, before_s, side * z, level.n)
    if not steady or found or not level.is_settled:
        return None
    if is_shift and frozen.mean < _CALM_MEAN:  # it is on its way back: who comes first, level or readings, is chance
        return None
    off = (level.level - frozen.baseline) / frozen.spread
    if side * off < (_CALM_MEAN if is_shift else _CALM_Z):
        return recovered(end, duration_s, before_s, side * z, level.n)
    return _new_normal(end, incident, level.expected, before_s, off)


def recovered(end: End, duration_s: float, before_s: float, z: float, n: int) -> Finding:
    """The end of an incident whose readings are back: `before_s` is by the level frozen at its opening."""
    description = (
        f"{end.name} takes its usual time again: {wording.duration(duration_s)}, "
        f"usually {wording.duration(before_s)} before it began"
    )
    gates = [f"{_CALM_RUNS} executions in a row are inside the gates of the level at the opening, and of today's"]
    sure = confidence(t_tail(z, n))
    return _ended(end, description, "recovered", gates, duration_s, before_s, z, sure)


def _new_normal(end: End, incident: Incident, now_s: float, before_s: float, off: float) -> Finding:
    description = (
        f"{end.name} has a new usual time since {wording.instant(incident.since_ms)}: "
        f"{wording.duration(now_s)}, before {wording.duration(before_s)}"
    )
    gates = [
        f"{ACCEPTED_AFTER} executions or more, over a day or more, have not moved the level by half a sigma",
        f"it lies {abs(off):.1f} sigma from the level at the opening",
    ]
    return _ended(end, description, "new_normal", gates, now_s, before_s, off, UNKNOWN)


def _ended(
    end: End,
    description: str,
    end_reason: EndReason,
    gates: list[str],
    current_s: float,
    before_s: float,
    z: float,
    sure: float,
) -> Finding:
    return ended(
        end.detector,
        end.anomaly_type,
        description,
        end_reason,
        gates,
        current=current_s,
        usual=before_s,
        unit="s",
        direction="up" if z > 0 else "down",
        z=z,
        confidence=sure,
        subject=end.subject,
    )

"""SpikeInFailures: this workflow fails much more often lately than its own history says.

Profile `classic` (W7), on a failing execution: r = failure rate of the last 10 outcomes, the current one among them;
p = (f + 1) / (n + 2) (Laplace's rule of succession) of the up to 30 before them, n >= 10;
z = (r - p) / sqrt(p (1 - p) / 10) > 2.

>>> z_of(4, 1, 30)
4.409081537009722
"""

from math import sqrt
from typing import NamedTuple

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding, ended, severity_of
from stream_detector.detect.incident import MEAN_OF_OUTCOMES, Frozen, Incident
from stream_detector.detect.statistics.failures import (
    LEAST,
    PRIOR_FAILURES,
    PRIOR_SUCCESSES,
    WARM,
    Failures,
    upper_tail,
)
from stream_detector.detect.statistics.failures import z_of as rarity_of
from stream_detector.detect.statistics.tails import UNKNOWN, confidence, normal_tail, t_tail
from stream_detector.events.anomaly import EndReason

NAME = "spike_in_failures"
CLEARED_Z = 1.0
"""Half of the gate: a rate that lies at the gate itself would open and end by turns."""
_STEADY = 0.08
_AGREE = 0.06
"""A failure rate no longer moves where it stays within so much for 30 executions, and within this of a faster mean: of
simulated rates that rise from 10 to 90 % over 200 executions none is accepted before its end, of constant ones of 30
and 60 % all, after 175 and 232 executions (medians of 200)."""
RECENT, BEFORE, LEAST_BEFORE = 10, 30, 10
_WELL = 2
"""With more of the last 10 failing nothing has recovered, however usual that is."""


def z_of(recent_failures: int, failures: float, n: float) -> float:
    """How far the rate of the last 10 lies above that of the `n` before them, in standard deviations."""
    p = (failures + 1) / (n + 2)
    return (recent_failures / RECENT - p) / sqrt(p * (1 - p) / RECENT)


def find_by_z(name: str, *, recent_failures: int, failures: int, n: int, z: float, gate: float) -> Finding:
    """Profile `classic`: the finding for a failing execution whose z is above `gate`."""
    smoothed = (failures + 1) / (n + 2)
    recent, usual = wording.share(recent_failures / RECENT), wording.share(smoothed)
    description = f"{name} failed {recent_failures} of its last {RECENT} executions; before, {failures} of {n}"
    gates = [
        f"{n} executions before the last {RECENT} are {LEAST_BEFORE} or more",
        f"the failure rate {recent} against {usual} (one success and one failure added) has z {z:.2f}, "
        f"above {gate:.2f}",
    ]
    frozen = Frozen(float(failures), float(n), float(recent_failures), recent_failures / RECENT)
    return _found(description, gates, recent_failures, failures / n, z, t_tail(z, n), gate, frozen)


def find_by_tail(name: str, failures: Failures, z: float, gate: float) -> Finding | None:
    """Profile `robust`: the beta-binomial tail of the last 10 outcomes, of which two or more failed."""
    recent, rate = failures.recent(True), failures.observed_rate
    if recent < LEAST or not z > gate:
        return None
    usually = f"usually {wording.share(rate)} fail" if rate else "none of those before failed"
    description = f"{name} failed {recent} of its last {RECENT} executions; {usually}"
    gates = [
        f"{recent} failures among the last {RECENT} are {LEAST} or more",
        f"so many are expected with z {z:.2f} under the usual rate (beta-binomial), above {gate:.2f}",
    ]
    frozen = Frozen(failures.failed, failures.counted, float(recent), recent / RECENT)
    return _found(description, gates, recent, rate, z, normal_tail(z), gate, frozen)


def _found(
    description: str, gates: list[str], recent: int, rate: float, z: float, tail: float, gate: float, frozen: Frozen
) -> Finding:
    return Finding(
        detector=NAME,
        anomaly_type="SpikeInFailures",
        severity=severity_of(z),
        description=description,
        current=recent / RECENT,
        baseline=rate,
        deviation=recent / RECENT - rate,
        z=z,
        confidence=confidence(tail),
        unit="ratio",
        direction="up",
        gates=gates,
        opens_incident=True,
        threshold=gate,
        frozen=frozen,
    )


class Spike(NamedTuple):
    """An open spike at one execution, by the profile's own statistic.

    Attributes:
        recent: failures among the last 10.
        rate: the usual failure rate of today, 0 to 1.
        z: of `recent` under today's usual rate, `frozen_z` under the one frozen at the opening.
        limit, calm: what `z` and `frozen_z` must not exceed.
        n: executions behind today's usual rate.
    """

    recent: int
    rate: float
    z: float
    frozen_z: float
    limit: float
    calm: float
    n: int


def find_end(name: str, incident: Incident, frozen: Frozen, now: Spike, *, is_accepted: bool) -> Finding | None:
    """The end of a spike, if this execution ends it.

    recovered: for 10 readings in a row the last 10 lay within half of the gate of the rate frozen at the opening, and
    now they do of today's, and two of them failed at most. new_normal: they lie within today's, and `is_accepted`.

    Args:
        frozen: `baseline` of `spread` executions failed before the opening.
        is_accepted: whether today's usual rate no longer moves.
    """
    usual = frozen.baseline / frozen.spread if frozen.spread else 0.0
    frozen.note_quiet(now.z <= now.limit, 1)
    frozen.worse = now.recent > frozen.gate
    frozen.gate = max(frozen.gate, float(now.recent))
    is_inside = frozen.count_inside(now.frozen_z <= now.calm, RECENT)
    if is_inside and now.z <= now.limit and now.recent <= _WELL:
        usually = f"usually {wording.share(usual)} fail" if usual else "none of those before it began failed"
        description = f"{name} is back to its usual failure rate: {now.recent} of its last {RECENT} failed; {usually}"
        gates = [
            f"z {now.frozen_z:.2f} against the failure rate at the opening was not above {now.calm:.2f} for {RECENT} "
            f"executions",
            f"z {now.z:.2f} against today's is not either, and at most {_WELL} of the last {RECENT} failed",
        ]
        # By the tail alone it would be -8 where none of the last 10 failed.
        z = max(now.frozen_z, z_of(now.recent, frozen.baseline, frozen.spread))
        return _ended(description, gates, now.recent / RECENT, usual, z, "recovered")
    if not is_accepted or now.z > now.limit:
        return None
    was = f"before, {wording.share(usual)} did" if usual else "before, none did"
    if usual and now.rate <= usual + _STEADY:
        description = f"{name} fails as often as before it began, which is often: {wording.share(now.rate)} fail; {was}"
        still = "is not either, but more of the last 10 failed than of a workflow that is well"
    else:
        since = wording.instant(incident.since_ms)
        description = f"{name} has a new usual failure rate since {since}: {wording.share(now.rate)} fail; {was}"
        still = "still is"
    gates = [
        f"z {now.z:.2f} against today's failure rate is not above {now.limit:.2f}, and the rate no longer moves",
        f"z {now.frozen_z:.2f} against the rate at the opening {still}",
    ]
    return _ended(description, gates, now.rate, usual, now.frozen_z, "new_normal")


def _ended(
    description: str, gates: list[str], current: float, usual: float, z: float, end_reason: EndReason
) -> Finding:
    sure = confidence(normal_tail(z)) if end_reason == "recovered" else UNKNOWN
    return ended(
        NAME,
        "SpikeInFailures",
        description,
        end_reason,
        gates,
        current=current,
        usual=usual,
        unit="ratio",
        z=z,
        confidence=sure,
    )


def robust_end(name: str, incident: Incident, failures: Failures, failed: bool, at_ms: int) -> Finding | None:
    """Profile `robust`: the end of an open spike by this execution, which `failures` has not learned yet."""
    frozen = incident.frozen
    if frozen is None:  # opened by a version that froze nothing
        frozen = incident.frozen = Frozen(failures.failed, failures.counted, 0.0, failures.recent(failed) / RECENT)
    recent, rate = failures.recent(failed), failures.observed_rate
    successes = frozen.spread - frozen.baseline
    tail = upper_tail(recent, frozen.baseline + PRIOR_FAILURES, successes + PRIOR_SUCCESSES)
    now = Spike(recent, rate, failures.z(failed), rarity_of(tail), CLEARED_Z, CLEARED_Z, failures.n)
    frozen.follow(float(failed), MEAN_OF_OUTCOMES)
    steady = frozen.is_steady(rate, _STEADY, at_ms, WARM, 0)
    agrees = frozen.count_calm(abs(frozen.mean - rate) <= _AGREE, WARM)
    return find_end(name, incident, frozen, now, is_accepted=steady and agrees)

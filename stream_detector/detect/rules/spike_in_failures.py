"""SpikeInFailures: this workflow fails much more often lately than its own history says.

Profile `classic` (W7), on a failing execution: r = failure rate of the last 10 outcomes, the current one among them;
p = (f + 1) / (n + 2) (Laplace's rule of succession) of the up to 30 before them, n >= 10;
z = (r - p) / sqrt(p (1 - p) / 10) > 2.

>>> z_of(4, 1, 30)
4.409081537009722
"""

from math import sqrt

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding, severity_of
from stream_detector.detect.statistics.failures import LEAST, Failures
from stream_detector.detect.statistics.tails import confidence, normal_tail, t_tail

NAME = "spike_in_failures"
RECENT, BEFORE, LEAST_BEFORE = 10, 30, 10


def z_of(recent_failures: int, failures: int, n: int) -> float:
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
    return _found(description, gates, recent_failures, failures / n, z, t_tail(z, n), gate)


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
    return _found(description, gates, recent, rate, z, normal_tail(z), gate)


def _found(
    description: str, gates: list[str], recent: int, rate: float, z: float, tail: float, threshold: float
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
        threshold=threshold,
    )


def back_to_usual(name: str, recent: int, rate: float, z: float, n: int, gate: str) -> Finding:
    """The end of a spike.

    Args:
        recent: failures among the last 10.
        rate: the usual failure rate, 0 to 1, from `n` executions.
        gate: what z passed, in words.
    """
    return Finding(
        detector=NAME,
        anomaly_type="SpikeInFailures",
        severity="info",
        description=f"{name} is back to its usual failure rate: {recent} of its last {RECENT} failed",
        current=recent / RECENT,
        baseline=rate,
        deviation=recent / RECENT - rate,
        z=z,
        confidence=confidence(normal_tail(z)),
        unit="ratio",
        direction="down",
        gates=[f"z {z:.2f} of the failure rate is {gate}"],
        opens_incident=True,
    )

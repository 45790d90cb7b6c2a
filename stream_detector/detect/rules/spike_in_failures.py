"""SpikeInFailures: this workflow fails much more often lately than its own history says.

Profile `classic` (W7), on a failing execution: r = failure rate of the last 10 outcomes, the current one among them;
p = (f + 1) / (n + 2) (Laplace's rule of succession) of the up to 30 before them, n >= 10;
z = (r - p) / sqrt(p (1 - p) / 10) > 2.

>>> z_of(4, 1, 30)
4.409081537009722
"""

from math import sqrt

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding, confidence, one_sided, severity_of
from stream_detector.detect.statistics.failures import LEAST, Failures

NAME = "spike_in_failures"
RECENT, BEFORE, LEAST_BEFORE = 10, 30, 10


def z_of(recent_failures: int, failures: int, n: int) -> float:
    """How far the rate of the last 10 lies above that of the `n` before them, in standard deviations."""
    p = (failures + 1) / (n + 2)
    return (recent_failures / RECENT - p) / sqrt(p * (1 - p) / RECENT)


def classic(name: str, *, recent_failures: int, failures: int, n: int, z: float, gate: float) -> Finding:
    """The finding for a failing execution whose z is above `gate`."""
    usual = (failures + 1) / (n + 2)
    return Finding(
        detector=NAME,
        anomaly_type="SpikeInFailures",
        severity=severity_of(z),
        description=f"{name} failed {recent_failures} of its last {RECENT} executions; before, {failures} of {n}",
        current=recent_failures / RECENT,
        baseline=usual,
        deviation=recent_failures / RECENT - usual,
        z=z,
        confidence=confidence(one_sided(z), n),
        unit="ratio",
        direction="up",
        gates=[
            f"{n} executions before the last {RECENT} are {LEAST_BEFORE} or more",
            f"the failure rate {wording.share(recent_failures / RECENT)} against {wording.share(usual)} "
            f"(one success and one failure added) has z {z:.2f}, above {gate:.2f}",
        ],
        opens_incident=True,
        threshold=gate,
    )


def spike_ended(name: str, *, recent_failures: int, failures: int, n: int, z: float) -> Finding:
    """The end of a spike: its z no longer passes."""
    usual = (failures + 1) / (n + 2)
    return Finding(
        detector=NAME,
        anomaly_type="SpikeInFailures",
        severity="info",
        description=f"{name} is back to its usual failure rate: {recent_failures} of its last {RECENT} failed",
        current=recent_failures / RECENT,
        baseline=usual,
        deviation=recent_failures / RECENT - usual,
        z=z,
        confidence=confidence(1.0 - one_sided(z), n),
        unit="ratio",
        direction="down",
        gates=[f"z {z:.2f} of the failure rate is no longer above the gate"],
        opens_incident=True,
    )


def robust(name: str, failures: Failures, z: float, gate: float) -> Finding | None:
    """Profile `robust`: the beta-binomial tail of the last 10 outcomes, of which two or more failed."""
    recent = failures.recent(True)
    if recent < LEAST or not z > gate:
        return None
    return Finding(
        detector=NAME,
        anomaly_type="SpikeInFailures",
        severity=severity_of(z),
        description=f"{name} failed {recent} of its last {RECENT} executions; "
        f"usually {wording.share(failures.rate)} fail",
        current=recent / RECENT,
        baseline=failures.rate,
        deviation=recent / RECENT - failures.rate,
        z=z,
        confidence=confidence(one_sided(z), failures.n),
        unit="ratio",
        direction="up",
        gates=[
            f"{recent} failures among the last {RECENT} are {LEAST} or more",
            f"so many are expected with z {z:.2f} under the usual rate (beta-binomial), above {gate:.2f}",
        ],
        opens_incident=True,
        threshold=gate,
    )


def spike_ended_robust(name: str, failures: Failures, failed: bool, z: float) -> Finding:
    """The end of a spike in profile `robust`: its z is below 1."""
    recent = failures.recent(failed)
    return Finding(
        detector=NAME,
        anomaly_type="SpikeInFailures",
        severity="info",
        description=f"{name} is back to its usual failure rate: {recent} of its last {RECENT} failed",
        current=recent / RECENT,
        baseline=failures.rate,
        deviation=recent / RECENT - failures.rate,
        z=z,
        confidence=confidence(1.0 - one_sided(z), failures.n),
        unit="ratio",
        direction="down",
        gates=[f"z {z:.2f} of the failure rate is below 1"],
        opens_incident=True,
    )

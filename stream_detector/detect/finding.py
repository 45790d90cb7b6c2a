"""What a detector hands back: one anomalous reading in numbers and words, before it has an id or an incident."""

from math import erfc, sqrt
from typing import Literal

from msgspec import Struct

from stream_detector.events import AnomalyType, Metrics, Severity

_ROOT_2 = sqrt(2.0)


class Finding(Struct, frozen=True, gc=False, kw_only=True):
    """One anomalous reading. `opens_incident`: it belongs to an incident with an end, else it stands by itself."""

    detector: str
    anomaly_type: AnomalyType
    severity: Severity
    description: str
    current: float
    baseline: float
    deviation: float
    z: float | None
    confidence: float
    unit: str
    direction: Literal["up", "down"]
    gates: list[str]
    opens_incident: bool = False
    subject: str = ""
    threshold: float | None = None


def metrics_of(finding: Finding) -> Metrics:
    """The numbers of a finding."""
    return Metrics(
        current_value=finding.current,
        baseline_value=finding.baseline,
        deviation=finding.deviation,
        z_score=finding.z,
        confidence=finding.confidence,
        unit=finding.unit,
        direction=finding.direction,
        threshold=finding.threshold,
    )


def severity_of(z: float) -> Severity:
    """`warning` above 2 standard deviations, `critical` from 3 on (W5)."""
    return "critical" if abs(z) >= 3.0 else "warning"


def confidence(tail: float, n: int) -> float:
    """(1 - p) n / (n + 30): how unlikely the reading is under its baseline, less where the baseline is young.

    >>> confidence(0.0, 30)
    0.5
    """
    return (1.0 - tail) * n / (n + 30)


def one_sided(z: float) -> float:
    """P(Z > z) of a standard normal Z."""
    return 0.5 * erfc(z / _ROOT_2)


def two_sided(z: float) -> float:
    """P(|Z| > |z|) of a standard normal Z."""
    return erfc(abs(z) / _ROOT_2)

"""What a detector hands back: one anomalous reading in numbers and words, before it has an id or an incident."""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from stream_detector.detect.incident import Frozen
from stream_detector.detect.statistics.tails import UNKNOWN
from stream_detector.events import AnomalyType, Metrics, Severity
from stream_detector.events.anomaly import EndReason


class Finding(Struct, frozen=True, gc=False, kw_only=True):
    """One anomalous reading, or (with `end_reason`) the end of an incident.

    `opens_incident`: it belongs to an incident with an end, else it stands by itself. `frozen`: the baseline that it
    was found against, which an incident keeps that it opens.
    """

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
    scores: tuple[Decimal, Decimal] | None = None
    """Of a score change, the previous and the current one as they were published."""
    frozen: Frozen | None = None
    end_reason: EndReason | None = None


def ended(
    detector: str,
    anomaly_type: AnomalyType,
    description: str,
    end_reason: EndReason,
    gates: list[str],
    *,
    current: float,
    usual: float,
    unit: str,
    direction: Literal["up", "down"] | None = None,
    z: float | None = None,
    confidence: float = UNKNOWN,
    subject: str = "",
    threshold: float | None = None,
) -> Finding:
    """The end of an incident, `info`.

    Args:
        usual: what `current` is compared with, as it was at the opening.
        direction: where it is not that of the difference.
    """
    return Finding(
        detector=detector,
        anomaly_type=anomaly_type,
        severity="info",
        description=description,
        current=current,
        baseline=usual,
        deviation=current - usual,
        z=z,
        confidence=confidence,
        unit=unit,
        direction=direction or ("up" if current > usual else "down"),
        gates=gates,
        opens_incident=True,
        subject=subject,
        threshold=threshold,
        end_reason=end_reason,
    )


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

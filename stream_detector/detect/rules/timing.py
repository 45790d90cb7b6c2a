"""What the two rules about execution time share: gates in words, severities, and the end of an incident."""

from typing import Final

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding
from stream_detector.detect.statistics.level import WARM, AnomalyScore, Assessment
from stream_detector.detect.statistics.tails import confidence, t_tail
from stream_detector.events import AnomalyType

CRITICAL_MORE: Final = 0.75
"""A score so much above the threshold is `critical`: five times rarer."""


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


def incident_ended(
    rule: str, anomaly_type: AnomalyType, description: str, duration_s: float, expected: float, z: float, n: int
) -> Finding:
    """The end of an incident in profile `robust`: three executions in a row within 1 sigma of the level."""
    return Finding(
        detector=rule,
        anomaly_type=anomaly_type,
        severity="info",
        description=description,
        current=duration_s,
        baseline=expected,
        deviation=duration_s - expected,
        z=z,
        confidence=confidence(t_tail(z, n)),
        unit="s",
        direction="up" if z > 0 else "down",
        gates=["three executions in a row lie within 1 sigma of the level"],
        opens_incident=True,
    )

"""PerformanceDegradation: an execution slower than its baseline by more than 2 standard deviations.

Profile `classic` (W9, W11): x > mean + 2 s, on the slow side alone, every such execution by itself.

>>> classic("nightly", 121.0, mean=100.0, spread=10.0, n=30, z=2.1, gate=2.0).description
'nightly was 21 % slower than usual: 2 m 1 s against 1 m 40 s'
"""

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding, confidence, one_sided, severity_of
from stream_detector.detect.unusual_execution_time import history_gates

NAME = "performance_degradation"


def classic(name: str, duration_s: float, *, mean: float, spread: float, n: int, z: float, gate: float) -> Finding:
    """The finding for a reading whose z is above `gate`."""
    slower = f"{wording.share((duration_s - mean) / mean)} slower than usual"
    limit = mean + gate * spread
    return Finding(
        detector=NAME,
        anomaly_type="PerformanceDegradation",
        severity=severity_of(z),
        description=f"{name} was {slower}: {wording.duration(duration_s)} against {wording.duration(mean)}",
        current=duration_s,
        baseline=mean,
        deviation=duration_s - mean,
        z=z,
        confidence=confidence(one_sided(z), n),
        unit="s",
        direction="up",
        gates=[
            *history_gates(mean, spread, n),
            f"{wording.duration(duration_s)} is above mean + {gate:.2f} standard deviations: {wording.duration(limit)}",
        ],
        threshold=gate,
    )

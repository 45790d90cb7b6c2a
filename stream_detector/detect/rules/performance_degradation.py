"""PerformanceDegradation: an execution slower than its baseline by more than 2 standard deviations.

Profile `classic` (W9, W11): x > mean + 2 s, on the slow side alone, every such execution by itself.

>>> find_by_z("nightly", 121.0, mean=100.0, spread=10.0, n=30, z=2.1, gate=2.0).description
'nightly was 21 % slower than usual: 2 m 1 s against 1 m 40 s'
"""

from math import expm1

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding, severity_of
from stream_detector.detect.rules.timing import CRITICAL_MORE, history_gates, score_gates
from stream_detector.detect.statistics.level import EFFECT, AnomalyScore, Assessment, root_of
from stream_detector.detect.statistics.tails import confidence, t_tail
from stream_detector.events import Severity

NAME = "performance_degradation"
FASTER = "faster"
_SURE = 1.4
"""A faster level is sent only where its score is so much above the threshold, 25 times rarer; else recorded."""


def find_by_z(name: str, duration_s: float, *, mean: float, spread: float, n: int, z: float, gate: float) -> Finding:
    """Profile `classic`: the finding for a reading whose z is above `gate`."""
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
        confidence=confidence(t_tail(z, n)),
        unit="s",
        direction="up",
        gates=[
            *history_gates(mean, spread, n),
            f"{wording.duration(duration_s)} is above mean + {gate:.2f} standard deviations: {wording.duration(limit)}",
        ],
        threshold=gate,
    )


def find_by_score(
    name: str, duration_s: float, assessment: Assessment, score: AnomalyScore, threshold: float, usual_s: float
) -> Finding | None:
    """Profile `robust`: the finding for a level shift, a mean of several executions half a percent off or more.

    Slower: `warning`, `critical` from 0.75 above the threshold on. A faster level is reported as UnusualExecutionTime:
    `info`, or `warning` from 1.4 above the threshold on.

    Args:
        usual_s: by the level before the shift began, from which today's has moved already.
    """
    slower, expected = score.z > 0, usual_s
    severity: Severity = "warning" if score.score < threshold + CRITICAL_MORE else "critical"
    off = expm1(score.z / root_of(score.runs) * assessment.sigma)
    if abs(off) <= EFFECT:
        return None
    if not slower:
        severity = "warning" if score.score >= threshold + _SURE else "info"
    distance = f"the mean z of the last {score.runs} executions, times its root, is {score.z:.2f}"
    return Finding(
        detector=NAME,
        anomaly_type="PerformanceDegradation" if slower else "UnusualExecutionTime",
        severity=severity,
        description=f"{name} has become {'slower' if slower else 'faster'}: its last {score.runs} executions took "
        f"{wording.share(abs(off))} {'more' if slower else 'less'} than usual; this one took "
        f"{wording.duration(duration_s)}, usually {wording.duration(expected)}",
        current=duration_s,
        baseline=expected,
        deviation=duration_s - expected,
        z=score.z,
        confidence=confidence(t_tail(score.z, assessment.n)),
        unit="s",
        direction="up" if slower else "down",
        gates=score_gates(distance, assessment, score, threshold),
        opens_incident=severity != "info",
        threshold=threshold,
        subject="" if slower else FASTER,
    )

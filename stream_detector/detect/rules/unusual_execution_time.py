"""UnusualExecutionTime: an execution that took much longer, or much shorter, than this workflow usually takes.

Profile `classic` (W10, W11): |z| > 2 with z = (x - mean) / s, over the raw durations of the last up to 30 counted
executions; `warning`, and `critical` from |z| = 3 on.

>>> slow = find_by_z("nightly", 252.0, mean=125.0, spread=9.0, n=30, z=14.1, gate=2.0)
>>> slow.description
'nightly took 4 m 12 s; usually 2 m 5 s ± 9 s'
>>> slow.severity, slow.gates[-1]
('critical', '|z| 14.10 is above 2.00')
"""

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding, severity_of
from stream_detector.detect.rules.timing import CRITICAL_MORE, history_gates, score_gates
from stream_detector.detect.statistics.level import EFFECT, AnomalyScore, Assessment
from stream_detector.detect.statistics.tails import confidence, t_tail
from stream_detector.events import Severity

NAME = "unusual_execution_time"
_TOO_FAST = 0.1


def find_by_z(name: str, duration_s: float, *, mean: float, spread: float, n: int, z: float, gate: float) -> Finding:
    """Profile `classic`: the finding for a reading whose |z| is above `gate`."""
    return Finding(
        detector=NAME,
        anomaly_type="UnusualExecutionTime",
        severity=severity_of(z),
        description=f"{name} took {wording.duration(duration_s)}; "
        f"usually {wording.duration(mean)} ± {wording.duration(spread)}",
        current=duration_s,
        baseline=mean,
        deviation=duration_s - mean,
        z=z,
        confidence=confidence(t_tail(z, n)),
        unit="s",
        direction="up" if z > 0 else "down",
        gates=[*history_gates(mean, spread, n), f"|z| {abs(z):.2f} is above {gate:.2f}"],
        threshold=gate,
    )


def find_by_score(
    name: str, duration_s: float, assessment: Assessment, score: AnomalyScore, threshold: float
) -> Finding | None:
    """Profile `robust`: the finding for a point anomaly, a single reading whose score is above `threshold`.

    None below half a percent. Slower: `warning`, `critical` from 0.75 above the threshold on. Faster: `info`, whatever
    its score, unless it took less than a tenth of the usual: then it cannot have done its work.
    """
    expected, z = assessment.expected, assessment.z
    slower = z > 0
    too_fast = not slower and duration_s < _TOO_FAST * expected
    if abs(duration_s - expected) <= EFFECT * expected:
        return None
    severity: Severity = "info"
    if slower or too_fast:
        severity = "critical" if score.score >= threshold + CRITICAL_MORE else "warning"
    usually = wording.duration(expected)
    return Finding(
        detector=NAME,
        anomaly_type="UnusualExecutionTime",
        severity=severity,
        description=f"{name} took {wording.duration(duration_s)}; "
        f"usually {usually}, mostly {wording.between(assessment.low, assessment.high)}",
        current=duration_s,
        baseline=expected,
        deviation=duration_s - expected,
        z=z,
        confidence=confidence(t_tail(z, assessment.n)),
        unit="s",
        direction="up" if slower else "down",
        gates=[
            *score_gates(f"z {z:.2f} of its logarithm against {usually}", assessment, score, threshold),
            f"{wording.duration(abs(duration_s - expected))} off is above {wording.share(EFFECT)} of the usual",
        ],
        opens_incident=severity != "info",
        threshold=threshold,
    )

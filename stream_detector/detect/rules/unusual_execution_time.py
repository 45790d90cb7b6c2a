"""UnusualExecutionTime: an execution that took much longer, or much shorter, than this workflow usually takes.

Profile `classic` (W10, W11): |z| > 2 with z = (x - mean) / s, over the raw durations of the last up to 30 counted
executions; `warning`, and `critical` from |z| = 3 on.

>>> slow = classic("nightly", 252.0, mean=125.0, spread=9.0, n=30, z=14.1, gate=2.0)
>>> slow.description
'nightly took 4 m 12 s; usually 2 m 5 s ± 9 s'
>>> slow.severity, slow.gates[-1]
('critical', '|z| 14.10 is above 2.00')
"""

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding, confidence, severity_of, two_sided
from stream_detector.detect.statistics.level import EFFECT, WARM, AnomalyScore, Assessment
from stream_detector.events import Severity

NAME = "unusual_execution_time"
_TOO_FAST = 0.1
CRITICAL_MORE = 0.75
"""A score so much above the budget is `critical`: five times rarer."""


def classic(name: str, duration_s: float, *, mean: float, spread: float, n: int, z: float, gate: float) -> Finding:
    """The finding for a reading whose |z| is above `gate`."""
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
        confidence=confidence(two_sided(z), n),
        unit="s",
        direction="up" if z > 0 else "down",
        gates=[*history_gates(mean, spread, n), f"|z| {abs(z):.2f} is above {gate:.2f}"],
        threshold=gate,
    )


def history_gates(mean: float, spread: float, n: int) -> list[str]:
    """The gates that every duration reading passed before its z was looked at."""
    return [
        f"{n} recorded durations are 10 or more",
        f"their spread, {wording.duration(spread)} around {wording.duration(mean)}, is above 0",
    ]


def robust(name: str, duration_s: float, assessment: Assessment, score: AnomalyScore, budget: float) -> Finding | None:
    """The finding for a single reading in profile `robust` whose score is above the budget; none below half a percent.

    Slower: `warning`, `critical` from 0.75 above the budget on. Faster: `info`, whatever its score, unless it took less
    than a tenth of the usual: then it cannot have done its work.
    """
    usual, size = assessment.expected, score.size
    slower = assessment.z > 0
    too_fast = not slower and duration_s < _TOO_FAST * usual
    if abs(duration_s - usual) <= EFFECT * usual:
        return None
    severity: Severity = "info"
    if slower or too_fast:
        severity = "critical" if size >= budget + CRITICAL_MORE else "warning"
    return Finding(
        detector=NAME,
        anomaly_type="UnusualExecutionTime",
        severity=severity,
        description=f"{name} took {wording.duration(duration_s)}; "
        f"usually {wording.duration(usual)}, "
        f"mostly {wording.duration(assessment.low)} to {wording.duration(assessment.high)}",
        current=duration_s,
        baseline=usual,
        deviation=duration_s - usual,
        z=assessment.z,
        confidence=confidence(10.0**-size, assessment.n),
        unit="s",
        direction="up" if slower else "down",
        gates=[
            f"{assessment.n} recorded durations are {WARM} or more",
            f"z {assessment.z:.2f} of its logarithm against {wording.duration(usual)}",
            rarity_gate(score),
            f"surprise {size:.2f} is above {budget:.2f}",
            f"{wording.duration(abs(duration_s - usual))} off is above {wording.share(EFFECT)} of the usual",
        ],
        opens_incident=severity != "info",
        threshold=budget,
    )


def rarity_gate(score: AnomalyScore) -> str:
    """How many of the remembered executions were as far off, or nearly: the gate in words."""
    return f"{score.beyond} of {score.of} remembered executions lay as far off, or nearly"


def time_back_to_usual(name: str, duration_s: float, usual: float, z: float, n: int) -> Finding:
    """The end of an incident in profile `robust`: three executions in a row within 1 sigma."""
    return Finding(
        detector=NAME,
        anomaly_type="UnusualExecutionTime",
        severity="info",
        description=f"{name} takes its usual time again: {wording.duration(duration_s)}, "
        f"usually {wording.duration(usual)}",
        current=duration_s,
        baseline=usual,
        deviation=duration_s - usual,
        z=z,
        confidence=confidence(1.0 - two_sided(z), n),
        unit="s",
        direction="up" if z > 0 else "down",
        gates=["three executions in a row lie within 1 sigma of the level"],
        opens_incident=True,
    )

"""PerformanceDegradation: an execution slower than its baseline by more than 2 standard deviations.

Profile `classic` (W9, W11): x > mean + 2 s, on the slow side alone, every such execution by itself.

>>> classic("nightly", 121.0, mean=100.0, spread=10.0, n=30, z=2.1, gate=2.0).description
'nightly was 21 % slower than usual: 2 m 1 s against 1 m 40 s'
"""

from math import expm1

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding, confidence, one_sided, severity_of, two_sided
from stream_detector.detect.rules.unusual_execution_time import CRITICAL_MORE, history_gates, rarity_gate
from stream_detector.detect.statistics.level import EFFECT, WARM, AnomalyScore, Assessment, root_of
from stream_detector.events import Severity

NAME = "performance_degradation"
FASTER = "faster"
_SURE = 1.4
"""A faster level is sent only where its score is so much above the budget, 25 times rarer; else recorded."""


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


def robust(name: str, duration_s: float, assessment: Assessment, score: AnomalyScore, budget: float) -> Finding | None:
    """The finding for a shift of level in profile `robust`: the mean of several executions lies half a percent off.

    Slower: `warning`, `critical` from 0.75 above the budget on. A faster level is reported as
    UnusualExecutionTime: `info`, or `warning` from 1.4 above the budget on.
    """
    size, value, runs = score.size, score.value, score.runs
    slower, usual = value > 0, assessment.expected
    severity: Severity = "warning" if size < budget + CRITICAL_MORE else "critical"
    off = expm1(value / root_of(runs) * assessment.sigma)
    if abs(off) <= EFFECT:
        return None
    if not slower:
        severity = "warning" if size >= budget + _SURE else "info"
    return Finding(
        detector=NAME,
        anomaly_type="PerformanceDegradation" if slower else "UnusualExecutionTime",
        severity=severity,
        description=f"{name} has become {'slower' if slower else 'faster'}: its last {runs} executions took "
        f"{wording.share(abs(off))} {'more' if slower else 'less'} than usual; this one took "
        f"{wording.duration(duration_s)}, usually {wording.duration(usual)}",
        current=duration_s,
        baseline=usual,
        deviation=duration_s - usual,
        z=value,
        confidence=confidence(10.0**-size, assessment.n),
        unit="s",
        direction="up" if slower else "down",
        gates=[
            f"{assessment.n} recorded durations are {WARM} or more",
            f"the mean z of the last {runs} executions, times its root, is {value:.2f}",
            rarity_gate(score),
            f"surprise {size:.2f} is above {budget:.2f}",
        ],
        opens_incident=severity != "info",
        threshold=budget,
        subject="" if slower else FASTER,
    )


def level_restored(name: str, duration_s: float, usual: float, z: float, n: int) -> Finding:
    """The end of a shift in profile `robust`: three executions in a row within 1 sigma."""
    return Finding(
        detector=NAME,
        anomaly_type="PerformanceDegradation",
        severity="info",
        description=f"{name} is back at its level: {wording.duration(duration_s)} against {wording.duration(usual)}",
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

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

NAME = "unusual_execution_time"


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

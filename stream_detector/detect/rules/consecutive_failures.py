"""ConsecutiveFailures: failures in a row, exact, without any warm-up.

Opened by the third (`warning`), ongoing at the fifth (`critical`), silent at the fourth and from the sixth on,
resolved by the next success (W8). `info` where the failure rate that was reported already makes it common, more than
one in 50: where every other execution fails at random, every 14th would begin an incident.

>>> [find_streak("nightly", length, 0.1) is not None for length in (2, 3, 4, 5, 6)]
[False, True, False, True, False]
>>> find_streak("nightly", 3, 0.1).description
'nightly has failed 3 times in a row'
"""

from math import log10

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding, ended
from stream_detector.detect.statistics.tails import confidence
from stream_detector.events import Severity

NAME = "consecutive_failures"
OPENS, RISES = 3, 5
_LEAST_RATE = 1e-6
_COMMON = 0.02


def find_streak(
    name: str, length: int, failure_rate: float, known_rate: float = 0.0, *, always: bool = False
) -> Finding | None:
    """The finding at the third and at the fifth failure in a row, else nothing.

    Args:
        failure_rate: this workflow's own, 0 to 1: the chance of such a streak is `failure_rate` ** `length`.
        known_rate: the one that was reported already, 0 where none was.
        always: the finding at any length.
    """
    if length != OPENS and length != RISES and not always:
        return None
    severity: Severity = "warning" if length < RISES else "critical"
    gates = [f"{length} failures in a row reach {OPENS if length < RISES else RISES}, with no success between them"]
    if known_rate**length > _COMMON:
        severity = "info"
        gates.append(
            f"at the failure rate of {wording.share(known_rate)} that was reported already their chance is "
            f"{wording.share(known_rate**length)}, above {wording.share(_COMMON)}: no news"
        )
    return Finding(
        detector=NAME,
        anomaly_type="ConsecutiveFailures",
        severity=severity,
        description=f"{name} has failed {length} times in a row",
        current=float(length),
        baseline=0.0,
        deviation=float(length),
        z=None,
        confidence=confidence(-length * log10(max(failure_rate, _LEAST_RATE))),
        unit="runs",
        direction="up",
        gates=gates,
        opens_incident=True,
        threshold=float(OPENS),
    )


def streak_ended(name: str, recent: int = 0) -> Finding:
    """The end of a streak by a success.

    Args:
        recent: failures among the last 10 where a spike in failures is open and goes on, else 0.
    """
    rest = f"; its failure rate is still high: {recent} of its last 10 executions failed" if recent else ""
    description = f"{name} has succeeded again: the failures in a row are over{rest}"
    return ended(
        NAME,
        "ConsecutiveFailures",
        description,
        "recovered",
        ["a success ends the streak"],
        current=0.0,
        usual=0.0,
        unit="runs",
        threshold=float(OPENS),
    )

"""SignificantScoreChange: a score that moved by the threshold or more, up or down (S1 to S7).

Compared as decimals: 7.7 -> 8.2 is 0.5, in binary floats it is 0.4999999999999991. `warning`, and `critical` from three
thresholds on. A relative threshold counts in shares of the previous score; from a previous score of 0 any move fires.

>>> from decimal import Decimal as D
>>> found = find_change("Lido", D("7.5"), D("5.8"), ScoreRule(), D(1))
>>> found.description, found.deviation, found.direction, found.severity
('Lido fell from 7.5 to 5.8 (-1.7)', -1.7, 'down', 'critical')
>>> find_change("Lido", D("7.5"), D("7.01"), ScoreRule(), D(1)) is None
True
"""

from collections.abc import Sequence
from decimal import Context, Decimal

from stream_detector.detect.config import ScoreRule
from stream_detector.detect.finding import Finding
from stream_detector.detect.statistics.tails import rank_confidence
from stream_detector.events import Move

NAME = "significant_score_change"
CRITICAL_FROM = 3
_EXACT = Context(prec=80)
"""Two scores of at most 20 digits within 1e12 differ exactly within 80 digits."""


def find_change(
    name: str, previous: Decimal, current: Decimal, rule: ScoreRule, multiplier: Decimal, changes: Sequence[float] = ()
) -> Finding | None:
    """The finding where the move reaches `rule.threshold` times `multiplier` (1, or more after feedback).

    Args:
        changes: the sizes of this score's past moves, 30 at most.
    """
    delta, gate = change_and_gate(previous, current, rule, multiplier)
    if not delta or abs(delta) < gate:
        return None
    up = delta > 0
    return Finding(
        detector=NAME,
        anomaly_type="SignificantScoreChange",
        severity="critical" if abs(delta) >= CRITICAL_FROM * gate else "warning",
        description=f"{name} {'rose' if up else 'fell'} from {plain(previous)} to {plain(current)} "
        f"({plain(delta, sign=True)})",
        current=float(current),
        baseline=float(previous),
        deviation=float(delta),
        z=None,
        confidence=rank_confidence(float(abs(delta)), changes),
        unit="points",
        direction="up" if up else "down",
        gates=[f"a change of {plain(abs(delta))} reaches the threshold of {plain(gate.normalize())}"],
        threshold=float(gate),
        scores=(previous, current),
    )


def change_and_gate(
    previous: Decimal, current: Decimal, rule: ScoreRule, multiplier: Decimal
) -> tuple[Decimal, Decimal]:
    """The signed change, and the size from which on it is an anomaly; both exact, in points."""
    gate = _EXACT.multiply(rule.threshold, multiplier)
    if rule.relative:
        gate = _EXACT.multiply(gate, abs(previous))
    return _EXACT.subtract(current, previous), gate


def move_of(previous: Decimal, current: Decimal, rule: ScoreRule, multiplier: Decimal) -> Move:
    """Whether a score fell or rose by half of its threshold or more, as `events.movement` counts it.

    >>> [move_of(Decimal(5), Decimal(score), ScoreRule(), Decimal(1)) for score in ("4.75", "4.76", "5.3", "5")]
    ['fell', 'unchanged', 'rose', 'unchanged']
    """
    delta, gate = change_and_gate(previous, current, rule, multiplier)
    if not delta or 2 * abs(delta) < gate:
        return "unchanged"
    return "rose" if delta > 0 else "fell"


def plain(number: Decimal, *, sign: bool = False) -> str:
    """The digits without exponent, for people.

    >>> plain(Decimal("1E+2")), plain(Decimal("0.80"), sign=True)
    ('100', '+0.80')
    """
    return f"{number:+f}" if sign else f"{number:f}"

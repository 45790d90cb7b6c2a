"""The baseline of one key: everything that is remembered about a workflow or a scored entity."""

from decimal import Decimal
from math import sqrt
from typing import ClassVar, Literal

from msgspec import Struct

from stream_detector.detect import packed as layout
from stream_detector.detect.days import Days
from stream_detector.detect.evidence import Evidence
from stream_detector.detect.failures import Failures
from stream_detector.detect.history import History
from stream_detector.detect.incident import Incidents
from stream_detector.detect.level import WARM, Level
from stream_detector.detect.pattern_deviation import Drift
from stream_detector.detect.resources import Resources

Status = Literal["learning", "normal", "anomalous"]
WIDEN_STEP, WIDEN_MOST = Decimal("0.25"), 8
"""Each feedback "expected" or "not an anomaly" raises the key's gates by a quarter, eight times at most."""
_USUAL = Decimal(1)
LEAST_TIMED = 10
"""Fewer recorded durations than these give no z (W6)."""


class NamedBaseline(Struct, frozen=True, gc=False):
    """One of the three named baselines: a mean over `window_size` executions of 30 days, and their sample deviation."""

    value: float
    std_dev: float
    window_size: int


class Baseline:
    """What both kinds have: recent event ids, open incidents, feedback.

    `streak` counts the failures in a row (of a score: 0). `retired` says that the key may be forgotten. `noted` is for
    whoever keeps baselines, to know which were changed since something; it is not packed.
    """

    __slots__ = ("feedbacks", "ids", "incidents", "key", "newest_ms", "noted", "retired", "streak")

    def __init__(self, key: str) -> None:
        self.key = key
        self.ids: list[int] = []
        self.retired = False
        self.noted = 0
        self.clear()

    def clear(self) -> None:
        """Empty what was learned; recent ids stay, so that nothing is counted twice."""
        self.newest_ms = 0
        self.streak = 0
        self.feedbacks = 0
        self.incidents: Incidents = {}

    @property
    def widening(self) -> Decimal:
        """What the key's gates are multiplied by: 1 without feedback."""
        return 1 + WIDEN_STEP * self.feedbacks if self.feedbacks else _USUAL

    @property
    def status(self) -> Status:
        """Whether an incident is open, else whether there is enough history to judge by."""
        if any(incident.told for incident in self.incidents.values()):
            return "anomalous"
        return "normal" if self.known else "learning"

    @property
    def known(self) -> bool:
        """Whether there is enough history to judge by."""
        raise NotImplementedError

    def named(self) -> dict[str, NamedBaseline]:
        """The named baselines; a score has none."""
        return {}

    @staticmethod
    def new(key: str) -> "WorkflowBaseline | ScoreBaseline":
        """An empty baseline. Raises `ValueError` for a key of neither kind."""
        for kind in (WorkflowBaseline, ScoreBaseline):
            if key.startswith(kind.PREFIX):
                return kind(key)
        raise ValueError("a state key begins with workflow: or score:")

    @staticmethod
    def unpack(key: str, packed: bytes) -> "WorkflowBaseline | ScoreBaseline":
        """The baseline that `pack` gave. Raises `PackedError`."""
        baseline = Baseline.new(key)
        layout.fill(baseline, packed)
        return baseline


class WorkflowBaseline(Baseline):
    """What is remembered about one workflow: `history` in profile `classic`, `level` and `failures` in `robust`.

    `calm` counts the executions in a row that an open incident of durations did not see.
    """

    KIND: ClassVar[Literal[1]] = layout.WORKFLOW
    PREFIX: ClassVar[str] = "workflow:"
    __slots__ = ("calm", "days", "evidence", "failures", "history", "level", "resources")

    def clear(self) -> None:
        """Empty what was learned."""
        super().clear()
        self.days, self.history, self.evidence = Days(), History(), Evidence()
        self.level, self.failures, self.calm = Level(), Failures(), 0
        self.resources = Resources()

    @property
    def known(self) -> bool:
        """Whether there are enough recorded durations for a z."""
        classic = len(self.history.recorded(self.history.within(self.newest_ms))) >= LEAST_TIMED
        return classic or self.level.n >= WARM

    def pack(self) -> bytes:
        """Versioned bytes; the layout is in `packed`."""
        return layout.pack(self)

    def named(self) -> dict[str, NamedBaseline]:
        """`failure_rate`, `success_rate` (shares of 1) and `execution_time` (seconds) over 30 days (W17 to W19)."""
        count, failures, timed, mean, squares = self.days.totals()
        rate = failures / count if count else 0.0
        deviation = sqrt(rate * (1 - rate) * count / (count - 1)) if count > 1 else 0.0
        return {
            "failure_rate": NamedBaseline(rate, deviation, count),
            "execution_time": NamedBaseline(mean, sqrt(squares / (timed - 1)) if timed > 1 else 0.0, timed),
            "success_rate": NamedBaseline(1.0 - rate if count else 0.0, deviation, count),
        }


class ScoreBaseline(Baseline):
    """What is remembered about one scored entity: its last score, and the drift since the last significant change."""

    KIND: ClassVar[Literal[2]] = layout.SCORE
    PREFIX: ClassVar[str] = "score:"
    __slots__ = ("drift", "previous")

    def clear(self) -> None:
        """Empty what was learned."""
        super().clear()
        self.previous: Decimal | None = None
        self.drift = Drift()

    def pack(self) -> bytes:
        """Versioned bytes; the layout is in `packed`."""
        return layout.pack(self)

    @property
    def known(self) -> bool:
        """Whether there is a score to compare with."""
        return self.previous is not None

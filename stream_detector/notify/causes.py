"""What anomalies have in common that may be why they are odd; what merely all executions have is no reason.

A label is taken for a cause where
1. at least 3 of the odd executions carry it,
2. at most a fifth of all executions of the hour before do,
3. the odd carry it at least 4 times as often as the others,
and neither the default branch, nor a trigger or an environment by itself: these say how and where something runs, not
what changed. The counts are those of the detectors (`events.label_counts`); without them no label is a cause.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from stream_detector.events.label_counts import LabelCounts

MIN_ODD = 3
MAX_SHARE = 0.2
MIN_RATIO = 4.0

_HOW_IT_RUNS = frozenset(
    {"environment", "env", "stage", "trigger", "triggered_by", "trigger_type", "event", "event_name", "ref_type"}
)
_BRANCH = frozenset({"branch", "ref", "git_branch", "git_ref", "head_branch", "base_branch", "target_branch"})
_DEFAULT_BRANCHES = frozenset({"main", "master", "trunk", "develop", "development", "dev", "default", "head"})


@dataclass(frozen=True)
class Evidence:
    """How common a label is among the odd and among all others of the hour."""

    odd_with: int
    odd: int
    others_with: int
    others: int

    @property
    def share(self) -> float:
        """Of all executions of the hour that carry it."""
        return (self.odd_with + self.others_with) / max(1, self.odd + self.others)

    @property
    def is_cause(self) -> bool:
        """By the three conditions; the third holds where no other execution carries it."""
        if self.odd_with < MIN_ODD or not self.others or self.share > MAX_SHARE:
            return False
        return self.odd_with / self.odd >= MIN_RATIO * self.others_with / self.others


def says_how_it_runs(name: str, value: str) -> bool:
    """Whether a label is never a cause by itself.

    >>> says_how_it_runs("branch", "main"), says_how_it_runs("branch", "feature/x"), says_how_it_runs("Env", "prod")
    (True, False, True)
    """
    name = name.lower().replace("-", "_").rpartition(".")[2]
    return name in _HOW_IT_RUNS or (name in _BRANCH and value.lower().rpartition("/")[2] in _DEFAULT_BRANCHES)


class OddExecutions:
    """All odd executions that came together, by the detector that counted the others among which they are.

    Args:
        counts: of each odd execution, what came with it.
    """

    def __init__(self, counts: Sequence[LabelCounts | None]) -> None:
        self.number = len(counts)
        self._of_counter = Counter(one.counter for one in counts if one is not None)
        self._executions: dict[str, int] = {}
        for one in counts:
            if one is not None:
                self._executions[one.counter] = max(one.executions, self._executions.get(one.counter, 0))

    def evidence(self, name: str, carriers: Sequence[LabelCounts | None]) -> Evidence | None:
        """The evidence for one label; None where no detector has counted it.

        Each detector counts what it reads itself. Of one that has several of the odd the fullest count is taken, and
        the counts of several are added up.

        Args:
            carriers: of each odd execution that carries the label, the counts that came with it.
        """
        fullest: dict[str, int] = {}
        counted = 0
        for counts in carriers:
            if counts is not None and name in counts.labels:
                counted += 1
                fullest[counts.counter] = max(counts.labels[name], fullest.get(counts.counter, 0))
        if not fullest:
            return None
        others = max(0, sum(self._executions[counter] - self._of_counter[counter] for counter in fullest))
        return Evidence(
            odd_with=len(carriers),
            odd=self.number,
            # What came together need not have been counted at the same moment.
            others_with=min(others, max(0, sum(fullest.values()) - counted)),
            others=others,
        )

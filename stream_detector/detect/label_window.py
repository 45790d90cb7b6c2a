"""How many executions of the last hour carry a label, over all workflows; bounded in memory and time.

By the executions' own times, in quarters of an hour. Of a quarter the first executions are counted one by one, later
ones the more rarely the more there were, each for those that were left out: of n executions some 128 (1 + ln(n / 128))
are looked at, and a share of 20 % is known to 3 percentage points.
"""

import random
from collections.abc import Callable, Mapping
from typing import Final

from stream_detector.events import Completion
from stream_detector.events.label_counts import LabelCounts

QUARTER_S: Final = 900
QUARTERS: Final = 4
"""The hour before an anomaly: its own quarter and those before it."""
KEPT_QUARTERS: Final = 8
"""The most recently used, so that one clock that is wrong pushes nobody's hour out."""
COUNTED_EACH: Final = 128
"""Executions of a quarter that are all counted."""
MAX_VALUES: Final = 4_096
"""Distinct labels of a quarter that are counted by themselves."""


class _Quarter:
    """Counts of one quarter of an hour. A label beyond the first `MAX_VALUES` has the count of all of those."""

    __slots__ = ("executions", "labels", "other")

    def __init__(self) -> None:
        self.executions = self.other = 0
        self.labels: dict[tuple[str, str], int] = {}


class LabelWindow:
    """Counts what it is given.

    >>> window = LabelWindow("a1")
    >>> for n in range(10):
    ...     window.add({"image": "9" if n < 3 else "8"}, 1_800_000_000 + n)
    >>> window.counts({"image": "9"}, 1_800_000_020)
    LabelCounts(counter='a1', executions=10, labels={'image': 3})

    Args:
        counter: names this detector among others.
    """

    def __init__(self, counter: str) -> None:
        self.counter = counter
        self._quarters: dict[int, _Quarter] = {}
        self._newest, self._newest_number = _Quarter(), -1
        """The most recently used."""
        self._skip = 0
        self._weight = 1
        self._random = random.Random(counter).random

    def add(self, labels: Mapping[str, str], finished_s: float, weight: int = 1) -> None:
        """Count one execution, as `weight` of them."""
        number = finished_s // QUARTER_S
        quarter = self._newest if number == self._newest_number else self._quarter(int(number))
        quarter.executions += weight
        counted = quarter.labels
        for label in labels.items():
            if label in counted:
                counted[label] += weight
            elif len(counted) < MAX_VALUES:
                counted[label] = weight
            else:
                quarter.other += weight
        self._weight = quarter.executions // COUNTED_EACH or 1

    def add_sampled(self, count: int, event_at: Callable[[int], Completion | None]) -> None:
        """Count a chunk of events: each, or where a quarter has many, some that stand for the rest.

        Args:
            count: how many there are.
            event_at: the event with this number, from 0 on; None for one that is refused.
        """
        at = self._skip
        while at < count:
            event, weight = event_at(at), self._weight
            if event is not None:
                self.add(event.labels, event.finished_at.timestamp(), weight)
                weight = self._weight
            # A gap drawn anew each time: workflows that come in turn are each counted as often as the others.
            at += int(self._random() * (2 * weight - 1)) + 1 if weight > 1 else 1
        self._skip = at - count

    def counts(self, labels: Mapping[str, str], at_s: float) -> LabelCounts:
        """The counts of these labels in the hour before `at_s`."""
        newest, executions = int(at_s // QUARTER_S), 0
        found = dict.fromkeys(labels, 0)
        for number in range(newest - QUARTERS + 1, newest + 1):
            quarter = self._quarters.get(number)
            if quarter is not None:
                executions += quarter.executions
                for label in labels.items():
                    found[label[0]] += quarter.labels.get(label, quarter.other)
        return LabelCounts(self.counter, executions, found)

    def _quarter(self, number: int) -> _Quarter:
        quarter = self._quarters.pop(number, None) or _Quarter()
        self._quarters[number] = quarter  # the last one is the most recently used
        if len(self._quarters) > KEPT_QUARTERS:
            del self._quarters[next(iter(self._quarters))]
        self._newest, self._newest_number = quarter, number
        return quarter

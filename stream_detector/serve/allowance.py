"""How many events each token may send within a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

_MOST_KNOWN = 10_000
BURST_S = 10.0
"""So many seconds' worth of events may come at once."""


@dataclass
class Allowance:
    """How many events each token may still send: a bucket that fills with time."""

    rate: float
    now_s: Callable[[], float] = time.monotonic
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, whose: str, events: int) -> float:
        """0 where they may come, else in how many seconds they may; nothing is taken then.

        >>> allowance = Allowance(rate=1.0, now_s=lambda: 0.0)
        >>> allowance.take("a", 10), allowance.take("a", 2), allowance.take("b", 2)
        (0.0, 2.0, 0.0)
        """
        now_s, most = self.now_s(), self.rate * BURST_S
        left, seen_s = self._left.get(whose, (most, now_s))
        left = min(most, left + (now_s - seen_s) * self.rate)
        if left < events:
            self._left[whose] = left, now_s
            return (events - left) / self.rate
        if len(self._left) > _MOST_KNOWN:  # forgetting gives a full bucket, no more
            self._left.clear()
        self._left[whose] = left - events, now_s
        return 0.0


ALLOWANCE: web.AppKey[Allowance] = web.AppKey("allowance", Allowance)

"""A channel that does not deliver rests: nobody is helped by knocking at a dead server for each message that waits."""

from collections.abc import Callable

from stream_detector.notify.message import LONGEST_WAIT_S, Delivered, Refused, Result

OPENS_AFTER = 5
"""Answers in a row that were to be tried again."""
FIRST_REST_S = 30.0


class CircuitBreaker:
    """One channel's, which has one message on its way at a time: after a rest, that one is the trial. Kept in memory
    alone: after a restart the first message tries the channel again.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._rests_until_s = 0.0

    def is_open(self) -> bool:
        """Whether nothing may be sent now."""
        return self.rests_for_s > 0

    @property
    def rests_for_s(self) -> float:
        """Seconds until something may be sent again; 0: now."""
        return max(0.0, self._rests_until_s - self._clock())

    def record(self, result: Result) -> None:
        """Note an answer. A refusal is an answer too: the provider is there. A wait it asked for is everybody's."""
        if isinstance(result, Delivered | Refused):
            self._failures, self._rests_until_s = 0, 0.0
            return
        self._failures += 1
        rest_s = 0.0
        if self._failures >= OPENS_AFTER:
            rest_s = min(LONGEST_WAIT_S, FIRST_REST_S * 2.0 ** min(self._failures - OPENS_AFTER, 30))
        wait_s = max(rest_s, result.after_s)
        if wait_s > 0:
            self._rests_until_s = max(self._rests_until_s, self._clock() + wait_s)

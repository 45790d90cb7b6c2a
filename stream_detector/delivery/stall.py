"""Whether each partition that has something to read gets on. One that does not, while nothing outside is waited for,
is a hung consumer: the process ends itself, and its supervisor starts it again."""

from collections.abc import Iterable

from faust.types import TP


class StallDetector:
    """Remembers since when each partition stands where it is.

    Args:
        after_s: how long one with something to read may stand.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._stands: dict[TP, tuple[int, float]] = {}

    def find_stalled(self, partitions: Iterable[tuple[TP, int, int]], now_s: float) -> str:
        """Why the process is not alive; empty if it is. To be asked every few seconds.

        Args:
            partitions: each partition that is ours, where it stands, and its end.
            now_s: a monotonic clock.
        """
        stands: dict[TP, tuple[int, float]] = {}
        why = ""
        for tp, at, end in partitions:
            known = self._stands.get(tp)
            since_s = known[1] if known is not None and known[0] == at and end > at else now_s
            stands[tp] = at, since_s
            if now_s - since_s > self._after_s:
                why = f"{tp.topic}-{tp.partition} made no progress at offset {at} of {end} for {now_s - since_s:.0f} s"
        self._stands = stands
        return why

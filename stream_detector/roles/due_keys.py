"""The keys of one partition that have a due time, each in the bucket of a minute.

A key has one entry. An event that puts its due time off changes the packed value alone: the entry stays, and whoever
takes it when its minute has passed looks at the value and puts it back. So an event costs nothing here unless the due
time became earlier. A key takes 200 bytes (`tests/unit/roles/test_due_keys.py`), 110 of them its name.
"""

import heapq
from collections.abc import Iterator

MINUTE_S = 60


class DueKeys:
    """Buckets of a minute, by epoch seconds."""

    def __init__(self) -> None:
        self._minutes: dict[str, int] = {}
        """Key -> the minute of its entry."""
        self._buckets: dict[int, list[str]] = {}
        """Minute -> keys, also of some that have an earlier entry by now."""
        self._order: list[int] = []
        """The minutes of the buckets, as a heap."""

    def __len__(self) -> int:
        return len(self._minutes)

    def __iter__(self) -> Iterator[str]:
        return iter(self._minutes)

    def note(self, key: str, due_s: int) -> None:
        """The key is due at this time, or at the earlier one that is known."""
        minute = due_s // MINUTE_S
        known = self._minutes.get(key)
        if known is not None and known <= minute:
            return
        self._minutes[key] = minute
        bucket = self._buckets.get(minute)
        if bucket is None:
            bucket = self._buckets[minute] = []
            heapq.heappush(self._order, minute)
        bucket.append(key)

    def is_due(self, now_ms: int) -> bool:
        """Whether the first minute has passed."""
        return bool(self._order) and (self._order[0] + 1) * MINUTE_S * 1000 <= now_ms

    def take(self, now_ms: int) -> list[str]:
        """Remove and return the keys of all minutes that have passed."""
        taken: list[str] = []
        while self.is_due(now_ms):
            minute = heapq.heappop(self._order)
            for key in self._buckets.pop(minute):
                if self._minutes.get(key) == minute:
                    del self._minutes[key]
                    taken.append(key)
        return taken

"""What one partition's checkpoint writes: the state of one moment, encoded piece by piece while events go on.

Encoding 2,500 baselines in one go stops the loop for 15 to 20 ms, which would be the floor of the latency's upper end.
So the moment only notes which keys have changed. Each is encoded later, or at the latest right before it is changed
again (`StatePartition.settle`): copy on write, a key at a time.
"""

import time
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.changelog_record import Positions

if TYPE_CHECKING:
    from stream_detector.delivery.state.partition import StatePartition

V = TypeVar("V")
Records = list[tuple[bytes, bytes]]

_AT_ONCE = 16
"""Keys between two looks at the clock: 0.1 ms."""


class PartitionSnapshot(Generic[V]):
    """The changes of one part up to now. Made by `StatePartition.freeze`; `records` is whole once `done`."""

    def __init__(self, part: "StatePartition[V]", positions: Positions) -> None:
        self._part, self._positions = part, positions
        self.waiting, self._deleted = part.dirty, part.deleted
        """Keys not yet encoded. What they hold must not change before they are."""
        self._shared = changelog_record.head(part.epoch, positions)
        self._replaying = any(part.replay_until.get(source, 0) > at for source, at in positions.items())
        if not self._replaying:
            part.tombs.clear()
        self._old: Any = None
        self.records: Records = []
        self.watermarks: Records = []
        """Written only when `records` are acknowledged: a watermark ahead of the state would throw away an event that a
        crash had left unapplied."""

    @property
    def done(self) -> bool:
        """Everything is encoded, and no more is live than should be."""
        return not self.waiting and self._old is not None and not self._old

    def is_deleted(self, key: str) -> bool:
        """True for a key that was deleted and whose bytes are still here."""
        return key in self._deleted and key in self.waiting

    def encode(self, keys: Iterable[str]) -> None:
        """Encode keys that were waiting until now: 0.68 us a key for 16 in one call, 0.80 for one."""
        part, deleted, records, shared = self._part, self._deleted, self.records, self._shared
        take, pack, packed = part.live.get if part.codec.kept else part.live.pop, part.codec.pack, part.packed
        for key in keys:
            raw, front, value = key.encode(), shared, None
            if key not in deleted:
                value = take(key, None)
                if value is None:
                    value = part.get(key)  # what an earlier snapshot wrote in vain
            # While replaying, a key may hold more than the positions say: never write less than it has applied.
            if self._replaying and (before := packed.get(raw) or part.tombs.get(raw)):
                later = changelog_record.later(self._positions, changelog_record.positions_of(before))
                front = changelog_record.head(part.epoch, later)
            if value is None:
                packed.pop(raw, None)
                written = part.tombs[raw] = front
            else:
                written = packed[raw] = front + pack(value)
            records.append((raw, written))

    def go_on(self, for_s: float) -> None:
        """Encode for about so long."""
        until_s, waiting = time.perf_counter() + for_s, self.waiting
        while not self.done and time.perf_counter() < until_s:
            self.encode([waiting.pop() for _ in range(min(_AT_ONCE, len(waiting)))])
            if not waiting:
                self._forget()

    def finish(self) -> None:
        """Encode all that is left."""
        while not self.done:
            self.go_on(1.0)

    def undo(self) -> None:
        """Nothing of it counts as written: the next snapshot takes it again."""
        self._part.dirty |= self.waiting
        self._part.deleted |= self._deleted & self.waiting
        self.waiting.clear()
        self._part.give_back(self.records + self.watermarks)

    def _forget(self) -> None:
        """Let go of some of what was unpacked longest ago and is written; all at once would stop the loop."""
        part = self._part
        if self._old is None:
            self._old = list(islice(part.live, max(0, len(part.live) - part.codec.kept)))
            self._old.reverse()
        for key in self._old[-_AT_ONCE:]:
            if key not in part.dirty:
                part.live.pop(key, None)
        del self._old[-_AT_ONCE:]

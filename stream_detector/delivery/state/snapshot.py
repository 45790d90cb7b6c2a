"""What one partition's checkpoint writes: the state of one moment, encoded piece by piece while events go on.

Encoding 2,500 baselines in one go stops the loop for 15 to 20 ms, which would be the floor of the latency's upper end.
So `StatePartition.begin_snapshot` only notes which keys have changed. Each is encoded later, or at the latest right
before it is changed again (`StatePartition.encode_now`): copy on write, a key at a time.
"""

import time
from collections.abc import Iterable
from itertools import islice
from typing import Generic

from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.changelog_record import Positions
from stream_detector.delivery.state.contents import PartitionContents, Records, V
from stream_detector.telemetry.log_events import StateLeftOut

_KEYS_PER_LOOK = 16
"""Keys between two looks at the clock: 0.1 ms."""


class PartitionSnapshot(Generic[V]):
    """The changes of one partition up to now. `records` is complete once `is_done`."""

    def __init__(self, contents: PartitionContents[V], positions: Positions) -> None:
        self._contents, self._positions = contents, positions
        self.unencoded, self._deleted, self._together = contents.dirty, contents.deleted, contents.together
        """Keys not yet encoded. What they hold must not change before they are."""
        self._header = changelog_record.encode_header(contents.epoch, positions)
        self._replaying = bool(contents.was_home) or any(
            contents.replay_until.get(source, 0) > at for source, at in positions.items()
        )
        if not self._replaying:
            contents.tombstones.clear()
        self._to_evict: list[str] | None = None
        self.records: Records = []
        self.watermarks: Records = []
        """Written only when `records` are acknowledged: a watermark ahead of the state would throw away an event that a
        crash had left unapplied."""

    @property
    def is_done(self) -> bool:
        """Everything is encoded, and no more is unpacked than should be."""
        return not self.unencoded and self._to_evict is not None and not self._to_evict

    def is_deleted(self, key: str) -> bool:
        """True for a key that was deleted and whose bytes are still here."""
        return key in self._deleted and key in self.unencoded

    def encode(self, keys: Iterable[str]) -> None:
        """Encode keys that were in `unencoded` until now: 0.68 us a key for 16 in one call, 0.80 for one."""
        contents, deleted, records = self._contents, self._deleted, self.records
        codec, packed, tombstones = contents.codec, contents.packed, contents.tombstones
        take = contents.live.get if codec.max_unpacked else contents.live.pop
        for key in keys:
            raw, header, payload = key.encode(), self._header, b""
            if key not in deleted:
                value = take(key, None)
                if value is not None:
                    try:
                        payload = codec.pack(value)
                    except Exception as error:  # one value that cannot be written must not end every checkpoint
                        contents.live.pop(key, None)
                        StateLeftOut(contents.name, key, -1, repr(error)).emit()
                if not payload and (before := packed.get(raw)):  # an earlier snapshot encoded it and was undone
                    payload = changelog_record.payload_of(before)
            # While replaying, a key may hold more than the positions say: never write less than it has applied.
            if self._replaying and (before := packed.get(raw) or tombstones.get(raw)):
                applied = changelog_record.merge_positions(self._positions, changelog_record.positions_of(before))
                header = changelog_record.encode_header(contents.epoch, applied)
            if not payload:
                packed.pop(raw, None)
                written = tombstones[raw] = header
            else:
                written = packed[raw] = header + payload
            records.append((raw, written))

    def groups(self) -> list[Records]:
        """Those of `records` that are in the changelog all or none, group by group; `records` has them as well."""
        if not self._together:
            return []
        written = dict(self.records)
        groups = ([key, *sorted(others)] for key, others in self._together.items())
        return [[(raw, written[raw]) for raw in map(str.encode, keys) if raw in written] for keys in groups]

    def encode_for(self, seconds: float) -> None:
        """Encode for about so long."""
        until_s, unencoded = time.perf_counter() + seconds, self.unencoded
        while not self.is_done and time.perf_counter() < until_s:
            self.encode([unencoded.pop() for _ in range(min(_KEYS_PER_LOOK, len(unencoded)))])
            if not unencoded:
                self._evict_some()

    def undo(self) -> None:
        """Nothing of it counts as written: the next snapshot takes it again."""
        self._contents.dirty |= self.unencoded
        self._contents.deleted |= self._deleted & self.unencoded
        for key, others in self._together.items():
            self._contents.together.setdefault(key, set()).update(others)
        self.unencoded.clear()
        self._contents.mark_dirty(self.records + self.watermarks)

    def _evict_some(self) -> None:
        """Let go of some of what was unpacked longest ago and is written; all at once would stop the loop."""
        contents = self._contents
        if self._to_evict is None:
            surplus = max(0, len(contents.live) - contents.codec.max_unpacked)
            self._to_evict = list(islice(contents.live, surplus))
            self._to_evict.reverse()
        for key in self._to_evict[-_KEYS_PER_LOOK:]:
            if key not in contents.dirty:
                contents.live.pop(key, None)
        del self._to_evict[-_KEYS_PER_LOOK:]

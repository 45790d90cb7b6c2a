"""One partition of a table: bytes until a key is touched, and which of its changes the changelog does not hold yet.

Why a replay loses and doubles nothing, whatever process dies or wakes up late, rests on three rules kept here:

1. An owner's epoch is unique. Before it changes anything it writes a claim, with an epoch larger than any in the
   changelog, and goes on only if the claim lies right behind what it has read (`owned`): of two that read the same
   end, one alone can have that place.
2. On recovery the larger epoch wins, whatever its offset; within an epoch one process wrote, so the later record does.
3. A value names the positions up to which it has events. A key's replayed event is skipped below them, applied above.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from stream_detector.stream import keyed_value
from stream_detector.stream.keyed_value import Positions

V = TypeVar("V")
Records = list[tuple[bytes, bytes]]

CLAIM_KEY, WATERMARKS_KEY = b"\0claim", b"\0watermarks"
"""Keys of the records that are no state of a key: an owner's claim, and up to where forwarded events are applied. Two
keys, since a claim that came too late must not bring back old watermarks."""

LIVE_LIMIT = 50_000
"""Unpacked values kept per partition; clean ones beyond it go back to bytes."""


@dataclass(frozen=True)
class Codec(Generic[V]):
    """How one table's values become bytes, never empty ones: an empty payload is a deleted key."""

    pack: Callable[[V], bytes]
    unpack: Callable[[str, bytes], V]


class Part(Generic[V]):
    """One partition of a table."""

    def __init__(self, codec: Codec[V]) -> None:
        self.codec = codec
        self.packed: dict[bytes, bytes] = {}
        self.live: dict[str, V] = {}
        self.dirty: set[str] = set()
        self.deleted: set[str] = set()
        self.tombs: dict[bytes, bytes] = {}
        """Deleted keys whose events may be replayed: what they had applied."""
        self.epoch = 0
        """The largest owner's epoch seen; our own once `owned`."""
        self.owned = False
        """Our claim lies in the changelog; only then is anything changed or written."""
        self.read_offset = -1
        """The last changelog offset that is reflected here."""
        self.end = 0
        """The next changelog offset if nobody else writes."""
        self.replay_until: dict[str, int] = {}
        """Source -> largest position in any value: below it, each key knows by itself what it has applied."""
        self.watermarks: dict[str, int] = {}
        """Forwarded events: "topic/partition" they came from -> first offset not applied."""
        self.watermarks_changed = False
        self.watched_at = 0.0
        """When something was last written, on the checkpoint's clock."""

    # -- reading and changing ------------------------------------------------------------------------------------

    def get(self, key: str) -> V | None:
        """The live value, unpacked if need be; None for a key that is not here."""
        value = self.live.get(key)
        if value is None:
            packed = self.packed.get(key.encode())
            if packed is not None and key not in self.deleted:
                value = self.live[key] = self.codec.unpack(key, keyed_value.payload_of(packed))
        return value

    def put(self, key: str, value: V) -> None:
        """Set a value; the next checkpoint writes it."""
        self.live[key] = value
        self.dirty.add(key)
        self.deleted.discard(key)

    def delete(self, key: str) -> None:
        """Remove a key; the next checkpoint writes an empty payload."""
        self.live.pop(key, None)
        self.dirty.add(key)
        self.deleted.add(key)

    def applied(self, key: str, source: str) -> int:
        """First offset of the source that is not in this key's state. Only needed below `replay_until`."""
        raw = key.encode()
        packed = self.packed.get(raw) or self.tombs.get(raw)
        return keyed_value.positions_of(packed).get(source, 0) if packed else 0

    def keys(self) -> Iterator[str]:
        """Every key."""
        known = {key.decode() for key in self.packed} | self.live.keys()
        return iter(known - self.deleted)

    def clean(self) -> bool:
        """True if the changelog holds everything."""
        return not self.dirty and not self.watermarks_changed

    # -- checkpoint ----------------------------------------------------------------------------------------------

    def take(self, positions: Positions) -> tuple[Records, Records]:
        """Encode what has changed since the last time; afterwards nothing is dirty. One snapshot: no await inside.

        Returns:
            The keys' records, and the watermarks'. The second is written only when the first are acknowledged: a
            watermark ahead of the state would throw away an event that a crash had left unapplied.
        """
        shared = keyed_value.head(self.epoch, positions)
        replaying = any(self.replay_until.get(source, 0) > at for source, at in positions.items())
        if not replaying:
            self.tombs.clear()
        records: Records = []
        for key in self.dirty:
            raw, value = key.encode(), self.get(key)
            before = (self.packed.get(raw) or self.tombs.get(raw)) if replaying else None
            # While replaying, a key may hold more than the positions say: never write less than it has applied.
            front = keyed_value.head(self.epoch, _later(positions, before)) if before else shared
            written = front if value is None else front + self.codec.pack(value)
            records.append((raw, written))
            if value is None:
                self.packed.pop(raw, None)
                self.tombs[raw] = written
            else:
                self.packed[raw] = written
        watermarks = [(WATERMARKS_KEY, shared + _pack(self.watermarks))] if self.watermarks_changed else []
        if records:
            # If the offsets are not committed, the same part may meet these events again.
            self.replay_until = _latest(self.replay_until, positions)
        self.dirty.clear()
        self.deleted.clear()
        self.watermarks_changed = False
        if len(self.live) > LIVE_LIMIT:
            self.live.clear()
        return records, watermarks

    def give_back(self, records: Records) -> None:
        """These keys are dirty again: what `take` gave was not written, or somebody wrote after us."""
        self.dirty.update(key.decode() for key, _ in records if key not in (WATERMARKS_KEY, CLAIM_KEY))
        self.watermarks_changed |= any(key == WATERMARKS_KEY for key, _ in records)

    def others_wrote(self, records: Records) -> bool:
        """Take note of what others wrote behind our back. False if it was a later owner: ours then counts for less.

        What a former owner wrote is harmless while ours lies in the changelog; it is written again, behind the other,
        before compaction can keep the wrong one.
        """
        if any(keyed_value.epoch_of(value) > self.epoch for _, value in records):
            return False
        self.give_back(records)
        return True

    # -- recovery ------------------------------------------------------------------------------------------------

    def recover(self, records: list[Any]) -> None:
        """Take in one fetched chunk of the changelog: the larger epoch wins, within it the later record."""
        packed, epoch, written_by, head = self.packed, self.epoch, 0, b""
        for record in records:
            key, value = record.key, record.value
            if value is None or key is None:
                continue  # never written by us
            if (own_head := keyed_value.head_of(value)) != head:  # the same for all keys of a checkpoint
                head, written_by = own_head, keyed_value.epoch_of(value)
                self.replay_until = _latest(self.replay_until, keyed_value.positions_of(value))
            if written_by < epoch and self._is_late(key, written_by):
                continue
            epoch = max(epoch, written_by)
            if key == WATERMARKS_KEY:
                self.watermarks = _unpack(keyed_value.payload_of(value))
            elif key != CLAIM_KEY:
                packed[key] = value
                if self.live:
                    self.live.pop(key.decode(), None)
        self.epoch = epoch
        self.read_offset = records[-1].offset

    def _is_late(self, key: bytes, written_by: int) -> bool:
        """True for a former owner's late write; ours is then written again, before compaction can drop it."""
        if key == WATERMARKS_KEY:
            self.watermarks_changed = True
            return True
        mine = self.packed.get(key)
        if mine is None or keyed_value.epoch_of(mine) <= written_by:
            return False  # ours is no newer: its events are all in the late one, whose alerts were acknowledged
        self.dirty.add(key.decode())
        return True

    def recovered(self, last_offset: int) -> None:
        """Recovery has read up to `last_offset`: claim the partition with `claim`."""
        self.read_offset = max(self.read_offset, last_offset)
        self.end = self.read_offset + 1
        self.epoch += 1
        self.owned = False
        for key, value in list(self.packed.items()):
            if keyed_value.is_deleted(value):
                self.tombs[key] = self.packed.pop(key)

    def claim(self) -> tuple[bytes, bytes]:
        """The record that claims the partition. Written before any event is applied."""
        return CLAIM_KEY, keyed_value.head(self.epoch, {}) + b"-"

    def claimed_at(self, offset: int) -> bool:
        """The claim was acknowledged at `offset`. False if it does not follow what was read: another may own it."""
        self.owned = offset == self.end
        if self.owned:
            self.acknowledged(offset, 1)
        return self.owned

    def acknowledged(self, base: int, count: int) -> bool:
        """`count` of our records lie at `base`. False if somebody else wrote before them."""
        ours = base == self.end
        if ours and self.read_offset == base - 1:  # never advance over a foreign record: recovery must read it
            self.read_offset += count
        self.end = base + count
        return ours


def _latest(one: Positions, other: Positions) -> dict[str, int]:
    merged = dict(one)
    for source, position in other.items():
        if position > merged.get(source, 0):
            merged[source] = position
    return merged


def _later(positions: Positions, value: bytes) -> dict[str, int]:
    return _latest(positions, keyed_value.positions_of(value))


def _pack(watermarks: dict[str, int]) -> bytes:
    return "\n".join(f"{place} {offset}" for place, offset in watermarks.items()).encode() or b"-"


def _unpack(payload: bytes) -> dict[str, int]:
    lines = (line.rsplit(" ", 1) for line in payload.decode().split("\n") if " " in line)
    return {place: int(offset) for place, offset in lines}

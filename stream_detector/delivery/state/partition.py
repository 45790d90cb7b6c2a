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

from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.changelog_record import Positions
from stream_detector.delivery.state.snapshot import PartitionSnapshot, Records

V = TypeVar("V")

CLAIM_KEY, WATERMARKS_KEY = b"\0claim", b"\0watermarks"
"""Keys of the records that are no state of a key: an owner's claim, and up to where forwarded events are applied. Two
keys, since a claim that came too late must not bring back old watermarks."""


@dataclass(frozen=True)
class Codec(Generic[V]):
    """How one table's values become bytes, never empty ones: an empty payload is a deleted key.

    `kept` values of a partition stay unpacked after they were written; beyond it the oldest go back to bytes. With 0 a
    value goes as it is written: 0.3 us a key less than to look for the oldest afterwards.
    """

    pack: Callable[[V], bytes]
    unpack: Callable[[str, bytes], V]
    kept: int = 50_000


class StatePartition(Generic[V]):
    """One partition of a table."""

    def __init__(self, codec: Codec[V]) -> None:
        self.codec = codec
        self.packed: dict[bytes, bytes] = {}
        self.live: dict[str, V] = {}
        self.dirty: set[str] = set()
        self.deleted: set[str] = set()
        self.waiting: set[str] = set()
        """Keys of the snapshot under way that are not yet encoded: to be settled before they change."""
        self._snapshot: PartitionSnapshot[V] | None = None
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
        """The live value, unpacked if need be, to be changed in place; None for a key that is not here."""
        if key in self.waiting:
            self.settle(key)
        value = self.live.get(key)
        if value is None:
            packed = self.packed.get(key.encode())
            if packed is not None and key not in self.deleted:
                value = self.live[key] = self.codec.unpack(key, changelog_record.payload_of(packed))
        return value

    def put(self, key: str, value: V) -> None:
        """Set a value; the next checkpoint writes it."""
        if key in self.waiting:
            self.settle(key)
        self.live[key] = value
        self.dirty.add(key)
        self.deleted.discard(key)

    def delete(self, key: str) -> None:
        """Remove a key; the next checkpoint writes an empty payload."""
        if key in self.waiting:
            self.settle(key)
        self.live.pop(key, None)
        self.dirty.add(key)
        self.deleted.add(key)

    def applied(self, key: str, source: str) -> int:
        """First offset of the source that is not in this key's state. Only needed below `replay_until`."""
        if key in self.waiting:
            self.settle(key)
        raw = key.encode()
        packed = self.packed.get(raw) or self.tombs.get(raw)
        return changelog_record.positions_of(packed).get(source, 0) if packed else 0

    def keys(self) -> Iterator[str]:
        """Every key."""
        known = {key.decode() for key in self.packed} | self.live.keys()
        gone = {key for key in self.waiting if self._snapshot is not None and self._snapshot.is_deleted(key)}
        return iter(known - self.deleted - gone)

    def clean(self) -> bool:
        """True if the changelog holds everything."""
        return not self.dirty and not self.waiting and not self.watermarks_changed

    # -- checkpoint ----------------------------------------------------------------------------------------------

    def freeze(self, positions: Positions) -> PartitionSnapshot[V]:
        """A snapshot of what has changed since the last one; afterwards nothing is dirty. It is encoded later."""
        assert not self.waiting, "one snapshot at a time"
        self._snapshot = snapshot = PartitionSnapshot(self, positions)
        self.waiting, self.dirty, self.deleted = snapshot.waiting, set(), set()
        if self.watermarks_changed:
            front = changelog_record.head(self.epoch, positions)
            snapshot.watermarks = [(WATERMARKS_KEY, front + _pack(self.watermarks))]
            self.watermarks_changed = False
        if self.waiting:
            # If the offsets are not committed, the same part may meet these events again.
            self.replay_until = changelog_record.later(self.replay_until, positions)
        return snapshot

    def take(self, positions: Positions) -> tuple[Records, Records]:
        """A snapshot encoded at once: the keys' records, and the watermarks'."""
        snapshot = self.freeze(positions)
        snapshot.finish()
        return snapshot.records, snapshot.watermarks

    def settle(self, key: str) -> None:
        """Encode a key of `waiting` as it is: to be called before its value is changed."""
        if self._snapshot is not None and key in self.waiting:
            self.waiting.discard(key)
            self._snapshot.encode((key,))

    def journal(self, records: Records) -> Records:
        """What is to be acknowledged before these records are written: nothing, since each key stands for itself."""
        return []

    def give_back(self, records: Records) -> None:
        """These keys are dirty again: what `take` gave was not written, or somebody wrote after us."""
        self.dirty.update(key.decode() for key, _ in records if key not in (WATERMARKS_KEY, CLAIM_KEY))
        self.watermarks_changed |= any(key == WATERMARKS_KEY for key, _ in records)

    def others_wrote(self, records: Records) -> bool:
        """Take note of what others wrote behind our back. False if it was a later owner: ours then counts for less.

        What a former owner wrote is harmless while ours lies in the changelog; it is written again, behind the other,
        before compaction can keep the wrong one.
        """
        if any(changelog_record.epoch_of(value) > self.epoch for _, value in records):
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
            if (own_head := changelog_record.head_of(value)) != head:  # the same for all keys of a checkpoint
                head, written_by = own_head, changelog_record.epoch_of(value)
                self.replay_until = changelog_record.later(self.replay_until, changelog_record.positions_of(value))
            if written_by < epoch and self._is_late(key, written_by):
                continue
            epoch = max(epoch, written_by)
            if key == WATERMARKS_KEY:
                self.watermarks = unpack_watermarks(changelog_record.payload_of(value))
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
        if mine is None or changelog_record.epoch_of(mine) <= written_by:
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
            if changelog_record.is_deleted(value):
                self.tombs[key] = self.packed.pop(key)

    def claim(self) -> tuple[bytes, bytes]:
        """The record that claims the partition. Written before any event is applied."""
        return CLAIM_KEY, changelog_record.head(self.epoch, {}) + b"-"

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


def _pack(watermarks: dict[str, int]) -> bytes:
    return "\n".join(f"{place} {offset}" for place, offset in watermarks.items()).encode() or b"-"


def unpack_watermarks(payload: bytes) -> dict[str, int]:
    """What the watermarks' record holds."""
    lines = (line.rsplit(" ", 1) for line in payload.decode().split("\n") if " " in line)
    return {place: int(offset) for place, offset in lines}

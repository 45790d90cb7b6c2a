"""A Faust table whose state lives in one dict per partition, as bytes until a key is touched.

Stock tables write every change by itself (30 us each) and decode every key on recovery. Here the role changes live
values and marks them dirty; the checkpoint writes them as whole batches; recovery puts changelog chunks straight into
the dicts. Faust keeps assignment, changelog partitions and the order of recovery.
"""

from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import faust
from faust.stores import memory
from faust.types import TP

from stream_detector.stream import keyed_value

V = TypeVar("V")

OWNER_KEY = b"\0owner"
"""Key of the record by which an owner claims a partition; its payload holds the watermarks of forwarded events."""

LIVE_LIMIT = 50_000
"""Unpacked values kept per partition; clean ones beyond it go back to bytes."""


@dataclass(frozen=True)
class Codec(Generic[V]):
    """How one table's values become bytes."""

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
        self.epoch = 0
        """The largest owner's epoch seen; our own after `claim`."""
        self.read_offset = -1
        """The last changelog offset that is reflected here."""
        self.end = 0
        """The next changelog offset if nobody else writes."""
        self.replay_until: dict[str, int] = {}
        """Source -> largest position in any value: below it, each key knows by itself what it has applied."""
        self.watermarks: dict[str, int] = {}
        """Forwarded events: "topic/partition" they came from -> first offset not applied."""
        self.watermarks_changed = False
        self.claimed = False

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
        packed = self.packed.get(key.encode())
        return keyed_value.positions_of(packed).get(source, 0) if packed else 0

    def keys(self) -> Iterator[str]:
        """Every key."""
        known = {key.decode() for key in self.packed} | self.live.keys()
        return iter(known - self.deleted)

    def clean(self) -> bool:
        """True if the changelog holds everything."""
        return not self.dirty and not self.watermarks_changed

    # -- checkpoint ----------------------------------------------------------------------------------------------

    def take(self, positions: dict[str, int]) -> list[tuple[bytes, bytes]]:
        """Encode what has changed since the last time; afterwards nothing is dirty. One snapshot: no await inside."""
        shared = keyed_value.head(self.epoch, positions)
        replaying = any(self.replay_until.get(source, 0) > at for source, at in positions.items())
        records: list[tuple[bytes, bytes]] = []
        for key in self.dirty:
            raw_key = key.encode()
            before = self.packed.get(raw_key) if replaying else None
            # While replaying, a key may hold more than the positions say: never write less than it has applied.
            front = keyed_value.head(self.epoch, _later(positions, before)) if before else shared
            gone = key in self.deleted
            value = front if gone else front + self.codec.pack(self.get(key))  # type: ignore[arg-type]
            records.append((raw_key, value))
            self.packed[raw_key] = value
        if self.watermarks_changed or not self.claimed:
            records.append((OWNER_KEY, shared + _pack_watermarks(self.watermarks)))
        self.dirty.clear()
        self.watermarks_changed, self.claimed = False, True
        self._forget_deleted()
        if len(self.live) > LIVE_LIMIT:
            self.live.clear()
        return records

    def give_back(self, records: list[tuple[bytes, bytes]]) -> None:
        """What `take` gave was not written: it is dirty again."""
        self.dirty.update(key.decode() for key, _ in records if key != OWNER_KEY)
        self.watermarks_changed = True

    def rewrite(self) -> None:
        """Somebody else wrote in between: everything is written again, under a new epoch."""
        self.epoch += 1
        self.dirty.update(key.decode() for key in self.packed)
        self.claimed = False

    def _forget_deleted(self) -> None:
        for key in self.deleted:
            self.packed.pop(key.encode(), None)
        self.deleted.clear()

    # -- recovery ------------------------------------------------------------------------------------------------

    def recover(self, records: list[Any]) -> None:
        """Take in one fetched chunk of the changelog: the larger epoch wins, within it the later record."""
        packed, epoch, before = self.packed, self.epoch, None
        for record in records:
            key, value = record.key, record.value
            if value is None or key is None:
                continue  # never written by us
            written_by = keyed_value.epoch_of(value)
            if before is not None and written_by != keyed_value.epoch_of(before):
                self._remember(before)
            before = value
            if written_by < epoch and self._is_late(key, written_by):
                continue
            epoch = max(epoch, written_by)
            if key == OWNER_KEY:
                self.watermarks = _unpack_watermarks(keyed_value.payload_of(value))
            else:
                packed[key] = value
                if self.live:
                    self.live.pop(key.decode(), None)
        if before is not None:
            self._remember(before)
        self.epoch = epoch
        self.read_offset = records[-1].offset

    def _is_late(self, key: bytes, written_by: int) -> bool:
        """True for a former owner's late write; ours is then written again, before compaction can drop it."""
        if key == OWNER_KEY:
            return True  # a new one is written by every owner
        mine = self.packed.get(key)
        if mine is None or keyed_value.epoch_of(mine) <= written_by:
            return False
        self.dirty.add(key.decode())
        return True

    def _remember(self, value: bytes) -> None:
        # Within an epoch positions only grow, so the last record of each stretch of one epoch has its maximum.
        self.replay_until = _later(self.replay_until, value)

    def recovered(self, last_offset: int) -> None:
        """Recovery has read up to `last_offset`: the partition is ours, under a larger epoch than ever seen."""
        self.read_offset = max(self.read_offset, last_offset)
        self.end = self.read_offset + 1
        self.epoch += 1
        self.claimed = False
        for key, value in list(self.packed.items()):
            if len(value) < 64 and not keyed_value.payload_of(value):
                del self.packed[key]


def _later(positions: dict[str, int], value: bytes) -> dict[str, int]:
    merged = dict(positions)
    for source, position in keyed_value.positions_of(value).items():
        merged[source] = max(position, merged.get(source, 0))
    return merged


def _pack_watermarks(watermarks: dict[str, int]) -> bytes:
    return "\n".join(f"{place} {offset}" for place, offset in watermarks.items()).encode() or b"-"


def _unpack_watermarks(payload: bytes) -> dict[str, int]:
    lines = (line.rsplit(" ", 1) for line in payload.decode().split("\n") if " " in line)
    return {place: int(offset) for place, offset in lines}


class Store(memory.Store):  # type: ignore[misc]
    """Faust's store: one `Part` per partition that is ours."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.parts: dict[int, Part[Any]] = {}
        self.data = _View(self)

    def part(self, number: int) -> Part[Any]:
        """The part, made when first asked for."""
        if number not in self.parts:
            self.parts[number] = Part(self.table.codec)
        return self.parts[number]

    def persisted_offset(self, tp: TP) -> int:
        """Where recovery goes on. -1 reads all: None would make every rebalance read our own writes again."""
        return self.part(tp.partition).read_offset

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Drop what is not ours any more, and what holds changes that no checkpoint has written."""
        ours = {tp.partition for tp in self.app.assignor.assigned_actives() if tp.topic == self.table.changelog_name}
        for number, part in list(self.parts.items()):
            if number not in ours or not part.clean():
                del self.parts[number]

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Everything up to the highwater is in: claim the partitions."""
        highwaters = self.app.tables.recovery.active_highwaters
        for tp in active_tps:
            self.part(tp.partition).recovered(highwaters[tp])

    def _clear(self) -> None:
        self.parts.clear()


class _View(MutableMapping[str, Any]):
    """What `app.tables[name]` shows: read-only, since state changes by events alone."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getitem__(self, key: str) -> Any:
        for part in self._store.parts.values():
            if (value := part.get(key)) is not None:
                return value
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        for part in self._store.parts.values():
            yield from part.keys()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        return any(part.get(str(key)) is not None for part in self._store.parts.values())

    def __setitem__(self, key: str, value: Any) -> None:
        raise TypeError("state changes by events alone; publish an action to operator-actions instead")

    def __delitem__(self, key: str) -> None:
        raise TypeError("state changes by events alone; publish an action to operator-actions instead")


class StateTable(faust.Table):  # type: ignore[misc]
    """A Faust table over `Store`. `codec` is set by the role that declares it."""

    codec: Codec[Any]

    @property
    def changelog_name(self) -> str:
        """The changelog topic's name on the broker."""
        return str(self.changelog_topic.get_topic_name())

    def _new_store(self) -> Store:
        return Store("memory://", self.app, self, table_name=self.name, loop=self.loop)

"""One partition of a table: bytes until a key is touched, and which of its changes the changelog does not hold yet.

Why a replay loses and doubles nothing, whatever process dies or wakes up late, rests on three rules kept here:

1. An owner's epoch is unique. Before it changes anything it writes a claim, with an epoch larger than any in the
   changelog, and goes on only if the claim lies right behind what it has read (`owned`): of two that read the same
   end, one alone can have that place.
2. On recovery the larger epoch wins, whatever its offset; within an epoch one process wrote, so the later record does.
3. A value names the positions up to which it has events. A key's replayed event is skipped below them, applied above.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.changelog_record import Positions, StateFormatError
from stream_detector.delivery.state.contents import (
    CLAIM_KEY,
    WATERMARKS_KEY,
    Codec,
    DeletedKeys,
    PartitionContents,
    Records,
    V,
)
from stream_detector.delivery.state.snapshot import PartitionSnapshot
from stream_detector.events.headers import UnreadableHeaders
from stream_detector.kafka.batch_reader import ReadRecord

_HOME = "/home"
"""Ends the place, among the watermarks, of a source that was assigned with the partition until its offset."""


def _home(source: str) -> str:
    return source + _HOME


class ChangelogRecord(Protocol):
    """A fetched record of the changelog, as aiokafka's parser makes it."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class StatePartition(PartitionContents[V]):
    """One partition of a table."""

    def __init__(self, codec: Codec[V]) -> None:
        super().__init__(codec)
        self.unencoded: set[str] = set()
        """Keys of the snapshot under way that are not yet encoded: to be encoded before they change."""
        self._snapshot: PartitionSnapshot[V] | None = None
        self._known_header, self._is_past = b"", False
        """The head of the last empty payload, and whether everything that it names is committed."""
        self.owned = False
        """Our claim lies in the changelog; only then is anything changed or written."""
        self.read_offset = -1
        """The last changelog offset that is reflected here."""
        self.verified_offset = -2
        """The last changelog offset up to which each value was found to be readable."""
        self.end_offset = 0
        """The next changelog offset if nobody else writes."""
        self.written_at_s = 0.0
        """When something was last written, on the checkpoint's clock."""

    # -- reading and changing ------------------------------------------------------------------------------------

    def get(self, key: str) -> V | None:
        """The live value, unpacked if need be, to be changed in place; None for a key that is not here."""
        if key in self.unencoded:
            self.encode_now(key)
        value = self.live.get(key)
        if value is None:
            packed = self.packed.get(key.encode())
            if packed is not None and key not in self.deleted:
                try:
                    value = self.live[key] = self.codec.unpack(key, changelog_record.payload_of(packed))
                except Exception as error:  # no look at its first bytes showed it: the key begins anew
                    self.drop(key, error)
        return value

    def drop(self, key: str, error: Exception) -> None:
        """Go on without the value of a key, which cannot be read."""
        self.leave_out(key.encode(), -1, error)
        self.delete(key)

    def put(self, key: str, value: V) -> None:
        """Set a value; the next checkpoint writes it."""
        if key in self.unencoded:
            self.encode_now(key)
        self.live[key] = value
        self.dirty.add(key)
        self.deleted.discard(key)

    def delete(self, key: str) -> None:
        """Remove a key; the next checkpoint writes an empty payload."""
        if key in self.unencoded:
            self.encode_now(key)
        self.live.pop(key, None)
        self.dirty.add(key)
        self.deleted.add(key)

    def rename(self, old: str, new: str, value: V) -> None:
        """Set the value of a key that takes over another one, which is removed: in the changelog both or neither."""
        self.encode_now(old)
        self.encode_now(new)
        if self.replay_until:  # it has what the other one had applied
            applied = self.packed.get(old.encode()) or self.tombstones.get(old.encode())
            before = self.tombstones.get(new.encode())
            if applied is not None:
                positions = changelog_record.positions_of(applied)
                if before is not None:
                    positions = changelog_record.merge_positions(positions, changelog_record.positions_of(before))
                self.tombstones[new.encode()] = changelog_record.encode_header(self.epoch, positions)
        self.put(new, value)
        self.delete_with(old, new)

    def delete_with(self, key: str, other: str) -> None:
        """Remove a key because of what changes another one: in the changelog both or neither."""
        self.delete(key)
        self.dirty.add(other)
        self.together.setdefault(key, set()).add(other)

    def applied_offset(self, key: str, source: str) -> int:
        """First offset of the source that is not in this key's state. Only needed below `replay_until`."""
        if key in self.unencoded:
            self.encode_now(key)
        raw = key.encode()
        packed = self.packed.get(raw) or self.tombstones.get(raw)
        return changelog_record.positions_of(packed).get(source, 0) if packed else 0

    def has_applied(self, key: str, source: str, offset: int) -> bool:
        """Whether the event at this offset of the source is in this key's state already: it is being replayed."""
        return offset < self.replay_until.get(source, 0) and offset < self.applied_offset(key, source)

    # -- events that are passed on -------------------------------------------------------------------------------

    def is_passed_on(self, source: str, number: int) -> bool:
        """True where events of the source's partition of this number, which is `number`, have reached this one by
        `rekeyed`: those that come go the same way, behind them."""
        return bool(self.watermarks) and f"{source}/{number}" in self.watermarks

    def read_partitions(self, source: str) -> int:
        """So many partitions a source must have: events of the last of them were passed on to this one."""
        places = (place.rpartition("/") for place in self.watermarks)
        return max((int(number) + 1 for name, _, number in places if name == source and number.isdigit()), default=0)

    def begin_passing_on(self, source: str, number: int, committed: int) -> None:
        """A source is not assigned with this partition, maybe no longer: to be called before it is claimed.

        What the group has committed is in the state. What it has not is read again and passed on, and of that some
        keys may have more than others, if a checkpoint was interrupted before its commit. From then on values must not
        name a position of the source, which would be that of another time.
        """
        if self.is_passed_on(source, number):
            return
        self.unnamed.add(source)
        first = self.replay_until.get(source, 0)
        if first > committed and _home(source) not in self.watermarks:
            self.watermarks[_home(source)] = first
            self.watermarks_changed = True

    def was_applied_at_home(self, key: str, source: str, offset: int) -> bool:
        """True for an event of this partition's own number that was applied before its source was passed on."""
        until = self.was_home.get(source)
        if until is None:
            return False
        if offset < until:
            return offset < self.applied_offset(key, source)
        del self.was_home[source], self.watermarks[_home(source)]
        return False

    def keys(self) -> Iterator[str]:
        """Every key."""
        known = {key.decode() for key in self.packed} | self.live.keys()
        gone = {key for key in self.unencoded if self._snapshot is not None and self._snapshot.is_deleted(key)}
        return iter(known - self.deleted - gone)

    def is_clean(self) -> bool:
        """True if the changelog holds everything."""
        return not self.dirty and not self.unencoded and not self.watermarks_changed

    # -- checkpoint ----------------------------------------------------------------------------------------------

    def begin_snapshot(self, positions: Positions) -> PartitionSnapshot[V]:
        """A snapshot of what has changed since the last one; afterwards nothing is dirty. It is encoded later."""
        assert not self.unencoded, "one snapshot at a time"
        if self.unnamed:
            positions = {source: position for source, position in positions.items() if source not in self.unnamed}
        self._snapshot = snapshot = PartitionSnapshot(self, positions)
        self.unencoded, self.dirty, self.deleted, self.together = snapshot.unencoded, set(), set(), {}
        if self.watermarks_changed:
            header = changelog_record.encode_header(self.epoch, positions)
            snapshot.watermarks = [(WATERMARKS_KEY, header + changelog_record.encode_watermarks(self.watermarks))]
            self.watermarks_changed = False
        if self.unencoded:
            # If the offsets are not committed, the same partition may meet these events again.
            self.replay_until = changelog_record.merge_positions(self.replay_until, positions)
        return snapshot

    def encode_now(self, key: str) -> None:
        """Encode a key of `unencoded` as it is: to be called before its value is changed."""
        if self._snapshot is not None and key in self.unencoded:
            self.unencoded.discard(key)
            self._snapshot.encode((key,))

    def journal_records(self, records: Records) -> Records:
        """What is to be acknowledged before these records are written: nothing, since each key stands for itself."""
        return []

    def note_foreign_writes(self, records: Records) -> bool:
        """Write again what others overwrote. False if a later owner wrote: ours then counts for less.

        What a former owner wrote is harmless while ours lies in the changelog; it is written again, behind the other,
        before compaction can keep the wrong one.
        """
        for key, value in records:
            try:
                changelog_record.check_header(value)
            except StateFormatError as error:
                self.leave_out(key, -1, error)
                continue
            if (written_by := changelog_record.epoch_of(value)) > self.epoch:
                if key == CLAIM_KEY:  # every owner begins with it
                    return False
                self.epoch = written_by  # nobody owns it: what we write behind it counts
        self.mark_dirty(records)
        return True

    # -- recovery ------------------------------------------------------------------------------------------------

    def apply_changelog(self, records: Sequence[ChangelogRecord]) -> None:
        """Apply one fetched chunk of the changelog: the larger epoch wins, within it the later record."""
        packed, epoch, written_by, header, check = self.packed, self.epoch, 0, b"", self.codec.check
        for record in records:
            key, value = record.key, record.value
            if type(record) is ReadRecord and isinstance(record.headers, UnreadableHeaders):
                self.leave_out(key or b"", record.offset, record.headers.refusal)
                continue
            if key is None:
                continue  # never written by us
            try:
                if value is None:
                    raise StateFormatError("it has no value")
                its_header = changelog_record.header_of(value)
                if its_header != header:  # the same for all keys of a checkpoint
                    changelog_record.check_header(value)
                if not key.startswith(b"\0") and (payload := value[len(its_header) :]):
                    check(payload)
                if not key.isascii():
                    key.decode()  # also of one without a payload: every key is read as text later
                if its_header != header:
                    header, written_by = its_header, changelog_record.epoch_of(value)
                    positions = changelog_record.positions_of(value)
                    self.replay_until = changelog_record.merge_positions(self.replay_until, positions)
                if written_by < epoch and self._is_late(key, written_by):
                    continue
                epoch = max(epoch, written_by)
                if key == WATERMARKS_KEY:
                    self.watermarks = changelog_record.decode_watermarks(changelog_record.payload_of(value))
                elif key == CLAIM_KEY:
                    self.replay_until = changelog_record.reset_positions(self.replay_until, value)
                else:
                    if len(value) > len(header):
                        packed[key] = value
                    else:
                        self._take_deleted(key, header, written_by)
                    if self.live:
                        self.live.pop(key.decode(), None)
            except Exception as error:
                self.leave_out(key, record.offset, error)
        self.epoch = epoch
        self.read_offset = records[-1].offset

    def _take_deleted(self, key: bytes, header: bytes, written_by: int) -> None:
        """The changelog has an empty payload: it counts for as long as events of the key may be replayed."""
        if self.committed and header != self._known_header:
            positions = changelog_record.positions_of(header)
            self._known_header = header
            self._is_past = all(at <= self.committed.get(source, 0) for source, at in positions.items())
        if self.committed and self._is_past:
            self.packed.pop(key, None)
            self.forgotten.add(key, written_by)
        else:
            self.packed[key] = header  # one object for all of a checkpoint

    def _is_late(self, key: bytes, written_by: int) -> bool:
        """True for a former owner's late write; ours is then written again, before compaction can drop it."""
        if key == WATERMARKS_KEY:
            self.watermarks_changed = True
            return True
        mine = self.packed.get(key)
        if (self.forgotten.epoch_of(key) if mine is None else changelog_record.epoch_of(mine)) <= written_by:
            return False  # ours is no newer: its events are all in the late one, whose alerts were acknowledged
        self.dirty.add(key.decode())
        return True

    def unreadable_keys(self, among: Iterable[tuple[bytes, bytes]] | None = None) -> set[bytes]:
        """Keys whose value cannot be used; those that can be unpacked, are.

        Args:
            among: keys and values to look at; all that are here where it is None.
        """
        if not self.codec.max_unpacked and self.codec.verify is None:
            return set()
        found = set()
        for key, value in list(self.packed.items()) if among is None else among:
            if (payload := changelog_record.payload_of(value)) and not self._is_readable(key, payload):
                found.add(key)
        return found

    def take_last_readable(self, keys: Collection[bytes], records: Records) -> None:
        """Of each key the last of these records that can be unpacked. They are all that the changelog has."""
        for key in keys:
            self.packed.pop(key, None)
        for key, value in records:
            try:
                changelog_record.check_header(value)
            except StateFormatError:
                continue
            payload = changelog_record.payload_of(value)
            if key in keys and not payload:
                self.packed.pop(key, None)
            elif key in keys and self._is_readable(key, payload):
                self.packed[key] = value
        for key in keys:
            self.leave_out(key, -1, StateFormatError("its value cannot be unpacked"))

    def _is_readable(self, key: bytes, payload: bytes) -> bool:
        codec, name = self.codec, key.decode()
        try:
            if codec.verify is None:
                self.live[name] = codec.unpack(name, payload)
            else:
                codec.verify(name, payload)
        except Exception:
            return False
        return True

    def finish_recovery(self, last_offset: int) -> None:
        """Recovery has read up to `last_offset`: the partition is claimed by writing `claim_record`."""
        self.read_offset = max(self.read_offset, last_offset)
        self.end_offset = self.read_offset + 1
        self.epoch += 1
        self.owned = False
        self.forgotten, self._known_header = DeletedKeys(), b""
        for key, value in list(self.packed.items()):
            if changelog_record.is_deleted(value):
                self.tombstones[key] = self.packed.pop(key)

    def claim_record(self) -> tuple[bytes, bytes]:
        """The record that claims the partition. Written before any event is applied."""
        return CLAIM_KEY, changelog_record.encode_header(self.epoch, {}) + b"-"

    def claim_records(self) -> Records:
        """The claim, and what has to be known from now on, whatever the next checkpoint writes of it."""
        records = [self.claim_record()]
        self.was_home = {
            place.removesuffix(_HOME): offset for place, offset in self.watermarks.items() if place.endswith(_HOME)
        }
        if self.was_home and self.watermarks_changed:
            header = changelog_record.encode_header(self.epoch, {})
            records.append((WATERMARKS_KEY, header + changelog_record.encode_watermarks(self.watermarks)))
        return records

    def confirm_claim(self, offset: int, count: int = 1) -> bool:
        """The claim was acknowledged at `offset`. False if it does not follow what was read: another may own it."""
        self.owned = offset == self.end_offset
        if self.owned:
            self.confirm_write(offset, count)
        return self.owned

    def confirm_write(self, base_offset: int, count: int) -> bool:
        """`count` of our records lie at `base_offset`. False if somebody else wrote before them."""
        is_expected = base_offset == self.end_offset
        if (
            is_expected and self.read_offset == base_offset - 1
        ):  # never advance over a foreign record: recovery must read it
            if self.verified_offset == self.read_offset:
                self.verified_offset += count
            self.read_offset += count
        self.end_offset = base_offset + count
        return is_expected

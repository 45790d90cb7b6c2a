"""What a partition of a table holds in memory, and how its values become bytes. `partition` changes it, `snapshot`
encodes its changes."""

import contextlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from stream_detector.telemetry.log_events import StateLeftOut

V = TypeVar("V")

Records = list[tuple[bytes, bytes]]
"""Keys and values of changelog records."""

BATCH_BYTES = 200_000
"""So much fits into one batch (`producer_max_batch_size`, 256 KB) with its heads."""

CLAIM_KEY, WATERMARKS_KEY = b"\0claim", b"\0watermarks"
"""Keys of the records that are no state of a key: an owner's claim, and up to where repartitioned events are applied.
Two keys, since a claim that came too late must not bring back old watermarks."""


def size_of(records: Records) -> int:
    """How many bytes of a batch they take, at most."""
    return sum(len(key) + len(value) + 32 for key, value in records)


@dataclass(frozen=True)
class Codec(Generic[V]):
    """How one table's values become bytes, never empty ones: an empty payload is a deleted key.

    At most `max_unpacked` values of a partition stay unpacked after they were written; beyond it the oldest go back to
    bytes. With 0 a value goes as it is written: 0.3 us a key less than to look for the oldest afterwards.
    """

    pack: Callable[[V], bytes]
    unpack: Callable[[str, bytes], V]
    max_unpacked: int = 50_000
    check: Callable[[bytes], None] = lambda packed: None
    """Raises on bytes that `unpack` cannot read, as far as a look at the first ones shows: it is called for each record
    of a recovery."""
    verify: Callable[[str, bytes], None] | None = None
    """Raises on bytes that cannot be used, where `unpack` takes them as they are: it is called once for each key that
    was recovered."""


class DeletedKeys:
    """Keys that were deleted and of which no event can be replayed: 12 bytes each, for as long as recovery reads.

    A dict of them took 270 MB for a million. All that is asked is whether what a former owner wrote later counts.
    """

    def __init__(self) -> None:
        self._hashes, self._epochs = array("q"), array("I")
        self._epoch_of: dict[int, int] | None = None
        """Made when first asked for."""

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, key: bytes, epoch: int) -> None:
        """An owner of this epoch deleted the key."""
        self._hashes.append(hash(key))
        self._epochs.append(epoch)
        self._epoch_of = None

    def epoch_of(self, key: bytes) -> int:
        """The last owner's that deleted it; 0: nobody did."""
        if self._epoch_of is None:
            self._epoch_of = dict(zip(self._hashes, self._epochs, strict=True))
        return self._epoch_of.get(hash(key), 0)


class PartitionContents(Generic[V]):
    """The values of one partition: as bytes, unpacked where they were touched, and which have changed."""

    def __init__(self, codec: Codec[V]) -> None:
        self.codec = codec
        self.name = ""
        """Of the table, for the log."""
        self.left_out = 0
        """How many records could not be read."""
        self.packed: dict[bytes, bytes] = {}
        """Key -> the newest changelog value."""
        self.live: dict[str, V] = {}
        """Key -> the unpacked value, which is the newer one."""
        self.dirty: set[str] = set()
        """Keys whose changes no snapshot holds."""
        self.deleted: set[str] = set()
        """Those of `dirty` that were deleted."""
        self.together: dict[str, set[str]] = {}
        """Keys of `dirty` -> others of them that are written in the same batch, such as the one that took it over."""
        self.tombstones: dict[bytes, bytes] = {}
        """Deleted keys whose events may be replayed: the header of what they had applied."""
        self.committed: dict[str, int] = {}
        """Source -> offset that the group has committed, where recovery knows it: no event below it is replayed."""
        self.forgotten = DeletedKeys()
        """What recovery found deleted, with nothing that may be replayed."""
        self.epoch = 0
        """The largest owner's epoch seen; our own once the partition is claimed."""
        self.replay_until: dict[str, int] = {}
        """Source -> largest position in any value: below it, each key knows by itself what it has applied."""
        self.watermarks: dict[str, int] = {}
        """Repartitioned events: "topic/partition" they came from -> first offset not applied."""
        self.watermarks_changed = False
        self.was_home: dict[str, int] = {}
        """Sources whose events were applied here as they were read, and are passed on by now, since their topic has
        another number of partitions -> first offset that no key has. Below it each key knows what it has."""
        self.unnamed: set[str] = set()
        """Sources that values must not name a position of: nothing of them that was passed on is applied yet."""

    def mark_dirty(self, records: Records) -> None:
        """The next checkpoint writes these keys again: they were not written, or somebody wrote after us."""
        for key, _ in records:
            self._write_again(key)

    def _write_again(self, key: bytes) -> None:
        if key == WATERMARKS_KEY:
            self.watermarks_changed = True
        elif key and not key.startswith(b"\0"):
            with contextlib.suppress(UnicodeDecodeError):  # no key of ours: nothing is there to be written
                self.dirty.add(key.decode())

    def leave_out(self, key: bytes, offset: int, error: Exception) -> None:
        """A record cannot be read: the last readable value of its key stands, and is written again behind it.

        Else compaction would keep the one that nobody can read.
        """
        self.left_out += 1
        StateLeftOut(self.name, key.decode("utf-8", "backslashreplace"), offset, str(error) or repr(error)).emit()
        self._write_again(key)

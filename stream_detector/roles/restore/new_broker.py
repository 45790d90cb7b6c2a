"""A broker without any state of ours: payloads under one head, and the events that they lack once more.

Heads, positions and watermarks belong to the topics that are gone, so a restored value names none: whatever lies on the
new topics is new to it. What is restored is marked with the header `mode: restored`; the recorder leaves the restored
baselines and runs aside, since what it has of them, with the positions in the old stream, says more. So a crash at any
moment is followed by the same restore from the same rows.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.contents import CLAIM_KEY, WATERMARKS_KEY, Codec
from stream_detector.delivery.state.journaled_partition import JournaledPartition
from stream_detector.detect.rules.missing_entity import PREFIX
from stream_detector.detect.runs import Run
from stream_detector.events.headers import is_restored
from stream_detector.kafka import topics
from stream_detector.kafka.client import cluster_id
from stream_detector.kafka.end_offsets import EndOffsets, read_topic
from stream_detector.kafka.preflight import run_preflight
from stream_detector.notify.stages.matching import stored_silences
from stream_detector.notify.state.slotted_store import Slot, SlottedStore
from stream_detector.roles.restore.missing import TABLES, find_missing
from stream_detector.roles.restore.republish import Moved, republish
from stream_detector.roles.restore.runs import find_missing_of_runs, write_run_parts
from stream_detector.roles.restore.writer import RecordWriter
from stream_detector.settings import Settings
from stream_detector.store import state_records
from stream_detector.store.connect import store_errors
from stream_detector.store.epochs import epoch_of, find_epoch, stream_identity
from stream_detector.store.state_records import StoredRecord
from stream_detector.telemetry.log_events import StateLeftOut

STATE = (topics.BASELINES, topics.RUNS_STATE, topics.NOTIFIER_STATE)
HEAD = changelog_record.encode_header(1, {})
SAMPLE = 64
"""Keys of a topic after which it is clear whether the number of partitions is what it was."""


def _checked_slot(name: str, packed: bytes) -> bytes:
    """As the notifier reads it: what it would leave out is not restored."""
    int(name)
    _SLOT.decode(packed)
    return packed


_PACKED: Codec[bytes] = Codec(bytes, _checked_slot, max_unpacked=0)
_SLOT = msgspec.msgpack.Decoder(Slot)


class RestoreError(Exception):
    """Nothing was restored. The text says why, and what to do."""


@dataclass
class Restored:
    """What lies on the new topics."""

    baselines: int = 0
    runs: int = 0
    """Open ones."""
    silences: int = 0
    """In force."""
    published_again: int = 0
    """Events that the stored state did not have."""
    judged_only: int = 0
    """Records that baselines have been through and that are stored nowhere."""
    seconds: float = 0.0


class _Record(msgspec.Struct, frozen=True):
    """A record as recovery takes it."""

    offset: int
    key: bytes
    value: bytes


async def restore_new_broker(
    settings: Settings, pool: asyncpg.Pool, *, room_bytes: int | None = None
) -> Restored | None:
    """Restore what the database has onto topics without state; None where there is nothing to restore, or no need to.

    Nobody may read or write the topics meanwhile.

    Args:
        settings: with broker, topics made.
        pool: of a database whose tables are as this program needs them.
        room_bytes: what the broker can hold in memory; None: no limit.

    Raises:
        RestoreError: it does not fit, a later version wrote it, or `baselines restore` is needed. Nothing was written.
        StoreAwayError: the database is away.
    """
    began_s = time.monotonic()
    with store_errors():
        if await _holds_state(settings, pool):
            return None
        if later := await state_records.other_versions(pool, HEAD[0]):
            raise RestoreError(f"a later version wrote {later:,} of the stored values: start that version")
        stored, missing = await state_records.read_state(pool), await find_missing(pool)
        await find_missing_of_runs(pool, missing)
        if stored is None and not (missing.count or missing.held_scores):
            return None
        needed = stored.n_bytes if stored else 0
        for topic, places in missing.places.items():
            needed += await state_records.n_bytes_at(pool, TABLES[topic], places)
        if room_bytes is not None and needed > room_bytes:
            raise RestoreError(
                f"the database has {needed >> 20} MB of state and events to restore, and the embedded broker holds "
                f"{room_bytes >> 20} MB of them at most: use `up --broker apache --data-dir DIR` or a Kafka cluster, "
                "which have no such limit"
            )
        partitions = await run_preflight(settings, "detector")
        restored = Restored()
        async with RecordWriter(settings) as writer:
            await _write_state(pool, writer, partitions, restored)
            run_parts = await write_run_parts(pool, writer, partitions[topics.RUN_PARTS], missing)
            moved = await republish(pool, writer, partitions, missing)
        await _note_moved(settings, pool, moved)
    restored.published_again, restored.judged_only = missing.count + run_parts, missing.judged_only
    restored.seconds = time.monotonic() - began_s
    return restored


async def identity_of(settings: Settings) -> str:
    """What the recorder knows this installation's topics by (`store/epochs.py`)."""
    return stream_identity(await cluster_id(settings), settings.topic_prefix)


async def has_known_state(settings: Settings, pool: asyncpg.Pool) -> bool:
    """Whether the database has state that lay in these very topics."""
    epoch = await find_epoch(pool, await identity_of(settings))
    return epoch is not None and await state_records.has_epoch(pool, epoch)


async def _holds_state(settings: Settings, pool: asyncpg.Pool) -> bool:
    """Whether the topics go on with the state that they have.

    A restore that was interrupted has left records, and its stream is not known yet: it is done again.
    """
    async with EndOffsets(settings, STATE) as asked:
        ends = await asked.end_offsets()
    epoch = await find_epoch(pool, await identity_of(settings))
    if any(ends.values()):
        return epoch is not None or not await _is_all_restored(settings)
    if epoch is None or not await state_records.has_epoch(pool, epoch):
        return False
    raise RestoreError(
        f"the topics {', '.join(settings.topic(name) for name in STATE)} are empty, although this cluster had state in "
        "them: run `stream-detector baselines restore`, which restores them with their positions"
    )


async def _is_all_restored(settings: Settings) -> bool:
    for topic in STATE:
        async for record in read_topic(settings, topic):
            if not is_restored(record.headers):
                return False
    return True


async def _write_state(
    pool: asyncpg.Pool, writer: RecordWriter, partitions: dict[str, int], restored: Restored
) -> None:
    for topic in (topics.BASELINES, topics.RUNS_STATE):
        homes = _Homes(topic, partitions[topic])
        async for records in state_records.stored_records(pool, topic):
            for record in records:
                try:
                    payload, home = _payload(record), homes.of(record)
                    if payload:
                        _count(topic, record.key, payload, restored)
                except Exception as error:  # somebody's: the others are restored
                    shown = record.key.decode("utf-8", "backslashreplace")
                    StateLeftOut(topic, shown, record.offset, repr(error)).emit()
                    continue
                if payload:
                    await writer.add((topic, home), record.key, HEAD + payload)
    slots = merged_slots([r async for records in state_records.stored_records(pool, STATE[2]) for r in records])
    for key, payload in slots.items():
        await writer.add((topics.NOTIFIER_STATE, 0), key, HEAD + payload)
    restored.silences = len(_silences_in_force(slots))
    await writer.flush()


def _payload(record: StoredRecord) -> bytes:
    """Empty for a deleted key and for what is no state of a key. Raises `StateFormatError`."""
    if record.key in (CLAIM_KEY, WATERMARKS_KEY):
        return b""
    changelog_record.epoch_of(record.value)
    return changelog_record.payload_of(record.value)


def _count(topic: str, key: bytes, payload: bytes, restored: Restored) -> None:
    if topic == topics.BASELINES:
        restored.baselines += 1
    elif not key.startswith(PREFIX.encode()):
        restored.runs += not Run.unpack(payload).closed


class _Homes:
    """The partition that owns a key now: where it was, unless the number of partitions was another one."""

    def __init__(self, topic: str, partitions: int) -> None:
        self._topic, self._n = topic, partitions
        self._alike: dict[int, int] = {}
        """Stream epoch -> keys that were where they are to be; -1: another number of partitions."""

    def of(self, record: StoredRecord) -> int:
        """The partition of its key."""
        alike = self._alike.get(record.stream_epoch, 0)
        if alike >= SAMPLE:
            return record.partition
        home = topics.owner_partition(owner_id(self._topic, record.key.decode()), self._n)
        self._alike[record.stream_epoch] = alike + 1 if alike >= 0 and home == record.partition else -1
        return home


def owner_id(topic: str, key: str) -> str:
    """The id whose hash decides the partition of a state key."""
    if topic == topics.BASELINES:
        return key.partition(":")[2]
    # A run that is called like a membership, see `run_table.stored_key`; others may begin with ~ by themselves.
    return key[1:] if key.startswith("~") and key.lstrip("~").startswith(PREFIX) else key


def merged_slots(records: Iterable[StoredRecord]) -> dict[bytes, bytes]:
    """The notifier's state as its own recovery would read it, stream by stream: slot -> payload."""
    by_stream: dict[int, list[_Record]] = {}
    for record in records:
        by_stream.setdefault(record.stream_epoch, []).append(_Record(record.offset, record.key, record.value))
    merged: dict[bytes, bytes] = {}
    for _, listed in sorted(by_stream.items()):
        partition = JournaledPartition(_PACKED)
        partition.apply_changelog(sorted(listed, key=lambda record: record.offset))
        partition.finish_recovery(0)
        for key in partition.tombstones:
            merged.pop(key, None)
        merged |= {key: changelog_record.payload_of(value) for key, value in partition.packed.items()}
    return merged


def _silences_in_force(slots: dict[bytes, bytes]) -> list[Any]:
    state = SlottedStore({key.decode(): _SLOT.decode(payload) for key, payload in slots.items()})
    now_s = time.time()
    return [one for one in stored_silences(state) if one.until_s > now_s]


async def _note_moved(settings: Settings, pool: asyncpg.Pool, moved: Moved) -> None:
    """From here on the stream of the new topics is known, and which of its events were there before."""
    identity = await identity_of(settings)
    with store_errors():
        epoch = await epoch_of(pool, identity)
        async with pool.acquire() as connection, connection.transaction():
            for table, pairs in moved.items():
                after = [(old, state_records.Place(epoch, partition, offset)) for old, partition, offset in pairs]
                await state_records.move(connection, table, after)

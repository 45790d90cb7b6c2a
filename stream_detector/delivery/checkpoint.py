"""The checkpoint: after a crash between any two of its steps, a replay from the last commit loses and doubles nothing.

1. Snapshot, per task in one go without an await: next offsets, unacknowledged sends, which keys have changed. They are
   encoded piece by piece, each before it changes again (later state's alerts would be awaited by nobody).
2. Await the sends: alerts, summaries, repartitioned events, dead letters.
3. Still ours? Generation and the age of the last answered heartbeat. If not: write nothing, commit nothing.
4. Write the changed state to the changelog in whole batches, a key and the one that took it over in the same one;
   await the acknowledgements. Before it the journal, where all keys depend on each other and one batch is not enough;
   after it the watermarks of repartitioned events, which must never be ahead of the state.
5. Whose offsets? If an acknowledgement's base offset is not the one expected, somebody else wrote. A former owner: then
   those keys are written again with the next checkpoint (until then our larger epoch makes it harmless). A later one:
   then what we write counts for less, and the process ends before it commits.
6. Commit the snapshot's offsets: the contiguous prefix of applied chunks.

Processing goes on meanwhile; what it changes belongs to the next checkpoint.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata
from faust.types import TP

from stream_detector.delivery import faults
from stream_detector.delivery.broker_clock import BrokerClock
from stream_detector.delivery.state.contents import BATCH_BYTES, Records, size_of
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.state.recovery import read_between
from stream_detector.delivery.state.snapshot import PartitionSnapshot
from stream_detector.delivery.state.table import StateTable
from stream_detector.delivery.task import Task, Tasks
from stream_detector.kafka.commit_note import with_lost
from stream_detector.settings import Settings
from stream_detector.telemetry import metrics
from stream_detector.telemetry.log_events import CheckpointRefused, ForeignWrite, RecordsLost

WATCH_EVERY_S = 600.0
"""Every so often a partition is written to though nothing changed: only an acknowledgement shows that a former owner
wrote. Well below `min.compaction.lag.ms`, after which the good value could be gone."""

SLICE_S, SHARE = 0.0005, 0.3
"""Encoding and writing go on for half a millisecond, or for this share of what everything else took since: an idle
loop answers soon, and a busy one, which takes 20 ms a chunk, has its checkpoint within a second all the same."""


class Commit(NamedTuple):
    """What is committed of one partition."""

    offset: int
    metadata: str


class Group(Protocol):
    """What a checkpoint needs of the consumer."""

    def owns_partitions(self) -> bool:
        """True if the partitions are surely ours now."""

    async def commit_offsets(self, offsets: Mapping[TP, Commit]) -> bool:
        """Offset and metadata of each partition. False where the group has a new generation."""


class CheckpointedApp(Protocol):
    """What a checkpoint needs of the app."""

    settings: Settings
    topic_prefix: str
    before_checkpoint: Callable[[Task], None]
    broker_clock: BrokerClock

    @property
    def tasks(self) -> Tasks: ...
    @property
    def group(self) -> Group: ...
    @property
    def state_tables(self) -> Sequence[StateTable[Any]]: ...
    @property
    def kafka_producer(self) -> AIOKafkaProducer: ...
    def fail(self, why: str) -> None: ...


@dataclass
class _Written:
    """One table partition's share of a snapshot."""

    topic: str
    number: int
    partition: StatePartition[Any]
    snapshot: PartitionSnapshot[Any]


_Pending = list[tuple[_Written, int, asyncio.Future[RecordMetadata]]]
"""Batches not yet acknowledged: where each was written, how many records it has, and the acknowledgement."""


@dataclass
class _Snapshot:
    task: Task
    offsets: dict[TP, Commit]
    sends: list[asyncio.Future[None]]
    written: list[_Written]

    def undo(self) -> None:
        """Nothing of it counts as written: the next checkpoint takes it again."""
        self.task.sends[:0] = self.sends
        for written in self.written:
            written.snapshot.undo()


class Checkpoint:
    """Takes checkpoints of one app; one at a time (Faust sees to that)."""

    def __init__(self, app: CheckpointedApp) -> None:
        self._app = app
        self.finished_at_s = time.monotonic()
        self.is_running = False
        """Something was taken and is not yet written."""
        self.begun = self.completed = 0
        """How many were begun, and which was the last whose changes are all safe."""
        self.next_finished = asyncio.Event()
        """Set when the next checkpoint finishes; then it is another one."""
        self.claims: set[asyncio.Future[None]] = set()
        """Claims of partitions under way: a revocation waits for them, so that the next owner reads them."""

    async def __call__(self) -> bool:
        """Take one. True if offsets were committed, False if there was nothing to do or the partitions are lost.

        Raises whatever the broker refuses; the caller ends the process, and the restart replays.
        """
        if self.claims:
            await asyncio.wait(self.claims)
        self.is_running = True
        self.begun += 1
        snapshots: list[_Snapshot] = []
        try:
            for task in self._app.tasks:
                self._app.before_checkpoint(task)
                if snapshot := self._snapshot(task):  # 1
                    snapshots.append(snapshot)
                await asyncio.sleep(0)  # each task is a snapshot of its own
            return await self._write_and_commit(snapshots)
        except BaseException:  # also when cancelled: a later checkpoint must not commit what this one did not write
            for snapshot in snapshots:
                snapshot.undo()
            raise
        finally:
            self.is_running = False

    async def _write_and_commit(self, snapshots: list[_Snapshot]) -> bool:
        group = self._app.group
        if not snapshots:
            self._finish()
            return False
        faults.reach("alerts-sent")
        written = [written for snapshot in snapshots for written in snapshot.written]
        await _encode([place.snapshot for place in written])
        await asyncio.gather(*(asyncio.shield(send) for snapshot in snapshots for send in snapshot.sends))  # 2
        faults.reach("alerts-acked")
        if not group.owns_partitions():  # 3
            for snapshot in snapshots:
                snapshot.undo()
            CheckpointRefused("the group coordinator did not answer within the session timeout").emit()
            return False
        faults.reach("owned")
        await self._write(
            [(place, place.partition.journal_records(place.snapshot.records)) for place in written]
        )  # 4, 5
        faults.reach("journal-acked")
        await self._write([(place, place.snapshot.records) for place in written])
        await self._write([(place, place.snapshot.watermarks) for place in written])
        faults.reach("changelog-acked")
        offsets = {tp: offset for snapshot in snapshots for tp, offset in snapshot.offsets.items()}
        # A generation lost by now is -1, which a group that has become empty would accept.
        committed = bool(offsets) and group.owns_partitions() and await group.commit_offsets(offsets)  # 6
        faults.reach("committed")
        if committed:
            for snapshot in snapshots:
                self._confirm(snapshot)
        elif offsets:
            CheckpointRefused("the group has a new generation").emit()
        self._finish()
        return committed

    def _confirm(self, snapshot: _Snapshot) -> None:
        """The offsets are committed. What was lost before them is reported: a restart does not see it again."""
        for tp, (offset, note) in snapshot.offsets.items():
            if position := snapshot.task.positions.get(tp):
                for lost in position.confirm_commit(offset, note):
                    source = tp.topic[len(self._app.topic_prefix) :]
                    RecordsLost(source, tp.partition, lost.records, lost.first, lost.end - 1).emit()

    def _snapshot(self, task: Task) -> _Snapshot | None:
        positions = task.state_positions(self._app.topic_prefix)
        written = []
        for table in self._app.state_tables:
            partition = table.find_owned(task.number)
            if partition is None:
                continue
            watch = time.monotonic() > partition.written_at_s + WATCH_EVERY_S
            if watch or not partition.is_clean():
                taken = partition.begin_snapshot(positions)
                if watch:
                    taken.watermarks.append(partition.claim_record())
                written.append(_Written(table.changelog_name, task.number, partition, taken))
                partition.written_at_s = time.monotonic()
        if not written and not task.sends and task.is_committed:
            return None
        offsets = {
            tp: Commit(p.next_offset, with_lost(p.note, p.lost))
            for tp, p in task.positions.items()
            if p.next_offset != p.committed
        }
        for tp in offsets:
            task.positions[tp].applied_in_snapshot = task.positions[tp].applied
        sends, task.sends = task.sends, []
        return _Snapshot(task, offsets, sends, written)

    async def _write(self, todo: list[tuple[_Written, Records]]) -> None:
        pace = _Pace()
        pending: _Pending = []
        # All partitions at once: aiokafka takes a partition's next batch only when the one before is on its way.
        await asyncio.gather(*(self._send(place, records, pace, pending) for place, records in todo))
        for place, count, sent in pending:
            acknowledged = await sent
            self._app.broker_clock.note(acknowledged)  # else a clock that nobody sets runs off in weeks
            base, expected = acknowledged.offset, place.partition.end_offset
            if not place.partition.confirm_write(base, count):
                await self._handle_foreign_write(place, expected, base)

    async def _send(self, place: _Written, records: Records, pace: "_Pace", pending: "_Pending") -> None:
        producer = self._app.kafka_producer
        groups = place.snapshot.groups() if records is place.snapshot.records else []
        for batch in _batches(producer, records, groups):
            await pace.yield_if_due()
            sent = await producer.send_batch(batch, place.topic, partition=place.number)
            pending.append((place, batch.record_count(), sent))
            if len(pending) == 2:
                faults.reach("changelog-half")

    async def _handle_foreign_write(self, place: _Written, first: int, end: int) -> None:
        ForeignWrite(place.topic, place.number, end, first).emit()
        theirs = await read_between(self._app.settings, place.topic, place.number, first, end)
        if not place.partition.note_foreign_writes(theirs):
            self._app.fail(f"{place.topic}-{place.number}: a later owner has claimed it")

    def _finish(self) -> None:
        self.finished_at_s, self.completed = time.monotonic(), self.begun
        metrics.CHECKPOINT_AGE.set(0)
        self.next_finished.set()
        self.next_finished = asyncio.Event()


class _Pace:
    """Gives way to everything else once its time is used up; `slice_s` is what it has at a time."""

    def __init__(self) -> None:
        self.slice_s, self._since_s = SLICE_S, time.perf_counter()

    async def yield_if_due(self) -> None:
        left_s = time.perf_counter()
        if left_s - self._since_s < self.slice_s:
            return
        await asyncio.sleep(0)
        self._since_s = time.perf_counter()
        self.slice_s = max(SLICE_S, SHARE * (self._since_s - left_s))


async def _encode(snapshots: list[PartitionSnapshot[Any]]) -> None:
    pace = _Pace()
    for snapshot in snapshots:
        while not snapshot.is_done:
            snapshot.encode_for(pace.slice_s)
            await pace.yield_if_due()


def _batches(producer: AIOKafkaProducer, records: Records, groups: Sequence[Records] = ()) -> Iterator[BatchBuilder]:
    """The records in whole batches, each of the groups (some of them) in one: a batch is in the log or is not."""
    if not records:
        return
    batch, room = producer.create_batch(), BATCH_BYTES
    for group in groups:
        room -= size_of(group)
        if room < 0 and batch.record_count():
            yield batch
            batch, room = producer.create_batch(), BATCH_BYTES - size_of(group)
        for key, value in group:
            batch.append(key=key, value=value, timestamp=None)
    grouped = {key for group in groups for key, _ in group}
    for key, value in records:
        if key in grouped:
            continue
        if batch.append(key=key, value=value, timestamp=None) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    yield batch

"""The checkpoint: after a crash between any two of its steps, a replay from the last commit loses and doubles nothing.

1. Snapshot, per shard in one go without an await: next offsets, unacknowledged sends, changed state already encoded.
   (Encoding later would write state whose alerts nobody awaits.)
2. Await the sends: alerts, summaries, forwarded events, dead letters.
3. Still ours? Generation and the age of the last answered heartbeat. If not: write nothing, commit nothing.
4. Write the changed state to the changelog in whole batches; await the acknowledgements.
5. Whose offsets? If an acknowledgement's base offset is not the one expected, somebody else wrote: everything of that
   partition is written again, under a larger epoch.
6. Commit the snapshot's offsets: the contiguous prefix of applied chunks.

Processing goes on meanwhile; what it changes belongs to the next checkpoint.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from faust.types import TP

from stream_detector.stream import faults
from stream_detector.stream.keyed_state import Part, StateTable
from stream_detector.stream.shard import Shard
from stream_detector.telemetry import metrics
from stream_detector.telemetry.happenings import CheckpointRefused, ForeignWrite


@dataclass
class _Written:
    """One table partition's share of a snapshot."""

    topic: str
    number: int
    part: Part[Any]
    records: list[tuple[bytes, bytes]]


@dataclass
class _Snapshot:
    shard: Shard
    offsets: dict[TP, int]
    sends: list[asyncio.Future[Any]]
    written: list[_Written]


class Checkpoint:
    """Takes checkpoints of one app; one at a time (Faust sees to that)."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.finished_at = time.monotonic()
        self.running = False
        """Something was taken and is not yet written."""

    async def __call__(self) -> bool:
        """Take one. True if offsets were committed, False if there was nothing to do or the partitions are lost.

        Raises whatever the broker refuses; the caller ends the process, and the restart replays.
        """
        self.running = True
        try:
            return await self._take()
        finally:
            self.running = False

    async def _take(self) -> bool:
        app, consumer = self._app, self._app.consumer
        snapshots = []
        for shard in consumer.shards:
            app.before_checkpoint(shard)
            if snapshot := self._snapshot(shard):  # 1
                snapshots.append(snapshot)
            await asyncio.sleep(0)  # each shard is a snapshot of its own
        if not snapshots:
            self._finish()
            return False
        faults.reach("alerts-sent")
        await asyncio.gather(*(send for snapshot in snapshots for send in snapshot.sends))  # 2
        faults.reach("alerts-acked")
        if not consumer.owns():  # 3
            for snapshot in snapshots:
                for written in snapshot.written:
                    written.part.give_back(written.records)
            CheckpointRefused("the group coordinator has not answered within the session").emit()
            return False
        faults.reach("owned")
        await self._write([written for snapshot in snapshots for written in snapshot.written])  # 4, 5
        faults.reach("changelog-acked")
        offsets = {tp: offset for snapshot in snapshots for tp, offset in snapshot.offsets.items()}
        committed = bool(offsets) and await consumer._commit(offsets)  # 6
        faults.reach("committed")
        if committed:
            for snapshot in snapshots:
                for tp, offset in snapshot.offsets.items():
                    if position := snapshot.shard.positions.get(tp):
                        position.committed = offset
        elif offsets:
            CheckpointRefused("the group has a new generation").emit()
        self._finish()
        return committed

    def _snapshot(self, shard: Shard) -> _Snapshot | None:
        positions = shard.by_source(self._app.topic_prefix)
        written = []
        for table in self._app.tables.values():
            part = _part_of(table, shard)
            if part is not None and not (part.clean() and part.claimed):
                written.append(_Written(table.changelog_name, shard.number, part, part.take(positions)))
        if not written and not shard.sends and shard.committed:
            return None
        offsets = {tp: p.next for tp, p in shard.positions.items() if p.next != p.committed}
        sends, shard.sends = shard.sends, []
        return _Snapshot(shard, offsets, sends, written)

    async def _write(self, written: list[_Written]) -> None:
        producer = self._app.producer._producer
        pending = []
        for place in written:
            for builder in _batches(producer, place.records):
                sent = await producer.send_batch(builder, place.topic, partition=place.number)
                pending.append((place, builder.record_count(), sent))
                if len(pending) == 2:
                    faults.reach("changelog-half")
        for place, count, sent in pending:
            base = (await sent).offset
            part = place.part
            if base != part.end:
                ForeignWrite(place.topic, place.number, base, part.end).emit()
                part.rewrite()
            elif part.read_offset == base - 1:  # never advance over a foreign record: recovery must read it
                part.read_offset += count
            part.end = base + count

    def _finish(self) -> None:
        self.finished_at = time.monotonic()
        metrics.CHECKPOINT_AGE.set(0)


def _part_of(table: StateTable, shard: Shard) -> Part[Any] | None:
    """The shard's part of the table, None where the table has no such partition here."""
    return table.data.parts.get(shard.number)


def _batches(producer: Any, records: list[tuple[bytes, bytes]]) -> list[Any]:
    batches, batch = [], producer.create_batch()
    for key, value in records:
        if batch.append(key=key, value=value, timestamp=None) is None:
            batches.append(batch)
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    return [*batches, batch] if records else []

"""Reads partitions that were begun more than once at the same offset, in steps (see `small_steps`)."""

import asyncio
from typing import Protocol

from faust.types import TP

from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.chunk import Chunk, SourceRecord
from stream_detector.delivery.repartition import Origin, find_origin, strip_origin
from stream_detector.delivery.small_steps import ENDS_ALONE, SET_ASIDE, SmallSteps
from stream_detector.events import RefusedError
from stream_detector.kafka import aiokafka_patches, topics
from stream_detector.kafka.aiokafka_patches import FetchState
from stream_detector.telemetry import metrics
from stream_detector.telemetry.log_events import DeadLetterLost, RecordSetAside

LOOK_EVERY_S = 0.02
AGAIN_AFTER_S = 0.1
"""Pause where the group did not take a checkpoint, or a note."""


class Reading(Protocol):
    """What steps need of the consumer."""

    @property
    def is_stopping(self) -> bool:
        """It reads nothing more."""

    def fetch_state(self, tp: TP) -> FetchState | None:
        """What the fetches have reported of a partition, None if it is not ours."""

    def fetch_position(self, tp: TP) -> int:
        """The next offset that will be fetched, -1 if it is not known."""

    def fetch_from(self, tp: TP, offset: int) -> None:
        """Fetch a partition from this offset on, if it is ours."""

    async def fetch_few(self, tp: TP, most: int) -> list[SourceRecord]:
        """At most so many records; none where somebody sought meanwhile."""

    async def deliver(self, chunk: Chunk) -> None:
        """To the agents."""

    async def commit_and_end_transactions(self) -> None:
        """Take a checkpoint now, after the one under way."""


class StepReader:
    """One step at a time."""

    def __init__(self, app: WorkerApp, reading: Reading, steps: SmallSteps) -> None:
        self._app, self._reading, self._steps = app, reading, steps
        self._last: TP | None = None

    def find_due(self, wanted: set[TP]) -> TP | None:
        """Which of these partitions the next step is to read; None where none has records, as far as is known."""
        due = sorted(tp for tp in self._steps.again & wanted if self._end_of_more(tp))
        later = [tp for tp in due if self._last is not None and tp > self._last]
        return next(iter(later or due), None)  # one after the other

    async def take(self, tp: TP) -> None:
        """Read one step of a partition: fetch, apply and commit, with nothing else under way."""
        steps, positions, self._last = self._steps, self._app.positions, tp
        assignment = positions.assignment
        while positions.in_flight_bytes and positions.assignment == assignment and not self._reading.is_stopping:
            await self._look_again()
        await self._reading.commit_and_end_transactions()
        position = positions.tasks.find_position(tp)
        if position is None or positions.assignment != assignment or tp not in steps.again:
            return
        offset = position.next_offset
        if offset != position.committed or not await steps.mark(tp, self._end_of_more(tp)):
            await asyncio.sleep(AGAIN_AFTER_S)
            return
        if steps.starts(tp) > SET_ASIDE:  # it was not to be applied any more, and its fetch killed
            self._note_set_aside(tp, offset)
            aiokafka_patches.refuse_batch(tp.topic, tp.partition, offset)
            self._reading.fetch_from(tp, offset)  # what is fetched already would be read
        records = await self._reading.fetch_few(tp, steps.records(tp))
        if (at := self._reading.fetch_position(tp)) >= 0 and not self._end_of_more(tp):
            # aiokafka keeps a fetch whose last record was also the last that was asked for, though nothing is left of
            # it, and fetches no more of the partition until it is asked again.
            self._reading.fetch_from(tp, at)
        if positions.assignment != assignment or tp not in steps.again:
            return
        if records:
            await self._apply(tp, records)
        else:
            await steps.unmark()
            positions.skip_gap(tp)
        await self._reading.commit_and_end_transactions()

    async def _apply(self, tp: TP, records: list[SourceRecord]) -> None:
        positions = self._app.positions
        next_offset = max(self._reading.fetch_position(tp), records[-1].offset + 1)
        chunk = Chunk(tp, records, next_offset, positions.rewinds[tp], positions.assignment)
        if self._steps.starts(tp) == SET_ASIDE:
            await self._steps.unmark()  # its fetch does not kill
            try:
                await self._set_aside(chunk)
            except Exception as error:  # as in the loop of the agents: going on would lose the record
                self._app.fail(f"{tp.topic}: {error!r}")
        else:
            await self._reading.deliver(chunk)
            await self._until_applied(chunk)

    async def _until_applied(self, chunk: Chunk) -> None:
        positions = self._app.positions
        while positions.assignment == chunk.assignment and positions.rewinds[chunk.tp] == chunk.rewinds:
            position = positions.tasks.find_position(chunk.tp)
            if position is None or position.next_offset >= chunk.next_offset or self._reading.is_stopping:
                return
            if self._app.waiting_for:
                await self._steps.unmark()
            await self._look_again()

    async def _look_again(self) -> None:
        freed = self._app.positions.room_freed
        freed.clear()
        try:
            await asyncio.wait_for(freed.wait(), LOOK_EVERY_S)
        except TimeoutError:
            return

    def _end_of_more(self, tp: TP) -> int:
        """The end of a partition with records to be fetched, as far as the fetches know; 0 where it has none."""
        state = self._reading.fetch_state(tp)
        if state is None or state.position < 0:
            return 0
        end = max(state.last_stable_offset or 0, 0) or state.high_watermark or 0
        return end if end > state.position else 0

    def _note_set_aside(self, tp: TP, offset: int) -> None:
        self._steps.note_set_aside(tp, offset)
        RecordSetAside(self._app.role, tp.topic, tp.partition, offset, ENDS_ALONE).emit()

    async def _set_aside(self, chunk: Chunk) -> None:
        """Keep a record on dead letters that has ended the process each time, without looking at it."""
        app, tp, (record,) = self._app, chunk.tp, chunk.records
        source = tp.topic[len(app.topic_prefix) :]
        if not await app.pass_over(source, chunk) or app.positions.assignment != chunk.assignment:
            return
        self._note_set_aside(tp, record.offset)
        origin = find_origin(record.headers) if source in (topics.REKEYED, topics.NOTIFIER_IN) else None
        headers = strip_origin(record.headers) if origin else record.headers
        place = origin or Origin(source, tp.partition, record.offset, record.timestamp)
        why = f"the {app.role} ended {ENDS_ALONE} times in a row while it was processing this record alone"
        app.positions.note_delivered(chunk)
        if topics.DEAD_LETTERS not in app.partitions:
            DeadLetterLost(place.topic, place.partition, place.offset, "there is no such topic").emit()
        elif source != topics.DEAD_LETTERS:  # there it is already
            app.send_to_dlq(record, headers, place, tp.partition, RefusedError("step", "step_failed", why))
            app.dispatch(tp.partition)
        metrics.EVENTS.labels(source, "refused").inc()
        app.positions.mark_applied(chunk)
        app.positions.release(chunk)

"""Batch delivery: a Faust transport that hands an agent one envelope per fetched chunk of a partition.

Stock Faust makes an event, several tasks and an ack per record (3,131 events/s on one core); here the cost per record
is that of the fetch and the step (200,000 and more). Group membership, assignment, tables, recovery and rebalancing
stay Faust's. Overridden, with the reason:

- `_drain_messages`: chunks to the agents, changelog chunks straight into the store.
- `perform_seek`: sets each partition's position, from which the contiguous prefix is counted.
- `force_commit`: every commit of Faust (timer, revocation, shutdown) ends there; it is the checkpoint.
- `commit_and_end_transactions`: stock returns without committing if another commit is under way.
- the consumer's thread: none, see `group`.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from aiokafka import TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faust.events import Event
from faust.transport.conductor import Conductor
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.checkpoint import Commit
from stream_detector.delivery.chunk import Chunk, SourceRecord
from stream_detector.delivery.group import InlineConsumerThread
from stream_detector.delivery.small_steps import Notes, SmallSteps
from stream_detector.delivery.start_notes import Committed, NotesInFile, NotesInMetadata
from stream_detector.delivery.state.changelog_record import SOURCES
from stream_detector.delivery.step_reader import StepReader
from stream_detector.kafka import aiokafka_patches
from stream_detector.kafka.aiokafka_patches import FetchState
from stream_detector.kafka.commit_note import with_set_aside, with_start
from stream_detector.kafka.errors import describe_error

MAX_IN_FLIGHT_BYTES = 64 << 20
"""Chunks that agents have not finished, plus sends not acknowledged: above this nothing more is read."""

SKIP_GAPS_EVERY_S = 0.2
"""How often partitions that bring nothing are looked at while others bring records."""

LOOK_AGAIN_S = 0.1
"""How often partitions that are read in steps are looked at while they bring nothing."""

BEGIN_WITHIN_S, END_WITHIN_S = 5.0, 1.0
"""How long a role waits for a note to be taken when partitions become its own, and when it gives them back: a broker
that answers slowly must keep it neither from its work nor from its end."""

Records = list[SourceRecord]


class BatchConsumer(driver.Consumer):
    """Delivers chunks, and checkpoints instead of committing acks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._metadata: dict[TP, str] = {}
        """What was committed with the offset of each source when it became ours."""
        self.steps = SmallSteps(self._make_notes())
        self.step_reader = StepReader(self.worker_app, self, self.steps)
        self.worker_app.unmark_record = self.steps.unmark_now
        self._skip_gaps_at_s = 0.0
        self._commits: dict[TP, int] = {}
        """What the group had committed of our sources when the recovery of this assignment began."""
        self._commits_of_assignment = -1
        self.fetched_until: dict[TP, int] = {}
        """Partitions of which records are fetched and not used yet: their fetch position, which is ahead of the use."""

    def _new_consumer_thread(self) -> InlineConsumerThread:
        return InlineConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def worker_app(self) -> WorkerApp:
        """The app."""
        return cast(WorkerApp, self.app)

    @property
    def member(self) -> InlineConsumerThread:
        """This worker in its group."""
        return cast(InlineConsumerThread, self._thread)

    # -- what the fetches report ----------------------------------------------------------------------------------

    @property
    def unused(self) -> set[TP]:
        """Partitions of which records are fetched and not used yet."""
        return set(self.fetched_until)

    def fetch_state(self, tp: TP) -> FetchState | None:
        """What the fetches have reported of a partition, None if it is not ours."""
        return aiokafka_patches.fetch_state(self.member.kafka_consumer, tp.topic, tp.partition)

    def fetch_position(self, tp: TP) -> int:
        """The next offset that will be fetched, -1 if it is not known."""
        state = self.fetch_state(tp)
        return state.position if state else -1

    def last_stable_offset(self, tp: TP) -> int:
        """The end of the partition as the last fetch reported it, also where ListOffsets is wrong; 0 if unknown."""
        state = self.fetch_state(tp)
        return (state and state.last_stable_offset) or 0

    def fetch_from(self, tp: TP, offset: int) -> None:
        """Fetch a partition from this offset on, if it is ours."""
        if tp in self.assignment():
            self._thread.seek(tp, offset)

    async def perform_seek(self) -> None:
        """Seek to the committed offsets; from here on the partitions are ours to apply and to commit."""
        await super().perform_seek()
        sources = [tp for tp in self.assignment() if tp.topic not in self.worker_app.tables_by_changelog]
        # Asked here: Faust takes a committed 0, of a partition that was empty, for none.
        known = await self.member.fetch_committed(sources)
        unknown = [tp for tp in sources if tp not in known]
        earliest = await self.earliest_offsets(*unknown) if unknown else {}
        if self.worker_app.recovery.is_interrupted:
            return  # they are given back already
        self._metadata = {tp: commit.metadata for tp, commit in known.items()}
        positions = self.worker_app.positions
        for tp in sources:
            if (commit := known.get(tp)) is not None:
                positions.start(tp, commit.offset, commit.offset, note=commit.metadata)
            else:
                positions.start(tp, earliest[tp], None, self.worker_app.known_position(tp))
        await self._note_starts(sources)

    async def _note_starts(self, sources: list[TP]) -> None:
        """Count these starts, with the offset at which each partition begins."""
        tasks = self.worker_app.positions.tasks
        found = {tp: position for tp in sources if (position := tasks.find_position(tp))}
        # What was lost before an offset is reported with its first commit.
        begun = {tp: position.next_offset for tp, position in found.items() if not position.lost}
        with contextlib.suppress(TimeoutError):  # these starts are not counted, then
            await asyncio.wait_for(self.steps.begin(begun), BEGIN_WITHIN_S)

    def _make_notes(self) -> Notes:
        if path := self.worker_app.settings.starts_file:
            return NotesInFile(Path(path))
        tasks = self.worker_app.positions.tasks

        def kept(tp: TP) -> str:
            position = tasks.find_position(tp)
            return position.note if position else ""

        async def commit(noted: Committed) -> bool:
            try:
                committed = await self.member.commit_offsets({tp: Commit(*each) for tp, each in noted.items()})
            except (KafkaError, ConsumerStoppedError):  # without notes the role works as well
                return False
            for tp, (offset, _) in noted.items() if committed else ():
                if (position := tasks.find_position(tp)) and position.committed is None:
                    position.committed = offset
            return committed

        def keep(tp: TP, offset: int) -> None:
            if position := tasks.find_position(tp):
                position.note = with_set_aside(position.note, offset)

        return NotesInMetadata(
            lambda tp: self._metadata.get(tp, ""), kept, commit, lambda noted: self.member.commit_now(noted), keep
        )

    async def forget_starts(self) -> None:
        """What is ours is given back in order."""
        tasks = self.worker_app.positions.tasks

        def is_unchanged(tp: TP, offset: int) -> bool:
            position = tasks.find_position(tp)
            return position is not None and position.next_offset == offset

        if self.owns_partitions():
            with contextlib.suppress(TimeoutError):  # it counts as an end, then
                await asyncio.wait_for(self.steps.end(is_unchanged), END_WITHIN_S)

    async def read_progress(self) -> list[tuple[TP, int, int]]:
        """Each partition of ours, how far it is read, and its end: of changelogs while recovering, else of sources.

        Ends are asked for: those of the fetches say nothing where nothing is fetched any more.
        """
        app, recovery = self.worker_app, self.worker_app.recovery
        if recovery.in_recovery:
            return [
                (tp, self.fetch_position(tp), max(last + 1, self.last_stable_offset(tp)))
                for tp, last in recovery.active_highwaters.items()
                if tp in recovery.active_tps and last >= 0
            ]
        if app.rebalancing:
            return []  # waiting for the others, or for the coordinator
        applied = app.positions.applied_until()
        places = {tp: TopicPartition(*tp) for tp in applied}
        try:
            asked = self.member.kafka_consumer.end_offsets(places.values())
            ends = await asyncio.wait_for(asked, 10.0) if places else {}
        except (KafkaError, TimeoutError):
            return []  # the broker is away: everybody stands
        return [(tp, offset, ends[places[tp]]) for tp, offset in applied.items()]

    # -- reading -------------------------------------------------------------------------------------------------

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self._drain_once()
        except (asyncio.CancelledError, ConsumerStoppedError):
            if not self.app.should_stop:
                raise

    async def _drain_once(self) -> None:
        await self._wait_for_room()
        app, began = self.worker_app, self.worker_app.positions.assignment
        # First layer against the emptied queues (see `processor`): only changelogs are read until a rebalance is over.
        wanted = {
            tp
            for tp in self._get_active_partitions()
            if tp.topic in app.tables_by_changelog or not self.app.rebalancing
        }
        quiet, timeout_s = wanted, 0.1 if app.recovery.in_recovery else 1.0
        if self.steps.again and self.flow_active and not self.app.rebalancing:
            if due := self.step_reader.find_due(wanted):
                await self.step_reader.take(due)
            wanted, timeout_s = wanted - self.steps.again, 0.0 if due else LOOK_AGAIN_S
        if not wanted:
            await asyncio.sleep(0.02 if not quiet else timeout_s)
            return
        fetched = await self._fetch(wanted, timeout_s)
        await asyncio.sleep(0)
        if not app.tables_by_changelog.keys().isdisjoint(tp.topic for tp in fetched):
            await self._learn_commits()
        if began == app.positions.assignment and self.flow_active and not self.app.rebalancing:
            self._skip_gaps(quiet - fetched.keys(), at_once=not fetched)
        for tp, records in fetched.items():
            if self.fetch_position(tp) == self.fetched_until[tp]:
                await self._route_records(tp, records)
            del self.fetched_until[tp]
        if app.recovery.in_recovery and self.flow_active and not app.recovery.need_recovery():
            app.recovery.signal_end()

    async def _learn_commits(self) -> None:
        """Once for each assignment, before its first record of a changelog: see `PartitionContents.committed`."""
        assignment = self.worker_app.positions.assignment
        if self._commits_of_assignment == assignment:
            return
        self._commits, self._commits_of_assignment = {}, assignment
        sources = [tp for tp in self.assignment() if tp.topic not in self.worker_app.tables_by_changelog]
        with contextlib.suppress(KafkaError, ConsumerStoppedError, TimeoutError):  # recovery takes more memory, then
            known = await asyncio.wait_for(self.member.fetch_committed(sources), BEGIN_WITHIN_S)
            if assignment == self.worker_app.positions.assignment:
                self._commits = {tp: commit.offset for tp, commit in known.items()}

    def _skip_gaps(self, empty: set[TP], *, at_once: bool) -> None:
        """Of each partition that brought nothing: else what another brings all the time keeps commits before a lone
        marker. Then now and then is enough, since it is looked at with every fetch."""
        now_s, positions = time.monotonic(), self.worker_app.positions
        if not at_once and now_s < self._skip_gaps_at_s:
            return
        self._skip_gaps_at_s = now_s + SKIP_GAPS_EVERY_S
        for tp in empty:
            if not positions.is_truncated(tp):
                positions.skip_gap(tp)

    async def _wait_for_room(self) -> None:
        if not self.flow_active:
            await self.wait(self.can_resume_flow.wait())
        positions, producer = self.worker_app.positions, self.worker_app.batch_producer
        while positions.in_flight_bytes + producer.pending_bytes > MAX_IN_FLIGHT_BYTES and self.flow_active:
            positions.room_freed.clear()
            await self.wait(positions.room_freed.wait(), timeout=0.02)  # the producer has no signal for its room

    async def _fetch(self, wanted: set[TP], timeout_s: float) -> dict[TP, Records]:
        fetched = cast(dict[TP, Records], await self._getmany(wanted, timeout_s))
        # Noted before anything else can run: what somebody seeks from now on makes these records stale.
        self.fetched_until = {tp: self.fetch_position(tp) for tp in fetched}
        return fetched

    async def _route_records(self, tp: TP, records: Records) -> None:
        """Into the store, or to the agents. What may go to neither now is fetched again: the fetch position is behind
        it, so a changelog's records would pass for recovered, and a source's for one of its gaps."""
        app = self.worker_app
        table = app.tables_by_changelog.get(tp.topic)
        if table is not None and tp not in app.recovery.active_tps:
            return  # a standby's
        if not self.flow_active or (table is None and self.app.rebalancing):
            app.positions.rewind(tp, records[0].offset)
        elif table is not None:
            partition, number = table.get_or_create(tp.partition), tp.partition
            partition.committed = {
                source: offset
                for source in SOURCES
                if (offset := self._commits.get(TP(app.settings.topic(source), number)))
            }
            partition.apply_changelog(records)
            app.recovery.active_offsets[tp] = records[-1].offset
            await asyncio.sleep(0)
        else:
            positions, next_offset = app.positions, max(self.fetched_until[tp], records[-1].offset + 1)
            await self.deliver(Chunk(tp, records, next_offset, positions.rewinds[tp], positions.assignment))

    @property
    def is_stopping(self) -> bool:
        """It reads nothing more."""
        return self._stopped.is_set()

    async def fetch_few(self, tp: TP, most: int) -> Records:
        """At most so many records of a partition; none where somebody sought meanwhile."""
        self.member.most_records = most
        try:
            fetched = await self._fetch({tp}, LOOK_AGAIN_S)
        finally:
            self.member.most_records = None
        records, until = fetched.get(tp, []), self.fetched_until.pop(tp, -1)
        if not records or self.fetch_position(tp) != until:
            return []
        if not self.flow_active or self.app.rebalancing:
            self.worker_app.positions.rewind(tp, records[0].offset)
            return []
        return records

    async def deliver(self, chunk: Chunk) -> None:
        """An envelope with the chunk into the queues of its agents.

        Faust's own way takes four tasks and a lock, 34.7 us of processor time a chunk on uvloop; this 3.1. At low rates
        nearly every event is a chunk. It is gone where it has to wait: the flow is suspended, or a queue is long.
        """
        self.worker_app.positions.note_delivered(chunk)
        tp, last = chunk.tp, chunk.records[-1]
        message = ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000,
            0,
            cast(Any, last.headers),
            last.key,
            cast(Any, chunk),
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )
        queues = [channel.queue for channel in cast(Conductor, self.app.topics)._tp_index[tp]]
        is_long = any(queue.qsize() >= queue.pressure_high_size for queue in queues)
        if is_long or not self.app.flow_control.is_active():
            await self.wait_first(self.callback(message), self.suspend_flow.wait())
            return
        message.incref(len(queues))
        for queue in queues:
            queue.force_put_nowait(Event(self.app, message.key, message.value, message.headers, message))

    # -- checkpoint ----------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Checkpoint while the partitions are still ours (Faust commits before aiokafka rejoins), then disown them."""
        await super().on_partitions_revoked(revoked)
        await self.forget_starts()
        self.worker_app.positions.revoke_all()

    async def commit_and_end_transactions(self) -> None:
        """The last commit before revocation and shutdown: never lean on one already under way."""
        await self.maybe_wait_for_commit_to_finish()
        await self.commit()

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """The checkpoint. Faust's own acks are not used: they may jump over gaps and are gone at a revocation."""
        self._acked.clear()
        self._acked_index.clear()
        try:
            return await self.worker_app.checkpoint()
        except Exception as error:
            self.worker_app.fail(f"checkpoint: {describe_error(error, self.worker_app.role, 'Write')}")
            raise

    async def commit_offsets(self, offsets: Mapping[TP, Commit]) -> bool:
        """False where the group has a new generation."""
        steps = self.steps
        noted = {tp: Commit(at, with_start(metadata, steps.at(tp, at))) for tp, (at, metadata) in offsets.items()}
        committed = await self.member.commit_offsets(noted)
        if committed:
            steps.passed({tp: commit.offset for tp, commit in offsets.items()})
        return committed

    async def committed_offset(self, tp: TP) -> int | None:
        """What the group has committed, asked of the broker."""
        return await self.member.kafka_consumer.committed(TopicPartition(*tp))

    def owns_partitions(self) -> bool:
        """True if the partitions are surely ours now."""
        return self.member.owns_partitions()

    def answer_age_s(self) -> float:
        """Since when the group's coordinator has answered nothing."""
        return self.member.answer_age_s()

    def find_ended_task(self) -> str:
        """Which of the tasks that must live as long as the worker has ended, and by what; empty if none has."""
        return self.member.find_ended_task()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Stock warns by counting acks per record; `/livez` watches progress instead."""


class BatchTransport(driver.Transport):
    """Registered as `batch://`."""

    Consumer = BatchConsumer


TRANSPORTS.aliases["batch"] = f"{__name__}:BatchTransport"

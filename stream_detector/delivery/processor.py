"""The loop of every role, and which chunks it may apply: those that continue what was applied, within the assignment
that they were fetched in.

Faust empties the agents' queues when it resumes the flow after a rebalance (tables/recovery.py:659), with the fetch
position already behind what it threw away. Whoever applied what comes next would lose those events; here it is fetched
again. That is the second of two layers against it, the first is in `consumer`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from faust.types import TP

from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.task import Position, Tasks
from stream_detector.kafka.aiokafka_patches import FetchState
from stream_detector.kafka.commit_note import OffsetRange, with_lost
from stream_detector.telemetry import metrics
from stream_detector.telemetry.log_events import ChunkRewound

Outcomes = Counter[str]
"""What became of a chunk's events: outcome (`metrics.EVENTS`) -> how many."""

Apply = Callable[[str, Chunk], Awaitable[Outcomes | None]]
"""Applies a chunk of a source topic (its name without the prefix). None: it was given up, and nothing of it is applied.

Until it returns, the chunk's events count as not applied. What it puts into the batch producer is sent afterwards.
"""

TRUNCATED_FOR_S = 5.0
"""A partition's new leader may answer an end that is too low for a moment."""


def clock_s() -> float:
    """Runs on while the process is stopped or the machine sleeps, unlike CLOCK_MONOTONIC."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Fetching(Protocol):
    """What the positions need of the consumer."""

    def fetch_state(self, tp: TP) -> FetchState | None:
        """What the fetches have reported of a partition, None if it is not ours."""

    def fetch_from(self, tp: TP, offset: int) -> None:
        """Fetch a partition from this offset on, if it is ours."""


class Positions:
    """How far each source partition of ours is applied, and what is on its way to be.

    Args:
        fetching: the consumer, once there is one.
        in_state: (partition number, source topic) -> the largest position that state holds of it.
        fail: ends the process.
        prefix: of the topics' names.
    """

    def __init__(
        self,
        fetching: Callable[[], Fetching],
        in_state: Callable[[int, str], int],
        fail: Callable[[str], None],
        prefix: str = "",
    ) -> None:
        self._fetching, self._in_state, self._fail, self._prefix = fetching, in_state, fail, prefix
        self.tasks = Tasks()
        self.assignment = 0
        """Counts assignments: a chunk of an earlier one is in no queue any more."""
        self.rewinds: Counter[TP] = Counter()
        """Rewinds per partition: a chunk fetched before one is not used."""
        self.in_flight_bytes = 0
        """Of chunks that agents have not finished."""
        self.room_freed = asyncio.Event()
        """Set when `in_flight_bytes` has become less."""
        self._in_flight: Counter[TP] = Counter()
        self._delivered_until: dict[TP, int] = {}
        """The offset behind the last chunk of this assignment that went to the agents."""
        self._truncated_since_s: dict[TP, float] = {}

    def start(self, tp: TP, next_offset: int, committed: int | None, known: int = 0, note: str = "") -> None:
        """From here on the partition is ours to apply and to commit.

        Args:
            tp: the partition.
            next_offset: where it goes on: the committed offset, or the start of the log where there is none.
            committed: None where the group has none.
            known: up to where it is known to be applied although nothing is committed: the broker forgets the offsets
                of a group that was away for longer than `offsets.retention.minutes`. What lies between is lost.
            note: what was committed with the offset.
        """
        self._delivered_until.pop(tp, None)
        position = Position(next_offset, committed, note=with_lost(note))
        if committed is None and 0 < known < next_offset:
            position.lost.append(OffsetRange(known, next_offset))
        self.tasks.get_or_create(tp.partition).positions[tp] = position
        # The series is there with 0, so that a first loss is an increase.
        metrics.RECORDS_LOST.labels(tp.topic[len(self._prefix) :], str(tp.partition))

    def revoke_all(self) -> None:
        """Nothing is ours until the next assignment; a chunk that an agent still has moves nothing any more."""
        self.tasks.clear()
        self.assignment += 1
        self.in_flight_bytes = 0
        self._in_flight.clear()

    # -- chunks --------------------------------------------------------------------------------------------------

    def note_delivered(self, chunk: Chunk) -> None:
        """The chunk goes to its agent, which has to release it."""
        self.in_flight_bytes += chunk.n_bytes
        self._in_flight[chunk.tp] += 1
        self._delivered_until[chunk.tp] = chunk.next_offset

    def is_next(self, chunk: Chunk) -> bool:
        """True if the chunk continues what was applied; else it is dropped, and fetched again if events are missing."""
        tp, first = chunk.tp, chunk.records[0].offset
        position = self.tasks.find_position(tp)
        if position is None or chunk.assignment != self.assignment or chunk.rewinds != self.rewinds[tp]:
            return False
        if first < position.next_offset:
            self._fail_recreated(tp, first, position.next_offset)
        if self.is_truncated(tp, chunk.next_offset):
            self.rewind(tp, position.next_offset)
            return False
        if first > position.next_offset and position.rewound != chunk.rewinds:
            ChunkRewound(tp.topic, tp.partition, first, position.next_offset).emit()
            self.rewind(tp, position.next_offset)
            position.rewound = self.rewinds[tp]
            return False
        position.rewound = None
        return True

    def mark_applied(self, chunk: Chunk) -> None:
        """The chunk is applied: the next one follows it."""
        position = self.tasks.find_position(chunk.tp)
        if position is not None and chunk.assignment == self.assignment:
            if chunk.records[0].offset > position.next_offset:
                self._pass_over(chunk.tp, position, chunk.records[0].offset)
            position.next_offset = max(position.next_offset, chunk.next_offset)
            position.applied += len(chunk.records)

    def release(self, chunk: Chunk) -> None:
        """The chunk is out of memory, applied or not."""
        if chunk.assignment == self.assignment:
            self.in_flight_bytes -= chunk.n_bytes
            self._in_flight[chunk.tp] -= 1
            self.room_freed.set()

    def rewind(self, tp: TP, offset: int) -> None:
        """Fetch again from an offset: what was fetched behind it is not used."""
        self.rewinds[tp] += 1
        self._fetching().fetch_from(tp, offset)

    # -- what no chunk shows -------------------------------------------------------------------------------------

    def is_truncated(self, tp: TP, end: int = 0) -> bool:
        """True if the topic ends before what was applied of it; if it stays so, it was recreated and the process ends.

        The new events would pass for repeats, silently. The committed offset alone does not show it: Kafka deletes it
        with the topic. A new topic that is longer than the old one was looks the same.
        """
        position, state = self.tasks.find_position(tp), self._fetching().fetch_state(tp)
        if position is None or state is None or state.high_watermark is None:
            return False
        end = max(end, state.high_watermark)
        applied = max(position.next_offset, self._in_state(tp.partition, tp.topic[len(self._prefix) :]))
        if end >= applied:
            self._truncated_since_s.pop(tp, None)
            return False
        if clock_s() - self._truncated_since_s.setdefault(tp, clock_s()) > TRUNCATED_FOR_S:
            self._fail_recreated(tp, end, applied)
        return True

    def skip_gap(self, tp: TP) -> None:
        """Where everything that was fetched is applied, what the fetches have passed since holds no records: markers
        of transactions, aborted ones, what compaction removed. It is applied, so that no lag stays behind."""
        position, state = self.tasks.find_position(tp), self._fetching().fetch_state(tp)
        if (
            position is None
            or state is None
            or position.next_offset != self._delivered_until.get(tp, position.next_offset)
        ):
            return
        if state.position > position.next_offset:
            self._pass_over(tp, position, state.position)
        position.next_offset = self._delivered_until[tp] = max(position.next_offset, state.position)

    def _pass_over(self, tp: TP, position: Position, until: int) -> None:
        """No chunk brings the offsets from the position to before `until`. Most are a gap of the topic, which is no
        loss; those that the broker no longer had when they were fetched are."""
        state = self._fetching().fetch_state(tp)
        if state is None or state.last_reset is None:
            return
        first, end = max(position.next_offset, state.last_reset[0]), min(until, state.last_reset[1])
        if first < end:
            position.lost.append(OffsetRange(first, end))

    def applied_until(self) -> dict[TP, int]:
        """How far each source partition is applied, markers of transactions included where nothing is in flight."""
        found = {}
        for task in self.tasks:
            for tp, position in task.positions.items():
                state = None if self._in_flight[tp] else self._fetching().fetch_state(tp)
                found[tp] = max(position.next_offset, state.position) if state else position.next_offset
        return found

    def has_unread(self, known: Mapping[TP, int]) -> bool:
        """Whether the fetches have reported records of ours that are not applied yet, or nothing of a partition yet.

        Args:
            known: ends that are known otherwise, since a fetch reports one only when it is answered.
        """
        for tp, applied in self.applied_until().items():
            state = self._fetching().fetch_state(tp)
            end = state and (state.high_watermark if state.last_stable_offset is None else state.last_stable_offset)
            if end is None or max(end, known.get(tp, 0)) > applied:
                return True
        return False

    def _fail_recreated(self, tp: TP, answered: int, applied: int) -> None:
        self._fail(
            f"{tp.topic}-{tp.partition} has offset {answered}, but {applied} was already applied: its log was "
            "truncated, or the topic was recreated. Stop this role and run `stream-detector reset-source --topic "
            f"{tp.topic[len(self._prefix) :]} --partition {tp.partition} --to earliest` (or latest, or an offset)"
        )


class ProcessingApp(Protocol):
    """What the loop needs of the app."""

    positions: Positions

    @property
    def agent(self) -> Callable[..., Callable[[Callable[[Any], Awaitable[None]]], Any]]: ...
    def source_topic(self, name: str) -> Any: ...
    def dispatch(self, number: int) -> None: ...
    def fail(self, why: str) -> None: ...


def process_topic(
    app: ProcessingApp,
    source: str,
    apply: Apply,
    *,
    agent: str,
    before: Callable[[Chunk], Awaitable[None]] | None = None,
) -> None:
    """Add the agent that reads one source topic.

    Args:
        source: the topic's name without the prefix.
        apply: given each chunk that continues what was applied. Whatever it raises ends the process.
        agent: the agent's name.
        before: may wait before the chunk is looked at; by then the partition may be another worker's.
    """

    @app.agent(app.source_topic(source), name=agent)
    async def process(stream: Any) -> None:
        positions = app.positions
        async for event in stream.events():
            chunk: Chunk = event.value
            try:
                if before is not None:
                    await before(chunk)
                if not positions.is_next(chunk):
                    continue
                outcomes = await apply(source, chunk)
                if outcomes is None:
                    continue
                app.dispatch(chunk.tp.partition)
                positions.mark_applied(chunk)
                if chunk.is_cut:
                    positions.rewind(chunk.tp, chunk.next_offset)
                for outcome, count in outcomes.items():
                    metrics.EVENTS.labels(source, outcome).inc(count)
            except Exception as error:  # going on would lose the chunk
                app.fail(f"{source}: {error!r}")
            finally:
                positions.release(chunk)

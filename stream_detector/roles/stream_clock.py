"""The clock in the stream: says that a run is missing, or runs for too long, although no event comes any more.

An event decides what was due before it, always first (`detect.step`); the clock only says it sooner. It looks at keys
whose minute has passed, and at those only after a `Barrier`: all that was published before its moment is applied, by
every detector of the group. While anything is behind, nothing is said. No worker's wall clock decides anything but
under `up`, whose embedded broker names no time.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from weakref import WeakKeyDictionary

import msgspec
from aiokafka.errors import KafkaError

from stream_detector.delivery import faults
from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.barrier import Barrier
from stream_detector.delivery.broker_clock import steady_ms
from stream_detector.delivery.clock_topic import AWAY, TICK, Away, ClockTopic
from stream_detector.delivery.published_before import PublishedBefore, Ticket
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.state.table import StateTable
from stream_detector.detect import Config, WorkflowBaseline
from stream_detector.detect import due as due_rules
from stream_detector.events import Anomaly
from stream_detector.events.encode import encode
from stream_detector.events.source_census import census_key
from stream_detector.events.times import from_epoch_ms
from stream_detector.kafka import topics
from stream_detector.roles.census import CensusTaker, count
from stream_detector.roles.due_partition import DuePartition, Rules, Span
from stream_detector.telemetry import metrics
from stream_detector.telemetry.log_events import WasAway

BEFORE_A_MOMENT = (topics.COMPLETIONS, topics.ACTIONS), (topics.REKEYED,), (topics.REKEYED,)
"""What a moment waits for: events and decisions, then those forwarded to the owner of their key; twice, since a renamed
workflow's are forwarded by the owner of its former id, too."""

AWAY_MS = 300_000
"""Who took nothing in for longer was away."""
INTAKE_EVERY_MS = 30_000
SLICE_S = 0.0005
KEYS_AT_ONCE = 16
"""Keys that are decided before anything else can run: half a millisecond."""
SILENT_S = 5.0
"""A broker that answers nothing for so long is away."""


Expected = Callable[[int, StatePartition[bytes], int], Iterable[WorkflowBaseline]]
"""Partition number, partition, epoch seconds."""


class StreamClock:
    """One detector's. The loop of events calls `before_chunk` and `begin`; the rest goes on by itself.

    Args:
        app: the worker.
        table: of the baselines.
        config: the detection's.
        send: publishes an alert of a key of a partition.
        topic: the topic `clock`; None where this is not a detector that runs, but one that is measured.
        published: of its own, with endless patience and the stages `BEFORE_A_MOMENT`.
        rules: what decides.
        expected: the baselines of a partition that count from now on since a rule names their workflow.
    """

    def __init__(
        self,
        app: WorkerApp,
        table: StateTable[bytes],
        config: Config,
        send: Callable[[str, Anomaly, int], None],
        topic: ClockTopic | None = None,
        published: PublishedBefore | None = None,
        rules: Rules = due_rules,
        expected: Expected = lambda number, partition, now_s: (),
    ) -> None:
        self._app, self._table, self._config, self._send, self._rules = app, table, config, send, rules
        self._topic, self._published, self._expected = topic, published, expected
        self._barrier = Barrier(topic, published, app.until_checkpoint) if topic and published else None
        self._owned: dict[int, DuePartition] = {}
        self._alive_ms = self.steady_ms()
        """When the broker last acknowledged a record of ours, by `steady_ms`."""
        self._alive_at_ms = 0
        """The same by the broker."""
        self._held_since_ms = self._silent_since_ms = self._hold_until_ms = 0
        self._noted_ms = 0
        self._tickets: dict[int, Ticket] = {}
        self._report: Away | None = None
        self._rebalances = 0
        self._takers: WeakKeyDictionary[DuePartition, CensusTaker] = WeakKeyDictionary()
        self._still_running: dict[int, int] = {}

        @app.on_rebalance_complete.connect(weak=False)
        async def forget(*_: object, **__: object) -> None:
            self._tickets.clear()
            self._rebalances += 1
            if published is not None:
                published.forget()

    def steady_ms(self) -> int:
        """See `broker_clock`."""
        return steady_ms()

    def tasks(self) -> list[Callable[[], Awaitable[None]]]:
        """What goes on beside the loop of events, each until it is cancelled."""
        return (
            []
            if self._topic is None or self._published is None
            else [self._topic.follow, self._published.run, self.run, self.run_intake]
        )

    # -- for the loop of events ----------------------------------------------------------------------------------

    async def before_chunk(self, number: int) -> None:
        """Know for how long nobody took the partition in, before the first event of it is applied."""
        partition, known = self._table.find_owned(number), self._owned.get(number)
        if self._topic is None or partition is None or (known is not None and known.is_of(partition)):
            return
        await self._know(self._topic)

    async def _know(self, topic: ClockTopic) -> None:
        """Know what time it is, and until when each partition was taken in."""
        await topic.until_read()
        if topic.is_usable and topic.now_ms() is None:
            await self._stamp(topic, TICK)

    def begin(self, number: int, partition: StatePartition[bytes]) -> DuePartition:
        """What is known of a partition; to be asked for with each chunk of it."""
        if self._topic is not None and self.steady_ms() - self._alive_ms > AWAY_MS:
            self._come_back(self._topic)
        owned = self._owned.get(number)
        if owned is None or not owned.is_of(partition):
            owned = self._owned[number] = self._take_over(number, partition)
        return owned

    def want_census(self, number: int) -> None:
        """Something that was missed, or runs for long, was found or ended by an event."""
        if (owned := self._owned.get(number)) is not None:
            owned.census_wanted = True

    def before_checkpoint(self, number: int) -> None:
        """Send what a checkpoint holds."""
        owned = self._owned.get(number)
        partition = self._table.find_owned(number)
        if owned is None or not owned.unsent or partition is None or not owned.is_of(partition):
            return
        for key, alerts in owned.take_safe(self._app.checkpoint.completed):
            faults.reach("due-safe")
            for alert in alerts:
                self._send(key, alert, number)
            faults.reach("due-sent")

    # -- taking over ---------------------------------------------------------------------------------------------

    def _take_over(self, number: int, partition: StatePartition[bytes]) -> DuePartition:
        away, topic = None, self._topic
        now_ms = topic.now_ms() if topic is not None and topic.is_usable else None
        if topic is not None and now_ms is not None and partition.packed:
            last_ms = topic.taken_in_ms.get(number, topic.known_from_ms)
            away = Span(last_ms, now_ms) if now_ms - last_ms > AWAY_MS else None
        return DuePartition(partition, self._rules, self._config, away)

    def _come_back(self, topic: ClockTopic) -> None:
        """This machine slept, the process was stopped, or the broker was away."""
        now_ms, self._alive_ms = topic.now_ms(), self.steady_ms()
        if now_ms is None or not self._alive_at_ms:
            return
        for number, owned in self._owned.items():
            self._tickets.pop(number, None)
            owned.begin(Span(self._alive_at_ms, now_ms))

    def _are_owned(self) -> list[tuple[int, DuePartition]]:
        """What is ours now; what is not is forgotten."""
        ours = self._table.owned_partitions
        self._owned = {
            number: owned for number, owned in self._owned.items() if number in ours and owned.is_of(ours[number])
        }
        return [(number, self.begin(number, partition)) for number, partition in ours.items()]

    async def _collect(self) -> None:
        """Look at the keys of partitions that were taken over, in slices; end the spans that are over."""
        for number, owned in self._are_owned():
            while not owned.is_collected and self._table.find_owned(number) is not None:
                owned.collect(SLICE_S)
                await asyncio.sleep(0)
            if owned.is_collected and not owned.are_expected:
                self._expect_runs(number, owned)
            if owned.away is not None and owned.is_collected:
                self._end_away(number, owned, owned.away)

    def _expect_runs(self, number: int, owned: DuePartition) -> None:
        """Of what a rule expects, from now on where it did not count before."""
        now_ms = self._topic.now_ms() if self._topic is not None else None
        partition = self._table.find_owned(number)
        if now_ms is None or partition is None:
            return
        owned.are_expected = True
        for baseline in self._expected(number, partition, now_ms // 1000):
            packed = baseline.pack()
            partition.put(baseline.key, packed)
            owned.look(baseline.key, packed)

    def _end_away(self, number: int, owned: DuePartition, away: Span) -> None:
        """The span is over once all is applied that was published in it."""
        if self._published is None:
            return
        ticket = self._tickets.get(number) or self._tickets.setdefault(number, self._published.ask())
        if not ticket.done:
            return
        del self._tickets[number]
        owned.away, owned.is_noted_from = None, self._app.checkpoint.begun + 1
        if owned.expected_runs:
            from_ms = away.from_ms or owned.first_expected_ms
            before = self._report or Away(from_ms, away.until_ms, 0)
            self._report = Away(
                min(from_ms, before.from_ms),
                max(away.until_ms, before.until_ms),
                before.expected_runs + owned.expected_runs,
            )
            owned.expected_runs = owned.first_expected_ms = 0

    # -- going on ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look for what is due until it is cancelled."""
        while self._topic is not None and self._topic.is_usable:
            await self._app.until_checkpoint()
            await self.look()

    async def look(self) -> None:
        """Say what is due, if something is. While the broker is away nothing is."""
        if self._topic is None or self._app.rebalancing:
            return
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            await self._know(self._topic)
            await self._collect()
            await self._report_absence()
            await self._tick()
            await self._publish_census(self._topic)

    async def run_intake(self) -> None:
        """Note what is taken in until it is cancelled."""
        while self._topic is not None and self._topic.is_usable:
            await self._app.until_checkpoint()
            await self.note_intake()

    async def note_intake(self) -> None:
        """Note once in a while which partitions with due keys are taken in, and whether the broker answers."""
        self._look_at_broker()
        if self._topic is None or self._app.rebalancing or self.steady_ms() - self._noted_ms < INTAKE_EVERY_MS:
            return
        owned = [(number, each) for number, each in self._owned.items() if len(each.keys)]
        if not owned:
            self._note_alive(self._topic.now_ms())
            return
        completed = self._app.checkpoint.completed
        numbers = [number for number, each in owned if each.may_tell and each.is_noted_from <= completed]
        if numbers and self._report is None:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                self._note_alive(await self._topic.note_intake(numbers))
                self._noted_ms = self.steady_ms()

    def _note_alive(self, at_ms: int | None) -> None:
        if self._topic is None or at_ms is None:
            return
        passed_ms = self.steady_ms() - self._alive_ms
        if self._alive_at_ms and at_ms - self._alive_at_ms - passed_ms > AWAY_MS:  # the time itself was set ahead
            self._alive_ms = self.steady_ms()
            for number, owned in self._owned.items():
                self._tickets.pop(number, None)
                owned.begin(Span(self._alive_at_ms, at_ms))
        self._alive_ms, self._alive_at_ms = self.steady_ms(), at_ms

    def _look_at_broker(self) -> None:
        """While the broker is away producers keep what they have: they get as long as it was away, to publish it."""
        now_ms, age_s = self.steady_ms(), self._app.worker_consumer.answer_age_s()
        if age_s > SILENT_S:
            self._silent_since_ms = self._silent_since_ms or now_ms - round(age_s * 1000)
        elif self._silent_since_ms:
            self._hold_until_ms = now_ms + min(now_ms - self._silent_since_ms, AWAY_MS)
            self._silent_since_ms = 0

    async def _stamp(self, topic: ClockTopic, key: bytes, value: bytes = b"{}") -> bool:
        """Whether the broker took the record."""
        try:
            self._note_alive(await topic.stamp(key, value))
        except (KafkaError, OSError, TimeoutError):
            return False
        return True

    async def _report_absence(self) -> None:
        report, topic = self._report, self._topic
        if report is None or topic is None or any(owned.away for owned in self._owned.values()):
            return
        if await self._stamp(topic, AWAY, msgspec.json.encode(report)):
            self._report = None
            since, until = (f"{from_epoch_ms(ms):%Y-%m-%dT%H:%M:%SZ}" for ms in (report.from_ms, report.until_ms))
            WasAway(since, until, report.expected_runs).emit()

    async def _publish_census(self, topic: ClockTopic) -> None:
        suspected = topic.suspected()
        for number, owned in list(self._owned.items()):
            taker = self._takers.setdefault(owned, CensusTaker())
            if not owned.may_tell or not (owned.keys or owned.newest_ms):
                continue
            if not taker.is_due(owned, self.steady_ms(), suspected):
                continue
            counted = await count(owned)
            self._still_running[number] = counted.still_running
            census = counted.encodable(number)
            if census.sources and self._table.find_owned(number) is not None:
                self._note_alive(await topic.stamp(census_key(number), encode(census)))
            taker.note_published(owned, census, self.steady_ms())
        metrics.STILL_RUNNING.set(sum(n for number, n in self._still_running.items() if number in self._owned))

    # -- a moment ------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Say what is due, if something is."""
        assert self._topic is not None and self._barrier is not None
        metrics.DUE_KEYS.set(sum(len(owned.keys) for owned in self._owned.values()))
        now_ms = self._topic.now_ms()
        due = [owned for owned in self._owned.values() if now_ms is not None and owned.keys.is_due(now_ms)]
        if not due:
            self._hold(False)
            return
        self._hold(True)
        if self._silent_since_ms or self.steady_ms() < self._hold_until_ms or not any(one.may_tell for one in due):
            return
        began = self._app.positions.assignment, self._rebalances

        def is_wanted() -> bool:
            self._hold(True)
            return (self._app.positions.assignment, self._rebalances) == began and not self._app.rebalancing

        at_ms = await self._barrier.reach(is_wanted)
        if at_ms is None:
            return
        self._note_alive(at_ms)
        await self._find(at_ms, is_wanted)
        metrics.TICKS.inc()
        self._hold(False)

    async def _find(self, at_ms: int, is_wanted: Callable[[], bool]) -> None:
        for number, owned in self._are_owned():
            if not owned.may_tell:
                continue
            keys = iter(owned.keys.take(at_ms))
            while some := list(islice(keys, KEYS_AT_ONCE)):
                if not is_wanted() or self._table.find_owned(number) is None:
                    for key in (*some, *keys):
                        owned.keys.note(key, at_ms // 1000)
                    return
                found = [owned.find(key, at_ms, self._app.checkpoint.begun + 1) for key in some]
                if any(found):
                    faults.reach("due-found")
                await asyncio.sleep(0)

    def _hold(self, is_held: bool) -> None:
        """Something is due; count for how long it cannot be said."""
        if is_held:
            self._held_since_ms = self._held_since_ms or self.steady_ms()
        else:
            self._held_since_ms = 0
        held_ms = self.steady_ms() - self._held_since_ms if is_held else 0
        metrics.TICKS_HELD.set(held_ms / 1000)

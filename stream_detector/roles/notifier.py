"""The notifier: what was found, as messages that people get once.

Rate limits and run messages need all keys at once, so everything is first copied onto one partition, `notifier-in`;
its owner alone decides, other notifiers stand by. Order of effects, by the checkpoint: decide (outcomes acknowledged),
write state, commit, deliver, append the outcome. A message repeats only if the process dies between the provider's
answer and the record of it: one a channel at most, since the next waits for that record.

Ages, windows, waits and silences are by the broker's time, so an owner whose clock is wrong decides like any other.
"""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from aiokafka.errors import KafkaError
from faust.types import TP

from stream_detector.delivery import faults, worker
from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.chunk import Chunk, SourceRecord
from stream_detector.delivery.processor import Outcomes, process_topic
from stream_detector.delivery.repartition import Origin, read_origin, strip_origin
from stream_detector.delivery.start_notes import read_set_aside
from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.journaled_partition import JournaledPartition
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.task import Task
from stream_detector.events import Action, Anomaly, Notification, RefusedError, RunSummary
from stream_detector.events.decode import decode_action, decode_anomaly, decode_run_summary
from stream_detector.events.encode import encode
from stream_detector.events.headers import Headers, UnreadableHeaders
from stream_detector.events.label_counts import read_label_counts
from stream_detector.events.source_census import SourceCensus
from stream_detector.kafka import topics
from stream_detector.kafka.end_offsets import EndOffsets
from stream_detector.kafka.losses import PartitionLosses, find_losses
from stream_detector.notify import policy
from stream_detector.notify.channels.registry import CHANNELS
from stream_detector.notify.configure import connect_channels, notify_config
from stream_detector.notify.message import Delivery, Result
from stream_detector.notify.routes_file import RoutesFile
from stream_detector.notify.stages.deliver import Deliverer
from stream_detector.notify.stages.fatal_records import report_set_aside
from stream_detector.notify.stages.isolation import isolate
from stream_detector.notify.stages.lost_records import Loss, forget_losses, report_losses
from stream_detector.notify.stages.set_aside import set_aside_due
from stream_detector.notify.stages.silent_sources import clock_offset, note_clock_read
from stream_detector.notify.state.keys import CLOCK, LOST, SET_ASIDE, TOPIC, State
from stream_detector.notify.state.slotted_store import Slot, SlottedStore
from stream_detector.notify.tick import tick
from stream_detector.roles import clock_records
from stream_detector.roles.clock_records import ClockRecord
from stream_detector.roles.written_outcomes import WrittenOutcomes
from stream_detector.settings import Settings, SettingsError
from stream_detector.telemetry import metrics
from stream_detector.telemetry.log_events import (
    DecisionFailed,
    LossesNotWatched,
    MessageDone,
    RecordIgnored,
    RoutesRead,
    RoutesRefused,
    SourcesNotWatched,
    StepFailed,
)

T = TypeVar("T")

EVERY_S = 0.5
"""How often retries that have become due are looked for."""
EXPIRE_EVERY_S = 60.0
LOGGED_AT_ONCE = 20
"""Lines for one answer: that of a digest settles thousands."""
MOST_FAILED = 10_000
"""So many keys that raise are remembered."""
LOSSES_EVERY_S = 20.0
WATCH_EVERY_S = 30.0
"""How often the ends of input topics are looked at, at the least."""

DECODE: dict[str, Callable[[SourceRecord], Anomaly | RunSummary | Action]] = {
    topics.ALERTS: lambda record: decode_anomaly(record.value),
    topics.RUN_SUMMARIES: lambda record: decode_run_summary(record.value),
    topics.ACTIONS: lambda record: decode_action(record.value, record.headers, record.timestamp),
}

_SLOT = msgspec.msgpack.Decoder(Slot)


def _unpack_slot(name: str, packed: bytes) -> Slot:
    if not (name.isascii() and name.isdigit()):
        raise ValueError("the key is not the number of a slot")
    return _SLOT.decode(packed)


SLOTS: Codec[Slot] = Codec(msgspec.msgpack.encode, _unpack_slot)


class Notifier:
    """Copies, decides, delivers. One per process."""

    def __init__(self, app: WorkerApp) -> None:
        self._app = app
        metrics.start_notifications(CHANNELS)
        self._config = notify_config(app.settings)
        self._routes_file = RoutesFile(app.settings, self._config.fallback)
        self._deliverer = Deliverer(connect_channels(app.settings), self._on_result)
        self._table = app.state_table(topics.NOTIFIER_STATE, SLOTS, 1, JournaledPartition)
        self._decided = asyncio.Event()
        self._store: tuple[StatePartition[Slot], int, SlottedStore] | None = None
        self._written = WrittenOutcomes(app.settings, app.batch_producer)
        self._written_of: tuple[StatePartition[Slot], int] | None = None
        """The state, as it was taken over, of which is known what was written before."""
        self._reading_written = asyncio.Lock()
        self._answered: dict[str, int] = {}
        """Channel -> the first checkpoint that holds its last answer."""
        self._expire_at_s = 0.0
        self._failed: set[str] = set()
        """Keys in the state that were reported to raise."""

    def _reload_routes(self) -> None:
        """Go by the file's new routes, if there are any; a file with a fault changes nothing."""
        try:
            found = self._routes_file.changed()
        except SettingsError as error:
            RoutesRefused(str(error)).emit()
            return
        if found is not None:
            self._config = replace(self._config, routes=found)
            RoutesRead(self._app.settings.routes_file, len(found)).emit()

    def _store_of(self, partition: StatePartition[Slot]) -> SlottedStore:
        """The policy's state: this partition, with an index that is made once for each time that we own it."""
        if self._store is None or self._store[:2] != (partition, partition.epoch):
            slots = {name: slot for name in [*partition.keys()] if (slot := partition.get(name)) is not None}
            at = self._app.checkpoint
            self._store = (
                partition,
                partition.epoch,
                SlottedStore(slots, partition.encode_now, partition.put, lambda: (at.begun + 1, at.completed)),
            )
        return self._store[2]

    async def know_written(self, chunk: Chunk | None = None) -> None:
        """Know which outcomes are written already, before anything is decided."""
        async with self._reading_written:
            partition = self._table.find_owned(0)
            if partition is not None and not self._knows_written(partition):
                of = partition, partition.epoch
                await self._written.read(self._store_of(partition))
                self._written_of = of

    def _knows_written(self, partition: StatePartition[Slot]) -> bool:
        return self._written_of == (partition, partition.epoch)

    def before_checkpoint(self, task: Task) -> None:
        """Note with what is kept anyway up to where outcomes are written."""
        partition = self._table.find_owned(0) if task.number == 0 else None
        if partition is not None and self._knows_written(partition) and not partition.is_clean():
            self._written.note(self._store_of(partition))

    def _find_decided(self) -> StatePartition[Slot] | None:
        """The policy's state, if it is ours to decide by now."""
        partition = self._table.find_owned(0)
        if partition is None or self._app.rebalancing or not self._knows_written(partition):
            return None
        return partition

    # -- repartitioning ------------------------------------------------------------------------------------------

    async def repartition(self, source: str, chunk: Chunk) -> Outcomes:
        """Put a chunk's records onto `notifier-in`; committed once the broker has them there."""
        outcomes = Outcomes()
        for record in chunk.records:
            origin = Origin(source, chunk.tp.partition, record.offset, record.timestamp)
            if isinstance(record.headers, UnreadableHeaders):  # on dead letters, as in `_decide`
                RecordIgnored(*origin[:3], str(record.headers.refusal)).emit()
                outcomes["refused"] += 1
                continue
            try:
                headers = [*record.headers, origin.header()]
                self._app.batch_producer.put(topics.NOTIFIER_IN, 0, record.key, record.value, headers)
                outcomes["forwarded"] += 1
            except Exception as error:  # the record is kept, the others go on
                self._step_failed(record, record.headers, origin, error)
                outcomes["refused"] += 1
        return outcomes

    # -- deciding ------------------------------------------------------------------------------------------------

    async def decide(self, source: str, chunk: Chunk) -> Outcomes:
        """Run the policy over a chunk of `notifier-in`."""
        partition = self._table.get_owned(0)
        replaying = chunk.records[0].offset < partition.replay_until.get(source, 0)
        outcomes = Counter(self._decide_safely(partition, record, replaying) for record in chunk.records)
        faults.reach("decided")
        self._decided.set()
        return outcomes

    def _decide_safely(self, partition: StatePartition[Slot], record: SourceRecord, replaying: bool) -> str:
        try:
            return self._decide(partition, record, replaying)
        except Exception as error:  # a defect of ours must not stop all messages: the record is kept, the others go on
            origin = read_origin(record.headers, DECODE)
            place = origin or Origin(topics.NOTIFIER_IN, 0, record.offset, record.timestamp)
            self._step_failed(record, strip_origin(record.headers) if origin else record.headers, place, error)
            return "refused"

    def _decide(self, partition: StatePartition[Slot], record: SourceRecord, replaying: bool) -> str:
        """The outcome, for `metrics.EVENTS`."""
        origin = read_origin(record.headers, DECODE)
        if origin is None:
            RecordIgnored(topics.NOTIFIER_IN, 0, record.offset, "it was not written by a notifier").emit()
            return "ignored"
        # While replaying, state may hold more than the watermarks say; the policy answers a repeat as the first time.
        if not replaying and origin.offset < partition.watermarks.get(origin.place, 0):
            return "duplicate"
        partition.watermarks[origin.place] = max(origin.offset + 1, partition.watermarks.get(origin.place, 0))
        partition.watermarks_changed = True
        try:
            item = DECODE[origin.topic](record)
        except (ValueError, RefusedError) as error:
            # On dead letters: by the recorder, or for operator-actions by the detector. Where no recorder runs, this
            # line is all.
            RecordIgnored(origin.topic, origin.partition, origin.offset, str(error)).emit()
            return "refused"
        counts, state = read_label_counts(record.headers), self._store_of(partition)
        with state.undo_on_error():  # half a decision would stand in the way of `dead-letters retry`
            notifications = policy.accept(state, item, self._app.now_s(), self._config, counts)
        self._send_notifications(notifications)
        return "applied"

    def _step_failed(self, record: SourceRecord, headers: Headers, origin: Origin, error: Exception) -> None:
        StepFailed(origin.topic, origin.partition, origin.offset, repr(error)).emit()
        if topics.DEAD_LETTERS not in self._app.partitions:
            return  # its ACL is not granted, and the line above is all
        if isinstance(error, RefusedError):
            refused = error
        else:
            refused = RefusedError("step", "step_failed", f"notifier: {type(error).__name__}")
        self._app.send_to_dlq(record, headers, origin, origin.partition, refused)

    def _send_notifications(self, notifications: list[Notification]) -> None:
        n = self._app.partitions[topics.NOTIFICATIONS]
        for number, notification in enumerate(notifications):
            if self._written.is_written(notification.id):
                continue
            about = notification.incident_id or notification.run_id or notification.id
            self._app.batch_producer.put(
                topics.NOTIFICATIONS,
                topics.owner_partition(about, n),
                about.encode(),
                encode(notification),
            )
            done = MessageDone(notification.id, notification.channel, notification.outcome, notification.reason)
            if notification.outcome in ("held", "suppressed") or number >= LOGGED_AT_ONCE:
                done.count()  # nothing was sent, or the message is in the log already: the topic has each
            else:
                done.emit()

    # -- delivering ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Deliver what is due, for as long as the process runs; at once after a decision."""
        with contextlib.suppress(NotImplementedError, RuntimeError):  # where signals are not ours to handle
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._routes_file.request_reload)
        try:
            while not self._app.should_stop:
                try:
                    await asyncio.wait_for(self._decided.wait(), EVERY_S)
                    self._decided.clear()
                    await self._app.worker_consumer.commit_and_end_transactions()  # else it waits for the next tick
                except TimeoutError:
                    pass
                self._reload_routes()
                await self.know_written()
                self._deliver_due()
        finally:
            await self._deliverer.stop()

    def _deliver_due(self) -> None:
        partition = self._find_decided()
        if partition is None or 0 not in self._app.tasks.by_number:
            return
        now_s, state = self._app.now_s(), self._store_of(partition)
        if now_s > self._expire_at_s:
            self._expire_at_s = now_s + EXPIRE_EVERY_S
            self._attempt("expire", lambda: policy.expire(state, now_s, self._on_failure))
        before = state.changes
        self._send_notifications(
            self._attempt("tick", lambda: tick(state, now_s, self._config, self._on_failure, behind=self._is_behind()))
            or []
        )
        self._app.dispatch(0)
        if state.changes > before:
            self._decided.set()  # what it left is delivered after a checkpoint: take that now
            return
        if self._app.checkpoint.is_running:
            return
        # Only what a finished checkpoint holds: else a crash could send what nobody remembers having decided. And one
        # at a time on a channel, the next when the last one's answer is safe: so a crash repeats one at most.
        busy = self._deliverer.busy_channels | {
            channel for channel, number in self._answered.items() if number > self._app.checkpoint.completed
        }
        broken: dict[str, Exception] = {}
        due = partial(policy.due_deliveries, state, now_s, self._config, busy, broken.__setitem__)
        for delivery in self._attempt("due_deliveries", due) or []:
            if state.is_safe(delivery.key):
                self._deliverer.submit(delivery)
                faults.reach("submitted")
        for key, error in broken.items():
            self._on_failure(key, error)
            self._send_notifications(set_aside_due(state, key, error, now_s))
            self._decided.set()
        self._app.dispatch(0)

    def _is_behind(self) -> bool:
        """Whether more to decide is on its way: a storm's digest waits for it, however slow the machine or the broker
        is (on one of CI's, 152 of 10,000 came behind a lull of 1 s)."""
        copied = self._app.batch_producer.ends.get((topics.NOTIFIER_IN, 0), 0)
        known = {TP(self._app.settings.topic(topics.NOTIFIER_IN), 0): copied}
        return self._app.batch_producer.pending_bytes > 0 or self._app.positions.has_unread(known)

    def _attempt(self, what: str, step: Callable[[], T]) -> T | None:
        """What the step returns; None where it raises past all that is set aside by itself. The role goes on."""
        try:
            return step()
        except Exception as error:
            self._on_failure(what, error)
            return None

    def _on_failure(self, key: str, error: Exception) -> None:
        """What lies under `key` in the state raises: say so once, not at each look."""
        if key in self._failed:
            return
        if len(self._failed) >= MOST_FAILED:
            self._failed.clear()
        self._failed.add(key)
        DecisionFailed(key, repr(error)).emit()

    # -- watching ------------------------------------------------------------------------------------------------

    async def watch_inputs(self) -> None:
        """Look at the end offsets of the inputs whose silence is to be reported; the active notifier alone reports.

        The end of a topic moves with every event, whether or not a detector is there to read it. So this finds silent
        producers; the metrics of our own roles show silent detectors.
        """
        wanted = self._config.quiet_after_s
        every_s = min(WATCH_EVERY_S, *(after_s / 4 for after_s in wanted.values()))
        while not self._app.should_stop:
            with contextlib.suppress(KafkaError, TimeoutError, OSError):  # the broker is away: everybody hears of that
                async with EndOffsets(self._app.settings, wanted) as asked:
                    while not self._app.should_stop:
                        self._check_inputs(await asked.end_offsets())
                        await self._app.sleep(every_s)
            await self._app.sleep(every_s)

    def _check_inputs(self, ends: Mapping[Any, int]) -> None:
        partition = self._find_decided()
        if partition is None:
            return
        for topic in self._config.quiet_after_s:
            name = self._app.settings.topic(topic)
            end = sum(offset for tp, offset in ends.items() if tp.topic == name)
            said = self._watch_topic(self._store_of(partition), topic, end)
            if said:
                self._send_notifications(said)
                self._decided.set()
        self._app.dispatch(0)

    def _watch_topic(self, state: SlottedStore, topic: str, end: int) -> list[Notification]:
        def begin_anew(error: Exception) -> list[Notification]:
            state.pop(TOPIC + topic, None)
            return []

        step = partial(policy.watch_topic, state, topic, end, self._app.now_s(), self._config)
        return isolate(state, TOPIC + topic, step, begin_anew, self._on_failure)

    async def watch_clock(self) -> None:
        """Follow what the detectors know of sources, from where the state ends; the active notifier alone. Without the
        ACL missed runs are joined, and no source counts as silent."""
        if topics.CLOCK not in self._app.partitions:
            SourcesNotWatched(self._app.settings.topic(topics.CLOCK)).emit()
            return
        while not self._app.should_stop:
            partition = self._find_decided()
            if partition is not None:
                owned = partition, partition.epoch
                first = clock_offset(self._store_of(partition))
                with contextlib.suppress(
                    KafkaError, OSError, TimeoutError
                ):  # the broker is away: everybody hears of it
                    async with contextlib.aclosing(clock_records.follow(self._app.settings, first)) as records:
                        async for found in records:
                            if self._app.should_stop or not self._take_clock(*owned, found):
                                break
            await self._app.sleep(EVERY_S)

    def _take_clock(self, partition: StatePartition[Slot], epoch: int, found: Sequence[ClockRecord]) -> bool:
        """False where the state has moved meanwhile: it may end elsewhere now."""
        if self._find_decided() is not partition or partition.epoch != epoch:
            return False
        state = self._store_of(partition)
        for record in found:
            if record.offset >= (clock_offset(state) or 0):
                step = partial(self._apply_clock, state, record)
                leave = partial(self._leave_clock, state, record)
                said = isolate(state, f"{CLOCK} {record.offset}", step, leave, self._on_failure)
                self._send_notifications(said)
                self._decided.set()
        self._app.dispatch(0)
        return True

    def _apply_clock(self, state: State, record: ClockRecord) -> list[Notification]:
        note_clock_read(state, record.offset + 1)
        content, now_s = record.content, self._app.now_s()
        at_s = record.at_s or now_s
        if isinstance(content, SourceCensus):
            return policy.take_census(state, content, at_s, now_s, self._config)
        span_s = content.from_ms / 1000, content.until_ms / 1000
        return policy.take_away(state, *span_s, content.expected_runs, at_s, now_s)

    def _leave_clock(self, state: State, record: ClockRecord, error: Exception) -> list[Notification]:
        note_clock_read(state, record.offset + 1)
        return []

    async def watch_losses(self) -> None:
        """Look for what Kafka deleted before a role had read it; the active notifier alone reports. On a broker that
        does not allow it, each role's log and metric have its own."""
        refused: set[str] = set()
        while not self._app.should_stop:
            if self._table.find_owned(0) is not None:
                with contextlib.suppress(
                    KafkaError, TimeoutError, OSError
                ):  # the broker is away: everybody hears of it
                    found = await find_losses(self._app.settings)
                    for role in set(found.refused) - refused:
                        LossesNotWatched(role).emit()
                    refused |= set(found.refused)
                    for role, partitions in found.by_role.items():
                        self._report_losses(role, partitions)
                        self._report_set_aside(role, partitions)
            await self._app.sleep(LOSSES_EVERY_S)

    def _report_losses(self, role: str, found: list[PartitionLosses]) -> None:
        partition = self._find_decided()
        if partition is None:
            return
        state = self._store_of(partition)

        def step() -> list[Notification]:
            for one in found:
                forget_losses(
                    state, role, one.topic, one.partition, max(one.start, *(lost.end for lost in one.lost), 0)
                )
            losses = [Loss(role, one.topic, one.partition, *lost) for one in found for lost in one.lost]
            return report_losses(state, role, losses, self._app.now_s(), self._config)

        self._report(state, LOST + role, step)

    def _report_set_aside(self, role: str, found: list[PartitionLosses]) -> None:
        partition = self._find_decided()
        if partition is None:
            return
        state = self._store_of(partition)
        records = {f"{one.topic}-{one.partition}@{offset}" for one in found for offset in one.set_aside}
        if path := self._app.settings.starts_file:  # `.../starts.ROLE`: the embedded broker keeps no notes
            prefix = self._app.settings.topic_prefix
            noted = read_set_aside(Path(path).with_suffix(f".{role}"))
            records |= {record.removeprefix(prefix) for record in noted}

        step = partial(report_set_aside, state, role, records, self._app.now_s(), self._config)
        self._report(state, SET_ASIDE + role, step)

    def _report(self, state: State, key: str, step: Callable[[], list[Notification]]) -> None:
        """Send what a step of self-monitoring leads to; if it fails, what is known under the key begins anew."""

        def begin_anew(error: Exception) -> list[Notification]:
            state.pop(key, None)
            return []

        if said := isolate(state, key, step, begin_anew, self._on_failure):
            self._send_notifications(said)
            self._decided.set()
            self._app.dispatch(0)

    def _on_result(self, delivery: Delivery, result: Result) -> None:
        partition = self._find_decided()
        faults.reach("answered")
        if partition is None:
            return  # whoever owns the partition now finds it due
        state, now_s = self._store_of(partition), self._app.now_s()
        # Where it cannot be settled it must not stay due either: it would be sent again and again.
        settle = partial(policy.settle, state, delivery, result, now_s, self._config)
        set_aside = partial(set_aside_due, state, delivery.key, now_s=now_s, answer=result)
        self._send_notifications(isolate(state, delivery.key, settle, set_aside, self._on_failure))
        self._app.dispatch(0)
        self._answered[delivery.message.channel] = self._app.checkpoint.begun + 1
        self._decided.set()
        faults.reach("settled")


def build(app: WorkerApp) -> Callable[[], Awaitable[None]]:
    """Add the table, the agents and the task that delivers."""
    notifier = Notifier(app)
    for source in DECODE:
        process_topic(app, source, notifier.repartition, agent=f"copy-{source}")
    process_topic(app, topics.NOTIFIER_IN, notifier.decide, agent="decide", before=notifier.know_written)
    app.before_checkpoint = notifier.before_checkpoint
    app.task(notifier.run)
    app.task(notifier.watch_losses)
    app.task(notifier.watch_clock)
    if app.settings.quiet_after:
        app.task(notifier.watch_inputs)
    return worker.nothing_to_prepare


def run(settings: Settings) -> int:
    """Run the notifier until it is asked to stop; returns the exit code.

    Raises:
        SettingsError: a channel or the routes file cannot be used; nothing was started.
    """
    notify_config(settings)
    connect_channels(settings)
    return worker.run("notifier", settings, build)

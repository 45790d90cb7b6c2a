"""The detector: events in, anomalies, run summaries and dead letters out; one baseline per key, owned by one partition.

For each record: decode -> owner? -> already applied? -> step -> emit. Everything within a chunk happens without an
await, so a chunk is applied as a whole or, if the process dies, not at all.
"""

import contextlib
import math
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Struct

from stream_detector.composition import detection_config
from stream_detector.delivery import faults, worker
from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.broker_clock import LOG_APPEND_TIME
from stream_detector.delivery.chunk import Chunk, SourceRecord
from stream_detector.delivery.clock_topic import ClockTopic
from stream_detector.delivery.processor import Outcomes, process_topic
from stream_detector.delivery.published_before import PublishedBefore
from stream_detector.delivery.repartition import Origin, advance_watermark, origin_of, read_origin, strip_origin
from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.task import Task
from stream_detector.detect import Baseline, BaselineBuffer, Config, ScoreBaseline, WorkflowBaseline, step
from stream_detector.detect import due as due_rules
from stream_detector.detect.codec.packed import check_version
from stream_detector.detect.expected import expect_runs, expected_workflows
from stream_detector.detect.label_window import LabelWindow
from stream_detector.detect.loading import is_loaded, load_in_background, wait_until_loaded
from stream_detector.detect.outcome import APPLIED, Outcome, OutcomeKind
from stream_detector.detect.replay import run_event_part
from stream_detector.detect.running import is_watched_first
from stream_detector.detect.runs import run_part_of
from stream_detector.detect.step_action import CHANGES_DETECTION
from stream_detector.detect.variants import ends_of, follow, keys_of_action
from stream_detector.events import (
    Action,
    Anomaly,
    Completion,
    RefusedError,
    RunPart,
    RunSummary,
    Score,
    ScoreRun,
    Start,
)
from stream_detector.events.anomaly_types import CLOCK_RULES
from stream_detector.events.completion import with_variant
from stream_detector.events.decode import (
    decode_action,
    decode_completion,
    decode_run_part,
    decode_score,
    decode_score_run,
    is_backfill,
)
from stream_detector.events.encode import encode, encode_anomaly
from stream_detector.events.fields import Id, Name
from stream_detector.events.headers import Headers, UnreadableHeaders
from stream_detector.events.ids import score_key
from stream_detector.events.label_counts import label_counts_header
from stream_detector.events.sources import LEFT_OUT
from stream_detector.events.sources.source import IgnoredError
from stream_detector.events.times import EARLIEST_MS, LATEST_MS, epoch_ms, from_epoch_ms
from stream_detector.events.unfold import SeveralEventsError
from stream_detector.events.variant import is_workflow_key, key_parts, workflow_key
from stream_detector.kafka import topics
from stream_detector.kafka.end_offsets import EndOffsets
from stream_detector.roles.detector_settings import SettingsLog
from stream_detector.roles.due_partition import DuePartition
from stream_detector.roles.renames import (
    FROM,
    MOVED,
    MOVED_ON,
    Moved,
    Renames,
    decode_moved,
    decode_passed,
    published_to,
)
from stream_detector.roles.run_table import Made, RunTable
from stream_detector.roles.single_runs import SingleRuns
from stream_detector.roles.stream_clock import BEFORE_A_MOMENT, StreamClock
from stream_detector.roles.unique_ids import UniqueIds
from stream_detector.roles.variant_keys import PartitionStates
from stream_detector.settings import Settings
from stream_detector.telemetry import metrics
from stream_detector.telemetry.log_events import PayloadIgnored, RecordIgnored, StepFailed

Event = Completion | Start | Score | ScoreRun | Action | Moved

DECODE: dict[str, Callable[[bytes | None, Headers, int], Event]] = {
    topics.COMPLETIONS: decode_completion,
    topics.SCORES: decode_score,
    topics.SCORE_RUNS: decode_score_run,
    topics.ACTIONS: decode_action,
}


CLOUD_EVENT: tuple[tuple[str, bytes], ...] = (
    ("content-type", b"application/json"),
    ("ce_specversion", b"1.0"),
    ("ce_type", b"stream_detector.anomaly.v1"),
    ("ce_source", b"/stream_detector/detector"),
)
"""CloudEvents 1.0, binary mode: what is the same in every alert."""

anomalies_total = lru_cache(maxsize=None)(metrics.ANOMALIES.labels)
"""Seven types by three severities: a look-up among the metric's labels takes a lock and 2 us."""

_buffer = BaselineBuffer()


def verify_baseline(key: str, packed: bytes) -> None:
    """Raises on bytes that no event could be judged with. What a later version keeps under keys of its own stays."""
    if is_workflow_key(key) or key.startswith(ScoreBaseline.PREFIX):
        _buffer.open(key, packed)


BASELINE: Codec[bytes] = Codec(
    bytes, lambda _, packed: packed, max_unpacked=0, check=check_version, verify=verify_baseline
)
"""A key is its bytes; an event's baseline lies unpacked on a buffer while it is judged."""


_UNDER_A_FORMER_ID = tuple(FROM + source for source in (topics.COMPLETIONS, topics.ACTIONS, topics.REKEYED))

_MOST_LOGGED = 100
"""Reasons why a payload holds no event; beyond them the metric alone counts."""


class _ScoreNames(Struct):
    """What a refused score still says, within the limits of a run part; one that does not is in no run."""

    entity_id: Id
    run_id: Id
    entity_name: Name = ""


class Detector:
    """Applies chunks. One per process; its state is in the app's tables."""

    def __init__(
        self,
        app: WorkerApp,
        config: Config,
        published: PublishedBefore | None = None,
        moments: PublishedBefore | None = None,
    ) -> None:
        self._app, self._config, self._producer = app, config, app.batch_producer
        self._n = app.partitions[topics.BASELINES]
        self._baselines = app.state_table(topics.BASELINES, BASELINE, self._n)
        self._baselines.takes_passed_on = True
        self._buffer = BaselineBuffer()
        self._decode = DECODE | ({topics.COMPLETIONS: self._decode_completion} if config.variant_by else {})
        self._decode |= {MOVED: decode_moved, MOVED_ON: decode_moved}
        self._decode |= dict.fromkeys(_UNDER_A_FORMER_ID, self._decode_passed)
        self._labels = LabelWindow(uuid4().hex[:8])
        self._counted: tuple[dict[str, str], tuple[str, bytes]] = {}, ("", b"")
        """The labels of the last alert, and the header for them."""
        self._runs = RunTable(app, self._n, config.profile, published)
        self._single_runs = SingleRuns(app, self._baselines, app.settings.single_run_keys)
        self._unique_ids = UniqueIds(self._baselines, self._n)
        self._renames = Renames(app, self._baselines, self._send_on)
        clock = ClockTopic.of(app) if moments is not None else None
        self.clock = StreamClock(
            app, self._baselines, config, self._send_due, clock, moments, expected=self._expect_runs
        )
        self._elsewhere = DuePartition(StatePartition(BASELINE), due_rules, config)
        """Of a chunk whose keys are all of other partitions."""
        self._states: PartitionStates | None = None
        """Of the partition of the chunk that is being applied; None until asked for."""
        self._scores_wait: bool | None = None
        """Whether scores were there to be read when partitions were assigned; None until that is known."""
        self._logged_ignored: set[str] = set()
        """Why payloads of other systems hold no event, each logged once."""

    # -- chunks --------------------------------------------------------------------------------------------------

    async def before_completions(self, chunk: Chunk) -> None:
        """Wait while keys of the partition are being dropped: what comes next for them begins anew."""
        await self._single_runs.until_few_uncommitted(chunk)
        await self._single_runs.until_written(chunk.tp.partition)
        await self._renames.until_sent(chunk.tp.partition)
        await self.clock.before_chunk(chunk.tp.partition)

    async def before_run_event(self, chunk: Chunk) -> None:
        """Wait for what is to be known of a partition before anything of it is applied."""
        await self.clock.before_chunk(chunk.tp.partition)

    async def before_repartitioned(self, chunk: Chunk) -> None:
        """Both: completions, actions and scores that lay on another partition."""
        await self.load_detection(chunk)
        await self.before_completions(chunk)

    async def load_detection(self, chunk: Chunk) -> None:
        """Wait for what the first score needs: 3.4 of the 6 s of processor time that a start would take."""
        # A repartitioned record's key is its state key.
        if chunk.tp.topic == self._app.settings.topic(topics.SCORES) or any(
            (record.key or b"").startswith(b"score:") for record in chunk.records
        ):
            await wait_until_loaded()
        await self.clock.before_chunk(chunk.tp.partition)

    async def look_for_scores(self, *_: Any, **__: Any) -> None:
        """Partitions are assigned: whether scores have been waiting for a detector."""
        if not is_loaded():
            name = self._app.settings.topic(topics.SCORES)
            progress = await self._app.worker_consumer.read_progress()
            self._scores_wait = any(tp.topic == name and end > applied for tp, applied, end in progress)

    def find_unmet_need(self) -> str:
        """Ready waits for what the first score needs only where scores are there to be read."""
        if is_loaded() or self._scores_wait is False:
            return ""
        return "loading what scores need" if self._scores_wait else "looking for scores to read"

    async def apply(self, source: str, chunk: Chunk) -> Outcomes:
        """Apply one chunk of events, without giving up control.

        What is written out here instead of called gains at least 2 % of an event's processor time each; the figures are
        of profile `robust` (benchmarks.hot_path, 2026-11-30), where an event takes 4.9 us.
        """
        number, config = chunk.tp.partition, self._config
        is_home, partition, owned = self._home_of(source, number)
        self._states = None
        open_baseline, note_due, newest = owned.opener(self._buffer), owned.keys.note, owned.newest_ms
        live, dirty, unencoded = partition.live, partition.dirty, partition.unencoded
        # A key knows by itself what it has applied only while the source is being replayed: one comparison a chunk.
        replaying = chunk.records[0].offset < partition.replay_until.get(source, 0)
        self._count_labels(source, chunk.records)
        repartitioned, decode, origin = source == topics.REKEYED, self._decode.get(source, decode_completion), None
        outcomes, quiet = Outcomes(), 0
        for record in chunk.records:
            try:
                headers = record.headers
                if repartitioned:
                    origin = read_origin(headers, self._decode)
                    if origin is None:
                        RecordIgnored(source, number, record.offset, "it was not written by a detector").emit()
                        outcomes["ignored"] += 1
                        continue
                    if _is_repeated(partition, record, origin, number):
                        outcomes["duplicate"] += 1
                        continue
                    headers, decode = strip_origin(headers), self._decode[origin.topic]
                record_ms = origin.timestamp_ms if origin else record.timestamp
                event = decode(record.value, headers, record_ms)
                is_execution = type(event) is Completion  # once for two uses: 2 %
                if is_execution:
                    newest[event.source] = record_ms  # type: ignore[union-attr]
                    key = "workflow:" + event.workflow_id  # type: ignore[union-attr]  # no call of `workflow_key`: 5 %
                    if event.variant is not None:  # type: ignore[union-attr]
                        is_ours = repartitioned or is_home
                        key = self._variant_key(partition, event, record, origin, source, number, is_ours)  # type: ignore[arg-type]
                elif type(event) is Score:
                    key = score_key(event.entity_id)
                else:
                    outcomes[self._apply_rare(partition, event, record, origin, source, number, is_home)] += 1  # type: ignore[arg-type]
                    continue
                packed = live.get(key)  # `get` without its call, where it is unpacked: 9 %
                if packed is None:
                    packed = partition.get(key)
                    if packed is None and self._pass_on(partition, event, record, origin, source, number):  # type: ignore[arg-type]
                        outcomes["forwarded"] += 1
                        continue
                if not repartitioned and (packed is None or not is_home):
                    target = topics.owner_partition(key.partition(":")[2], self._n)
                    if target != number or not is_home:
                        self._repartition(record, origin_of(source, number, record), key, target)
                        outcomes["forwarded"] += 1
                        continue
                if replaying and record.offset < partition.applied_offset(key, source):
                    outcomes["duplicate"] += 1
                    continue
                try:
                    baseline = open_baseline(key, packed)
                except Exception as error:
                    baseline, packed = self._start_anew(partition, key, error), None
                backfill = is_backfill(headers) if headers else False
                outcome = step(baseline, event, config, record_ms, backfill)  # type: ignore[arg-type]
                if packed is None or (unencoded and key in unencoded):
                    self._put(partition, number, key, packed, baseline, record_ms)
                else:  # `put` without its call: 11 %
                    live[key] = baseline.pack()
                    dirty.add(key)
                if is_execution and (due_s := baseline.due_s):  # type: ignore[attr-defined]
                    note_due(key, due_s)
                if outcome is APPLIED and is_execution:
                    quiet += 1  # by far the most: nothing was found, so nothing goes out. Counted by the chunk: 8 %
                    continue
                outcomes[outcome.kind] += 1
                outcome = self._send_found(
                    key, outcome, record, headers, origin or origin_of(source, number, record), number
                )
                if type(event) is Score and not backfill:
                    self._send_run_part(run_part_of(event, outcome, failed=False))
            except Exception as error:  # a defect of ours must not stop the stream: the event is kept, the others go on
                outcomes.update(await self._apply_otherwise(source, chunk, record, error))
        if quiet:
            outcomes["applied"] += quiet
        return outcomes

    def _home_of(self, source: str, number: int) -> tuple[bool, StatePartition[bytes], DuePartition]:
        """Whether a source's events lie where the state of their keys is; that state, and what is due of it.

        Where the partitions differ in number, this one's state may be another worker's, or there may be none.
        """
        if self._app.partitions[source] == self._n:
            partition = self._baselines.get_owned(number)
            if not partition.is_passed_on(source, number):
                return True, partition, self.clock.begin(number, partition)
        return False, StatePartition(BASELINE), self._elsewhere

    async def _apply_otherwise(self, source: str, chunk: Chunk, record: SourceRecord, error: Exception) -> Outcomes:
        """Apply the events of a record that holds several as if each were one of its own, likewise without giving up
        control; keep one that was not applied for any other reason."""
        number, outcomes, repartitioned = chunk.tp.partition, Outcomes(), source == topics.REKEYED
        if not isinstance(error, SeveralEventsError) or repartitioned:  # what is passed on is one event
            outcomes[self._refuse_record(source, number, record, repartitioned, error)] += 1
            return outcomes
        events = []
        for each in chunk.unfold(record, error):
            if each.error is None:
                events.append(each)
            else:
                outcomes[self._refuse_record(source, number, each, False, each.error)] += 1
        chunk.unfolded.clear()  # nobody asks for them again
        if events:
            outcomes.update(await self.apply(source, Chunk(chunk.tp, events, chunk.next_offset)))
        return outcomes

    def _variant_key(
        self,
        partition: StatePartition[bytes],
        event: Completion,
        record: SourceRecord,
        origin: Origin | None,
        source: str,
        number: int,
        is_ours: bool,
    ) -> str:
        """The key of an execution with a variant; what its workflow had without one may become the key's, or retire.

        Args:
            origin: where it was read first, if it was passed on.
            is_ours: whether the partition of this number is that of the keys.
        """
        key = workflow_key(event.workflow_id, event.variant)
        if not is_ours:
            return key
        is_known = origin is not None or partition.get(key) is not None
        if not is_known and topics.owner_partition(event.workflow_id, self._n) != number:
            return key  # it is passed on
        if partition.has_applied(key, source, record.offset):
            return key
        states = self._states_of(partition)
        states.note(key)
        ends = follow(states, key, event, self._config, backfill=is_backfill(record.headers))
        former, record_ms = workflow_key(event.workflow_id), origin.timestamp_ms if origin else record.timestamp
        for end in _with_published_at(Outcome("applied", ends), record_ms).anomalies:
            self._send_alert(former, end, number, record_ms)
        return key

    def _decode_completion(self, value: bytes | None, headers: Headers, record_ms: int) -> Completion | Start:
        """With the variant that VARIANT_BY gives it."""
        return with_variant(decode_completion(value, headers, record_ms), self._config.variant_by)

    def _decode_passed(self, value: bytes | None, headers: Headers, record_ms: int) -> Any:
        """Of what was published under a former id, under the one that holds."""
        return decode_passed(value, headers, record_ms, self._decode)

    def _pass_on(
        self,
        partition: StatePartition[bytes],
        event: Completion | Start | Score | Action,
        record: SourceRecord,
        origin: Origin | None,
        source: str,
        number: int,
    ) -> bool:
        """Pass on what came under a former id. False where the id holds, and on any partition but its owner."""
        if isinstance(event, Score):
            return False
        workflow_id = key_parts(event.entity).entity_id if isinstance(event, Action) else event.workflow_id
        new_id = self._renames.leads_to(partition, workflow_id)
        if not new_id:
            return False
        if not isinstance(event, Action) and partition.has_applied(
            workflow_key(workflow_id, event.variant), source, record.offset
        ):
            return False  # it had been applied before its key left
        here = origin_of(source, number, record)
        if origin is not None:
            here = here._replace(timestamp_ms=origin.timestamp_ms)
        topic = published_to(record.headers, origin.topic if origin is not None else source)
        self._renames.pass_on(event, record.value, strip_origin(record.headers), here, topic, new_id)
        return True

    def _send_on(self, key: str, value: bytes, headers: Headers) -> None:
        target = topics.owner_partition(key.partition(":")[2], self._n)
        self._producer.put(topics.REKEYED, target, key.encode(), value, headers)

    def _take_moved(
        self, partition: StatePartition[bytes], moved: Moved, record: SourceRecord, source: str, number: int
    ) -> str:
        """A baseline has arrived from the owner of its workflow's former id."""
        key = (record.key or b"").decode()
        here = origin_of(source, number, record)
        if not self._renames.arrive(partition, key, moved, here):
            return "forwarded"
        if partition.has_applied(key, source, record.offset):
            return "duplicate"
        before, mine = partition.get(key), Baseline.unpack(key, moved.packed)
        try:
            known = None if before is None else Baseline.unpack(key, before)
        except Exception:  # bytes that no event could be judged with
            known = None
        self._states_of(partition).note(key)
        given_up = None if known is None else (mine if known.is_warm else known)
        kept = known if known is not None and given_up is mine else mine
        if given_up is not None:
            for end in ends_of(given_up, kept, from_epoch_ms(moved.target.at_ms), self._config):
                self._send_alert(key, end, number, moved.target.at_ms)
        self._put(partition, number, key, before, kept, moved.target.at_ms)
        self.clock.begin(number, partition).look(key, kept.pack())
        return "applied"

    def _states_of(self, partition: StatePartition[bytes]) -> PartitionStates:
        if self._states is None:
            self._states = PartitionStates(partition)
        return self._states

    def _apply_start(
        self,
        partition: StatePartition[bytes],
        event: Start,
        record: SourceRecord,
        origin: Origin | None,
        source: str,
        number: int,
        is_home: bool,
    ) -> str:
        """Apply the start of an execution; returns what became of it.

        A key that has no baseline yet gets one where the run's limit is given: else nothing is known of how long it may
        take. Only an end may take over what its workflow had without a variant.

        Args:
            origin: where it was read first, if it was passed on.
            is_home: whether the partition of this number is that of the keys.
        """
        key, place = workflow_key(event.workflow_id, event.variant), origin or origin_of(source, number, record)
        packed = partition.get(key) if is_home or origin else None
        if origin is None and packed is None:
            target = topics.owner_partition(event.workflow_id, self._n)
            if target != number or not is_home:
                self._repartition(record, place, key, target)
                return "forwarded"
        if packed is None:
            if self._pass_on(partition, event, record, origin, source, number):
                return "forwarded"
            takes_over = event.variant is not None and partition.get(workflow_key(event.workflow_id)) is not None
            if takes_over or not is_watched_first(event, self._config):
                return "started"
        if partition.has_applied(key, source, record.offset):
            return "duplicate"
        try:
            baseline = self._buffer.open(key, packed)
        except Exception as error:
            self._start_anew(partition, key, error)
            return "started"
        owned = self.clock.begin(number, partition)
        if isinstance(baseline, WorkflowBaseline):
            owned.excuse(baseline)
        headers = strip_origin(record.headers) if origin else record.headers
        outcome = step(baseline, event, self._config, place.timestamp_ms, is_backfill(headers) if headers else False)
        if packed is None:
            self._note_new(partition, number, key, epoch_ms(event.started_at), place.timestamp_ms)
        if (changed := baseline.pack()) != packed:
            partition.put(key, changed)
            owned.look(key, changed)
        return self._send_found(key, outcome, record, headers, place, number).kind

    def _note_new(
        self, partition: StatePartition[bytes], number: int, key: str, newest_ms: int, record_ms: int
    ) -> None:
        """A workflow has its first baseline."""
        if key_parts(key).variant is not None:
            self._states_of(partition).note(key)
        self._single_runs.note_new(number, newest_ms)
        self._unique_ids.note_new(key, newest_ms, record_ms)

    def _apply_rare(
        self,
        partition: StatePartition[bytes],
        event: Start | ScoreRun | Action | Moved,
        record: SourceRecord,
        origin: Origin | None,
        source: str,
        number: int,
        is_home: bool,
    ) -> str:
        """Apply what is neither an execution nor a score; returns what became of it.

        Args:
            origin: where it was read first, if it was passed on.
            is_home: whether the partition of this number is that of the keys.
        """
        if isinstance(event, Start):
            return self._apply_start(partition, event, record, origin, source, number, is_home)
        place = origin or origin_of(source, number, record)
        if isinstance(event, ScoreRun):
            self._send_run_part(run_event_part(event, place.timestamp_ms))
            return "applied"
        if isinstance(event, Moved):
            return self._take_moved(partition, event, record, source, number)
        target = number if origin else topics.owner_partition(event.entity.partition(":")[2], self._n)
        if target != number or not (is_home or origin):
            self._repartition(record, place, event.entity, target)
            return "forwarded"
        if event.kind == "rename":
            return self._rename(partition, number, event, record, source)
        kind = self._apply_action(partition, number, event, record, source)
        if kind != "ignored" or event.kind not in CHANGES_DETECTION or not is_workflow_key(event.entity):
            return kind
        if event.kind == "retire" and self._renames.forget(partition, event):
            return "applied"
        return "forwarded" if self._pass_on(partition, event, record, origin, source, number) else kind

    def _rename(
        self, partition: StatePartition[bytes], number: int, action: Action, record: SourceRecord, source: str
    ) -> str:
        keys = self._states_of(partition).keys_named(action.entity)
        fresh = (key for key in keys if not partition.has_applied(key, source, record.offset))
        return "applied" if self._renames.begin(partition, number, action, fresh) else "ignored"

    def _apply_action(
        self, partition: StatePartition[bytes], number: int, action: Action, record: SourceRecord, source: str
    ) -> OutcomeKind:
        """Change what an action is about; "ignored" where nothing is known of it, so there is nothing to change."""
        kind: OutcomeKind = "ignored"
        if action.kind not in CHANGES_DETECTION:
            return kind
        states = self._states_of(partition)
        for key in keys_of_action(action, states.keys_named(action.entity), states):
            packed = partition.get(key)
            if packed is None:
                continue
            if partition.has_applied(key, source, record.offset):
                kind = "duplicate"
                continue
            try:
                baseline = self._buffer.open(key, packed)
            except Exception as error:
                self._start_anew(partition, key, error)
                continue
            kind = step(baseline, action, self._config).kind
            if baseline.retired:
                partition.delete(key)
            else:
                changed = baseline.pack()
                partition.put(key, changed)
                self.clock.begin(number, partition).look(key, changed)
        return kind

    async def apply_run_parts(self, source: str, chunk: Chunk) -> Outcomes:
        """Gather parts of score runs; what a run leads to goes out where it ends."""
        number, has_end, outcomes = chunk.tp.partition, False, Outcomes()
        replayed_until = self._runs.replayed_until(number)
        for record in chunk.records:
            try:
                if record.headers and isinstance(record.headers, UnreadableHeaders):
                    raise record.headers.refusal
                run_part, record_ms = decode_run_part(record.value, record.timestamp), max(0, record.timestamp)
                offset = record.offset if record.offset < replayed_until else -1
                by_broker = record.timestamp_type == LOG_APPEND_TIME
                for made in self._runs.apply(number, run_part, record_ms, offset=offset, is_append_time=by_broker):
                    self._send_made(number, made, record_ms)
            except Exception as error:  # as in `apply`
                outcomes["refused"] += 1
                self._refuse_record(source, number, record, False, error)
                continue
            outcomes["applied"] += 1
            if run_part.kind in ("run_completed", "run_failed"):
                has_end = True
            elif run_part.kind == "run_closed":
                faults.reach("closed-read")
        if has_end:
            faults.reach("end-applied")
            self._write_ends(number)
        return outcomes

    def before_checkpoint(self, task: Task) -> None:
        """Drop keys, and write that runs end for which nothing is waited for any more."""
        if self._single_runs.before_checkpoint():
            self._unique_ids.before_checkpoint()
        self._write_ends(task.number)
        self._renames.before_checkpoint(task.number, lambda: task.state_positions(self._app.topic_prefix))
        self.clock.before_checkpoint(task.number)
        self._app.dispatch(task.number)

    def _count_labels(self, source: str, records: Sequence[SourceRecord]) -> None:
        """Count the labels of a chunk before it is judged: those of one chunk are among the others of their hour.

        Some events are decoded a second time for it; a call for each in the loop over all of them would take 3 %.
        """
        if source != topics.COMPLETIONS:
            return  # what was passed on was counted where it was read first

        def event_at(number: int) -> Completion | None:
            record = records[number]
            try:
                event = decode_completion(record.value, record.headers, record.timestamp)
            except Exception:  # it is refused where it is judged
                return None
            return event if isinstance(event, Completion) else None  # an execution counts once

        LEFT_OUT.is_paused = True
        try:
            self._labels.add_sampled(len(records), event_at)
        finally:
            LEFT_OUT.is_paused = False

    def _put(
        self,
        partition: StatePartition[bytes],
        number: int,
        key: str,
        before: bytes | None,
        baseline: Baseline,
        record_ms: int,
    ) -> None:
        partition.put(key, baseline.pack())
        if before is None and isinstance(baseline, WorkflowBaseline):  # scores are never dropped
            self._note_new(partition, number, key, int(baseline.newest_ms), record_ms)

    def on_published_applied(self) -> None:
        """Runs waited for what was published before their ends, and it is applied: at once, not with a checkpoint."""
        if self._app.rebalancing:
            return  # whoever owns the runs then asks anew
        for task in self._app.tasks:
            self.before_checkpoint(task)

    def _write_ends(self, number: int) -> None:
        for run_closed in self._runs.ends(number):
            self._send_run_part(run_closed)
            faults.reach("closed-sent")

    def _expect_runs(self, number: int, partition: StatePartition[bytes], now_s: int) -> Iterator[WorkflowBaseline]:
        """Baselines of workflows that a rule names, which count from now on."""
        states = PartitionStates(partition)
        for workflow in expected_workflows(self._config):
            if topics.owner_partition(workflow.workflow_id, self._n) != number:
                continue
            if not self._renames.leads_to(partition, workflow.workflow_id):
                yield from expect_runs(states, workflow, now_s)

    # -- what goes out -------------------------------------------------------------------------------------------

    def _send_found(
        self, key: str, outcome: Outcome, record: SourceRecord, headers: Headers, origin: Origin, number: int
    ) -> Outcome:
        """Send what came of an event, and return it with the time of the event's record."""
        outcome = _with_published_at(outcome, origin.timestamp_ms)
        for anomaly in outcome.anomalies:
            self._send_alert(key, anomaly, number, origin.timestamp_ms)
            if anomaly.detector in CLOCK_RULES:
                self.clock.want_census(number)
        if outcome.correction:
            error = RefusedError("step", "changed_duplicate", outcome.correction)
            self._refuse_event(record, headers, origin, number, error)
        return outcome

    def _send_due(self, key: str, anomaly: Anomaly, number: int) -> None:
        """What no event has led to."""
        self._send_alert(key, anomaly, number, None)

    def _send_alert(self, key: str, anomaly: Anomaly, number: int, caused_at_ms: int | None) -> None:
        if anomaly.state == "opened":  # as everywhere else, an incident counts once
            anomalies_total(anomaly.anomaly_type, anomaly.severity).inc()
        headers = [*CLOUD_EVENT, ("ce_id", anomaly.id.encode()), ("ce_time", anomaly.detected_at.isoformat().encode())]
        if anomaly.labels and anomaly.state == "opened" and anomaly.entity_kind == "workflow":
            if anomaly.labels is not self._counted[0]:  # of the same event: classic finds two in most slow ones
                counts = self._labels.counts(anomaly.labels, anomaly.detected_at.timestamp())
                self._counted = anomaly.labels, label_counts_header(counts)
            headers.append(self._counted[1])
        self._producer.put(
            topics.ALERTS, number, key.encode(), encode_anomaly(anomaly), headers, caused_at_ms=caused_at_ms
        )

    def _send_made(self, number: int, made: Made, caused_at_ms: int) -> None:
        """A summary, a membership, or an anomaly that a part of a run led to."""
        if isinstance(made, RunSummary):
            self._producer.put(topics.RUN_SUMMARIES, number, made.run_id.encode(), encode(made))
        elif isinstance(made, RunPart):
            self._send_run_part(made)
        else:
            target = topics.owner_partition(made.entity_id, self._n)
            self._send_alert(score_key(made.entity_id), made, target, caused_at_ms)

    def _repartition(self, record: SourceRecord, origin: Origin, key: str, target: int) -> None:
        """To the owner of its key."""
        self._producer.put(topics.REKEYED, target, key.encode(), record.value, [*record.headers, origin.header()])

    def _send_run_part(self, run_part: RunPart | None) -> None:
        if run_part is None:
            return  # a duplicate: the part of the first copy stands
        target = topics.owner_partition(run_part.run_id, self._n)
        self._producer.put(topics.RUN_PARTS, target, run_part.run_id.encode(), encode(run_part))

    def _start_anew(self, partition: StatePartition[bytes], key: str, error: Exception) -> Baseline:
        """An empty baseline for a key whose bytes are none."""
        partition.drop(key, error)
        return Baseline.new(key)

    def _refuse_record(
        self, source: str, number: int, record: SourceRecord, repartitioned: bool, error: Exception
    ) -> str:
        """Keep a record that was not applied, whatever the reason; a score of it counts in its run as failed.

        Returns the outcome that it counts as. Another system's payload without an event of ours is not kept.
        """
        if isinstance(error, IgnoredError):
            if error.message not in self._logged_ignored and len(self._logged_ignored) < _MOST_LOGGED:
                self._logged_ignored.add(error.message)
                PayloadIgnored(source, number, record.offset, error.message).emit()
            return "ignored"
        origin = read_origin(record.headers, DECODE) if repartitioned else None
        headers = strip_origin(record.headers) if origin else record.headers
        origin = origin or origin_of(source, number, record)
        if isinstance(error, RefusedError):
            self._refuse_event(record, headers, origin, number, error)
            return "refused"
        StepFailed(origin.topic, origin.partition, origin.offset, repr(error)).emit()
        refused = RefusedError("step", "step_failed", type(error).__name__)
        self._app.send_to_dlq(record, headers, origin, number, refused)
        with contextlib.suppress(Exception):  # what cannot be read is in no run
            event = DECODE[origin.topic](record.value, headers, origin.timestamp_ms)
            if isinstance(event, Score) and not is_backfill(headers):
                self._send_run_part(run_part_of(event, None, failed=True))
        return "refused"

    def _refuse_event(
        self, record: SourceRecord, headers: Headers, origin: Origin, number: int, error: RefusedError
    ) -> None:
        """Keep the event on dead letters; a refused score that names its run counts there as failed."""
        self._app.send_to_dlq(record, headers, origin, number, error)
        if origin.topic == topics.SCORES and error.stage != "step":
            try:
                names = msgspec.json.decode(record.value or b"", type=_ScoreNames)
            except (ValueError, RecursionError):
                return
            at = from_epoch_ms(origin.timestamp_ms if 0 <= origin.timestamp_ms < LATEST_MS else 0)
            self._send_run_part(
                RunPart(
                    run_id=names.run_id, kind="failed", at=at, entity_id=names.entity_id, entity_name=names.entity_name
                )
            )


def _with_published_at(outcome: Outcome, record_ms: int) -> Outcome:
    """The outcome whose anomalies name the timestamp of the event's record, where that is believed."""
    if not outcome.anomalies or not EARLIEST_MS <= record_ms < LATEST_MS:
        return outcome
    at = from_epoch_ms(record_ms)
    dated = [msgspec.structs.replace(one, published_at=at) for one in outcome.anomalies]
    return msgspec.structs.replace(outcome, anomalies=dated)


def _is_repeated(partition: StatePartition[bytes], record: SourceRecord, origin: Origin, number: int) -> bool:
    """Whether a repartitioned event was applied before, as it came here or as it was read."""
    if not advance_watermark(partition.watermarks, origin):
        return True
    partition.watermarks_changed = True
    return _was_applied_at_home(partition, record, origin, number)


def _was_applied_at_home(partition: StatePartition[bytes], record: SourceRecord, origin: Origin, number: int) -> bool:
    """True for an event that was applied as it was read, before its topic had another number of partitions."""
    if not partition.was_home or origin.partition != number:
        return False
    return partition.was_applied_at_home((record.key or b"").decode(), origin.topic, origin.offset)


BEFORE_AN_END = (topics.SCORES,), (topics.REKEYED,)
"""What a run's end waits for: scores, then those that were forwarded to the owner of their entity."""


def build(app: WorkerApp, kind: type[Detector] = Detector) -> Callable[[], Awaitable[None]]:
    """Add the tables and one agent per source. `kind` is another detector than `Detector` where one is measured."""
    published = _published_before(
        app, BEFORE_AN_END, app.settings.run_end_wait_s, lambda: detector.on_published_applied()
    )
    moments = _published_before(app, BEFORE_A_MOMENT, math.inf, lambda: None)
    detector = kind(app, detection_config(app.settings), published, moments)
    app.before_checkpoint = detector.before_checkpoint
    app.find_unmet_need = detector.find_unmet_need
    app.on_rebalance_complete.connect(detector.look_for_scores, weak=False)
    before = {
        topics.COMPLETIONS: detector.before_completions,
        topics.ACTIONS: detector.before_completions,
        topics.SCORES: detector.load_detection,
        topics.SCORE_RUNS: detector.before_run_event,
        topics.REKEYED: detector.before_repartitioned,
    }
    for source in (*DECODE, topics.REKEYED):
        process_topic(app, source, detector.apply, agent=f"detect-{source}", before=before.get(source))
    process_topic(app, topics.RUN_PARTS, detector.apply_run_parts, agent=f"detect-{topics.RUN_PARTS}")
    for task in (published.run, *detector.clock.tasks()):
        app.task(task)
    return SettingsLog(app.settings, app.fail).agree


def _published_before(
    app: WorkerApp, stages: Sequence[Collection[str]], patience_s: float, on_done: Callable[[], None]
) -> PublishedBefore:
    return PublishedBefore(
        lambda: EndOffsets(app.settings, {name for stage in stages for name in stage}),
        app.role,
        stages,
        patience_s=patience_s,
        pause=app.until_checkpoint,
        on_done=on_done,
    )


def run(settings: Settings) -> int:
    """Run the detector until it is asked to stop; returns the exit code."""
    load_in_background()  # beside joining and recovery: else the first score waited for 3.4 s of processor time
    return worker.run("detector", settings, build)

"""The detector: events in, anomalies, run summaries and dead letters out; one baseline per key, owned by one partition.

For each record: decode -> owner? -> already applied? -> step -> emit. Everything within a chunk happens without an
await, so a chunk is applied as a whole or, if the process dies, not at all.
"""

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from stream_detector.composition import detection_config
from stream_detector.delivery import worker
from stream_detector.delivery.consumer import Chunk
from stream_detector.delivery.repartition import Origin, read_origin, strip_origin
from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.task import Task
from stream_detector.detect import BaselineBuffer, Config, key_of, step
from stream_detector.detect.loading import wait_until_loaded
from stream_detector.detect.outcome import APPLIED
from stream_detector.detect.replay import run_event_part
from stream_detector.detect.runs import run_part_of
from stream_detector.events import Action, Anomaly, Completion, RefusedError, RunPart, Score, ScoreRun
from stream_detector.events.dead_letter import dead_letter_headers
from stream_detector.events.decode import (
    decode_action,
    decode_completion,
    decode_run_part,
    decode_score,
    decode_score_run,
    is_backfill,
)
from stream_detector.events.encode import encode
from stream_detector.events.fields import Id, Name
from stream_detector.events.ids import score_key
from stream_detector.kafka import topics
from stream_detector.roles.run_table import RunTable
from stream_detector.settings import Settings
from stream_detector.telemetry import metrics
from stream_detector.telemetry.log_events import EventRefused, StepFailed

DECODE: dict[str, Callable[[bytes | None, Any, int], Completion | Score | ScoreRun | Action]] = {
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

found_total = lru_cache(maxsize=None)(metrics.ANOMALIES.labels)
"""Seven types by three severities: a look-up among the metric's labels takes a lock and 2 us."""

BASELINE: Codec[bytes] = Codec(bytes, lambda _, packed: packed, max_unpacked=0)
"""A key is its bytes; an event's baseline lies unpacked on a buffer while it is judged."""


class _ScoreNames(Struct):
    """What can still be told of a score that was refused, within the limits of a run part: else it is in no run."""

    entity_id: Id
    run_id: Id
    entity_name: Name = ""


def _has_score(name: str, chunk: Chunk) -> bool:
    """Whether a score is among what is to be applied. A forwarded record's key is its state key."""
    return name == topics.SCORES or any((record.key or b"").startswith(b"score:") for record in chunk.records)


def _here(name: str, number: int, record: Any) -> Origin:
    return Origin(name, number, record.offset, record.timestamp)


class Detector:
    """Applies chunks. One per process; its state is in the app's tables."""

    def __init__(self, app: worker.WorkerApp, config: Config) -> None:
        self._app, self._config = app, config
        self._n = app.partitions[topics.BASELINES]
        self._baselines = app.state(topics.BASELINES, BASELINE, self._n)
        self._buffer = BaselineBuffer()
        self._runs = RunTable(app, self._n, config.profile)
        self._names = {topic.name: app.settings.topic(topic.name) for topic in topics.TOPICS}

    # -- chunks --------------------------------------------------------------------------------------------------

    def handle(self, name: str, chunk: Chunk) -> None:
        """Apply one chunk of the source topic `name`, if it continues what was applied; else it is fetched again."""
        app, consumer = self._app, self._app.consumer
        try:
            if not consumer.is_next(chunk):
                return
            counts: Counter[str] = Counter()
            if name == topics.RUN_PARTS:
                self._apply_run_parts(chunk, counts)
            else:
                self._apply(name, chunk, counts)
            app.dispatch(chunk.tp.partition)
            consumer.advance(chunk)
            for outcome, count in counts.items():
                metrics.EVENTS.labels(name, outcome).inc(count)
        except Exception as error:
            app.fail(f"{name}: {error!r}")
        finally:
            consumer.release(chunk)

    def _apply(self, name: str, chunk: Chunk, counts: Counter[str]) -> None:
        number = chunk.tp.partition
        at_home = self._app.partitions[name] == self._n
        # Where the partitions differ in number, this one's state may be another worker's, or there may be none.
        partition: StatePartition[bytes] = (
            self._baselines.data.owned_partition(number) if at_home else StatePartition(BASELINE)
        )
        # A key knows by itself what it has applied only while the source is being replayed: one comparison a chunk.
        replaying = chunk.records[0].offset < partition.replay_until.get(name, 0)
        rekeyed, decode = name == topics.REKEYED, DECODE.get(name)
        live, waiting, dirty, opened = partition.live, partition.unencoded, partition.dirty, self._buffer.open
        config, quiet = self._config, 0
        for record in chunk.records:
            headers, origin = record.headers, None
            if rekeyed:
                origin = read_origin(headers)
                if origin is None or not self._is_news(partition, origin):
                    counts["duplicate"] += 1
                    continue
                headers, decode = strip_origin(headers), DECODE[origin.topic]
            try:
                event = decode(record.value, headers, origin.timestamp_ms if origin else record.timestamp)
            except RefusedError as error:
                counts["refused"] += 1
                self._refuse(record, headers, origin or _here(name, number, record), number, error)
                continue
            kind = type(event)
            if kind is Completion:
                key = "workflow:" + event.workflow_id  # `workflow_key` without its call: 0.1 us
            elif kind is ScoreRun:
                self._send_run_part(run_event_part(event))
                counts["applied"] += 1
                continue
            else:
                key = key_of(event)
            packed = live.get(key)
            if packed is None:
                packed = partition.get(key)
            if not rekeyed and (packed is None or not at_home):
                target = topics.owner_partition(key.partition(":")[2], self._n)
                if target != number or not at_home:
                    self._forward(record, headers, _here(name, number, record), key, target)
                    counts["forwarded"] += 1
                    continue
            if replaying and record.offset < partition.applied_offset(key, name):
                counts["duplicate"] += 1
                continue
            if packed is None and kind is Action:
                counts["ignored"] += 1  # nothing is known of that key, so there is nothing to change
                continue
            baseline = opened(key, packed)
            backfill = bool(headers) and is_backfill(headers)
            try:
                outcome = step(baseline, event, config, backfill=backfill)
            except Exception as error:  # a defect of ours must not stop the stream: the event is kept, the others go on
                counts["refused"] += 1
                self._step_failed(record, headers, origin or _here(name, number, record), number, event, error)
                continue
            if packed is None or (waiting and key in waiting):
                partition.put(key, baseline.pack())
            else:  # `put` without its call
                live[key] = baseline.pack()
                dirty.add(key)
            if outcome is APPLIED and kind is Completion:
                quiet += 1  # by far the most: nothing was found, so nothing goes out
                continue
            counts[outcome.kind] += 1
            caused_at_ms = origin.timestamp_ms if origin else record.timestamp
            for anomaly in outcome.anomalies:
                self._alert(key, anomaly, number, caused_at_ms)
            if kind is Score and not backfill:
                self._send_run_part(run_part_of(event, outcome, failed=False))
            if baseline.retired:
                partition.delete(key)
        if quiet:
            counts["applied"] += quiet

    def _step_failed(
        self,
        record: Any,
        headers: Any,
        origin: Origin,
        number: int,
        event: Completion | Score | Action,
        error: Exception,
    ) -> None:
        StepFailed(origin.topic, origin.partition, origin.offset, repr(error)).emit()
        self._refuse(record, headers, origin, number, RefusedError("step", "step_failed", type(error).__name__))
        if isinstance(event, Score):
            self._send_run_part(run_part_of(event, None, failed=True))

    def _is_news(self, partition: StatePartition[Any], origin: Origin) -> bool:
        """False for an event that a forwarder has sent twice; moves the watermark."""
        if origin.offset < partition.watermarks.get(origin.place, 0):
            return False
        partition.watermarks[origin.place] = origin.offset + 1
        partition.watermarks_changed = True
        return True

    def _apply_run_parts(self, chunk: Chunk, counts: Counter[str]) -> None:
        for record in chunk.records:
            try:
                run_part = decode_run_part(record.value)
            except msgspec.DecodeError as error:
                self._app.fail(f"run-parts@{record.offset} is not ours: {error}")
                return
            for anomaly in self._runs.apply(chunk.tp.partition, run_part, record.timestamp):
                key, target = score_key(anomaly.entity_id), topics.owner_partition(anomaly.entity_id, self._n)
                self._alert(key, anomaly, target, record.timestamp)
            counts["applied"] += 1

    def before_checkpoint(self, task: Task) -> None:
        """Runs that have ended by now: summaries and memberships go out before the state that says so is written."""
        for told in self._runs.ended(task.number, round(time.time() * 1000)):
            if isinstance(told, RunPart):
                self._send_run_part(told)
            else:
                self._put(topics.RUN_SUMMARIES, task.number, told.run_id.encode(), encode(told))
        self._app.dispatch(task.number)

    # -- what goes out -------------------------------------------------------------------------------------------

    def _put(
        self, name: str, partition: int, key: bytes | None, value: bytes | None, headers: Any = None, **more: Any
    ) -> None:
        self._app.batch_producer.put(self._names[name], partition, key, value, headers, **more)

    def _alert(self, key: str, anomaly: Anomaly, number: int, caused_at_ms: int) -> None:
        found_total(anomaly.anomaly_type, anomaly.severity).inc()
        headers = [*CLOUD_EVENT, ("ce_id", anomaly.id.encode()), ("ce_time", anomaly.detected_at.isoformat().encode())]
        self._put(topics.ALERTS, number, key.encode(), encode(anomaly), headers, caused_at_ms=caused_at_ms)

    def _forward(self, record: Any, headers: Any, origin: Origin, key: str, target: int) -> None:
        self._put(topics.REKEYED, target, key.encode(), record.value, [*headers, origin.header()])

    def _send_run_part(self, run_part: RunPart | None) -> None:
        if run_part is None:
            return  # a duplicate: the part of the first copy stands
        target = topics.owner_partition(run_part.run_id, self._n)
        self._put(topics.RUN_PARTS, target, run_part.run_id.encode(), encode(run_part))

    def _refuse(self, record: Any, headers: Any, origin: Origin, number: int, error: RefusedError) -> None:
        """Keep the event on dead letters, untouched; a refused score that names its run counts there as failed."""
        place = {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset}
        letter = dead_letter_headers(headers, **place, timestamp_ms=origin.timestamp_ms, error=error)
        self._put(topics.DEAD_LETTERS, number, record.key, record.value, letter)
        EventRefused(**place, reason=error.reason, message=error.message).emit()
        if origin.topic == topics.SCORES and error.stage != "step":
            try:
                names = msgspec.json.decode(record.value or b"", type=_ScoreNames)
            except (ValueError, RecursionError):
                return
            at = datetime.fromtimestamp(max(0, origin.timestamp_ms) / 1000, UTC)
            self._send_run_part(
                RunPart(
                    run_id=names.run_id, kind="failed", at=at, entity_id=names.entity_id, entity_name=names.entity_name
                )
            )


def build(app: worker.WorkerApp, kind: type[Detector] = Detector) -> worker.BeforeStart:
    """Add the tables and one agent per source. `kind` is another detector than `Detector` where one is measured."""
    settings = app.settings
    detector = kind(app, detection_config(settings))
    app.before_checkpoint = detector.before_checkpoint

    def read(name: str) -> None:
        @app.agent(app.source(name), name=f"detect-{name}")
        async def detect(stream: Any) -> None:
            async for event in stream.events():
                if name in (topics.SCORES, topics.REKEYED) and _has_score(name, event.value):
                    await wait_until_loaded()  # 3.4 of the 6 s of processor time that a start would take
                detector.handle(name, event.value)

    for name in (*DECODE, topics.REKEYED, topics.RUN_PARTS):
        read(name)

    async def prepare() -> None:
        """Nothing beside Kafka is needed."""

    return prepare


def run(settings: Settings) -> int:
    """Run the detector until it is told to stop; returns the exit code."""
    return worker.run("detector", settings, build)

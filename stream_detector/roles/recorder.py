"""The recorder: everything that happens on the topics, as rows in PostgreSQL; acknowledged after the commit there.

While the database is away it stays in its group, reads on up to the limit of bytes in flight, and catches up when the
database is back. Detection and messages do not notice.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from stream_detector.composition import variant_labels
from stream_detector.delivery import worker
from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.chunk import Chunk, SourceRecord, UnfoldedRecord
from stream_detector.delivery.processor import Outcomes, process_topic
from stream_detector.delivery.repartition import origin_of
from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.contents import CLAIM_KEY, WATERMARKS_KEY
from stream_detector.detect import Baseline
from stream_detector.events import RefusedError, Start
from stream_detector.events.dead_letter import read_dead_letter
from stream_detector.events.decode import (
    decode_action,
    decode_anomaly,
    decode_completion,
    decode_detector_settings,
    decode_notification,
    decode_run_summary,
    decode_score,
    decode_score_run,
    is_backfill,
)
from stream_detector.events.detector_settings import DetectorSettings
from stream_detector.events.headers import MOVED, Headers, UnreadableHeaders, is_restored
from stream_detector.events.sources.source import IgnoredError
from stream_detector.events.unfold import SeveralEventsError
from stream_detector.kafka import topics
from stream_detector.kafka.client import cluster_id
from stream_detector.kafka.end_offsets import first_record
from stream_detector.roles.expected_runs import expected_run, longest_limit_s
from stream_detector.roles.renames import is_of_renames
from stream_detector.settings import Settings
from stream_detector.store.connect import (
    READ_ONLY,
    StoreAwayError,
    address_of,
    store_errors,
    wait_for_pool,
    why_not_writable,
)
from stream_detector.store.epochs import epoch_of, stream_identity
from stream_detector.store.grants import admit
from stream_detector.store.retain import retain
from stream_detector.store.rows import BadRow, BaselineState, DeadLetterNote, Row, Rows, StateRecord
from stream_detector.store.running import settle
from stream_detector.store.source_positions import Gap, Reached, forget_gap, stored_positions
from stream_detector.store.write import Writer
from stream_detector.telemetry import metrics
from stream_detector.telemetry.log_events import (
    EventRefused,
    ServiceRecovered,
    ServiceUnavailable,
    StateNotStored,
    StepFailed,
    StoreBehind,
)

DELETE_EVERY_S = 3600.0
START_AGAIN_S = 2.0
ASK_EVERY_S, ANSWER_WITHIN_S = 2.0, 4.0
NOTE_EVERY_S = 10.0
SETTLE_EVERY_S = 30.0
UNKNOWN_STATE = "unknown"
"""Of a baseline in a layout that this version does not know."""


Errors = dict[int | tuple[int, int], RefusedError]
"""By a record's offset, or by offset and index of one of its events."""


def _event_of(record: SourceRecord) -> tuple[bytes | None, Headers, int]:
    return record.value, record.headers, record.timestamp


def _dead_letter(record: SourceRecord) -> DeadLetterNote:
    letter = read_dead_letter(record.headers)
    return DeadLetterNote(
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
        timestamp_ms=letter.timestamp_ms,
        stage=letter.stage,
        reason=letter.reason,
        message=letter.message,
        index=letter.index,
        value_bytes=letter.value_bytes(record.value),
    )


def _baseline(record: SourceRecord) -> BaselineState | None:
    if record.key is None or record.key in (CLAIM_KEY, WATERMARKS_KEY) or record.value is None:
        return None
    if record.headers and (is_restored(record.headers) or MOVED in record.headers):
        return None
    try:
        key = record.key.decode()
    except UnicodeDecodeError:
        raise RefusedError("decode", "not_utf8", "the key is not a state key in UTF-8") from None
    if is_of_renames(key):
        return None
    epoch = 0
    try:
        epoch = changelog_record.epoch_of(record.value)  # raises where the frame is of another version
        packed = changelog_record.payload_of(record.value)
        if not packed:
            return BaselineState(key=key, packed=None, owner_epoch=epoch)
        baseline = Baseline.unpack(key, packed)
    except Exception:
        # A later version wrote it. With every checkpoint of that detector it comes again, so it is stored as it is.
        return BaselineState(key=key, packed=record.value, state=UNKNOWN_STATE, owner_epoch=epoch)
    return BaselineState(
        key=key,
        packed=packed,
        state=baseline.status,
        named=baseline.shown_baselines(),
        owner_epoch=epoch,
        expected=expected_run(baseline),
        limit_s=longest_limit_s(baseline),
    )


def _settings_in_force(record: SourceRecord) -> DetectorSettings | None:
    found = decode_detector_settings(record.value)
    return found if found.kind == "in_force" else None


def _unless_restored(record: SourceRecord) -> StateRecord | None:
    """What was restored is stored already, with the positions of its own stream, which say more."""
    return None if record.headers and is_restored(record.headers) else _state_record(record)


def _state_record(record: SourceRecord) -> StateRecord | None:
    """What a new broker is restored from; nothing for a claim."""
    if record.key is None or record.key == CLAIM_KEY or record.value is None:
        return None
    try:
        record.key.decode()
        changelog_record.check_header(record.value)
        owner_epoch = changelog_record.epoch_of(record.value)
    except UnicodeDecodeError:
        return None  # no worker has such a key
    except changelog_record.StateFormatError:
        if not changelog_record.may_be_later(record.value):
            return None  # nobody can read it: what is stored of its key stands
        owner_epoch = 0  # a later version wrote it: its detector can read it
    return StateRecord(key=record.key, value=record.value, owner_epoch=owner_epoch)


READ: dict[str, tuple[str, Callable[[SourceRecord], Any]]] = {
    topics.COMPLETIONS: ("executions", lambda record: decode_completion(*_event_of(record))),
    topics.SCORES: ("scores", lambda record: decode_score(*_event_of(record))),
    topics.SCORE_RUNS: ("score_runs", lambda record: decode_score_run(*_event_of(record))),
    topics.ALERTS: ("anomalies", lambda record: decode_anomaly(record.value)),
    topics.RUN_SUMMARIES: ("summaries", lambda record: decode_run_summary(record.value)),
    topics.ACTIONS: ("actions", lambda record: decode_action(*_event_of(record))),
    topics.NOTIFICATIONS: ("notifications", lambda record: decode_notification(record.value)),
    topics.BASELINES: ("baselines", _baseline),
    topics.RUNS_STATE: ("state_records", _unless_restored),
    topics.NOTIFIER_STATE: ("state_records", _state_record),
    topics.DEAD_LETTERS: ("dead_letters", _dead_letter),
    topics.DETECTOR_SETTINGS: ("settings", _settings_in_force),
}
"""Topic -> the list of `Rows` it fills, and how a record becomes an event. None: nothing to store."""
READ_BY_DETECTOR = frozenset({topics.COMPLETIONS, topics.SCORES, topics.SCORE_RUNS, topics.ACTIONS})
"""What is refused of these, the detector sends to dead letters."""
STORED_AS_IT_CAME = frozenset({topics.ALERTS, topics.RUN_SUMMARIES, topics.NOTIFICATIONS})
"""Of these the record's own JSON is stored, with fields that only a later version knows."""


class Recorder:
    """Turns chunks into rows and writes them until they are stored."""

    def __init__(self, app: WorkerApp) -> None:
        self._app = app
        self._pool: asyncpg.Pool | None = None
        self._epoch = 0
        self._noted: dict[TP, tuple[int, int]] = {}
        """Partition -> assignment, and up to where the database says in it that everything is stored."""
        self._gaps: list[Gap] = []
        self._stored: dict[tuple[str, int], int] = {}
        self._opening = asyncio.Lock()
        self._deleted_at_s = 0.0
        self._answered_s, self._why_away = time.monotonic(), ""
        """When PostgreSQL last answered, and why it has not since."""

    async def apply(self, source: str, chunk: Chunk) -> Outcomes | None:
        """Store one chunk. None, and nothing counts as applied, where the partitions were taken away meanwhile."""
        rows, errors, failed = self._decode(source, chunk)
        try:
            bad = await self._store(rows, self._reached(source, chunk))
        except asyncpg.InsufficientPrivilegeError as error:
            self._app.fail(
                f"{source}: PostgreSQL: {error}. `stream-detector grants --role recorder` prints what to grant"
            )
            raise
        if bad is None:
            return None
        self._noted[chunk.tp] = chunk.assignment, chunk.next_offset
        await self._look_at_gaps()
        ignored = sum(isinstance(error, IgnoredError) for error in errors.values())
        outcomes = Counter(applied=len(rows), refused=len(errors) + len(failed) - ignored, ignored=ignored)
        if source in READ_BY_DETECTOR:
            errors = {}
        errors |= failed | {_place_of(each.row, chunk): each.error for each in bad}
        if errors:
            self._send_to_dlq(source, chunk, errors)
        return outcomes

    async def pass_over(self, source: str, chunk: Chunk) -> bool:
        """Note the position behind a chunk of which nothing is stored: else the database would seem to lack it."""
        if await self._store(Rows(), self._reached(source, chunk)) is None:
            return False
        self._noted[chunk.tp] = chunk.assignment, chunk.next_offset
        return True

    def _decode(self, source: str, chunk: Chunk) -> tuple[Rows, Errors, Errors]:
        """The rows to store; by its place why a record or an event cannot be read, and where this program failed."""
        listed, decode = READ[source]
        rows: list[Row[Any]] = []
        starts: list[Row[Start]] = []
        state: list[Row[StateRecord]] = []
        errors: Errors = {}
        failed: Errors = {}
        number = chunk.tp.partition

        def take(record: SourceRecord, place: int | tuple[int, int]) -> None:
            try:
                if record.headers and isinstance(record.headers, UnreadableHeaders):
                    raise record.headers.refusal
                event = decode(record)
                if event is not None:
                    (starts if type(event) is Start else rows).append(self._row(source, number, record, event))
            except SeveralEventsError as several:
                for each in chunk.unfold(record, several):
                    if each.error is None:
                        take(each, each.place)
                    else:
                        errors[each.place] = each.error
            except RefusedError as error:
                errors[place] = error
            except Exception as error:  # a defect of ours: the record is kept, the others go on
                StepFailed(source, number, record.offset, repr(error)).emit()
                failed[place] = RefusedError("step", "step_failed", f"recorder: {type(error).__name__}")

        for record in chunk.records:
            take(record, record.offset)
            if source == topics.BASELINES and (stored := _unless_restored(record)) is not None:
                where = source, number, record.offset, record.timestamp
                state.append(Row(stored, *where, epoch=self._epoch))
        found = Rows(**{listed: rows})
        if state:
            found.state_records = state
        if starts:
            found.starts = starts
        return found, errors, failed

    def _row(self, source: str, number: int, record: SourceRecord, event: Any) -> Row[Any]:
        backfill = bool(record.headers) and is_backfill(record.headers)
        value = (record.value or b"").strip() if source in STORED_AS_IT_CAME else None
        place = source, number, record.offset, record.timestamp
        settings = self._app.settings
        row = Row(event, *place, backfill, self._epoch, value, settings.duration_from_times, variant_labels(settings))
        return row if type(record) is not UnfoldedRecord else msgspec.structs.replace(row, index=record.index)

    def _reached(self, source: str, chunk: Chunk) -> Reached:
        """From where to where everything is stored with the chunk."""
        first = self._stored_until(chunk.tp, chunk.assignment)
        return Reached(self._epoch, source, chunk.tp.partition, first, chunk.next_offset)

    def _stored_until(self, tp: TP, assignment: int) -> int | None:
        """Up to where this assignment has noted the partition, else what was committed before it; None: nothing."""
        if self._is_noted(tp, assignment):
            return self._noted[tp][1]
        position = self._app.tasks.find_position(tp)
        return position.committed if position is not None else None

    def _is_noted(self, tp: TP, assignment: int) -> bool:
        return tp in self._noted and self._noted[tp][0] == assignment

    async def _store(self, rows: Rows, reached: Reached) -> list[BadRow] | None:
        """Write until it is stored; None if the partitions were taken away meanwhile."""
        app, pause_s, away_since = self._app, 0.5, None
        while not (app.should_stop or app.rebalancing):
            try:
                writer = Writer(await self._connected())
                bad = await writer.write(rows, reached)
            except StoreAwayError as error:
                app.waiting_for = "PostgreSQL"
                if self._pool is not None:  # after a failover the next connection may find the server that takes rows
                    await self._pool.expire_connections()
                away_since = away_since or time.monotonic()
                wait_s = pause_s * random.uniform(0.75, 1.25)
                ServiceUnavailable("PostgreSQL", address_of(app.settings.database_url), str(error), wait_s).emit()
                await asyncio.sleep(wait_s)
                pause_s = min(pause_s * 2, 5.0)
            else:
                app.waiting_for = ""
                self._gaps += writer.gaps
                if away_since:
                    away_s = time.monotonic() - away_since
                    ServiceRecovered("PostgreSQL", address_of(app.settings.database_url), away_s).emit()
                return bad
        return None

    async def note_positions(self) -> None:
        """Note what was committed and no batch brought: markers of transactions, for example. And find out soon after
        the start whether the database is the one that was written last."""
        app, pool = self._app, self._pool
        if pool is None or app.rebalancing or app.recovery.in_recovery:
            return
        for task in app.tasks:
            for tp, position in task.positions.items():
                end, assignment = position.committed, app.positions.assignment
                first = self._stored_until(tp, assignment)
                if end is None or first is None or (self._is_noted(tp, assignment) and first >= end):
                    continue
                source = tp.topic[len(app.topic_prefix) :]
                writer = Writer(pool)
                try:
                    await writer.write(Rows(), Reached(self._epoch, source, tp.partition, first, end))
                except StoreAwayError:
                    return  # who stores a batch says so
                if app.positions.assignment == assignment and self._noted.get(tp, (-1, 0)) <= (assignment, end):
                    self._noted[tp] = assignment, end
                self._gaps += writer.gaps
        await self._look_at_gaps()

    async def _look_at_gaps(self) -> None:
        """Report what is missing of what was stored before; a gap of the topic itself is none of the database."""
        while self._gaps and self._pool is not None:
            gap = self._gaps.pop()
            settings = self._app.settings
            place = TopicPartition(settings.topic(gap.topic), gap.partition)
            try:
                found = await first_record(settings, place, gap.first)
            except (KafkaError, TimeoutError, OSError):
                found = None  # `doctor` asks again
            else:
                if found is None or found.offset >= gap.end:
                    with contextlib.suppress(StoreAwayError), store_errors():
                        await forget_gap(self._pool, self._epoch, gap)
                    continue
            StoreBehind(gap.topic, gap.partition, gap.first, gap.end - 1).emit()

    async def _connected(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                settings = self._app.settings
                pool = await wait_for_pool(settings.database_url, name="recorder")
                try:
                    await admit(pool, "recorder")
                    identity = stream_identity(await cluster_id(settings), settings.topic_prefix)
                    self._epoch = await epoch_of(pool, identity)
                    self._stored, self._pool = await stored_positions(pool, self._epoch), pool
                    self._answered_s = time.monotonic()
                except BaseException:
                    pool.terminate()
                    raise
        return self._pool

    async def start(self) -> None:
        """Connect before the first chunk, so that every row has its epoch; wait while the database cannot."""
        while True:
            try:
                await self._connected()
                return
            except StoreAwayError as error:  # it answered, and then went away, or can only be read during a failover
                address = address_of(self._app.settings.database_url)
                ServiceUnavailable("PostgreSQL", address, str(error), START_AGAIN_S).emit()
                await asyncio.sleep(START_AGAIN_S)

    def known_position(self, tp: TP) -> int:
        """Up to where the database had a partition at the start."""
        return self._stored.get((tp.topic[len(self._app.topic_prefix) :], tp.partition), 0)

    async def ask_database(self) -> None:
        """Have an answer of PostgreSQL's that is fresh, whether or not there is something to store."""
        if self._pool is None:
            return
        self._why_away = await why_not_writable(self._pool, ANSWER_WITHIN_S)
        if not self._why_away:
            self._answered_s = time.monotonic()

    def find_unmet_need(self) -> str:
        """Since when PostgreSQL has not answered; empty if it has lately."""
        age_s = time.monotonic() - self._answered_s
        if age_s <= worker.ANSWER_FRESH_S:
            return ""
        what = "nothing can be stored" if self._why_away == READ_ONLY else "no answer"
        return f"PostgreSQL: {what} for {age_s:.0f} s" + (f" ({self._why_away})" if self._why_away else "")

    async def settle_running(self) -> None:
        """Join starts and ends of executions that recorders stored at the same moment."""
        if self._pool:
            with contextlib.suppress(StoreAwayError):  # who stores a batch reports it
                await settle(self._pool)

    async def delete_expired(self) -> None:
        """Delete what is older than the retention, once an hour; one recorder at a time does it."""
        settings = self._app.settings
        if self._pool and time.monotonic() - self._deleted_at_s > DELETE_EVERY_S:
            self._deleted_at_s = time.monotonic()
            try:
                await retain(
                    self._pool,
                    now=datetime.now(UTC),
                    executions_d=settings.executions_retention_d,
                    anomalies_d=settings.anomalies_retention_d,
                )
            except StoreAwayError as error:
                ServiceUnavailable("PostgreSQL", address_of(settings.database_url), str(error), DELETE_EVERY_S).emit()

    def _send_to_dlq(self, source: str, chunk: Chunk, errors: Errors) -> None:
        """Keep what cannot be read, or what PostgreSQL refuses for what it holds, with its original bytes."""
        number = chunk.tp.partition
        for record in (*chunk.records, *chunk.unfolded.values()):
            error = errors.get(record.place if isinstance(record, UnfoldedRecord) else record.offset)
            if error is None:
                continue
            if source == topics.DEAD_LETTERS:  # one that cannot be listed stays where it is: on this very topic
                EventRefused(source, number, record.offset, reason=error.reason, message=error.message).emit()
            else:
                self._app.send_to_dlq(record, record.headers, origin_of(source, number, record), number, error)


def _place_of(row: Row[Any], chunk: Chunk) -> int | tuple[int, int]:
    """Of the record or the event that the row was made from."""
    place = row.offset, row.index
    return place if place in chunk.unfolded else row.offset


def build(app: WorkerApp) -> Callable[[], Awaitable[None]]:
    """Add one agent per topic."""
    recorder = Recorder(app)
    app.timer(60.0)(recorder.delete_expired)
    app.timer(SETTLE_EVERY_S)(recorder.settle_running)
    app.timer(ASK_EVERY_S)(recorder.ask_database)
    app.timer(NOTE_EVERY_S)(recorder.note_positions)
    app.find_unmet_need, app.known_position = recorder.find_unmet_need, recorder.known_position
    app.pass_over = recorder.pass_over
    for source in READ:
        if source in app.partitions:
            process_topic(app, source, recorder.apply, agent=f"record-{source}")
            metrics.RECORDS_MISSING.labels(source)  # 0 from the beginning, so that a first one is an increase
    if unread := [app.settings.topic(source) for source in READ if source not in app.partitions]:
        StateNotStored(", ".join(unread)).emit()
    return recorder.start


def run(settings: Settings) -> int:
    """Run the recorder until it is asked to stop; returns the exit code."""
    return worker.run("recorder", settings, build)

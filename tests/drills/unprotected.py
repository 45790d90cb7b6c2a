"""Protections that can be taken out of a role: a drill that tests one must fail without it. Not part of the product."""

from collections.abc import Callable
from typing import Any

from stream_detector.delivery import faults, worker
from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.batch_producer import BatchProducer
from stream_detector.delivery.checkpoint import Checkpoint
from stream_detector.delivery.processor import Positions
from stream_detector.delivery.published_before import PublishedBefore, Ticket
from stream_detector.delivery.repartition import Origin
from stream_detector.delivery.small_steps import SmallSteps
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.events import decode
from stream_detector.events.times import LATEST_MS
from stream_detector.kafka import client
from stream_detector.notify.stages import results
from stream_detector.roles import detector
from stream_detector.roles.recorder import Recorder
from stream_detector.roles.single_runs import SingleRuns
from stream_detector.store import write
from stream_detector.store.connect import StoreAwayError
from stream_detector.store.connector import Connector
from stream_detector.store.write import Writer
from tests.drills import harms


def commit_order() -> None:
    """Offsets are committed before the state is written."""

    async def carry_out(self: Checkpoint, snapshots: list[Any]) -> bool:
        for send in [send for snapshot in snapshots for send in snapshot.sends]:
            await send
        offsets = {tp: offset for snapshot in snapshots for tp, offset in snapshot.offsets.items()}
        if offsets:
            await self._app.group.commit_offsets(offsets)
            faults.reach("committed")
        written = [place for snapshot in snapshots for place in snapshot.written]
        for place in written:
            place.snapshot.encode_for(float("inf"))
        await self._write([(place, place.snapshot.records) for place in written])
        self._finish()
        return bool(offsets)

    Checkpoint._write_and_commit = carry_out  # type: ignore[method-assign]


def applied_positions() -> None:
    """A key does not know what it has applied, neither by position nor by id: each replayed event is applied again."""
    StatePartition.applied_offset = lambda self, key, source: 0  # type: ignore[method-assign]
    recent_ids()


def following() -> None:
    """Faust's emptying of the queues is made to hit (see `harms`), and no chunk must follow the one before."""
    harms.emptied_queues()
    Positions.is_next = lambda self, chunk: self.tasks.find_position(chunk.tp) is not None  # type: ignore[method-assign]


def epochs() -> None:
    """The later record wins, whoever wrote it, and nobody looks at what others wrote."""
    StatePartition._is_late = lambda self, key, written_by: False  # type: ignore[method-assign]
    StatePartition.note_foreign_writes = lambda self, records: True  # type: ignore[method-assign]


def awaited_delivery() -> None:
    """A delivery that failed, after 2 s instead of a minute, is passed over, as stock Faust does."""
    make_app = worker.make_app

    def hasty(*args: Any) -> WorkerApp:
        app = make_app(*args)
        app.conf.producer_request_timeout = 2.0
        return app

    worker.make_app = hasty
    WorkerApp.fail = lambda self, why: print(f"PASSED OVER {why}", flush=True)  # type: ignore[method-assign]
    finish = BatchProducer._finish

    def pass_over(self: BatchProducer, acks: Any, acknowledged: Any) -> None:
        finish(self, acks, acknowledged)
        if not acknowledged.done():
            acknowledged.set_result(None)

    BatchProducer._finish = pass_over  # type: ignore[method-assign]


def stored_rows() -> None:
    """The recorder goes on when the database does not take its rows."""

    async def once(self: Recorder, rows: Any) -> Any:
        try:
            return await Writer(await self._connected()).write(rows)
        except StoreAwayError:
            self._app.waiting_for = "PostgreSQL"
            return []

    Recorder._store = once  # type: ignore[method-assign]


def pooler_recognised() -> None:
    """A pooler is taken for PostgreSQL itself: statements have names, and tables are the session's."""

    async def no(self: Connector) -> bool:
        return False

    Connector.is_behind_pooler = no  # type: ignore[method-assign]


def retries() -> None:
    """A message that could not be delivered is given up."""
    results.GIVE_UP_AFTER_S = -1.0


def dead_letters() -> None:
    """What is refused is dropped."""
    detector.Detector._refuse_event = lambda *args: None  # type: ignore[method-assign]


def recent_ids() -> None:
    """A key does not know which events it has had."""
    step = detector.step

    def forgetful(baseline: Any, *args: Any, **more: Any) -> Any:
        baseline.ids = b""
        return step(baseline, *args, **more)

    detector.step = forgetful


def read_past() -> None:
    """A record that aiokafka's parser cannot read is met by nobody."""
    harms.poisoned()
    worker.read_past_bad_records = client.read_past_bad_records = lambda: None


def small_steps() -> None:
    """No role knows how often it has started."""
    harms.poisoned()

    async def begin(self: SmallSteps, offsets: Any) -> bool:
        return False

    SmallSteps.begin = begin  # type: ignore[method-assign]


def future_refused() -> None:
    """An event of the future is an event."""
    decode.check_not_future = lambda *args: None


def record_times() -> None:
    """A key's newest event does not know when its record was stamped: nothing says that it was ahead of its time."""
    step = detector.step

    def without(baseline: Any, event: Any, config: Any, record_ms: int, *more: Any) -> Any:
        return step(baseline, event, config, LATEST_MS, *more)

    detector.step = without


def changelog() -> None:
    """State is committed and not written."""

    async def write(self: Checkpoint, todo: Any) -> None: ...

    Checkpoint._write = write  # type: ignore[method-assign]


def barrier() -> None:
    """A run ends without waiting for what was published before its end."""

    def ask(self: PublishedBefore) -> Ticket:
        ticket = Ticket()
        ticket.done = True
        return ticket

    PublishedBefore.ask = ask  # type: ignore[method-assign]


def resets_remembered() -> None:
    """Nobody looks where the broker sends a fetch below the start of a log."""
    worker.remember_resets = lambda: None


def gaps_noted() -> None:
    """The recorder notes how far it is, and not that the database was behind."""
    note = write.note_reached

    async def note_alone(connection: Any, reached: Any) -> Any:
        return await note(connection, reached._replace(first=None))

    write.note_reached = note_alone


def single_run_keys() -> None:
    """Every workflow that ran once is kept."""
    SingleRuns.before_checkpoint = lambda self: False  # type: ignore[method-assign]


def event_index() -> None:
    """What is forwarded of a record names the record alone, as if it held one event."""
    header = Origin.header
    Origin.header = lambda self: header(self._replace(event_index=None))  # type: ignore[method-assign]


PROTECTIONS: dict[str, Callable[[], None]] = {
    "applied-positions": applied_positions,
    "awaited-delivery": awaited_delivery,
    "barrier": barrier,
    "changelog": changelog,
    "commit-order": commit_order,
    "dead-letters": dead_letters,
    "epochs": epochs,
    "event-index": event_index,
    "following": following,
    "future-refused": future_refused,
    "gaps-noted": gaps_noted,
    "pooler-recognised": pooler_recognised,
    "read-past": read_past,
    "recent-ids": recent_ids,
    "record-times": record_times,
    "resets-remembered": resets_remembered,
    "retries": retries,
    "single-run-keys": single_run_keys,
    "small-steps": small_steps,
    "stored-rows": stored_rows,
}

"""The process of one role: settings in, exit code out."""

import asyncio
import gc
import io
import logging
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import faust
from aiokafka import AIOKafkaProducer
from faust.exceptions import ConsumerNotStarted

import stream_detector
from stream_detector.delivery import consumer, faults  # noqa: F401  (registers batch://)
from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.claims import claim_recovered
from stream_detector.delivery.state.recovery import Tables
from stream_detector.delivery.state.table import StateTable
from stream_detector.delivery.watchdog import LOOK_EVERY_S, Watchdog
from stream_detector.kafka.aiokafka_patches import (
    AiokafkaError,
    keep_parsed_records,
    read_past_bad_records,
    remember_resets,
    watch_metadata,
)
from stream_detector.kafka.client import ssl_context, wait_for_broker
from stream_detector.kafka.errors import describe_error
from stream_detector.kafka.event_loop import new_event_loop
from stream_detector.kafka.preflight import SetupError, run_preflight
from stream_detector.settings import Settings
from stream_detector.shutdown import EXIT_FAILURE, GracefulShutdown
from stream_detector.telemetry import metrics
from stream_detector.telemetry.health import ROLE_PORTS, HealthServer
from stream_detector.telemetry.log_events import RoleFailed, RoleReady, RoleStarting, RoleStopped
from stream_detector.telemetry.logs import start_logging

Build = Callable[[WorkerApp], Callable[[], Awaitable[None]]]
"""Adds a role's agents and tables to the app. What it returns is awaited before the role joins its group: it connects
to the database, for example."""


async def nothing_to_prepare() -> None:
    """For a role that needs nothing beside Kafka."""


COLLECT_AT = 50_000, 10, 10
"""When the cyclic collector looks for garbage: stock (700, 10, 10) walks each fetched chunk several times and costs
1.3 us of an event's 11; with this it costs as good as nothing. Reference counts free nearly all of what we make."""

METADATA_AGE_MS = 10_000
"""How old what is known of the topics may be. Stock: 5 minutes, for which nobody reads a partition that was added."""

WATCH_EVERY_S = 5.0
ANSWER_FRESH_S = 10.0
"""A role whose broker has answered nothing for longer is not ready: the broker may hang, a connection be half open. It
answers a heartbeat every half second, and acknowledges what a checkpoint writes."""


class RoleWorker(faust.Worker):
    """Faust's worker with our way to end. Stock waits for ever, ignores a second signal, and debugs on SIGUSR2."""

    def __init__(self, *args: Any, shutdown: GracefulShutdown, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._graceful_shutdown = shutdown

    def _gather_all(self) -> None:
        """Cancel what still runs. All that matters has ended by now, and stock sleeps for 2 s here: an idle detector
        took 2.3 s from SIGTERM to its end, then 0.85 s (beside a test run)."""
        if tasks := asyncio.all_tasks(loop=self.loop):
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))

    async def _sentinel_task(self) -> None:
        """Nothing: see `_gather_all`."""

    def install_signal_handlers(self) -> None:
        """Signals are ours already; from now on there is something to end in order."""
        self._graceful_shutdown.stop = lambda: self._schedule_shutdown(signal.SIGTERM)


def make_app(role: str, settings: Settings) -> WorkerApp:
    """The app with every stock default changed that endangers delivery (docs/architecture.md says why)."""
    session_s = settings.session_timeout_s
    app = WorkerApp(
        role,
        settings,
        on_recovered=lambda table, tps: claim_recovered(app, table, tps),
        broker=";".join(f"batch://{address}" for address in settings.broker.split(",")),
        broker_credentials=_credentials(settings),
        store="memory://",
        Table=StateTable,
        TableManager=Tables,
        datadir=tempfile.gettempdir(),  # nothing is written there: state is in the changelog
        web_enabled=False,  # stock binds 0.0.0.0 and serves the tables
        topic_allow_declare=False,  # `setup` makes topics, with the right partitions and cleanup
        topic_disable_leader=True,
        table_standby_replicas=0,  # a standby that keeps dirty keys makes two writers
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.group_instance_id or None,
        consumer_max_fetch_size=4 << 20,
        consumer_metadata_max_age_ms=METADATA_AGE_MS,
        producer_metadata_max_age_ms=METADATA_AGE_MS,
        recovery_consistency_check=False,  # the embedded broker's ListOffsets is too low
        stream_recovery_delay=0.0,
        producer_acks=-1,
        producer_linger=0.0,
        producer_max_batch_size=1 << 18,
        producer_max_request_size=8 << 20,
        producer_request_timeout=60.0,  # stock: 20 minutes
        broker_max_poll_records=2000,  # 2,000 to 8,000 is best under load; a low rate is delivered at once
        broker_commit_interval=settings.checkpoint_interval_s,
        broker_session_timeout=session_s,
        broker_rebalance_timeout=session_s,
        # Its answer shows that the group rebalances. With a sixth of the session alone, an alert at 2,000 events/s took
        # 1.7 s at the longest when another detector left, with half a second 1.2 s (`benchmarks.startup`, four rounds).
        broker_heartbeat_interval=min(0.5, session_s / 6),
        # Stock: a consumer that reads nothing for 1,000 s leaves its group, as one does whose database is away for an
        # hour. `stall_detector` finds one that hangs.
        broker_max_poll_interval=7 * 86_400.0,
        # Stock: 90 s, for which a heartbeat may wait that a dying broker took. A join waits for up to a session.
        broker_request_timeout=max(30.0, session_s + 10),
    )
    return app


def _credentials(settings: Settings) -> Any:
    if "sasl" in settings.broker_security:
        return faust.SASLCredentials(
            username=settings.broker_user,
            password=settings.broker_password,
            mechanism=settings.broker_sasl_mechanism.upper(),
            ssl_context=ssl_context(settings),
        )
    return faust.SSLCredentials(ssl_context(settings)) if settings.broker_security == "ssl" else None


def run(role: str, settings: Settings, build: Build) -> int:
    """Run one role until SIGTERM or SIGINT; returns its exit code.

    Args:
        role: detector, recorder or notifier.
        settings: with `broker` set.
        build: adds agents and tables to the app, returns what is to be done before the start.
    """
    start_logging(role, form=settings.log_format, level=settings.log_level)
    _silence_libraries()
    faults.arm(settings.fault_point)
    RoleStarting(role, stream_detector.__version__, settings.broker).emit()
    try:
        loop = new_event_loop()
    except AiokafkaError as error:
        RoleFailed(role, str(error)).emit()
        return 1
    read_past_bad_records()
    keep_parsed_records()
    remember_resets()
    asyncio.set_event_loop(loop)
    shutdown = GracefulShutdown(role)
    shutdown.handle_signals(loop)
    app = make_app(role, settings)
    _watch_loop(app, loop)
    health = HealthServer(
        settings.metrics_host,
        settings.metrics_port or ROLE_PORTS[role],
        live=lambda: _live(app),
        ready=lambda: _ready(app),
        refresh=lambda: refresh_metrics(app),
    )
    try:
        loop.run_until_complete(health.start())
    except OSError as error:
        RoleFailed(role, f"METRICS_PORT: cannot listen on {settings.metrics_host}: {error.strerror}").emit()
        return 2
    try:
        loop.run_until_complete(_prepare(app, build))
    except SetupError as error:
        RoleFailed(role, str(error)).emit()
        return 1
    return _run_app(app, loop, shutdown)


def _run_app(app: WorkerApp, loop: asyncio.AbstractEventLoop, shutdown: GracefulShutdown) -> int:
    """Work until the end; the exit code."""
    worker = RoleWorker(
        app,
        shutdown=shutdown,
        loop=loop,
        loglevel="WARNING",
        redirect_stdouts=False,
        override_logging=False,
        quiet=True,
        stdout=io.StringIO(),  # its spinner writes cursor codes into the log, also when quiet
    )
    # What lives from here on is long-lived; the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AT)
    try:
        worker.execute_from_commandline()
        code = 0
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    if app.crash_reason is not None:
        RoleFailed(app.role, describe_error(app.crash_reason, app.role, "Read")).emit()
        return EXIT_FAILURE
    RoleStopped(app.role).emit()
    return code


def _silence_libraries() -> None:
    for library in ("faust", "mode", "aiokafka", "stream_detector.delivery"):  # Faust logs under its subclasses' names
        logging.getLogger(library).setLevel(logging.CRITICAL)  # what matters of theirs is a log event of ours


async def _prepare(app: WorkerApp, build: Build) -> None:
    await wait_for_broker(app.settings)
    app.partitions.update(await run_preflight(app.settings, app.role))
    app.topic_watch.take_known()
    prepare = build(app)
    _announce_readiness(app)
    _watch(app)
    await prepare()


def _announce_readiness(app: WorkerApp) -> None:
    @app.on_rebalance_complete.connect(weak=False)
    async def ready(app: WorkerApp, **_: Any) -> None:
        # What was recovered lives long, and a look at all of it would stop the stream. Garbage must not be kept with
        # it: without the collection a worker grew by 5 MB with each rebalance.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        numbers = sorted({tp.partition for tp in app.worker_consumer.assignment()})
        owned = [partition for table in app.state_tables for partition in table.owned_partitions.values()]
        keys = sum(len(partition.packed) for partition in owned)
        RoleReady(app.role, ",".join(map(str, numbers)) or "none", keys, time.monotonic() - app.assigned_at_s).emit()


def _watch(app: WorkerApp) -> None:
    watched: list[AIOKafkaProducer] = []

    async def look() -> None:
        if app.started and not watched:
            watched.append(app.kafka_producer)
            watch_metadata(app.kafka_producer, app.topic_watch.of_client())
        if why := app.worker_consumer.find_ended_task() or _live(app)[1] or app.topic_watch.find_missing():
            app.fail(why)
        positions = [] if app.waiting_for else await app.worker_consumer.read_progress()
        if why := app.stall_detector.find_stalled(positions, time.monotonic()):
            app.fail(why)

    app.timer(min(WATCH_EVERY_S, app.settings.stalled_after_s / 4))(look)


def _watch_loop(app: WorkerApp, loop: asyncio.AbstractEventLoop) -> None:
    watchdog = Watchdog(app.role, app.settings.stalled_after_s)

    def beat() -> None:
        watchdog.beat()
        loop.call_later(LOOK_EVERY_S, beat)

    beat()
    watchdog.start()


def _ready(app: WorkerApp) -> tuple[bool, str]:
    if not app.started:
        return False, "waiting for the broker or the database"
    try:
        assignment = app.worker_consumer.assignment()
    except ConsumerNotStarted:
        return False, "joining the group"
    if app.rebalancing or not assignment or app.recovery.in_recovery:
        return False, "waiting for partitions, or recovering state"
    if (age_s := app.worker_consumer.answer_age_s()) > ANSWER_FRESH_S:
        return False, f"Kafka: the group coordinator has not answered for {age_s:.0f} s"
    age_s = time.monotonic() - app.checkpoint.finished_at_s
    if age_s > ANSWER_FRESH_S + 2 * app.settings.checkpoint_interval_s:
        return False, f"Kafka: no checkpoint for {age_s:.0f} s"
    if app.waiting_for:
        return False, f"waiting for {app.waiting_for}"
    why = app.find_unmet_need()
    return not why, why


def _live(app: WorkerApp) -> tuple[bool, str]:
    age_s = time.monotonic() - app.checkpoint.finished_at_s
    due_s = 2 * app.settings.checkpoint_interval_s  # Faust takes the first one after twice the interval
    if app.started and age_s > due_s + app.settings.stalled_after_s and not app.rebalancing:
        return False, f"no checkpoint for {age_s:.0f} s"
    return True, ""


def refresh_metrics(app: WorkerApp) -> None:
    """Set what changes by itself: the checkpoint's age, and the lag of our partitions and no others."""
    if not app.started:
        return
    metrics.CHECKPOINT_AGE.set(time.monotonic() - app.checkpoint.finished_at_s)
    metrics.LAG.clear()
    for task in app.tasks:
        for tp, position in task.positions.items():
            done = position.next_offset if position.committed is None else position.committed
            lag = max(0, app.worker_consumer.last_stable_offset(tp) - done)
            metrics.LAG.labels(tp.topic[len(app.topic_prefix) :], str(tp.partition)).set(lag)

"""`up` while it runs: creates topics and tables, starts the roles, monitors all and stops them without losing data."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from urllib.error import URLError
from urllib.request import urlopen

from aiokafka.errors import KafkaError

from stream_detector.cli.restore_state import restore_at_start
from stream_detector.cli.setup import make
from stream_detector.cli.stop_stack import stop_in_order
from stream_detector.devstack.owned import ChildError
from stream_detector.devstack.stack import Stack
from stream_detector.devstack.supervise import ROLES, Supervisor
from stream_detector.devstack.tansu import MEMORY_STOP_BYTES, MEMORY_WARN_BYTES, Tansu
from stream_detector.kafka.client import wait_for_broker
from stream_detector.kafka.create_topics import NEW_PARTITIONS, delete_mismatched
from stream_detector.kafka.preflight import TopicMismatchError
from stream_detector.serve.database import Database
from stream_detector.serve.pipeline import Pipeline, watch
from stream_detector.settings import Settings
from stream_detector.store.connect import StoreAwayError

MONITOR_EVERY_S = 0.2
MEMORY_EVERY_S = 60.0
BRING_UP_AGAIN_S = 1.0
BROKER_WITHIN_S = 10.0
STOP_WITHIN_S = 2.0
"""A role whose broker is lost: the recorder may store the batch that it has, and nobody can write a checkpoint."""
READY_TIMEOUT_S = 120.0

Report = Callable[[str], None]
Work = Callable[[Settings], Awaitable[int]]


async def run_stack(stack: Stack, supervisor: Supervisor, work: Work, *, report: Report) -> int:
    """Run everything until `work` is done or a signal arrives. Returns the exit code.

    Args:
        stack: running.
        supervisor: its roles are started here, after topics and tables exist; the caller stops them.
        work: runs once every role is ready; its result is the exit code.
        report: called with each line about what happens.

    Raises:
        ChildError: a role rejects its settings, or the embedded broker uses too much memory.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    stopped: asyncio.Task[object] = asyncio.create_task(stop.wait())
    pipeline = Pipeline(stack.settings, Database(stack.settings, name="up", size=1))
    monitoring: asyncio.Task[object] = asyncio.create_task(monitor(stack, supervisor, pipeline, report))
    working = asyncio.create_task(_work(stack, supervisor, pipeline, work, report))
    try:
        await asyncio.wait({stopped, monitoring, working}, return_when=asyncio.FIRST_COMPLETED)
        if monitoring.done():
            monitoring.result()
        if working.done():
            return working.result()
        report("stopping: intake, detector, notifier, and the recorder once everything is stored")
        await _cancel(working)
        await _cancel(monitoring)  # it would start again what is stopped here
        await stop_in_order(stack, supervisor, report)
        return 0
    finally:
        for task in (stopped, monitoring, working):
            await _cancel(task)


async def _cancel(task: "asyncio.Task[object] | asyncio.Task[int]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


async def bring_up(stack: Stack, supervisor: Supervisor, report: Report) -> None:
    """Topics, tables and roles on a broker that may be empty."""
    await make(stack.settings, proposed=0 if stack.broker is not None else NEW_PARTITIONS)
    await restore_at_start(stack, report)
    supervisor.start()


async def _work(stack: Stack, supervisor: Supervisor, pipeline: Pipeline, work: Work, report: Report) -> int:
    await bring_up(stack, supervisor, report)
    await _until_ready(stack.settings, supervisor.ports)
    report(f"ready: {stack.settings.base_url}/anomalies")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that a broker is away is said by `watch`
    pipeline.database.start()
    pipeline.start()
    watching = asyncio.create_task(watch(pipeline, report))
    try:
        return await work(stack.settings)
    finally:
        watching.cancel()
        await pipeline.stop()
        await pipeline.database.stop()


async def _until_ready(settings: Settings, ports: dict[str, int]) -> None:
    """Wait until every role passes its readiness probe. Raises `ChildError` with the reasons after the time limit."""
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while waiting := {role: why for role, port in ports.items() if (why := await _not_ready_reason(settings, port))}:
        if time.monotonic() > deadline_s:
            reasons = "; ".join(f"{role}: {why}" for role, why in waiting.items())
            raise ChildError(f"not ready after {READY_TIMEOUT_S:.0f} s: {reasons}. The logs are in DATA_DIR/logs")
        await asyncio.sleep(0.05)


async def _not_ready_reason(settings: Settings, port: int) -> str:
    """Why the role is not ready; empty if it is ready."""

    def probe() -> str:
        try:
            with urlopen(f"http://{settings.metrics_host}:{port}/readyz", timeout=2) as answer:
                return "" if answer.status == 200 else "not ready"
        except URLError as error:
            return str(getattr(error, "reason", error))
        except OSError as error:
            return str(error)

    return await asyncio.to_thread(probe)


async def monitor(stack: Stack, supervisor: Supervisor, pipeline: Pipeline, report: Report) -> None:
    """Start again what died or hangs, until cancelled.

    Raises `ChildError` where a role rejects its settings, or the embedded broker uses too much memory.
    """
    memory, is_lost = _Memory(report), False
    while True:
        if not is_lost and stack.has_lost_broker():
            # Before an empty one answers at the same address: they would write into its topics what they know of the
            # former ones, and a restore does not touch topics that have state. The API goes on, and reports it.
            await asyncio.gather(*(supervisor.stop_role(role, STOP_WITHIN_S) for role in ROLES if role != "api"))
            is_lost = True
        supervisor.restart_dead()
        stack.restart_dead(report)
        if is_lost and not stack.has_lost_broker():
            try:
                await wait_for_broker(stack.settings, give_up_after_s=BROKER_WITHIN_S)
                report("the embedded broker was started empty: what was not stored in the database is lost")
                stack.folder.forget_starts()
                await delete_mismatched(stack.settings)
                await bring_up(stack, supervisor, report)
                is_lost = False
            except (StoreAwayError, KafkaError, OSError, TopicMismatchError) as error:
                # The database died with it, or the broker again, or another client asked for a topic meanwhile.
                report(f"the roles wait: {error}")
                await asyncio.sleep(BRING_UP_AGAIN_S)
        for role, silent_s in pipeline.silent_roles():
            if silent_s > stack.settings.stalled_after_s:
                supervisor.kill(role, f"it has not answered for {silent_s:.0f} s")
                pipeline.probes.forget(role)
        if isinstance(stack.broker, Tansu):
            memory.check(stack.broker)
        await asyncio.sleep(MONITOR_EVERY_S)


class _Memory:
    """Reports how much the embedded broker holds."""

    def __init__(self, report: Report) -> None:
        self._report, self._warned, self._report_at_s = report, False, time.monotonic() + MEMORY_EVERY_S

    def check(self, broker: Tansu) -> None:
        """Raises `ChildError` where it is too much."""
        held = broker.memory_bytes()
        if held > MEMORY_STOP_BYTES:
            raise ChildError(memory_limit_message(held))
        if held > MEMORY_WARN_BYTES and not self._warned:
            self._warned = True
            self._report(
                f"the embedded broker uses {held >> 20} MB and never deletes records; `up` stops at "
                f"{MEMORY_STOP_BYTES >> 20} MB. `up --broker apache --data DIR` has no such limit"
            )
        if time.monotonic() > self._report_at_s:
            self._report_at_s += MEMORY_EVERY_S
            self._report(f"embedded broker: {held >> 20} MB of memory")


def memory_limit_message(held_bytes: int) -> str:
    """Why `up` stops when the embedded broker has grown too large."""
    return (
        f"the embedded broker uses {held_bytes >> 20} MB, over its limit of {MEMORY_STOP_BYTES >> 20} MB: stopped. "
        "Stored results are in the database. Use `up --broker apache --data DIR` or a Kafka cluster"
    )

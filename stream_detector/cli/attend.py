"""`up` while it runs: topics and tables first, then the roles; it watches all and ends them so that nothing is lost."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable
from urllib.error import URLError
from urllib.request import urlopen

from aiokafka.errors import KafkaError

from stream_detector.cli.setup import make
from stream_detector.devstack.owned import ChildError
from stream_detector.devstack.stack import Stack
from stream_detector.devstack.supervise import Supervisor
from stream_detector.devstack.tansu import MEMORY_STOP_BYTES, MEMORY_WARN_BYTES, Tansu
from stream_detector.kafka.end_offsets import EndOffsets, total_lag
from stream_detector.settings import Settings

LOOK_EVERY_S = 0.2
MEMORY_EVERY_S = 60.0
READY_TIMEOUT_S = 120.0
DRAIN_TIMEOUT_S = 2.0
"""So long an embedded broker's last records may take after Ctrl-C; together with the stops below 10 s."""

Tell = Callable[[str], None]
Work = Callable[[Settings], Awaitable[int]]


async def attend(stack: Stack, supervisor: Supervisor, work: Work, *, tell: Tell) -> int:
    """Run everything until `work` is done or a person ends it. Returns the exit code.

    Args:
        stack: running.
        supervisor: its roles are started here, after topics and tables, and are still to be stopped afterwards.
        work: what is done once every role is ready; its result is the exit code.
        tell: is told what happens.

    Raises:
        ChildError: something ended that cannot be started again, or the embedded broker holds too much.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    told: asyncio.Task[object] = asyncio.create_task(stop.wait())
    watching: asyncio.Task[object] = asyncio.create_task(_watch(stack, supervisor, tell))
    working = asyncio.create_task(_work(stack, supervisor, work, tell))
    try:
        await asyncio.wait({told, watching, working}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        if working.done():
            return working.result()
        tell("stopping: every role finishes its checkpoint")
        await _settle(working)
        if isinstance(stack.broker, Tansu):
            await _drain(stack.settings, tell)
        return 0
    finally:
        for task in (told, watching, working):
            await _settle(task)


async def _settle(task: "asyncio.Task[object] | asyncio.Task[int]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


async def _work(stack: Stack, supervisor: Supervisor, work: Work, tell: Tell) -> int:
    await make(stack.settings)
    supervisor.start()
    await _until_ready(stack.settings, supervisor.ports)
    tell(f"ready: {stack.settings.base_url}/anomalies")
    return await work(stack.settings)


async def _until_ready(settings: Settings, ports: dict[str, int]) -> None:
    """Every role answers its readiness probe. Raises `ChildError` with the last answers when one never does."""
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while waiting := {role: why for role, port in ports.items() if (why := await _why_not(settings, port))}:
        if time.monotonic() > deadline_s:
            reasons = "; ".join(f"{role}: {why}" for role, why in waiting.items())
            raise ChildError(f"not ready after {READY_TIMEOUT_S:.0f} s: {reasons}. Logs are in DATA_DIR/logs")
        await asyncio.sleep(0.05)


async def _why_not(settings: Settings, port: int) -> str:
    """Why the role is not ready; empty when it is."""

    def ask() -> str:
        try:
            with urlopen(f"http://{settings.metrics_host}:{port}/readyz", timeout=2) as answer:
                return "" if answer.status == 200 else "not ready"
        except URLError as error:
            return str(getattr(error, "reason", error))
        except OSError as error:
            return str(error)

    return await asyncio.to_thread(ask)


async def _watch(stack: Stack, supervisor: Supervisor, tell: Tell) -> None:
    """Look after everything; ends only by an error."""
    warned, memory_at_s = False, time.monotonic() + MEMORY_EVERY_S
    while True:
        supervisor.look()
        if stack.database and not stack.database.child.alive():
            raise ChildError(f"the embedded database ended: {stack.database.child.last_lines(3)}")
        if isinstance(stack.broker, Tansu):
            broker = stack.broker
            if not broker.child.alive():
                raise ChildError(f"the embedded broker ended: {broker.child.last_lines(3)}")
            held = broker.memory_bytes()
            if held > MEMORY_STOP_BYTES:
                raise ChildError(too_much(held))
            if held > MEMORY_WARN_BYTES and not warned:
                warned = True
                tell(
                    f"the embedded broker holds {held >> 20} MB and never deletes; at {MEMORY_STOP_BYTES >> 20} MB it "
                    "is stopped. `up --broker apache --data DIR` has no such limit"
                )
            if time.monotonic() > memory_at_s:
                memory_at_s += MEMORY_EVERY_S
                tell(f"embedded broker: {held >> 20} MB of memory")
        await asyncio.sleep(LOOK_EVERY_S)


def too_much(held_bytes: int) -> str:
    """Why `up` ends when the embedded broker has grown too large."""
    return (
        f"the embedded broker holds {held_bytes >> 20} MB, more than the {MEMORY_STOP_BYTES >> 20} MB it may: "
        "intake is stopped. What was found is in the database. Use `up --broker apache --data DIR`, or a Kafka cluster"
    )


async def _drain(settings: Settings, tell: Tell) -> None:
    """What an embedded broker holds is gone when it stops: let the roles finish it first."""
    left = -1
    try:
        async with asyncio.timeout(DRAIN_TIMEOUT_S), EndOffsets(settings) as ends:
            while left := total_lag(await ends.lags()):  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(0.05)
    except (TimeoutError, KafkaError):
        pass
    if left > 0:
        tell(f"{left} records were not processed in {DRAIN_TIMEOUT_S:.0f} s and are gone with the embedded broker")

"""One system alone on one core: orders to a worker, its figures, and whether what it found is right."""

import asyncio
import json
import logging
import os
import re
import subprocess
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.load import PARTITIONS
from benchmarks.orders import ORDERS, Orders

_ROOT = Path(__file__).parents[1]


class NoFigureError(Exception):
    """There is nothing to report; the message says why."""


class WrongResultError(NoFigureError):
    """A system lost, doubled or invented something: its speed means nothing."""


@dataclass(frozen=True)
class Figures:
    """What one run took, and its second half ("warm") by itself."""

    events: int
    seconds: float
    cpu_s: float
    warm_events: int
    warm_seconds: float
    warm_cpu_s: float
    peak_bytes: int = 0
    """The most memory that the process held; 0 where a peer does not say."""
    alerts: int = 0

    @property
    def events_per_s(self) -> float:
        return self.events / self.seconds

    @property
    def warm_events_per_s(self) -> float:
        return self.warm_events / self.warm_seconds

    @property
    def cpu_us(self) -> float:
        """Processor time of an event in us."""
        return self.cpu_s / self.events * 1e6

    @property
    def warm_cpu_us(self) -> float:
        """The same of the second half."""
        return self.warm_cpu_s / self.warm_events * 1e6


@contextmanager
def quiet_clients() -> Iterator[None]:
    """A new topic has no leader for a moment; that aiokafka asks again is no news, as long as a benchmark runs."""
    clients = logging.getLogger("aiokafka")
    before = clients.level
    clients.setLevel(logging.ERROR)
    try:
        yield
    finally:
        clients.setLevel(before)


def pinned(cores: set[int] | None) -> list[str]:
    """What to put before a command so that it runs on these cores alone; nothing where cores cannot be chosen."""
    if not cores or not hasattr(os, "sched_setaffinity"):
        return []
    return ["taskset", "-c", ",".join(map(str, sorted(cores)))]


@asynccontextmanager
async def running(command: list[str], orders: Orders, *, cores: set[int] | None) -> AsyncIterator[Process]:
    """A peer at its orders, on these cores; ended afterwards if it has not ended by itself."""
    with tempfile.TemporaryDirectory() as folder:
        orders.folder = folder
        process = await asyncio.create_subprocess_exec(
            *pinned(cores),
            *command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(_ROOT), ORDERS: json.dumps(asdict(orders))},
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def run_peer(command: list[str], orders: Orders, *, cores: set[int] | None, timeout_s: float) -> Figures:
    """Run one peer until it has reported. Raises `WrongResultError` where it ends without or handled another number."""
    name = orders.group
    async with running(command, orders, cores=cores) as process:
        try:
            out, err = await asyncio.wait_for(process.communicate(), timeout_s)
        except TimeoutError:
            raise WrongResultError(f"{name} did not finish {orders.events} events in {timeout_s:.0f} s") from None
    lines = re.findall(r"\{.*\}", out.decode())  # Faust puts a terminal code before the first line
    if not lines:
        raise WrongResultError(f"{name} ended with {process.returncode} and no figures: {err.decode()[-2000:]}")
    figures = Figures(**json.loads(lines[-1]))
    if figures.events != orders.events:
        raise WrongResultError(f"{name} handled {figures.events} events of {orders.events}")
    return figures


def cpu_s(process: Process) -> float:
    """Processor time of a running process so far, all its threads; 0 where the system has no /proc."""
    stat = Path(f"/proc/{process.pid}/stat")
    if not stat.exists():
        return 0.0
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_bytes(process: Process) -> int:
    """Memory that a running process holds; 0 where the system has no /proc."""
    page = Path(f"/proc/{process.pid}/statm")
    return int(page.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if page.exists() else 0


async def check_alerts(orders: Orders, expected: list[str]) -> int:
    """How many alerts a peer has emitted. Raises `WrongResultError` unless they are the expected ones, once each."""
    found = sorted(await read_ids(orders.broker, orders.alerts))
    if found != expected:
        missing, extra = len({*expected} - {*found}), len(found) - len({*expected} & {*found})
        raise WrongResultError(f"{orders.group}: of {len(expected)} alerts {missing} are missing, {extra} too many")
    return len(found)


async def read_ids(broker: str, topic: str) -> list[str]:
    """The ids on an alerts topic, from its beginning to its end; one that was emitted twice is there twice."""
    ids: list[str] = []
    async with AIOKafkaConsumer(bootstrap_servers=broker, fetch_max_wait_ms=100) as consumer:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        while not await _all_read(consumer, partitions):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                ids += [json.loads(record.value)["id"] for record in records]
    return ids


async def _all_read(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> bool:
    """True where a fetch has reported each partition's end and it is read. ListOffsets of the embedded broker lies."""
    for partition in partitions:
        end = consumer.highwater(partition)
        if end is None or await consumer.position(partition) < end:
            return False
    return True

"""One system alone on one core: orders to a worker, its figures, and whether what it found is right."""

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer

_ORDERS = "BENCHMARK_ORDERS"


class WrongResultError(Exception):
    """A system lost, doubled or invented something: its speed means nothing."""


@dataclass
class Orders:
    """What a peer is to do, and its stop-watch: it runs from the first event to the last one of `events`."""

    broker: str
    source: str
    alerts: str
    group: str
    events: int
    partitions: int
    folder: str
    seen: int = 0
    began_s: float = 0.0
    took_s: float = 0.0
    cpu_s: float = 0.0

    @classmethod
    def from_environment(cls) -> "Orders":
        """The orders that `run_peer` gave."""
        return cls(**json.loads(os.environ[_ORDERS]))

    def started(self) -> None:
        """Called before an event or chunk is handled."""
        if not self.began_s:
            self.began_s, self.cpu_s = time.perf_counter(), time.process_time()

    def handled(self, count: int) -> bool:
        """Called after; True once, when all are handled."""
        self.seen += count
        if self.seen < self.events or self.took_s:
            return False
        self.took_s = time.perf_counter() - self.began_s
        self.cpu_s = time.process_time() - self.cpu_s
        return True

    def report(self) -> None:
        """Print the figures; the last thing that a peer does, after its last commit."""
        print(json.dumps({"events": self.seen, "seconds": self.took_s, "cpu_s": self.cpu_s}), flush=True)


@dataclass(frozen=True)
class Figures:
    """What one run took."""

    events: int
    seconds: float
    cpu_s: float
    alerts: int = 0

    @property
    def events_per_s(self) -> float:
        return self.events / self.seconds


def pinned(cores: set[int] | None) -> list[str]:
    """What to put before a command so that it runs on these cores alone; nothing where cores cannot be chosen."""
    if not cores or not hasattr(os, "sched_setaffinity"):
        return []
    return ["taskset", "-c", ",".join(map(str, sorted(cores)))]


async def run_peer(module: str, orders: Orders, *, cores: set[int] | None, timeout_s: float) -> Figures:
    """Run one peer until it has reported. Raises `WrongResultError` where it ends without or handled another number."""
    with tempfile.TemporaryDirectory() as folder:
        orders.folder = folder
        process = await asyncio.create_subprocess_exec(
            *pinned(cores),
            sys.executable,
            "-m",
            module,
            "worker",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, _ORDERS: json.dumps(asdict(orders))},
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), timeout_s)
        except TimeoutError:
            raise WrongResultError(f"{module} did not finish {orders.events} events in {timeout_s:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    lines = re.findall(r"\{.*\}", out.decode())  # Faust puts a terminal code before the first line
    if not lines:
        raise WrongResultError(f"{module} ended with {process.returncode} and no figures: {err.decode()[-2000:]}")
    figures = Figures(**json.loads(lines[-1]))
    if figures.events != orders.events:
        raise WrongResultError(f"{module} handled {figures.events} events of {orders.events}")
    return figures


async def read_ids(broker: str, topic: str, at_least: int, timeout_s: float = 30) -> set[str]:
    """The ids on an alerts topic. Ends when `at_least` were read and nothing more comes, or at the time-out."""
    ids: set[str] = set()
    until = time.monotonic() + timeout_s
    async with AIOKafkaConsumer(topic, bootstrap_servers=broker, auto_offset_reset="earliest") as consumer:
        while time.monotonic() < until:
            records: dict[Any, list[Any]] = await consumer.getmany(timeout_ms=1000)
            ids |= {json.loads(record.value)["id"] for chunk in records.values() for record in chunk}
            if not records and len(ids) >= at_least:
                break
    return ids

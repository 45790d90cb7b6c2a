"""One system alone on one core: orders to a worker, its figures, and whether what it found is right."""

import asyncio
import json
import os
import re
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer

from benchmarks.orders import ORDERS, Orders

_ROOT = Path(__file__).parents[1]


class WrongResultError(Exception):
    """A system lost, doubled or invented something: its speed means nothing."""


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


async def run_peer(command: list[str], orders: Orders, *, cores: set[int] | None, timeout_s: float) -> Figures:
    """Run one peer until it has reported. Raises `WrongResultError` where it ends without or handled another number."""
    name = orders.group
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
            out, err = await asyncio.wait_for(process.communicate(), timeout_s)
        except TimeoutError:
            raise WrongResultError(f"{name} did not finish {orders.events} events in {timeout_s:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    lines = re.findall(r"\{.*\}", out.decode())  # Faust puts a terminal code before the first line
    if not lines:
        raise WrongResultError(f"{name} ended with {process.returncode} and no figures: {err.decode()[-2000:]}")
    figures = Figures(**json.loads(lines[-1]))
    if figures.events != orders.events:
        raise WrongResultError(f"{name} handled {figures.events} events of {orders.events}")
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

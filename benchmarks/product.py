"""The product's own detector as one of the compared systems: started as a user starts it, watched from outside."""

import asyncio
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.load import PARTITIONS
from benchmarks.measure import Figures, WrongResultError, pinned
from stream_detector.detect import Baseline, Config, step
from stream_detector.devstack.ports import free_port
from stream_detector.events.decode import decode_completion
from stream_detector.events.ids import workflow_key
from stream_detector.stream.topics import COMPLETIONS

_WATCH_EVERY_S = 0.2
_APPLIED = re.compile(
    rb'^stream_detector_events_total\{outcome="(\w+)",source="workflow-completions"\} (\S+)', re.MULTILINE
)
_CPU = re.compile(rb"^process_cpu_seconds_total (\S+)", re.MULTILINE)


class Detector:
    """A running detector, seen through its own counters."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process, self._port = process, port

    async def counters(self) -> tuple[dict[str, float], float]:
        """Events by outcome, and the processor time in s; both empty and 0 before it listens."""
        if self._process.returncode is not None:
            raise ChildProcessError(f"the detector ended with {self._process.returncode}")
        page = await asyncio.to_thread(_scrape, self._port)
        outcomes = {name.decode(): float(count) for name, count in _APPLIED.findall(page)}
        found = _CPU.search(page)
        return outcomes, float(found[1]) if found else 0.0

    async def ready(self, *, every_s: float = 0.02) -> None:
        """Return once its `/readyz` says so."""
        while True:
            if self._process.returncode is not None:
                raise ChildProcessError(f"the detector ended with {self._process.returncode}")
            if await asyncio.to_thread(_scrape, self._port, "readyz"):
                return
            await asyncio.sleep(every_s)

    async def applied(self, events: int, *, every_s: float = 0.2) -> float:
        """Return once so many are applied, with the processor time used until then in s."""
        while True:
            outcomes, cpu_s = await self.counters()
            if outcomes.get("applied", 0) >= events:
                return cpu_s
            await asyncio.sleep(every_s)


@asynccontextmanager
async def started(
    broker: str, prefix: str, *, profile: str, cores: set[int] | None, timeout_s: float, log: Path
) -> AsyncIterator[Detector]:
    """A new detector, ended afterwards.

    Raises:
        WrongResultError: it ended by itself, or the body took longer than `timeout_s`.
    """
    port = free_port()
    settings = {"BROKER": broker, "TOPIC_PREFIX": prefix, "PROFILE": profile, "METRICS_PORT": str(port)}
    settings |= {"SESSION_TIMEOUT_S": "6", "LOG_LEVEL": "warning"}
    environ = os.environ | {f"STREAM_DETECTOR_{name}": value for name, value in settings.items()}
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *pinned(cores),
            *(sys.executable, "-m", "stream_detector", "detector"),
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            async with asyncio.timeout(timeout_s):
                yield Detector(process, port)
        except TimeoutError:
            raise WrongResultError(f"the detector did not finish in {timeout_s:.0f} s: {_end_of(log)}") from None
        except ChildProcessError as error:
            raise WrongResultError(f"{error}: {_end_of(log)}") from None
        finally:
            await _end(process)


async def run_detector(
    broker: str, prefix: str, events: int, *, profile: str, cores: set[int] | None, timeout_s: float, log: Path
) -> Figures:
    """Let a new detector handle what lies on `<prefix>workflow-completions`, until all is applied and committed.

    The speed is that between the first and the last look at its own counters, so its start does not count.

    Raises:
        WrongResultError: it ended, took too long, or counted events otherwise than as applied once each.
    """
    options = {"profile": profile, "cores": cores, "timeout_s": timeout_s, "log": log}
    async with started(broker, prefix, **options) as detector:  # type: ignore[arg-type]
        return await _watch(detector, broker, prefix, events)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()


def _end_of(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-2000:]


async def _watch(detector: Detector, broker: str, prefix: str, events: int) -> Figures:
    first: tuple[float, float, float] | None = None
    while True:
        outcomes, cpu_s = await detector.counters()
        now, applied = time.perf_counter(), outcomes.get("applied", 0)
        if sum(outcomes.values()) > events or applied != sum(outcomes.values()):
            raise WrongResultError(f"{events} events were sent, the detector counted {outcomes}")
        if applied and not first:
            first = now, applied, cpu_s
        if first and applied == events:
            break
        await asyncio.sleep(_WATCH_EVERY_S)
    await _committed(broker, prefix, events)
    return Figures(round(events - first[1]), now - first[0], cpu_s - first[2])


def _scrape(port: int, page: str = "metrics") -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5) as response:
            answer: bytes = response.read()
            return answer
    except OSError:  # not listening yet, or not ready (HTTPError is one)
        return b""


async def _committed(broker: str, prefix: str, events: int) -> None:
    """Return once the group has committed them all."""
    group = f"{prefix}stream-detector.detector"
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(prefix + COMPLETIONS, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        committed = 0
        while committed < events:
            await asyncio.sleep(_WATCH_EVERY_S)
            committed = sum([await consumer.committed(partition) or 0 for partition in partitions])
    finally:
        await consumer.stop()


def expected_alerts(values: list[bytes], *, profile: str) -> set[str]:
    """The ids of the anomalies that the same step finds without any stream."""
    config, now_ms = Config(profile=profile, score_threshold=Decimal("0.5")), round(time.time() * 1000)
    baselines: dict[str, Baseline] = {}
    ids: set[str] = set()
    for value in values:
        event = decode_completion(value, (), now_ms)
        key = workflow_key(event.workflow_id)
        if key not in baselines:
            baselines[key] = Baseline.new(key)
        ids |= {anomaly.id for anomaly in step(baselines[key], event, config).anomalies}
    return ids

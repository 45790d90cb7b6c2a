"""The product's own detector, started as a user starts it and watched from outside."""

import asyncio
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.measure import WrongResultError, pinned
from stream_detector.devstack.ports import free_port

_APPLIED = re.compile(
    rb'^stream_detector_events_total\{outcome="(\w+)",source="workflow-completions"\} (\S+)', re.MULTILINE
)
_LAG = re.compile(rb'^stream_detector_lag_records\{partition="\d+",topic="workflow-completions"\}', re.MULTILINE)
_CPU = re.compile(rb"^process_cpu_seconds_total (\S+)", re.MULTILINE)


class Detector:
    """A running detector, seen through its own counters."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process, self._port = process, port

    async def counters(self) -> tuple[dict[str, float], float]:
        """Events by outcome, and the processor time in s; both empty and 0 before it listens."""
        if self.process.returncode is not None:
            raise ChildProcessError(f"the detector ended with {self.process.returncode}")
        page = await asyncio.to_thread(scrape, self._port)
        outcomes = {name.decode(): float(count) for name, count in _APPLIED.findall(page)}
        found = _CPU.search(page)
        return outcomes, float(found[1]) if found else 0.0

    async def partitions(self) -> int:
        """How many partitions of the source are its own."""
        return len(_LAG.findall(await asyncio.to_thread(scrape, self._port)))

    async def ready(self, *, every_s: float = 0.02) -> None:
        """Return once its `/readyz` says so."""
        while True:
            if self.process.returncode is not None:
                raise ChildProcessError(f"the detector ended with {self.process.returncode}")
            if await asyncio.to_thread(scrape, self._port, "readyz"):
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
    settings |= {"LOG_LEVEL": "warning"}
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


def scrape(port: int, page: str = "metrics") -> bytes:
    """What one of its pages answers, empty before it listens or is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5) as response:
            answer: bytes = response.read()
            return answer
    except OSError:  # not listening yet, or not ready (HTTPError is one)
        return b""

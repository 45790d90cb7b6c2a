"""How long `import` takes: 90 days of runs from a server on this machine to the report, and to warm baselines.

python -m benchmarks.import_history [--runs N] [--rounds N] [--kafka apache|embedded]

A process of its own lists the runs as GitHub's API does, 100 a page, with as many bytes as GitHub sends (6 kB a run).
The clock runs from the start of the command to its end: requests, reading, detection and messages for the report, and
the acknowledgement of every event. `warm_s` is until a detector that was running has applied them all. The last line on
stdout is one JSON object, medians over the rounds.
"""

import argparse
import asyncio
import json
import multiprocessing
import multiprocessing.synchronize
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.broker import new_broker, split_cores
from benchmarks.command import conditions, note, parser_of, report
from benchmarks.measure import WrongResultError
from stream_detector.devstack.ports import free_port
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.end_offsets import EndOffsets, total_lag
from stream_detector.settings import Settings, environ_of
from tests.drills.roles import Role
from tests.servers.github_api import TOKEN, GitHubServer
from tests.servers.github_runs import REPOSITORY, history

FILLER_BYTES = 4_800
"""GitHub's run has 40 URLs and two repositories with as many; made runs have 1.2 kB."""
PATIENCE_S = 120.0


def serve(port: int, runs: int, ready: multiprocessing.synchronize.Event) -> None:
    """List so many runs until the process is ended."""

    async def listen() -> None:
        def fill(number: int, run: dict[str, Any]) -> None:
            run["head_commit"]["message"] = "x" * FILLER_BYTES

        server = GitHubServer(history(runs, datetime.now(UTC), days=89.0, change=fill))
        server.port = port
        server.remaining = 10**9
        await server.start()
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(listen())


async def one_round(settings: Settings, url: str, runs: int, folder: Path) -> dict[str, float]:
    """Seconds of one import, on topics of its own."""
    await make_topics(settings)
    detector = Role.start("detector", settings, folder)
    try:
        await asyncio.wait_for(_ready(detector), PATIENCE_S)
        began_s = time.perf_counter()
        took = await asyncio.to_thread(_import, settings, url, folder)
        took_s = time.perf_counter() - began_s
        await asyncio.wait_for(_caught_up(settings), PATIENCE_S)
        warm_s = time.perf_counter() - began_s
    finally:
        detector.kill()
    if (took["runs"], took["published"]) != (runs, runs):
        raise WrongResultError(f"{took['runs']:,} runs were read and {took['published']:,} published of {runs:,}")
    return {"import_s": took_s, "warm_s": warm_s, "messages": len(took["messages"])}


def _import(settings: Settings, url: str, folder: Path) -> dict[str, Any]:
    environ = environ_of(settings) | {"GITHUB_TOKEN": TOKEN, "STREAM_DETECTOR_DATA_DIR": str(folder / "data")}
    command = [sys.executable, "-m", "stream_detector", "import", "github", REPOSITORY, "--url", url, "--json"]
    done = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode:
        raise WrongResultError(done.stderr[-1000:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def _ready(role: Role) -> None:
    while True:
        if await asyncio.to_thread(lambda: role.ready):
            return
        await asyncio.sleep(0.05)


async def _caught_up(settings: Settings) -> None:
    """Return once the detector has committed all of its input."""
    async with EndOffsets(settings) as ends:
        while True:
            if not total_lag(await ends.lags(), "detector"):
                return
            await asyncio.sleep(0.05)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All rounds, one after the other."""
    port, ready = free_port(), multiprocessing.Event()
    server = multiprocessing.Process(target=serve, args=(port, arguments.runs, ready), daemon=True)
    server.start()
    rounds: list[dict[str, float]] = []
    try:
        with (
            tempfile.TemporaryDirectory() as name,
            new_broker(arguments.kafka, Path(name) / "kafka", jars=arguments.jars, cores=split_cores()[1]) as broker,
        ):
            if not ready.wait(PATIENCE_S):
                raise WrongResultError("the server of the runs did not start")
            for number in range(arguments.rounds):
                folder = Path(name) / f"round-{number}"
                folder.mkdir()
                settings = Settings(broker=broker, topic_prefix=f"import{number}.")
                rounds.append(asyncio.run(one_round(settings, f"http://127.0.0.1:{port}", arguments.runs, folder)))
                note(f"round {number + 1}: {rounds[-1]}")
    finally:
        server.terminate()
        server.join()
    figures = {name: round(statistics.median(one[name] for one in rounds), 2) for name in rounds[0]}
    return figures | conditions(arguments, "runs", "rounds")


def main(words: list[str] | None = None) -> int:
    """Run it."""
    parser = parser_of("import_history", __doc__, kafka="embedded")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    return report(lambda: measure(parser.parse_args(words)))


if __name__ == "__main__":
    sys.exit(main())

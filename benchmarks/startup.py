"""How long it takes until something is found: from a clone, from the start of a process, and through a rebalance.

python -m benchmarks.startup [--parts clone,ready,rebalance] [--keys 0,10000] [--rounds N] [--kafka apache|embedded]

`clone`: `git clone` of this checkout's last commit, then `make demo`: until the API, and so the page, has the first
anomaly, and until the demo has printed what it found; package caches are as they are here. `ready`: from the start of
the detector's process until `/readyz`, with so many workflows to recover. `rebalance`: two detectors at a steady rate
of events, of which the second joins and leaves; the longest that an alert needed meanwhile, against the longest
without. The last line on stdout is one JSON object, medians over the rounds.
"""

import argparse
import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.request import Request, urlopen

from benchmarks import load, product
from benchmarks.broker import new_broker, split_cores
from benchmarks.command import conditions, note, numbers, parser_of, report, words
from benchmarks.latency import OUTLIER_EVERY, receiving, send
from benchmarks.measure import WrongResultError
from benchmarks.systems import SYSTEMS, prepare
from stream_detector.devstack.ports import free_port

ROOT = Path(__file__).parents[1]
SYSTEM = "ours_full"
RATE, WHILE_S = 2000, 10.0
"""Events a second of the rebalance, and how long one worker is alone, both are there, and one is alone again."""
TIMEOUT_S = 150.0

Figures = dict[str, float]


def clone() -> Figures:
    """A clone, and its demo, which installs first."""
    port, token = free_port(), secrets.token_hex()
    environ = os.environ | {"STREAM_DETECTOR_API_PORT": str(port), "STREAM_DETECTOR_API_TOKEN": token}
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/err", "w+") as err:
        began = time.perf_counter()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), f"{folder}/clone"], check=True)
        command = ["make", "--silent", "demo", f"ARGS=--once --json --data-dir {folder}/data"]
        demo = subprocess.Popen(
            command, cwd=f"{folder}/clone", env=environ, stdout=subprocess.PIPE, stderr=err, text=True
        )
        first_s = 0.0
        while demo.poll() is None:
            if not first_s and _has_an_anomaly(port, token):
                first_s = time.perf_counter() - began
            time.sleep(0.05)
        took_s = time.perf_counter() - began
        out = demo.communicate()[0]
        if demo.returncode:
            err.seek(0)
            raise WrongResultError(f"{' '.join(command)} ended with {demo.returncode}: {err.read()[-2000:]}")
    found = json.loads(out.splitlines()[-1])
    if not first_s or not 0 < sum(found["anomalies"].values()) == found["anomalies_in_postgres"]:
        raise WrongResultError(f"the demo found {found['anomalies']} and stored {found['anomalies_in_postgres']}")
    return {
        "installed_s": took_s - found["seconds"],
        "demo_s": found["seconds"],
        "clone_to_first_anomaly_s": first_s,
        "clone_to_anomalies_s": took_s,
    }


def _has_an_anomaly(port: int, token: str) -> bool:
    """Whether the list that the page shows has one. False while nothing listens."""
    url = f"http://127.0.0.1:{port}/api/v1/ai/anomalies?limit=1"
    try:
        with urlopen(Request(url, headers={"Authorization": f"Bearer {token}"}), timeout=5) as answer:
            return bool(json.load(answer)["items"])
    except OSError:
        return False


async def ready(broker: str, prefix: str, keys: int) -> Figures:
    """The start of one detector."""
    await prepare(SYSTEM, broker, prefix, keys=keys, events=0)
    async with AsyncExitStack() as stack:
        began = time.perf_counter()
        detector = await _start(stack, broker, prefix, split_cores()[0])
        await detector.ready()
        took_s = time.perf_counter() - began
        _, cpu_s = await detector.counters()
    await load.delete_topics(broker, prefix)
    return {"ready_s": took_s, "cpu_s": cpu_s}


async def rebalance(broker: str, prefix: str, keys: int) -> Figures:
    """One detector; another one joins it, and leaves."""
    values = list(load.events(int(RATE * TIMEOUT_S), keys=keys, shape=load.Shape(outlier_every=OUTLIER_EVERY)))
    orders = await prepare(SYSTEM, broker, prefix, keys=keys, events=0)
    async with AsyncExitStack() as stack:
        first = await _start(stack, broker, prefix, split_cores()[0])
        await first.ready()
        alerts = await stack.enter_async_context(receiving(orders, first.process, SYSTEM))
        stop = asyncio.Event()
        sending = asyncio.create_task(send(broker, orders.source, values, RATE, stop=stop))
        await asyncio.sleep(WHILE_S)
        async with AsyncExitStack() as joined:
            second = await _start(joined, broker, prefix, split_cores()[1])
            await second.ready()
            await asyncio.sleep(WHILE_S)
            left_s = time.time()
        await asyncio.sleep(WHILE_S)
        stop.set()
        began_s, count = await sending
        arrived = await alerts.all_of(SYSTEMS[SYSTEM].expected_alerts(values[:count]), repeated=True)
    await load.delete_topics(broker, prefix)
    longest = {"alone_ms": 0.0, "joining_ms": 0.0, "leaving_ms": 0.0}
    for at_s, execution in arrived:
        intended_s = began_s + int(execution.removeprefix("1-")) / RATE
        part = "alone_ms" if intended_s < began_s + WHILE_S else "joining_ms" if intended_s < left_s else "leaving_ms"
        longest[part] = max(longest[part], (at_s - intended_s) * 1000)
    return longest


async def _start(stack: AsyncExitStack, broker: str, prefix: str, cores: set[int] | None) -> product.Detector:
    log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
    options = {"profile": SYSTEMS[SYSTEM].profile, "cores": cores, "timeout_s": TIMEOUT_S, "log": log}
    return await stack.enter_async_context(product.started(broker, prefix, **options))  # type: ignore[arg-type]


async def with_broker(arguments: argparse.Namespace) -> dict[str, Figures]:
    """The parts that need nothing but a broker."""
    jars = Path(arguments.jars) if arguments.jars else None
    _, other_cores = split_cores()
    found: dict[str, list[Figures]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        new_broker(arguments.kafka, Path(folder), jars=jars, cores=other_cores) as broker,
    ):
        for number in range(arguments.rounds):
            for keys in arguments.keys if "ready" in arguments.parts else ():
                _note(found, f"ready_{keys}", await ready(broker, f"r{number}-ready-{keys}-", keys))
            if "rebalance" in arguments.parts:
                _note(found, "rebalance", await rebalance(broker, f"r{number}-rebalance-", 10_000))
    return {part: _medians(runs) for part, runs in found.items()}


def _note(found: dict[str, list[Figures]], part: str, figures: Figures) -> None:
    found.setdefault(part, []).append(figures)
    note(f"{part:>12}: {_medians([figures])}")


def _medians(runs: list[Figures]) -> Figures:
    return {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}


def main(given: list[str] | None = None) -> int:
    """Measure and print. 0 measured, 1 something did not start or found something else."""
    parser = parser_of("startup", __doc__, kafka="apache")
    parser.add_argument("--parts", type=words, default="clone,ready,rebalance", help="separated by commas")
    parser.add_argument("--keys", type=numbers, default="0,10000", help="workflows in the table of `ready`")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(given)
    return report(lambda: measure(arguments))


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """The parts that are asked for."""
    answer: dict[str, object] = {}
    if "clone" in arguments.parts:
        answer["clone"] = _medians([clone() for _ in range(arguments.rounds)])
        note(f"       clone: {answer['clone']}")
    if arguments.parts != ["clone"]:
        answer |= asyncio.run(with_broker(arguments))
    return answer | {"conditions": conditions(arguments)}


if __name__ == "__main__":
    sys.exit(main())

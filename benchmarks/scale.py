"""How the cost of an event and the memory of a key grow: with keys, size of events, share of alerts, workers.

python -m benchmarks.scale [--parts keys,bytes,alerts,workers] [--rounds N] [--kafka apache|embedded]

Of the whole detection (`robust`), every workflow with its history. A part's runs take turns; each must emit the alerts
that a plain loop finds. The last line on stdout is one JSON object, medians over the rounds; processor time is that of
the worker an event.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import load, product
from benchmarks.broker import new_broker, split_cores
from benchmarks.command import conditions, numbers, parser_of, report, words
from benchmarks.measure import check_alerts
from benchmarks.systems import SYSTEMS, prepare, run

SYSTEM = "ours_full"
KEYS, SIZES, OUTLIERS_IN, WORKERS = (
    (1_000, 10_000, 100_000, 1_000_000),
    (200, 264, 1000, 10_000),
    (1000, 100, 10),
    (1, 2),
)
TIMEOUT_S = 600.0

Cell = dict[str, float]
Measure = Callable[[str], Awaitable[Cell]]
"""Takes the prefix of its topics; one run."""


def _alone(broker: str, events: int, keys: int, shape: load.Shape) -> Measure:
    """One worker with what lies on the topic."""
    values = load.events(events, keys=keys, shape=shape)

    async def measure(prefix: str) -> Cell:
        nonlocal values
        values = values if isinstance(values, list) else list(values)
        expected = SYSTEMS[SYSTEM].expected_alerts(values)
        figures = await run(SYSTEM, broker, prefix, values, expected, keys=keys)
        return {
            "events_per_s": figures.events_per_s,
            "cpu_us": figures.cpu_us,
            "peak_mb": figures.peak_bytes / 1e6,
            "alert_share": figures.alerts / figures.events,
        }

    return measure


def _together(broker: str, events: int, keys: int, workers: int) -> Measure:
    """Workers of one group, each on a core of its own as far as there are any; the broker shares the last."""

    async def measure(prefix: str) -> Cell:
        values = list(load.events(events, keys=keys))
        orders = await prepare(SYSTEM, broker, prefix, keys=keys, events=events)
        own, others = split_cores()
        cores = [own, others]
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            options = {"profile": SYSTEMS[SYSTEM].profile, "timeout_s": TIMEOUT_S}
            group = [
                await stack.enter_async_context(
                    product.started(broker, prefix, cores=cores[n], log=Path(folder) / f"{n}.log", **options)
                )
                for n in range(workers)
            ]
            await _shared_out(group, load.PARTITIONS // workers)
            before_s = sum([(await worker.counters())[1] for worker in group])
            began = time.perf_counter()
            await load.publish(broker, orders.source, values)
            while True:
                counted = [await worker.counters() for worker in group]
                applied = sum(outcomes.get("applied", 0) for outcomes, _ in counted)
                if applied >= events:
                    break
                await asyncio.sleep(0.1)
            took_s = time.perf_counter() - began
            used_s = sum(cpu for _, cpu in counted) - before_s
        alerts = await check_alerts(orders, SYSTEMS[SYSTEM].expected_alerts(values))
        await load.delete_topics(broker, prefix)
        return {"events_per_s": events / took_s, "cpu_us": used_s / events * 1e6, "alert_share": alerts / events}

    return measure


async def _shared_out(group: list[product.Detector], partitions: int) -> None:
    """Return once each worker is ready with its share of the partitions."""
    while True:
        for worker in group:
            await worker.ready()
        if [await worker.partitions() for worker in group] == [partitions] * len(group):
            return
        await asyncio.sleep(0.2)


def parts(broker: str, arguments: argparse.Namespace) -> dict[str, dict[str, Measure]]:
    """StatePartition -> its cells."""
    events, plain = arguments.events, load.PLAIN
    every = {
        "keys": {str(keys): _alone(broker, events, keys, plain) for keys in arguments.keys},
        "bytes": {str(size): _alone(broker, events, 10_000, replace(plain, n_bytes=size)) for size in SIZES},
        "alerts": {
            f"1 in {one}": _alone(broker, events, 10_000, replace(plain, outlier_every=one)) for one in OUTLIERS_IN
        },
        "workers": {str(workers): _together(broker, events, 10_000, workers) for workers in WORKERS},
    }
    return {part: every[part] for part in arguments.parts}


def ratios(found: dict[str, dict[str, Cell]]) -> dict[str, float]:
    """What the issue asks for: the cost of an event with most keys against fewest, and the memory of a key."""
    answer: dict[str, float] = {}
    if keys := found.get("keys"):
        few, many = min(keys, key=int), max(keys, key=int)
        answer["cost_of_most_keys"] = round(keys[many]["cpu_us"] / keys[few]["cpu_us"], 2)
        answer["bytes_a_key"] = round((keys[many]["peak_mb"] - keys[few]["peak_mb"]) * 1e6 / (int(many) - int(few)))
    if workers := found.get("workers"):
        answer["speed_of_two_workers"] = round(workers["2"]["events_per_s"] / workers["1"]["events_per_s"], 2)
        answer["cost_of_two_workers"] = round(workers["2"]["cpu_us"] / workers["1"]["cpu_us"], 2)
    return answer


async def contest(arguments: argparse.Namespace) -> dict[str, dict[str, Cell]]:
    """StatePartition -> cell -> the medians of all rounds."""
    jars = Path(arguments.jars) if arguments.jars else None
    _, other_cores = split_cores()
    found: dict[str, dict[str, Cell]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        new_broker(arguments.kafka, Path(folder), jars=jars, cores=other_cores) as broker,
    ):
        for part, cells in parts(broker, arguments).items():
            runs: dict[str, list[Cell]] = {cell: [] for cell in cells}
            for number in range(arguments.rounds):
                for index, (cell, measure) in enumerate(cells.items()):
                    runs[cell].append(await measure(f"r{number}-{part}-{index}-"))
                    print(f"{part} {cell:>9}: {_rounded(runs[cell][-1])}", file=sys.stderr, flush=True)
            found[part] = {
                cell: _rounded({figure: statistics.median(run[figure] for run in every) for figure in every[0]})
                for cell, every in runs.items()
            }
    return found


def _rounded(cell: Cell) -> Cell:
    digits = {"events_per_s": 0, "alert_share": 4}
    return {name: round(figure, digits.get(name, 2)) for name, figure in cell.items()}


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = parser_of("scale", __doc__, kafka="apache")
    parser.add_argument("--parts", type=words, default="keys,bytes,alerts,workers", help="separated by commas")
    parser.add_argument("--keys", type=numbers, default=",".join(map(str, KEYS)), help="of part `keys`")
    parser.add_argument("--events", type=int, default=400_000, help="events in a run")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Measure and print. 0 measured, 1 a result was wrong."""
    arguments = _arguments(given)

    def figures() -> dict[str, Any]:
        found = asyncio.run(contest(arguments))
        return {**found, **ratios(found), "conditions": conditions(arguments, "events")}

    return report(figures)


if __name__ == "__main__":
    sys.exit(main())

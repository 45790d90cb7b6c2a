"""How long a detector takes from the start of its process until it reads: on an empty table, and with keys to recover.

python -m benchmarks.startup [--keys 0,10000] [--rounds N] [--kafka apache|embedded]

With keys, a first detector has learned some events of each and stopped; the second one recovers them all. The last line
on stdout is one JSON object: the medians in seconds, and the processor time until ready.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import load, product
from benchmarks.broker import new_broker, split_cores
from benchmarks.measure import WrongResultError
from stream_detector.settings import Settings
from stream_detector.stream.setup import make_topics
from stream_detector.stream.topics import COMPLETIONS


async def measure(arguments: argparse.Namespace, keys: int) -> tuple[float, float]:
    """Seconds from start to ready, and the processor time until then."""
    jars = Path(arguments.jars) if arguments.jars else None
    with (
        tempfile.TemporaryDirectory() as name,
        new_broker(arguments.kafka, Path(name), jars=jars, cores=split_cores()[1]) as broker,
    ):
        await make_topics(Settings(broker=broker, partitions=load.PARTITIONS))
        options = {"profile": "robust", "cores": split_cores()[0], "timeout_s": 300, "log": Path(name) / "log"}
        if keys:
            await load.publish(broker, COMPLETIONS, load.events(4 * keys, keys=keys))
            async with product.started(broker, "", **options) as detector:  # type: ignore[arg-type]
                await detector.applied(4 * keys)
        began = time.perf_counter()
        async with product.started(broker, "", **options) as detector:  # type: ignore[arg-type]
            await detector.ready()
            took_s = time.perf_counter() - began
            _, cpu_s = await detector.counters()
    return took_s, cpu_s


def main(given: list[str] | None = None) -> int:
    """Measure and print. 0 measured, 1 a detector did not start."""
    parser = argparse.ArgumentParser(prog="benchmarks.startup", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keys", default="0,10000", help="workflows in the table, separated by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kafka", choices=("apache", "embedded"), default="apache", help="the broker")
    parser.add_argument("--jars", help="folder of Kafka's jars; else the cache folder, filled by Maven")
    parser.add_argument("--json", action="store_true", help="accepted for scripts; the last line is JSON in any case")
    arguments = parser.parse_args(given)
    answer = {}
    try:
        for keys in map(int, arguments.keys.split(",")):
            runs = [asyncio.run(measure(arguments, keys)) for _ in range(arguments.rounds)]
            medians = [round(statistics.median(column), 2) for column in zip(*runs, strict=True)]
            answer[str(keys)] = dict(zip(("ready_s", "cpu_s"), medians, strict=True))
            print(f"{keys:>8} keys: {answer[str(keys)]}", file=sys.stderr, flush=True)
    except WrongResultError as error:
        print(f"no figure: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer | {"kafka": arguments.kafka}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

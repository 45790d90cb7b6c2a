"""From an event to its alert: how long, at which rate of events, ours and Kafka Streams in turns.

python -m benchmarks.latency [--rates 1000,10000,50000] [--seconds S] [--rounds N] [--kafka apache|embedded]

The clock of an event starts when it was meant to be sent, not when it was: a system or a broker that stalls the sender
is charged for it (coordinated omission). It stops when a consumer of the alerts' topic has the alert in its hands. The
worker has one core; broker, sender and consumer share the others. Before the measurement each system has handled
`WARM_UP` events of each workflow as fast as it can, so that a Java machine has compiled what it will. The last line on
stdout is one JSON object: milliseconds, the worker's processor time an event, and by how much ours is below.
"""

import argparse
import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks import load
from benchmarks.broker import new_broker, split_cores
from benchmarks.command import conditions, numbers, parser_of, report, words
from benchmarks.measure import WrongResultError, cpu_s, running
from benchmarks.orders import Orders
from benchmarks.systems import SYSTEMS, Values, prepare

COMPARED = ("ours_full", "ours_reference", "kafka_streams")
WARM_UP = 10
"""Events of each workflow before the measured ones."""
OUTLIER_EVERY = 50
"""More alerts than usual, for percentiles need them: 400 in 20 s at 1,000 events/s."""
LEAST_ALERTS = {0.5: 20, 0.99: 200, 0.999: 2000}
"""Percentile -> fewer alerts than these do not show it."""
TIMEOUT_S = 120.0
_TICK_S = 0.001
_ENDLESS = 1 << 40


def percentile(sorted_ms: list[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed.

    >>> [percentile([1.0, 2.0, 3.0, 4.0], share) for share in (0.5, 0.99)]
    [2.0, 4.0]
    """
    return sorted_ms[max(0, -int(-len(sorted_ms) * share // 1) - 1)]


async def send(
    broker: str, topic: str, values: Values, rate: float, *, stop: asyncio.Event | None = None
) -> tuple[float, int]:
    """Send at a steady rate, whatever became due with each tick, until `stop` is set.

    Returns when the first was meant to be sent, and how many were. Event n was meant to be sent n / `rate` s later.
    """
    records = [(load.partition_of(workflow), workflow.encode(), value) for workflow, value in values]
    sent: set[asyncio.Future[object]] = set()
    async with AIOKafkaProducer(bootstrap_servers=broker, acks="all", max_batch_size=1 << 20) as producer:
        began, number = time.time() + 0.1, 0
        while number < len(records) and not (stop and stop.is_set()):
            due = min(len(records), max(number, int((time.time() - began) * rate) + 1))
            batches = {}
            for partition, key, value in records[number:due]:
                batch = batches.get(partition) or batches.setdefault(partition, producer.create_batch())
                batch.append(key=key, value=value, timestamp=None)
            number = due
            for partition, batch in batches.items():
                acknowledged = await producer.send_batch(batch, topic, partition=partition)
                sent.add(acknowledged)
                acknowledged.add_done_callback(sent.discard)
            await asyncio.sleep(max(_TICK_S, began + number / rate - time.time()))
        await asyncio.gather(*sent)
    return began, number


class Alerts:
    """What has arrived on an alerts topic, and when."""

    def __init__(self, process: Process, name: str) -> None:
        self._process, self._name = process, name
        self._arrived: list[tuple[float, bytes]] = []

    async def receive(self, consumer: AIOKafkaConsumer) -> None:
        """Take them in, until cancelled."""
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                now = time.time()
                self._arrived += [(now, record.value) for record in records]

    async def all_of(self, expected: list[str], *, repeated: bool = False) -> list[tuple[float, str]]:
        """Wait until all have come; when each came, and of which execution. `repeated`: one may come twice.

        Raises `WrongResultError` if the worker ends, if they do not come, or if they are others than expected.
        """
        until = time.monotonic() + TIMEOUT_S
        seen: dict[str, tuple[float, str]] = {}
        read = 0
        while len(seen) < len(expected):
            if self._process.returncode is not None:
                raise WrongResultError(f"{self._name} ended with {self._process.returncode}")
            if time.monotonic() > until:
                raise WrongResultError(f"{self._name}: {len(seen)} of {len(expected)} alerts have come")
            await asyncio.sleep(0.1)
            for at, value in self._arrived[read:]:
                alert = json.loads(value)
                seen.setdefault(alert["id"], (at, alert.get("execution_id", alert["id"])))
                read += 1
        if sorted(seen) != expected or (read > len(seen) and not repeated):
            raise WrongResultError(f"{self._name}: the alerts are not those that a plain loop finds, once each")
        return list(seen.values())


@asynccontextmanager
async def receiving(orders: Orders, process: Process, name: str) -> AsyncIterator[Alerts]:
    """Watches a system's alerts topic from its beginning."""
    alerts = Alerts(process, name)
    async with AIOKafkaConsumer(bootstrap_servers=orders.broker, fetch_max_wait_ms=100) as consumer:
        consumer.assign([TopicPartition(orders.alerts, number) for number in range(load.PARTITIONS)])
        await consumer.seek_to_beginning()
        task = asyncio.create_task(alerts.receive(consumer))
        try:
            yield alerts
        finally:
            task.cancel()


async def measure(broker: str, name: str, number: int, rate: int, arguments: argparse.Namespace) -> dict[str, float]:
    """One system at one rate."""
    system, keys, prefix = SYSTEMS[name], arguments.keys, f"r{number}-{rate}-{name}-"
    before, count = WARM_UP * keys, int(rate * arguments.seconds)
    shape = load.Shape(outlier_every=OUTLIER_EVERY)
    values = list(load.events(before + count, keys=keys, shape=shape))
    first, expected = system.expected_alerts(values[:before]), system.expected_alerts(values)
    orders = await prepare(name, broker, prefix, keys=keys, events=_ENDLESS)
    await load.publish(broker, orders.source, values[:before])
    async with (
        running(system.command(), orders, cores=split_cores()[0]) as process,
        receiving(orders, process, name) as alerts,
    ):
        await alerts.all_of(first)
        await asyncio.sleep(2.0)  # a checkpoint of what the warm-up changed is not what is measured
        gc.collect()
        gc.freeze()
        cpu_before_s = cpu_s(process)
        began, _ = await send(broker, orders.source, values[before:], rate)
        arrived = await alerts.all_of(expected)
        used_s = cpu_s(process) - cpu_before_s
        gc.unfreeze()
    await load.delete_topics(broker, prefix)
    intended = {f"1-{n}": began + (n - before) / rate for n in range(before, before + count)}
    took: dict[str, float] = {}
    for at, execution in arrived:
        if execution in intended:
            took.setdefault(execution, (at - intended[execution]) * 1000)
    ordered = sorted(took.values())
    shares = [share for share, least in LEAST_ALERTS.items() if len(ordered) >= least]
    if not shares:
        raise WrongResultError(f"{name}: only {len(ordered)} alerts came of {count} events")
    figures = {f"p{share * 100:g}_ms": round(percentile(ordered, share), 1) for share in shares}
    return figures | {"cpu_us_per_event": round(used_s / count * 1e6, 1), "alerts": len(ordered)}


async def contest(arguments: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """Rate -> system -> the medians of all rounds."""
    jars = Path(arguments.jars) if arguments.jars else None
    _, other_cores = split_cores()
    found: dict[str, dict[str, dict[str, float]]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        new_broker(arguments.kafka, Path(folder), jars=jars, cores=other_cores) as broker,
    ):
        for rate in arguments.rates:
            runs: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.systems}
            for number in range(arguments.rounds):
                for name in arguments.systems:
                    figures = await measure(broker, name, number + 1, rate, arguments)
                    runs[name].append(figures)
                    print(f"{rate:>7} events/s: {name:<15} {figures}", file=sys.stderr, flush=True)
            found[str(rate)] = {
                name: {figure: round(statistics.median(run[figure] for run in every), 1) for figure in every[0]}
                for name, every in runs.items()
            }
    return found


def ratios(found: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Rate -> `ratio_<ours>_p99`: Kafka Streams' percentile in shares of ours, above 1 where ours is sooner."""
    return {
        rate: {
            f"ratio_{name}_{figure.removesuffix('_ms')}": round(systems["kafka_streams"][figure] / figures[figure], 2)
            for name, figures in systems.items()
            for figure in figures
            if name != "kafka_streams" and figure.endswith("_ms") and figure in systems["kafka_streams"]
        }
        for rate, systems in found.items()
        if "kafka_streams" in systems
    }


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = parser_of("latency", __doc__, kafka="apache")
    parser.add_argument("--rates", type=numbers, default="1000,10000,50000", help="events a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each rate is held")
    parser.add_argument("--rounds", type=int, default=3, help="how often each system runs at each rate")
    parser.add_argument("--systems", type=words, default=",".join(COMPARED), help="separated by commas")
    parser.add_argument("--keys", type=int, default=10_000, help="workflows that the events are of")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Measure and print. 0 measured, 1 a result was wrong."""
    arguments = _arguments(given)

    def figures() -> dict[str, Any]:
        for name in arguments.systems:
            SYSTEMS[name].command()  # built before anything is measured
        found = asyncio.run(contest(arguments))
        return {"ms": found, "ratios": ratios(found), "conditions": conditions(arguments, "keys")}

    return report(figures)


if __name__ == "__main__":
    sys.exit(main())

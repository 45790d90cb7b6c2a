"""From an event to its alert: how long, at which rate of events.

python -m benchmarks.latency [--rates 1000,10000,50000] [--seconds S] [--kafka apache|embedded]

The clock of an event starts when it was meant to be sent, not when it was: a system or a broker that stalls the sender
is charged for it (coordinated omission). It stops when a consumer of the alerts' topic has the alert in its hands. The
worker has one core; broker, sender and consumer share the others. Each workflow has its history before the measurement
begins. The last line on stdout is one JSON object: milliseconds, and the worker's processor time an event.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, AsyncExitStack
from itertools import islice
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks import load, product
from benchmarks.broker import new_broker, split_cores
from benchmarks.measure import WrongResultError
from stream_detector.settings import Settings
from stream_detector.stream.setup import make_topics
from stream_detector.stream.topics import ALERTS, COMPLETIONS

KEYS = 500
HISTORY = 40 * KEYS
"""Events before the measured ones: every workflow has its 30."""
LEAST_ALERTS = 20
_TICK_S = 0.001


def percentile(sorted_ms: list[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed.

    >>> [percentile([1.0, 2.0, 3.0, 4.0], share) for share in (0.5, 0.99)]
    [2.0, 4.0]
    """
    return sorted_ms[max(0, -int(-len(sorted_ms) * share // 1) - 1)]


async def send(broker: str, events: Iterator[tuple[str, bytes]], count: int, rate: float) -> dict[str, float]:
    """Send at a steady rate, whatever became due with each tick; returns execution id -> intended time."""
    intended: dict[str, float] = {}
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", max_batch_size=1 << 20)
    await producer.start()
    sent: set[asyncio.Future[object]] = set()
    began, number = time.time() + 0.1, 0
    try:
        while number < count:
            due = min(count, int((time.time() - began) * rate) + 1)
            batches = {}
            while number < due:
                workflow, value = next(events)
                partition = load.partition_of(workflow)
                batch = batches.get(partition) or batches.setdefault(partition, producer.create_batch())
                batch.append(key=workflow.encode(), value=value, timestamp=None)
                intended[value[17 : value.index(b'"', 17)].decode()] = began + number / rate
                number += 1
            for partition, batch in batches.items():
                acknowledged = await producer.send_batch(batch, COMPLETIONS, partition=partition)
                sent.add(acknowledged)
                acknowledged.add_done_callback(sent.discard)
            await asyncio.sleep(max(_TICK_S, began + number / rate - time.time()))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
    return intended


async def receive(consumer: AIOKafkaConsumer, seen: dict[str, float]) -> None:
    """Note when each execution's first alert arrived, until cancelled."""
    async for record in consumer:
        alert = json.loads(record.value)
        seen.setdefault(alert.get("execution_id", alert["id"]), time.time())


def _broker(arguments: argparse.Namespace, folder: str) -> AbstractContextManager[str]:
    jars = Path(arguments.jars) if arguments.jars else None
    return new_broker(arguments.kafka, Path(folder), jars=jars, cores=split_cores()[1])


async def measure(arguments: argparse.Namespace, rate: int) -> dict[str, float]:
    """One system at one rate."""
    worker_cores, _ = split_cores()
    count = int(rate * arguments.seconds)
    seen: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, _broker(arguments, name) as broker:
        await make_topics(Settings(broker=broker, partitions=load.PARTITIONS))
        events = load.events(HISTORY + count, keys=KEYS)
        await load.publish(broker, COMPLETIONS, islice(events, HISTORY))
        async with AsyncExitStack() as stack:
            options = {"profile": arguments.profile, "cores": worker_cores, "timeout_s": 120 + 2 * arguments.seconds}
            started = product.started(broker, "", log=Path(name) / "detector.log", **options)
            detector = await stack.enter_async_context(started)
            await detector.applied(HISTORY)
            consumer = AIOKafkaConsumer(bootstrap_servers=broker, fetch_max_wait_ms=100)
            await consumer.start()
            stack.push_async_callback(consumer.stop)
            consumer.assign([TopicPartition(ALERTS, number) for number in range(load.PARTITIONS)])
            await consumer.seek_to_end()
            receiving = asyncio.create_task(receive(consumer, seen))
            _, before_s = await detector.counters()
            intended = await send(broker, events, count, rate)
            cpu_s = await detector.applied(HISTORY + count) - before_s
            await asyncio.sleep(0.5)  # what is on its way
            receiving.cancel()
    took_ms = sorted((at - intended[event]) * 1000 for event, at in seen.items() if event in intended)
    if len(took_ms) < LEAST_ALERTS:
        raise WrongResultError(f"only {len(took_ms)} alerts came for {count} events")
    figures = {f"p{share * 100:g}_ms": round(percentile(took_ms, share), 1) for share in (0.5, 0.99, 0.999)}
    return figures | {"alerts": len(took_ms), "cpu_us_per_event": round(cpu_s / count * 1e6, 1)}


def main(given: list[str] | None = None) -> int:
    """Measure and print. 0 measured, 1 a result was wrong."""
    parser = argparse.ArgumentParser(prog="benchmarks.latency", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rates", default="1000,10000,50000", help="events a second, separated by commas")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each rate is held")
    parser.add_argument("--kafka", choices=("apache", "embedded"), default="apache", help="the broker")
    parser.add_argument("--jars", help="folder of Kafka's jars; else the cache folder, filled by Maven")
    parser.add_argument("--profile", choices=("classic", "robust"), default="classic", help="ours: detection profile")
    parser.add_argument("--json", action="store_true", help="accepted for scripts; the last line is JSON in any case")
    arguments = parser.parse_args(given)
    found: dict[str, object] = {}
    try:
        for rate in map(int, arguments.rates.split(",")):
            found[str(rate)] = figures = asyncio.run(measure(arguments, rate))
            print(f"{rate:>7} events/s: {figures}", file=sys.stderr, flush=True)
    except WrongResultError as error:
        print(f"wrong result, so no figure: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"ours": found, "kafka": arguments.kafka, "pinned": len(os.sched_getaffinity(0)) > 1}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

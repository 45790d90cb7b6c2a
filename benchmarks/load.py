"""The events of the benchmarks and the fast way to put them on a topic."""

import asyncio
import math
import random
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream_detector.stream.topics import owner

EVENT_BYTES = 264
PARTITIONS = 4
OUTLIER_EVERY = 1000
_NOISE = 4096
_SPREAD = 0.1
"""Standard deviation of the logarithm of a duration. The noise is even, not normal: with normal noise 6 % of the events
are beyond 2 sigma of the last 30, and the writing of alerts would be measured instead of the judging of events."""


def events(count: int, *, keys: int = 10_000, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """`count` pairs of workflow id and value, each value a valid workflow completion of 264 bytes.

    The same arguments give the same durations in the same order; the dates end now, as live events' do.
    """
    draw = random.Random(seed)
    noise = [math.exp(draw.uniform(-1, 1) * _SPREAD * math.sqrt(3)) for _ in range(_NOISE)]
    newest = datetime.now(UTC).replace(microsecond=0)
    ends = [(newest - timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ") for second in range(600)]
    pick = draw.random
    for number in range(count):
        key = int(pick() * keys)
        duration_s = (30 + key % 90) * noise[int(pick() * _NOISE)]
        if number % OUTLIER_EVERY == OUTLIER_EVERY - 1:
            duration_s *= 3
        workflow = f"wf-{key:06d}"
        end = ends[599 - number * 600 // count]
        value = (
            f'{{"execution_id":"{seed}-{number}","workflow_id":"{workflow}","status":"success","started_at":"{end}",'
            f'"finished_at":"{end}","duration_s":{duration_s:.3f},"labels":{{"branch":"main"}},"workflow_name":"'
        )
        yield workflow, f'{value}{"n" * (EVENT_BYTES - 2 - len(value))}"}}'.encode()


@cache
def partition_of(workflow: str) -> int:
    """The partition that a producer which keys by the workflow's id would choose."""
    return owner(workflow, PARTITIONS)


async def make_topics(broker: str, *names: str, compacted: tuple[str, ...] = ()) -> None:
    """Topics with four partitions and one replica; those in `compacted` keep the latest value of a key."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(name, PARTITIONS, 1) for name in names]
            + [NewTopic(name, PARTITIONS, 1, topic_configs={"cleanup.policy": "compact"}) for name in compacted]
        )
    finally:
        await admin.close()


async def publish(broker: str, topic: str, count: int, *, keys: int = 10_000, seed: int = 1) -> float:
    """Put the events on the topic in whole batches; all are acknowledged afterwards. Returns the seconds it took."""
    return await publish_events(broker, topic, events(count, keys=keys, seed=seed))


async def publish_events(broker: str, topic: str, pairs: Iterable[tuple[str, bytes]]) -> float:
    """The same for these pairs of workflow id and value."""
    started = time.perf_counter()
    async with AIOKafkaProducer(bootstrap_servers=broker, max_batch_size=1 << 18, acks="all") as producer:
        batches = [producer.create_batch() for _ in range(PARTITIONS)]
        sent: list[asyncio.Future] = []
        for workflow, value in pairs:
            partition = partition_of(workflow)
            if batches[partition].append(key=workflow.encode(), value=value, timestamp=None) is None:
                sent.append(await producer.send_batch(batches[partition], topic, partition=partition))
                batches[partition] = producer.create_batch()
                batches[partition].append(key=workflow.encode(), value=value, timestamp=None)
        for partition, batch in enumerate(batches):
            if batch.record_count():
                sent.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*sent)
    return time.perf_counter() - started

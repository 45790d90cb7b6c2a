"""The events of the benchmarks and the fast way to put them on a topic."""

import asyncio
import math
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream_detector.kafka.topics import owner_partition

PARTITIONS = 4
KINDS = 90
"""Workflows differ by their usual duration, of which there are so many; `history` learns one of each."""
_NOISE = 4096
_SPREAD = 0.1
"""Standard deviation of the logarithm of a duration. The noise is even, not normal: with normal noise 6 % of the events
are beyond 2 sigma of the last 30, and the writing of alerts would be measured instead of the judging of events."""
_TEXT = 500
"""The most characters of a workflow's name; what more an event is to have lies in a field that nobody reads."""


@dataclass(frozen=True)
class Shape:
    """What an event looks like: its size in bytes, its steps and resources, and that one in so many is an outlier."""

    n_bytes: int = 264
    steps: int = 0
    resources: int = 0
    outlier_every: int = 1000


PLAIN = Shape()
DETAILED = Shape(n_bytes=800, steps=8, resources=2)


class Workflows:
    """Draws executions of `keys` workflows; the same arguments give the same durations in the same order."""

    def __init__(self, keys: int, seed: int, shape: Shape) -> None:
        self._draw, self._seed, self._keys, self._shape = random.Random(seed), seed, keys, shape
        self._noise = [math.exp(self._draw.uniform(-1, 1) * _SPREAD * math.sqrt(3)) for _ in range(_NOISE)]

    def execution(self, number: int, end: str, key: int | None = None) -> tuple[str, bytes]:
        """Workflow id and value of one execution, of a drawn workflow unless `key` names one."""
        shape, noise, pick = self._shape, self._noise, self._draw.random
        if key is None:
            key = int(pick() * self._keys)
        duration_s = (30 + key % KINDS) * noise[int(pick() * _NOISE)]
        if number % shape.outlier_every == shape.outlier_every - 1:
            duration_s *= 3
        workflow = f"wf-{key:06d}"
        value = (
            f'{{"execution_id":"{self._seed}-{number}","workflow_id":"{workflow}","status":"success",'
            f'"started_at":"{end}","finished_at":"{end}","duration_s":{duration_s:.3f}'
        )
        if shape.n_bytes >= PLAIN.n_bytes:
            value += ',"labels":{"branch":"main"}'
        if shape.steps:
            value += f',"steps":[{",".join(self._step(index, duration_s) for index in range(shape.steps))}]'
        if shape.resources:
            value += f',"resources":{{{",".join(self._resource(index) for index in range(shape.resources))}}}'
        name = "workflow_name" if shape.n_bytes - len(value) < _TEXT else "log"
        value += f',"{name}":"'
        return workflow, f'{value}{"n" * (shape.n_bytes - 2 - len(value))}"}}'.encode()

    def _step(self, index: int, duration_s: float) -> str:
        share = (index + 1) / (self._shape.steps * (self._shape.steps + 1) / 2)
        took_s = duration_s * share * self._noise[int(self._draw.random() * _NOISE)]
        return f'{{"name":"step-{index}","status":"success","duration_s":{took_s:.3f}}}'

    def _resource(self, index: int) -> str:
        used = 500 * self._noise[int(self._draw.random() * _NOISE)]
        return f'"resource-{index}":{{"used":{used:.1f},"limit":1000}}'


def events(
    count: int, *, keys: int = 10_000, seed: int = 1, shape: Shape = PLAIN, newest: datetime | None = None
) -> Iterator[tuple[str, bytes]]:
    """`count` pairs of workflow id and value, each value a valid workflow completion of `shape.n_bytes`.

    The dates end now, as live events' do, or at `newest`, and go back ten minutes.
    """
    workflows = Workflows(keys, seed, shape)
    newest = (newest or datetime.now(UTC)).replace(microsecond=0)
    ends = [(newest - timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ") for second in range(600)]
    for number in range(count):
        yield workflows.execution(number, ends[599 - number * 600 // count])


@cache
def partition_of(workflow: str) -> int:
    """The partition that a producer which keys by the workflow's id would choose."""
    return owner_partition(workflow, PARTITIONS)


async def make_topics(broker: str, *names: str, compacted: tuple[str, ...] = ()) -> None:
    """Topics with four partitions and one replica; those in `compacted` keep the latest value of a key."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(name, PARTITIONS, 1) for name in names]
            + [NewTopic(name, PARTITIONS, 1, topic_configs={"cleanup.policy": "compact"}) for name in compacted]
        )
        missing = {*names, *compacted}
        while missing:
            await asyncio.sleep(0.05)
            missing -= {*await admin.list_topics()}
    finally:
        await admin.close()


async def delete_topics(broker: str, prefix: str) -> None:
    """Remove every topic that begins with `prefix`, so that the broker need not keep what nobody will read again."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.delete_topics([name for name in await admin.list_topics() if name.startswith(prefix)])
    finally:
        await admin.close()


async def publish(broker: str, topic: str, pairs: Iterable[tuple[str, bytes]]) -> float:
    """Put these pairs of workflow id and value on the topic in whole batches; all are acknowledged afterwards.

    Returns the seconds it took.
    """
    return await publish_records(
        broker, topic, ((partition_of(workflow), workflow.encode(), value) for workflow, value in pairs)
    )


async def publish_records(broker: str, topic: str, records: Iterable[tuple[int, bytes, bytes]]) -> float:
    """The same for these partitions, keys and values."""
    started = time.perf_counter()
    async with AIOKafkaProducer(bootstrap_servers=broker, max_batch_size=1 << 18, acks="all") as producer:
        batches = [producer.create_batch() for _ in range(PARTITIONS)]
        sent: list[asyncio.Future] = []
        for partition, key, value in records:
            if batches[partition].append(key=key, value=value, timestamp=None) is None:
                sent.append(await producer.send_batch(batches[partition], topic, partition=partition))
                batches[partition] = producer.create_batch()
                batches[partition].append(key=key, value=value, timestamp=None)
        for partition, batch in enumerate(batches):
            if batch.record_count():
                sent.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*sent)
    return time.perf_counter() - started

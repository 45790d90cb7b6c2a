"""A seeded load of completions, published by a plain producer, and what the producer itself knows of it."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from stream_detector.events import Completion
from stream_detector.events.encode import encode
from stream_detector.kafka.client import client_options
from stream_detector.kafka.topics import COMPLETIONS, owner_partition
from stream_detector.settings import Settings

KEYS = 200
SPREAD_D = 18
"""Finish times of the planned events are spread over so many days, so that all count in the window of 30."""
SLOW_RATE = 500.0
"""Events a second once the planned number is out, where a drill names no other rate."""
MISPLACED = 0.1
"""Share of workflows whose producer hashes otherwise: their events lie on another partition than their owner's."""


def completions(seed: int, planned: int, keys: int = KEYS) -> Iterator[Completion]:
    """Endless: usual durations with outliers, failures alone and in rows; times grow, so none is late."""
    rng = random.Random(seed)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=SPREAD_D + 1)
    step = timedelta(days=SPREAD_D) / planned
    failing: Counter[int] = Counter()
    number = 0
    while True:
        at = start + min(number, planned) * step + max(0, number - planned) * timedelta(milliseconds=5)
        key = rng.randrange(keys)
        duration_s = max(1.0, rng.gauss(100.0, 10.0)) * (3.0 if rng.random() < 0.01 else 1.0)
        if rng.random() < 0.01:
            failing[key] = rng.choice((1, 1, 3, 5))
        failed = failing[key] > 0
        failing[key] -= failed
        yield Completion(
            execution_id=f"{seed}-{number}",
            workflow_id=f"flow-{key:04d}",
            status="failure" if failed else "success",
            started_at=at - timedelta(seconds=duration_s),
            finished_at=at,
            duration_s=round(duration_s, 3),
        )
        number += 1


class Sent(NamedTuple):
    """One record of the load. `counts` says whether it must be in the baseline afterwards.

    `is_dated_wrong`: by its time it lies far ahead, so that it and the two after it do not count in the thirty days.
    """

    value: bytes | None
    workflow_id: str
    execution_id: str
    counts: bool = True
    timestamp_ms: int | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    is_dated_wrong: bool = False


Spice = Callable[[random.Random, Completion], list[Sent]]
"""What one event becomes on its way: itself, and whatever a drill adds."""


def plain(rng: random.Random, event: Completion) -> list[Sent]:
    """The event alone."""
    return [Sent(encode(event), event.workflow_id, event.execution_id)]


class Load:
    """Publishes until it is asked to stop. `counts` is the ledger: events per workflow that the broker acknowledged."""

    def __init__(
        self,
        settings: Settings,
        seed: int,
        planned: int,
        *,
        rate: float,
        slow_rate: float = SLOW_RATE,
        spice: Spice = plain,
        keys: int = KEYS,
    ) -> None:
        self._settings, self._planned, self._rate, self._slow_rate = settings, planned, rate, slow_rate
        self._spice, self._rng = spice, random.Random(seed + 1)
        self._events = completions(seed, planned, keys)
        misplaced = random.Random(seed).sample(range(keys), round(keys * MISPLACED))
        self._misplaced = {f"flow-{key:04d}" for key in misplaced}
        self.counts: Counter[str] = Counter()
        self.ids: set[str] = set()
        self.dated_wrong: set[str] = set()
        """Workflows with an event from a clock that is far ahead."""
        self.last: dict[str, datetime] = {}
        """When the last event of a workflow from a right clock finished."""
        self.refused = 0
        """Records that must lie on dead letters."""
        self.enough = asyncio.Event()
        """Set when the harm is done: publishing ends once it is set and the planned number is out."""

    async def publish(self) -> None:
        """Half at once, so that there is a backlog; the rest at `rate` a second, and slowly on until `enough`."""
        producer = AIOKafkaProducer(**client_options(self._settings), acks="all", linger_ms=5, max_batch_size=1 << 17)
        await producer.start()
        sent: list[asyncio.Future[object]] = []
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            while len(sent) < self._planned or not self.enough.is_set():
                for event in (next(self._events) for _ in range(50)):
                    self.last[event.workflow_id] = event.finished_at
                    for one in self._spice(self._rng, event):
                        sent.append(await self._send(producer, one))
                await asyncio.sleep(max(0.0, began + self._due_s(len(sent)) - loop.time()))
            await producer.flush()
            await asyncio.gather(*sent)  # each was acknowledged, or the drill ends here
        finally:
            await producer.stop()

    def _due_s(self, events: int) -> float:
        """When so many are due, from the beginning on."""
        due_s = (min(events, self._planned) - self._planned / 2) / self._rate
        return due_s + max(0, events - self._planned) / self._slow_rate

    async def _send(self, producer: AIOKafkaProducer, one: Sent) -> "asyncio.Future[object]":
        n, partition = self._settings.partitions, None
        if one.workflow_id in self._misplaced:
            partition = (owner_partition(one.workflow_id, n) + 1) % n
        if not one.counts:
            self.refused += 1
        elif one.execution_id not in self.ids:
            self.counts[one.workflow_id] += 1
            self.ids.add(one.execution_id)
        if one.is_dated_wrong:
            self.dated_wrong.add(one.workflow_id)
        sent: asyncio.Future[object] = await producer.send(
            self._settings.topic(COMPLETIONS),
            one.value,
            key=one.workflow_id.encode(),
            partition=partition,
            timestamp_ms=one.timestamp_ms,
            headers=list(one.headers),
        )
        return sent

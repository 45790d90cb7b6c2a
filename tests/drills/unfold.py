"""Records of one to fifty events whose owners are on all partitions, under kills at each point of the checkpoint.

A workflow's events come in order on one partition, which is its owner in one case of four: so most events of a record
are forwarded, several of them to the same owner, and a checkpoint of that owner may lie within a record.
"""

import asyncio
import random
import time
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer

from stream_detector.events import Completion
from stream_detector.events.encode import encode
from stream_detector.kafka.client import client_options
from stream_detector.kafka.topics import COMPLETIONS
from tests.drills.kill_detector import POINTS
from tests.drills.load import Load
from tests.drills.roles import Role
from tests.drills.stage import Options, Outcome, stage
from tests.drills.under_load import Harm, Scene, under_load

EVENTS = 12_750
"""About 500 records, so 1,000 in two runs, which kill at all points."""
SLOW_RATE = 100.0
"""Events a second, four records, once the planned number is out: enough for each checkpoint to have something."""
MOST = 50
BAD = 0.01
"""Share of the entries that are no event: each of them is a dead letter by itself."""
ENTRIES = (b"{}", b"17", b"null", b'{"execution_id": "x"}')


class Records(Load):
    """The load in records of several events."""

    records = 0

    async def publish(self) -> None:
        """Half at once; the rest at `rate` events a second, and slowly on until `enough`."""
        producer = AIOKafkaProducer(**client_options(self._settings), acks="all", linger_ms=5, max_batch_size=1 << 17)
        await producer.start()
        sent: list[asyncio.Future[object]] = []
        waiting: list[list[Completion]] = [[] for _ in range(self._settings.partitions)]
        wanted = [self._rng.randint(1, MOST) for _ in waiting]
        events, loop = 0, asyncio.get_running_loop()
        began = loop.time()
        try:
            while events < self._planned or not self.enough.is_set():
                for event in (next(self._events) for _ in range(50)):
                    events += 1
                    lane = int(event.workflow_id[-4:]) % len(waiting)
                    waiting[lane].append(event)
                    if len(waiting[lane]) == wanted[lane]:
                        sent.append(await self._send_record(producer, lane, waiting[lane]))
                        waiting[lane], wanted[lane] = [], self._rng.randint(1, MOST)
                await asyncio.sleep(max(0.0, began + self._due_s(events) - loop.time()))
            for lane, left in enumerate(waiting):
                if left:
                    sent.append(await self._send_record(producer, lane, left))
            await producer.flush()
            await asyncio.gather(*sent)  # each was acknowledged, or the drill ends here
        finally:
            await producer.stop()

    async def _send_record(
        self, producer: AIOKafkaProducer, partition: int, events: Sequence[Completion]
    ) -> "asyncio.Future[object]":
        entries = []
        for event in events:
            entries.append(encode(event))
            self.counts[event.workflow_id] += 1
            self.ids.add(event.execution_id)
            self.last[event.workflow_id] = event.finished_at
            if self._rng.random() < BAD:
                entries.append(self._rng.choice(ENTRIES))
                self.refused += 1
        self.records += 1
        value = entries[0] if len(entries) == 1 else b"[" + b",".join(entries) + b"]"
        topic = self._settings.topic(COMPLETIONS)
        sent: asyncio.Future[object] = await producer.send(topic, value, partition=partition)
        return sent


async def drill(options: Options) -> Outcome:
    """Each run kills the detector at three of the six points, the next at the others."""
    outcome = Outcome("unfold")
    with stage(options.kafka) as ground:
        for number in range(options.runs):
            seed = options.seed + number
            harm = _harm(POINTS[(options.first_point + number) % 2 :: 2], random.Random(seed))
            outcome.add(await under_load(ground, options, outcome, seed, harm, slow_rate=SLOW_RATE, load_of=Records))
    return outcome


def _harm(points: Sequence[str], rng: random.Random) -> Harm:
    async def harm(scene: Scene) -> list[Role]:
        for point in points:
            await scene.died(scene.detector(fault_point=f"{point}:{rng.randint(1, 2)}"))
        return [await scene.ready(scene.detector(), time.monotonic())]

    return harm

"""The reference job on our batch transport, state table, producer and checkpoint: what of our speed is not detection.

Everything but the job is the product's own: `stream_detector.delivery.worker` runs it as it runs the detector.
"""

import struct
import sys
from typing import Any

from benchmarks.orders import Orders
from benchmarks.peers import own_worker
from benchmarks.reference import decode, judge, learn
from stream_detector.delivery import worker
from stream_detector.delivery.consumer import Chunk
from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.kafka.topics import BASELINES, COMPLETIONS

State = tuple[int, float, float]
_LAYOUT = struct.Struct("<Idd")
STATE: Codec[State] = Codec(lambda state: _LAYOUT.pack(*state), lambda _, packed: _LAYOUT.unpack(packed))
NEW: State = (0, 0.0, 0.0)

orders = Orders.from_environment()


def build(app: worker.WorkerApp) -> worker.BeforeStart:
    """Add the table and the agent that takes a chunk at a time."""
    table = app.state(BASELINES, STATE, orders.partitions)

    @app.agent(app.source(COMPLETIONS), name="reference")
    async def reference(stream: Any) -> None:
        async for event in stream.events():
            handle(event.value)

    def handle(chunk: Chunk) -> None:
        consumer = app.consumer
        if consumer.is_next(chunk):
            orders.started()
            apply(table.data.get_or_create(chunk.tp.partition), chunk)
            app.dispatch(chunk.tp.partition)
            consumer.advance(chunk)
            if orders.handled(len(chunk.records)):
                app.loop.create_task(own_worker.end(app, orders))
        consumer.release(chunk)

    def apply(partition: StatePartition[State], chunk: Chunk) -> None:
        get, put, number = partition.get, partition.put, chunk.tp.partition
        for record in chunk.records:
            reading = decode(record.value)
            key, value = reading.workflow_id, reading.duration_s
            state = get(key) or NEW
            if judge(*state, value):
                alert = b'{"id":"%s","workflow_id":"%s"}' % (reading.execution_id.encode(), key.encode())
                app.batch_producer.put(orders.alerts, number, key.encode(), alert)
            put(key, learn(*state, value))

    async def prepare() -> None:
        """Nothing beside Kafka is needed."""

    return prepare


if __name__ == "__main__":
    sys.exit(own_worker.run(build, orders))

"""The reference job on our batch transport, state table, producer and checkpoint: what of our speed is not detection.

Everything but the job is the product's own: `stream_detector.delivery.worker` runs it as it runs the detector.
"""

import struct
import sys
from collections.abc import Awaitable, Callable

from benchmarks.orders import Orders
from benchmarks.peers import own_worker
from benchmarks.reference import decode, judge, learn
from stream_detector.delivery import worker
from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.processor import Outcomes, process_topic
from stream_detector.delivery.state.contents import Codec
from stream_detector.kafka.topics import BASELINES, COMPLETIONS

State = tuple[int, float, float]
_LAYOUT = struct.Struct("<Idd")
STATE: Codec[State] = Codec(lambda state: _LAYOUT.pack(*state), lambda _, packed: _LAYOUT.unpack(packed))
NEW: State = (0, 0.0, 0.0)

orders = Orders.from_environment()


def build(app: WorkerApp) -> Callable[[], Awaitable[None]]:
    """Add the table and the agent that takes a chunk at a time."""
    table = app.state_table(BASELINES, STATE, orders.partitions)
    alerts = orders.alerts.removeprefix(orders.prefix)

    async def apply(source: str, chunk: Chunk) -> Outcomes:
        orders.started()
        partition, number = table.get_owned(chunk.tp.partition), chunk.tp.partition
        get, put = partition.get, partition.put
        for record in chunk.records:
            reading = decode(record.value)
            key, value = reading.workflow_id, reading.duration_s
            state = get(key) or NEW
            if judge(*state, value):
                alert = b'{"id":"%s","workflow_id":"%s"}' % (reading.execution_id.encode(), key.encode())
                app.batch_producer.put(alerts, number, key.encode(), alert)
            put(key, learn(*state, value))
        if orders.handled(len(chunk.records)):
            app.loop.create_task(own_worker.end(app, orders))
        return Outcomes()

    process_topic(app, COMPLETIONS, apply, agent="reference")
    return worker.nothing_to_prepare


if __name__ == "__main__":
    sys.exit(own_worker.run(build, orders))

"""The reference job in Faust as its user guide writes it: an agent that takes one event at a time, and a table.

Faust sends each change of the table to its changelog and commits every second.
"""

import os

import faust

from benchmarks.orders import Orders
from benchmarks.reference import judge, learn

orders = Orders.from_environment()
app = faust.App(
    orders.group,
    broker=f"kafka://{orders.broker}",
    store="memory://",
    topic_partitions=orders.partitions,
    topic_replication_factor=1,
    consumer_auto_offset_reset="earliest",
    broker_commit_interval=1.0,
    broker_session_timeout=6.0,
    broker_rebalance_timeout=6.0,
    broker_heartbeat_interval=2.0,
    web_enabled=False,
    datadir=orders.folder,
)


class Completion(faust.Record, serializer="json"):
    """What the job reads of a workflow completion; other fields are passed over."""

    execution_id: str
    workflow_id: str
    duration_s: float


class Alert(faust.Record, serializer="json"):
    """One reading beyond 3 sigma."""

    id: str
    workflow_id: str


source = app.topic(orders.source, key_type=bytes, value_type=Completion)
alerts = app.topic(orders.alerts, key_type=bytes, value_type=Alert)
baselines = app.Table("baselines", partitions=orders.partitions)


@app.agent(source)
async def detect(stream: faust.Stream) -> None:
    """Judge, then learn, one event at a time."""
    async for reading in stream:
        orders.started()
        baseline = baselines.get(reading.workflow_id, (0, 0.0, 0.0))
        if judge(*baseline, reading.duration_s):
            await alerts.send(key=reading.workflow_id.encode(), value=Alert(reading.execution_id, reading.workflow_id))
        baselines[reading.workflow_id] = learn(*baseline, reading.duration_s)
        if orders.handled(1):
            app.loop.create_task(_end())


async def _end() -> None:
    """Everything sent and committed, then the figures."""
    while sum(app.consumer._committed_offset.get(tp) or 0 for tp in app.consumer.assignment()) < orders.events:
        await app.producer.flush()
        await app.consumer.commit()
        await app.consumer.sleep(0.1)
    orders.report()
    os._exit(0)  # app.stop() would leave the worker waiting for a signal


if __name__ == "__main__":
    faust.Worker(app, loglevel="WARN", redirect_stdouts=False).execute_from_commandline()

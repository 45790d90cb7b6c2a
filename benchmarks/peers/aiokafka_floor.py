"""The floor: aiokafka's `getmany` and the reference job in a dictionary; nothing durable, no changelog, no commit.

What any Python consumer pays before it keeps a promise. Alerts are sent, so that it can be checked like the others.
"""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.orders import Orders
from benchmarks.reference import decode, judge, learn

orders = Orders.from_environment()


async def work() -> None:
    """Handle what lies on the source."""
    state: dict[str, tuple[int, float, float]] = {}
    sent = []
    options = {"auto_offset_reset": "earliest", "max_partition_fetch_bytes": 4 << 20}
    async with (
        AIOKafkaProducer(bootstrap_servers=orders.broker, acks="all") as producer,
        AIOKafkaConsumer(orders.source, bootstrap_servers=orders.broker, **options) as consumer,
    ):
        done = False
        while not done:
            for records in (await consumer.getmany(timeout_ms=1000, max_records=4000)).values():
                orders.started()
                for record in records:
                    reading = decode(record.value)
                    key = reading.workflow_id
                    baseline = state.get(key, (0, 0.0, 0.0))
                    if judge(*baseline, reading.duration_s):
                        alert = b'{"id":"%s","workflow_id":"%s"}' % (reading.execution_id.encode(), key.encode())
                        sent.append(await producer.send(orders.alerts, key=key.encode(), value=alert))
                    state[key] = learn(*baseline, reading.duration_s)
                done |= orders.handled(len(records))
        await asyncio.gather(*sent)
    orders.report()


if __name__ == "__main__":
    asyncio.run(work())

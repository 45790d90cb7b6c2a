"""Print each anomaly once. Delivery is at-least-once: an id that was already printed is skipped.

python examples/subscriber.py [BROKER [FILE]]        FILE stores the printed ids, ./seen-anomalies.txt by default
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from aiokafka import AIOKafkaConsumer

BROKER = (sys.argv[1:] or [os.environ.get("STREAM_DETECTOR_BROKER") or "127.0.0.1:9092"])[0]
ALERTS = os.environ.get("STREAM_DETECTOR_TOPIC_PREFIX", "") + "alerts"
FILE = Path((sys.argv[2:] or ["seen-anomalies.txt"])[0])
seen = set(FILE.read_text().split()) if FILE.exists() else set()


def remember(anomaly_id: str) -> None:
    seen.add(anomaly_id)
    with FILE.open("a") as file:
        file.write(anomaly_id + "\n")


async def main() -> None:
    options = {"group_id": "example-subscriber", "enable_auto_commit": False, "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(ALERTS, bootstrap_servers=BROKER, session_timeout_ms=6000, **options) as consumer:
        async for record in consumer:
            anomaly = json.loads(record.value)
            if anomaly["id"] not in seen:
                print(anomaly["severity"], anomaly["anomaly_type"], anomaly["description"], anomaly["id"], flush=True)
                remember(anomaly["id"])
            await consumer.commit()  # after the id is stored: a record that is delivered again is then skipped


asyncio.run(main())

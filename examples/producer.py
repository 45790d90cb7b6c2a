"""Publish one workflow completion and one score. Run it twice: the ids are the same, so each counts once.

python examples/producer.py [BROKER]        BROKER or $STREAM_DETECTOR_BROKER, else 127.0.0.1:9092
"""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaProducer

BROKER = (sys.argv[1:] or [os.environ.get("STREAM_DETECTOR_BROKER") or "127.0.0.1:9092"])[0]
PREFIX = os.environ.get("STREAM_DETECTOR_TOPIC_PREFIX", "")
today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
execution = {"execution_id": f"nightly-{today:%Y-%m-%d}", "workflow_id": "nightly", "status": "success"}
execution |= {"started_at": today.isoformat(), "finished_at": (today + timedelta(seconds=93)).isoformat()}
score = {
    "entity_id": "lido",
    "entity_name": "Lido",
    "previous_score": 7.5,
    "score": 5.8,
    "scored_at": today.isoformat(),
}


async def main() -> None:
    async with AIOKafkaProducer(bootstrap_servers=BROKER, acks="all") as producer:
        for topic, key, event in (("workflow-completions", "nightly", execution), ("scores", "lido", score)):
            await producer.send_and_wait(PREFIX + topic, json.dumps(event).encode(), key=key.encode())
            print("published", topic, json.dumps(event))


asyncio.run(main())

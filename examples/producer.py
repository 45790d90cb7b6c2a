"""Publish one workflow completion and one score run. Run it twice: the ids are of the day, so each counts once.

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
now = datetime.now(UTC)
day = f"{now:%Y-%m-%d}"
execution = {"execution_id": f"nightly-{day}", "workflow_id": "nightly", "status": "success"}
execution |= {"started_at": (now - timedelta(seconds=93)).isoformat(), "finished_at": now.isoformat()}
score = {
    "entity_id": "lido",
    "entity_name": "Lido",
    "previous_score": 7.5,
    "score": 5.8,
    "scored_at": now.isoformat(),
    "run_id": day,
}
ended = {"run_id": day, "status": "completed", "at": now.isoformat(), "expected": 1}
EVENTS = ("workflow-completions", "nightly", execution), ("scores", "lido", score), ("score-runs", day, ended)


async def main() -> None:
    async with AIOKafkaProducer(bootstrap_servers=BROKER, acks="all") as producer:
        for topic, key, event in EVENTS:
            await producer.send_and_wait(PREFIX + topic, json.dumps(event).encode(), key=key.encode())
            print("published", topic, json.dumps(event))


asyncio.run(main())

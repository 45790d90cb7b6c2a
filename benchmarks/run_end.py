"""From the end of a score run to its message: how long, on an idle installation with the default settings.

python -m benchmarks.run_end [--runs N] [--pause S] [--kafka apache|embedded]

Each run has 20 scores, one of them an anomaly; they are acknowledged, and after `--pause` seconds, less up to one at
random, its `completed` event without `expected` is sent. The clock runs from its acknowledgement to the moment at which
Slack's webhook has the message. The last line on stdout is one JSON object, in seconds.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from aiokafka import AIOKafkaProducer

from benchmarks.broker import new_broker, split_cores
from benchmarks.command import conditions, parser_of, report
from benchmarks.latency import percentile
from benchmarks.measure import WrongResultError
from stream_detector.kafka.client import client_options
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.topics import SCORE_RUNS, SCORES
from stream_detector.settings import Settings
from tests.drills.roles import Role
from tests.servers.slack import SlackServer

ENTITIES = 20
PATIENCE_S = 60.0


class TimedSlack(SlackServer):
    """Slack, and when each message came."""

    def __init__(self) -> None:
        super().__init__()
        self.came: asyncio.Queue[float] = asyncio.Queue()

    async def _post(self, request: web.Request) -> web.Response:
        self.came.put_nowait(time.monotonic())
        return await super()._post(request)


async def one_run(
    producer: AIOKafkaProducer, settings: Settings, slack: TimedSlack, number: int, pause_s: float
) -> float:
    """Seconds from the acknowledged end of a run to its message."""
    run_id, at, sent = f"run-{number}", datetime.now(UTC).isoformat(), []
    for entity in range(ENTITIES):
        name = f"entity-{entity}"
        event = {"entity_id": name, "entity_name": name, "run_id": run_id, "scored_at": at}
        event |= {"score": 5.8 if entity == 0 else 7.5, "previous_score": 7.5}  # type: ignore[dict-item]
        sent.append(await producer.send(settings.topic(SCORES), json.dumps(event).encode(), key=name.encode()))
    await asyncio.gather(*sent)
    await asyncio.sleep(max(0.0, pause_s - random.random()))
    end = {"run_id": run_id, "status": "completed", "at": datetime.now(UTC).isoformat()}
    await producer.send_and_wait(settings.topic(SCORE_RUNS), json.dumps(end).encode(), key=run_id.encode())
    began_s = time.monotonic()
    try:
        return await asyncio.wait_for(slack.came.get(), PATIENCE_S) - began_s
    except TimeoutError:
        raise WrongResultError(f"{run_id}: no message within {PATIENCE_S:.0f} s") from None


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All runs, one after the other."""
    slack = TimedSlack()
    await slack.start()
    with (
        tempfile.TemporaryDirectory() as name,
        new_broker(arguments.kafka, Path(name) / "kafka", jars=arguments.jars, cores=split_cores()[1]) as broker,
    ):
        settings = Settings(
            broker=broker, slack_webhook_url=slack.url, rate_limit_count=100_000, rate_limit_window_s=1.0
        )
        await make_topics(settings)
        roles = [Role.start(role, settings, Path(name)) for role in ("detector", "notifier")]
        try:
            async with AIOKafkaProducer(**client_options(settings), acks="all") as producer:
                await one_run(producer, settings, slack, 0, arguments.pause)  # a cold start is not what is measured
                took = [
                    await one_run(producer, settings, slack, number, arguments.pause)
                    for number in range(1, arguments.runs + 1)
                ]
        finally:
            for role in roles:
                role.stop()
            await slack.stop()
    took.sort()
    figures = {f"p{share:g}": round(percentile(took, share / 100), 2) for share in (50, 99)}
    return {**figures, "max": round(took[-1], 2), **conditions(arguments, "runs", "pause")}


def main() -> int:
    """Parse, measure, report."""
    parser = parser_of("run_end", __doc__, kafka="embedded")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between the scores and the end, at most")
    arguments = parser.parse_args()
    return report(lambda: asyncio.run(measure(arguments)))


if __name__ == "__main__":
    sys.exit(main())

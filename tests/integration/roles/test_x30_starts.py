"""X30: starts and ends on any partitions, two recorders of which one is killed, and a detector: what runs is right."""

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import COMPLETIONS, DEAD_LETTERS
from stream_detector.store.running import running, settle
from tests.drills.stage import until

NOW = datetime.now(UTC)
RUNS = 600


@pytest.fixture(params=["tansu"])
def broker(request):
    """What is tested is between the topic, the state and the table: one kind of broker is enough."""
    return request.getfixturevalue(request.param)


def start(number, attempt=1):
    event = {"state": "started", "execution_id": f"run-{number}", "workflow_id": f"w{number % 7}", "attempt": attempt}
    return json.dumps(event | {"started_at": (NOW - timedelta(seconds=90)).isoformat()}).encode()


def end(number):
    """Its payload knows no start, as those of OpenLineage and CDEvents."""
    event = {"execution_id": f"run-{number}", "workflow_id": f"w{number % 7}", "status": "success", "duration_s": None}
    return json.dumps(event | {"started_at": NOW.isoformat(), "finished_at": NOW.isoformat()}).encode()


async def test_x30_what_runs_is_what_has_not_ended_whoever_reads_start_and_end(play, producer, pool, postgres_url):
    play.settings = replace(play.settings, database_url=postgres_url)
    first, second, detector = play.start("recorder"), play.start("recorder"), play.start("detector")

    async def ready():
        return first.ready and second.ready and detector.ready

    await until(ready, "two recorders and a detector", play.last_words)
    draw, topic = random.Random(30), play.settings.topic(COMPLETIONS)
    sent = [start(number) for number in range(RUNS)] + [end(number) for number in range(RUNS) if number % 10]
    sent += [start(number, attempt=2) for number in range(0, RUNS, 50)] + draw.sample(sent, 100)
    draw.shuffle(sent)
    for value in sent:
        await producer.send(topic, value, partition=draw.randrange(play.settings.partitions))
    await producer.flush()

    async def begun():
        return await pool.fetchval("SELECT count(*) FROM executions") > 50

    await until(begun, "the first rows", play.last_words)
    second.kill()
    await play.drained("recorder", "detector", alive=lambda: first.alive and detector.alive)
    found, following = await running(pool, limit=1000)
    wanted = {(f"run-{number}", 2 if number % 50 == 0 else 1) for number in range(0, RUNS, 10)}
    assert {(each.event.execution_id, each.event.attempt) for each in found} == wanted and following is None
    await settle(pool)  # as the recorder does it every 30 s
    rows = await pool.fetch("SELECT duration_s, count(*) FROM executions GROUP BY duration_s")
    assert [tuple(row) for row in rows] == [(90.0, RUNS - RUNS // 10)]
    assert [record async for record in read_topic(play.settings, DEAD_LETTERS)] == []

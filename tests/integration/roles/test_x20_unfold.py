"""Records of several events through the real roles: each is judged and stored once, each bad one kept and retried."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from stream_detector.devstack.tansu import Tansu
from stream_detector.kafka import topics
from stream_detector.kafka.dlq import read_dead_letters, retry
from stream_detector.kafka.topics import COMPLETIONS, owner_partition
from tests.drills.ledger import counted, recovered
from tests.drills.stage import Play
from tests.integration.roles.events import completion

FLOWS = [f"job-{number}" for number in range(8)]


@pytest.fixture
def broker(tansu: Tansu) -> Tansu:
    """The drill `unfold` runs on Apache Kafka, too."""
    return tansu


@pytest.fixture
def play(play: Play, pool: asyncpg.Pool, postgres_url: str) -> Play:
    play.settings = replace(play.settings, database_url=postgres_url)
    return play


async def test_x20_each_event_of_a_record_counts_once_and_a_bad_one_is_retried_alone(
    play: Play, producer: Any, pool: asyncpg.Pool
) -> None:
    assert {owner_partition(name, 4) for name in FLOWS} == {0, 1, 2, 3}
    topic = play.settings.topic(COMPLETIONS)
    failing = [completion(number, FLOWS[0], status="failure") for number in (90, 91, 92)]
    bad = json.dumps(json.loads(completion(99, FLOWS[1])) | {"finished_at": "noon"}).encode()
    for first in range(0, 40, 20):
        events = [completion(number, FLOWS[number % 8]) for number in range(first, first + 20)]
        batch = [
            {"specversion": "1.0", "id": "1", "source": "/ci", "type": "done", "data": json.loads(one)}
            for one in events
        ]
        value = b"[" + b",".join(events) + b"]" if first else json.dumps(batch).encode()
        await producer.send_and_wait(topic, value, partition=first // 20)
    await producer.send_and_wait(topic, b"[" + b",".join([bad, *failing, b"{}"]) + b"]", partition=2, key=b"k")
    detector, recorder = play.start("detector"), play.start("recorder")
    await play.drained("detector", "recorder", alive=lambda: detector.alive and recorder.alive)
    state = await recovered(play.settings)
    assert {name: counted(state[f"workflow:{name}"], f"workflow:{name}") for name in FLOWS} == {
        name: 5 + 3 * (name == FLOWS[0]) for name in FLOWS
    }
    rows = await pool.fetch("SELECT execution_id, source_partition, source_offset, source_index FROM executions")
    assert Counter(row[0] for row in rows) == Counter(f"x{number}" for number in [*range(40), 90, 91, 92])
    assert {row[0]: tuple(row)[1:] for row in rows}["x92"] == (2, 0, 3)
    assert await pool.fetchval("SELECT count(*) FROM anomalies WHERE state = 'opened'") >= 1
    letters = {letter.why.index: letter async for letter in read_dead_letters(play.settings)}
    assert {index: (letter.value, letter.key) for index, letter in letters.items()} == {
        0: (bad, b"k"),
        4: (b"{}", b"k"),
    }
    kept = await pool.fetch("SELECT original_offset, original_index, message FROM dead_letters ORDER BY 2")
    assert [tuple(row)[:2] for row in kept] == [(0, 0), (0, 4)] and kept[1]["message"].startswith(
        "event 5 of its record"
    )
    name, partition, _ = await retry(play.settings, letters[0])
    assert (name, partition) == (topics.COMPLETIONS, 2)
    await play.drained("detector", "recorder", alive=lambda: detector.alive and recorder.alive)
    again = [letter async for letter in read_dead_letters(play.settings)]
    assert [letter.why.index for letter in again].count(None) == 1, "it alone came back, as a record of its own"
    assert await recovered(play.settings) == state


def second(number: int) -> bytes:
    """An execution each second of the last hours."""
    at = datetime.now(UTC) - timedelta(hours=3) + timedelta(seconds=number)
    return completion(number, FLOWS[number % 8], started_at=at.isoformat(), finished_at=at.isoformat(), duration_s=None)


async def test_x20_more_events_than_one_go_takes_are_fetched_again_and_none_is_lost(
    play: Play, producer: Any, pool: asyncpg.Pool
) -> None:
    """Five records of 1,500 events in one fetch: the chunk ends behind the second."""
    topic = play.settings.topic(COMPLETIONS)
    for first in range(0, 7_500, 1_500):
        events = [second(number) for number in range(first, first + 1_500)]
        await producer.send_and_wait(topic, b"[" + b",".join(events) + b"]", partition=3)
    detector, recorder = play.start("detector"), play.start("recorder")
    await play.drained("detector", "recorder", alive=lambda: detector.alive and recorder.alive)
    assert await pool.fetchval("SELECT count(*) FROM executions") == 7_500
    state = await recovered(play.settings)
    learned = [counted(state[f"workflow:{name}"], f"workflow:{name}") for name in FLOWS]
    assert sum(learned) == 7_500 and max(learned) - min(learned) == 1

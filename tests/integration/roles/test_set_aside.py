"""X10: a record that kills the process, where no code can catch it, is set aside after three ends; nothing else is."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from stream_detector.devstack.tansu import Tansu
from stream_detector.events.encode import encode
from stream_detector.kafka import topics
from stream_detector.kafka.client import client_options
from stream_detector.kafka.dlq import read_dead_letters
from stream_detector.kafka.end_offsets import EndOffsets, total_lag
from tests.drills.harms import KILLS, KILLS_IN_FETCH
from tests.drills.roles import Role
from tests.drills.stage import Play, until
from tests.events_made import anomaly
from tests.record_batches import RawBatch, Written

MOST_ENDS = 12
pytestmark = pytest.mark.drill
"""A role is started up to a dozen times: a minute or more each."""


def completion(number: int, text: bytes = b"") -> bytes:
    at = datetime.now(UTC).isoformat()
    event = {"execution_id": f"x{number}", "workflow_id": f"w{number % 5}", "status": "success"}
    return json.dumps(event | {"started_at": at, "finished_at": at, "error": text.decode()}).encode()


@pytest.fixture
async def play(play: Play, pool: asyncpg.Pool, postgres_url: str, broker: object) -> Play:
    """As `up` starts roles where the broker keeps nothing with an offset."""
    starts = str(play.folder / "starts") if isinstance(broker, Tansu) else ""
    play.settings = replace(play.settings, database_url=postgres_url, starts_file=starts)
    return play


async def until_read(play: Play, name: str, *, change: str = "poisoned") -> int:
    """Start the role again whenever it was killed; how often it was until it had read everything."""
    ends, role = 0, play.start(name, change=change)
    async with EndOffsets(play.settings) as asked:

        async def done() -> bool:
            nonlocal ends, role
            if role.alive:
                return role.answers("/readyz") == 200 and not total_lag(await asked.lags(), name)
            assert role.killed, play.last_words()
            ends += 1
            assert ends <= MOST_ENDS, play.last_words()
            role = play.start(name, change=change)
            return False

        await until(done, f"the {name}", play.last_words)
    assert role.stop() == 0, play.last_words()
    return ends


async def publish(play: Play, topic: str, values: list[bytes], codec: str = "none") -> None:
    """Each as a batch of its own, except a compressed one."""
    now_ms = round(time.time() * 1000)
    async with AIOKafkaProducer(**client_options(play.settings), acks="all") as producer:
        batches = [values] if codec != "none" else [[value] for value in values]
        for batch in batches:
            raw = RawBatch([Written(None, value, [(b"n", b"1")], now_ms) for value in batch], codec)
            await (await producer.send_batch(raw, play.settings.topic(topic), partition=0))


async def set_aside(play: Play) -> list[tuple[str, int, str, bytes | None]]:
    """What is on dead letters."""
    return [
        (letter.why.topic, letter.why.offset, letter.why.reason, letter.value)
        async for letter in read_dead_letters(play.settings)
    ]


ALERT = encode(anomaly("one"))
CASES = {
    "detector": (topics.COMPLETIONS, [completion(number) for number in range(5)], completion(99, KILLS)),
    "recorder": (topics.ALERTS, [ALERT], ALERT.replace(b"one happened", KILLS)),
    "notifier": (topics.ALERTS, [ALERT], ALERT.replace(b"one happened", KILLS)),
}


@pytest.mark.parametrize("name", CASES)
async def test_x10_a_record_that_kills_is_set_aside_after_three_ends_alone(
    play: Play, pool: asyncpg.Pool, name: str
) -> None:
    topic, good, poison = CASES[name]
    assert KILLS in poison
    twice = [poison] if name == "detector" else []
    await publish(play, topic, [*good, poison, *good, *twice, *good])
    ends = await until_read(play, name)
    first, second = len(good), 2 * len(good) + 1
    wanted = [(topic, at, "step_failed", poison) for at in (first, second)]
    assert await set_aside(play) == wanted[: 1 + len(twice)]
    # Twice, or three times where a checkpoint was between, then three times alone; another one near it, three times.
    assert 5 <= ends - 3 * len(twice) <= 6
    log = (play.folder / f"{name}.log").read_text()
    assert f"{topic}-0@{first}: the {name} ended 3 times in a row" in log
    assert "PostgreSQL lacks" not in log
    stored = await pool.fetchval("SELECT count(*) FROM anomalies")
    assert stored == (1 if name == "recorder" else 0)


async def test_x10_a_batch_that_kills_when_it_is_read_is_set_aside_whole(play: Play) -> None:
    await publish(play, topics.COMPLETIONS, [completion(number) for number in range(5)])
    await publish(play, topics.COMPLETIONS, [completion(5), completion(99, KILLS_IN_FETCH), completion(6)], "zstd")
    await publish(play, topics.COMPLETIONS, [completion(number) for number in range(7, 9)])
    assert 6 <= await until_read(play, "detector") <= 7  # once more: it is fetched alone, to be kept as it is
    ((topic, offset, reason, value),) = await set_aside(play)
    assert (topic, offset, reason) == (topics.COMPLETIONS, 7, "unsupported_format") and value


async def test_x10_four_kills_in_a_row_at_one_offset_set_nothing_aside(play: Play) -> None:
    await publish(play, topics.COMPLETIONS, [completion(number) for number in range(30)])
    for _ in range(4):
        role = play.start("detector", fault_point="changelog-acked:1")
        await until(lambda role=role: _is_dead(role), "the detector to be killed", play.last_words)
    assert await until_read(play, "detector") == 0
    assert await set_aside(play) == []


async def test_x10_an_end_for_what_a_broker_refuses_sets_no_record_aside(play: Play) -> None:
    refused = completion(99, KILLS)
    await publish(play, topics.COMPLETIONS, [*(completion(number) for number in range(3)), refused, completion(4)])
    for _ in range(7):
        role = play.start("detector", change="refused-delivery")
        await until(lambda role=role: _is_dead(role), "the detector to end", play.last_words)
        assert not role.killed, play.last_words()
    assert await set_aside(play) == []
    async with EndOffsets(play.settings) as asked:
        lags = await asked.lags()
    assert total_lag(lags, "detector") >= 2


async def _is_dead(role: Role) -> bool:
    return not role.alive

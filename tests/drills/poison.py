"""Each kind of record that once ended a role, on each topic, among good events; roles are started again as they end.

Some kill the process itself (see `harms.poisoned`): these alone may end a role, and lie on dead letters afterwards.
"""

import asyncio
import json
import re
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream_detector.devstack.tansu import Tansu
from stream_detector.events.encode import encode
from stream_detector.kafka import topics
from stream_detector.kafka.client import client_options
from stream_detector.kafka.dlq import read_dead_letters
from stream_detector.kafka.end_offsets import EndOffsets, total_lag
from tests.drills.harms import KILLS, KILLS_IN_FETCH
from tests.drills.ledger import Verdict
from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, Play, Stage, stage, until
from tests.events_made import anomaly
from tests.record_batches import RawBatch, Written
from tests.unit.roles.any_record import DEEP

EVENTS = 10_000
ROLES = ("detector", "recorder", "notifier")
INFLATED_BYTES = 400_000_000
MOST_ENDS = 60
"""Of all roles: each meets up to three records that kill."""


def completion(number: int, text: bytes = b"") -> bytes:
    """A good event, with a text in it."""
    at = datetime.now(UTC).isoformat()
    event = {"execution_id": f"x{number}", "workflow_id": f"w{number % 50}", "status": "success"}
    return json.dumps(event | {"started_at": at, "finished_at": at, "error": text.decode()}).encode()


def odd_records(topic: str) -> list[Written]:
    """One of each kind; what is large comes by itself."""
    now_ms = round(time.time() * 1000)
    value = {topics.ALERTS: encode(anomaly("odd"))}.get(topic, completion(0))
    return [
        Written(b"k", value, [(b"\xff\xfename", b"1")], now_ms),
        Written(b"k", value, [(b"ok", b"1")], 2**62),
        Written(b"k", value, [], -5),
        Written(b"workflow:nightly", b"\x07", [], now_ms),
        Written(b"\xff", b"\x01\x00", [], now_ms),
        Written(b"k", DEEP, [], now_ms),
        Written(b"k", b"[" * 2_000, [(b"stream-detector-origin", b"alerts/\xff/9999999999999999999999/1")], now_ms),
        Written(b"k", value, [(b"stream-detector-origin", b"alerts/99/1/99999999999999999999")], now_ms),
        Written(b"workflow:nightly", None, [], now_ms),
    ]


async def put(producer: AIOKafkaProducer, topic: str, records: list[Written], codec: str = "none") -> bool:
    """Whether the broker took it."""
    try:
        await (await producer.send_batch(RawBatch(records, codec), topic, partition=0))
    except KafkaError:
        return False
    return True


async def drill(options: Options) -> Outcome:
    """Good events, one of each kind of poison on each topic, and good events again."""
    outcome = Outcome("poison")
    with stage(options.kafka) as ground:
        for _ in range(options.runs):
            outcome.add(await _run(ground, options, outcome))
    return outcome


async def _run(ground: Stage, options: Options, outcome: Outcome) -> Verdict:
    verdict = Verdict()
    async with ground.play() as play:
        if isinstance(ground.broker, Tansu):  # as `up` starts them
            play.settings = replace(play.settings, starts_file=str(play.folder / "starts"))
        half, name = options.events // 2, play.settings.topic(topics.COMPLETIONS)
        change = options.without or "poisoned"
        roles = {role: _start(play, role, change) for role in ROLES}
        pool = await asyncpg.create_pool(play.settings.database_url, min_size=1, max_size=1)
        try:
            async with AIOKafkaProducer(**client_options(play.settings), acks="all") as producer:
                await _publish(producer, name, range(1, half + 1))
                taken, killers = await _poison(play, producer)
                await _publish(producer, name, range(half + 1, 2 * half + 1))
            await _caught_up(play, pool, roles, change, 2 * half, outcome, patience_s=60 if options.without else 300)
            await _reported(play, pool)
            known = await pool.fetch("SELECT execution_id FROM executions WHERE execution_id LIKE 'x%'")
            found = Counter(row["execution_id"] for row in known)
        finally:
            await pool.close()
        verdict.events = 2 * half + taken
        wanted = {f"x{number}" for number in range(1, 2 * half + 1)}
        verdict.note("executions", lost=len(wanted - found.keys()), doubled=found.total() - len(found))
        kept = Counter([letter.value async for letter in read_dead_letters(play.settings)])
        verdict.note("records that kill", lost=sum(not kept[value] for value in killers))
        good = re.compile(rb'"x[1-9]')
        verdict.note("good events set aside", different=sum(bool(good.search(value or b"")) for value in kept))
        for role in roles.values():
            if await asyncio.to_thread(role.stop):
                raise DrillError(f"the {role.name} ended by itself\n{play.last_words()}")
    return verdict


def _start(play: Play, role: str, change: str) -> Role:
    starts = play.settings.starts_file and f"{play.settings.starts_file}.{role}"
    return play.start(role, change=change, starts_file=starts)


async def _publish(producer: AIOKafkaProducer, topic: str, numbers: range) -> None:
    for number in numbers:
        await producer.send(topic, completion(number), key=f"w{number % 50}".encode())
    await producer.flush()


async def _poison(play: Play, producer: AIOKafkaProducer) -> tuple[int, set[bytes]]:
    """How many records the broker took; those of them that kill."""
    taken, now_ms = 0, round(time.time() * 1000)
    for topic in topics.BY_NAME:
        for record in odd_records(topic):
            taken += await put(producer, play.settings.topic(topic), [record])
    zeros = Written(b"zeros", bytes(INFLATED_BYTES), [], now_ms)
    alert = encode(anomaly("kills"))
    killers = {topics.COMPLETIONS: completion(0, KILLS), topics.ALERTS: alert.replace(b"kills happened", KILLS)}
    for topic, value in killers.items():
        assert KILLS in value
        name = play.settings.topic(topic)
        taken += await put(producer, name, [zeros], "zstd")
        taken += await put(producer, name, [Written(None, value, [(b"n", b"1")], now_ms)])
    in_fetch = Written(None, KILLS_IN_FETCH * 3, [], now_ms)  # on a topic of the detector alone: six ends more
    taken += await put(producer, play.settings.topic(topics.RUN_PARTS), [in_fetch], "zstd")
    return taken, set(killers.values())


async def _caught_up(
    play: Play, pool: Any, roles: dict[str, Role], change: str, wanted: int, outcome: Outcome, *, patience_s: float
) -> None:
    """Return once all has been read; a role that was killed is started again."""

    async def done() -> bool:
        for name, role in roles.items():
            if role.alive:
                continue
            outcome.restarts += 1
            if not role.killed or outcome.restarts > MOST_ENDS:
                raise DrillError(f"the {name} ended by itself\n{play.last_words()}")
            roles[name] = _start(play, name, change)
        stored = await pool.fetchval("SELECT count(*) FROM executions WHERE execution_id LIKE 'x%'")
        return stored >= wanted and not any([await _lag(play, name) for name in roles])

    await until(done, "the roles to catch up", play.last_words, patience_s=patience_s)


async def _reported(play: Play, pool: Any) -> None:
    """Return once a message names the records that ended each role."""
    statement = "SELECT event FROM notifications WHERE channel = 'inbox' AND position('ended the'::bytea IN event) > 0"

    async def named() -> bool:
        texts = [row["event"].decode() for row in await pool.fetch(statement)]
        return all(any(f"ended the {role}" in text and "-0@" in text for text in texts) for role in ROLES)

    await until(named, "a message about what ended each role", play.last_words)


async def _lag(play: Play, role: str) -> int:
    async with EndOffsets(play.settings) as ends:
        return total_lag(await ends.lags(), role)

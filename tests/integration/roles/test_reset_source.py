"""X16: the log of a source partition is another one: `reset-source` has the role continue, and forgets nothing else."""

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from stream_detector.devstack.apache import Apache
from stream_detector.kafka.topics import COMPLETIONS, owner_partition
from tests.drills.commands import call
from tests.drills.ledger import recovered
from tests.drills.stage import Play
from tests.integration.roles.events import completion
from tests.integration.roles.test_detector import make_anew
from tests.integration.roles.watching import count, dead

pytestmark = [pytest.mark.apache, pytest.mark.drill]
HOME, AWAY = owner_partition("nightly", 4), (owner_partition("nightly", 4) + 1) % 4
OTHER = next(name for name in ("hourly", "weekly", "daily") if owner_partition(name, 4) not in (HOME, AWAY))


@pytest.fixture
def broker(apache: Apache) -> Apache:
    """Deleting a topic and keeping offsets is about Apache Kafka."""
    return apache


@pytest.fixture
async def play(play: Play, pool: asyncpg.Pool, postgres_url: str) -> Play:
    play.settings = replace(play.settings, database_url=postgres_url)
    return play


async def put(play: Play, producer: Any, workflow: str, numbers: range, partition: int) -> None:
    for number in numbers:
        value = completion(number, workflow, execution_id=f"{workflow}-{number}")
        await producer.send(play.settings.topic(COMPLETIONS), value, key=workflow.encode(), partition=partition)
    await producer.flush()


async def work(play: Play) -> None:
    roles = [play.start(name) for name in ("detector", "recorder")]
    await play.drained("detector", "recorder", alive=lambda: all(role.alive for role in roles))
    for role in roles:
        assert await asyncio.to_thread(role.stop) == 0


async def test_x16_a_detector_continues_after_its_topic_was_recreated(
    play: Play, producer: Any, pool: asyncpg.Pool
) -> None:
    """Events on the owner's partition, events that are passed on to it, and a key that has nothing to do with them."""
    await put(play, producer, "nightly", range(20), HOME)
    await put(play, producer, "nightly", range(20, 40), AWAY)
    await put(play, producer, OTHER, range(15), owner_partition(OTHER, 4))
    await work(play)
    before = await recovered(play.settings)
    assert await count(play) == 40
    await make_anew(play.settings, COMPLETIONS)
    await producer.client.force_metadata_update()
    await put(play, producer, "nightly", range(40, 43), HOME)
    await put(play, producer, "nightly", range(43, 45), AWAY)
    refused = play.start("detector")
    await dead(play, refused)
    assert "reset-source --topic workflow-completions --partition" in refused.child.last_lines(3)
    words = "reset-source", "--topic", COMPLETIONS, "--to", "earliest", "--partition"

    recorder = play.start("recorder")
    await play.drained("recorder", alive=lambda: recorder.alive)
    done = await asyncio.to_thread(call, play.settings, *words, str(HOME), "--role", "recorder")
    assert done.returncode == 1 and "the recorder runs" in done.stderr
    assert await asyncio.to_thread(recorder.stop) == 0

    done = await asyncio.to_thread(call, play.settings, *words, str(HOME), "--dry-run")
    assert done.returncode == 0 and "detector: had applied 20, would continue at 0" in done.stdout, done
    assert await recovered(play.settings) == before

    for partition in range(4):
        done = await asyncio.to_thread(call, play.settings, *words, str(partition))
        assert done.returncode == 0 or "no role has applied more" in done.stderr, done
    assert await recovered(play.settings) == before, "no value has changed"
    await work(play)
    assert await count(play) == 45
    after = await recovered(play.settings)
    assert after.keys() == before.keys() and after[f"workflow:{OTHER}"] == before[f"workflow:{OTHER}"]
    assert await pool.fetchval("SELECT count(*) FROM executions WHERE workflow_id = 'nightly'") == 45
    newest = await pool.fetchval("SELECT max(source_offset) FROM executions WHERE source_partition = $1", HOME)
    assert newest == 2, "the former ones lie below the new log"

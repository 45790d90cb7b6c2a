"""The recorder as a process: bad rows alone to dead letters, what is only away never; two at once store once."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from stream_detector.events.dead_letter import read_dead_letter
from stream_detector.events.encode import encode
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import ALERTS, COMPLETIONS, DEAD_LETTERS
from tests.drills.stage import until
from tests.events_made import anomaly

DAY = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture(params=["tansu"])
def broker(request):
    """What is tested is between the topic and the table: one kind of broker is enough."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def play(play, pool, postgres_url):
    play.settings = replace(play.settings, database_url=postgres_url)
    return play


def completion(number, minutes=0, status="success"):
    at = (DAY + timedelta(minutes=minutes)).isoformat()
    event = {"execution_id": f"run-{number}", "workflow_id": f"w{number % 7}", "status": status}
    return json.dumps(event | {"started_at": at, "finished_at": at}).encode()


async def letters(settings):
    return [record async for record in read_topic(settings, DEAD_LETTERS)]


async def test_a_row_that_the_database_refuses_is_kept_as_it_came_and_the_others_are_stored(play, producer, pool):
    topic, bad = play.settings.topic(ALERTS), encode(anomaly("bad", id="not a uuid"))
    own = [("trace", b"\xff\x00"), ("mode", b"x")]
    for number in range(30):
        await producer.send(topic, encode(anomaly(str(number))), partition=1)
        if number == 12:
            await producer.send(topic, bad, key=b"\x80key", headers=own, partition=1)
    await producer.flush()
    recorder = play.start("recorder")
    await play.drained("recorder", alive=lambda: recorder.alive)
    assert await pool.fetchval("SELECT count(*) FROM anomalies") == 30
    (letter,) = await letters(play.settings)
    assert (letter.value, letter.key) == (bad, b"\x80key")
    why = read_dead_letter(letter.headers)
    assert (why.topic, why.partition, why.offset) == (ALERTS, 1, 13)
    assert (why.stage, why.reason) == ("store", "rejected_by_store")
    assert list(why.headers) == own


async def test_two_at_once_one_of_them_killed_store_everything_once(play, producer, pool):
    first, second = play.start("recorder"), play.start("recorder")

    async def both():
        return first.ready and second.ready

    await until(both, "two recorders", play.last_words)
    topic = play.settings.topic(COMPLETIONS)
    for number in range(2000):
        await producer.send(topic, completion(number), key=f"w{number % 7}".encode())
    await producer.flush()

    async def begun():
        return await pool.fetchval("SELECT count(*) FROM executions") > 0

    await until(begun, "the first rows", play.last_words)
    second.kill()
    await play.drained("recorder", alive=lambda: first.alive)
    assert await pool.fetchval("SELECT count(*) FROM executions") == 2000
    assert not await letters(play.settings)


async def test_the_same_execution_with_another_time_is_stored_once(play, producer, pool):
    topic = play.settings.topic(COMPLETIONS)
    for minutes, partition in ((5, 0), (9, 0), (7, 1)):
        await producer.send_and_wait(topic, completion(1, minutes, "failure"), partition=partition)
    recorder = play.start("recorder")
    await play.drained("recorder", alive=lambda: recorder.alive)
    rows = await pool.fetch("SELECT finished_at FROM executions")
    assert len(rows) == 1 and rows[0]["finished_at"] in {DAY + timedelta(minutes=5), DAY + timedelta(minutes=7)}


@pytest.mark.parametrize("harm", ["lock_timeout = '50ms'", "default_transaction_read_only = on"])
async def test_what_passes_buries_nothing(play, producer, pool, harm):
    """A lock that somebody holds, a standby during a failover: it waits, and then it stores."""
    name = await pool.fetchval("SELECT current_database()")
    async with pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("LOCK TABLE executions IN ACCESS EXCLUSIVE MODE")
        await pool.execute(f"ALTER DATABASE {name} SET {harm}")
        recorder = play.start("recorder")
        await producer.send_and_wait(play.settings.topic(COMPLETIONS), completion(1), partition=0)

        async def waits():
            return "PostgreSQL at" in recorder.child.last_lines(1)

        await until(waits, "the recorder waits", play.last_words)
        await pool.execute(f"ALTER DATABASE {name} RESET {harm.partition(' ')[0]}")

    async def stored():
        return await pool.fetchval("SELECT count(*) FROM executions") == 1

    await until(stored, "the row", play.last_words)
    assert not await letters(play.settings)


@pytest.mark.drill
async def test_x16_a_database_that_was_put_back_is_reported_without_a_new_event(play, producer, pool):
    topic = play.settings.topic(COMPLETIONS)
    for number in range(40):
        await producer.send(topic, completion(number), partition=number % 2)
    await producer.flush()
    recorder = play.start("recorder")
    await play.drained("recorder", alive=lambda: recorder.alive)
    assert recorder.stop() == 0
    noted = (
        "SELECT partition, next_offset FROM recorder_positions WHERE topic = $1 AND next_offset > 0 ORDER BY partition"
    )
    assert [tuple(row) for row in await pool.fetch(noted, COMPLETIONS)] == [(0, 20), (1, 20)]
    await pool.execute("UPDATE recorder_positions SET next_offset = 12 WHERE (topic, partition) = ($1, 1)", COMPLETIONS)
    await pool.execute("DELETE FROM executions WHERE source_partition = 1 AND source_offset >= 12")
    again = play.start("recorder")

    async def reported():
        return "lacks what was stored of workflow-completions-1 (offsets 12 to 19)" in again.child.last_lines(20)

    await until(reported, "the report", play.last_words)
    assert await pool.fetchval("SELECT count(*) FROM recorder_gaps") == 1
    assert [tuple(row) for row in await pool.fetch(noted, COMPLETIONS)] == [(0, 20), (1, 20)]

"""X1: a run's end and its scores in any order, cold, behind, and amid a rebalance, against real brokers."""

import asyncio
import json
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from stream_detector.kafka.client import client_options
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import RUN_SUMMARIES, SCORE_RUNS, SCORES, owner_partition
from tests.drills.stage import until
from tests.integration.roles.watching import ready

AT = datetime.now(UTC) - timedelta(hours=1)
ENTITIES = 400
PLACE = owner_partition("dao-0", 4)


class Scores:
    """A producer of runs: each entity has 7.5 in run `before`, and 5.8 in the next."""

    def __init__(self, play, producer):
        self.play, self.producer = play, producer

    async def run(self, run_id, value, entities=range(ENTITIES), *, days=0.0, foreign=False):
        """Every score is acknowledged when it returns."""
        sent = []
        for number in entities:
            entity = f"dao-{number}"
            event = {"entity_id": entity, "entity_name": entity, "score": value, "run_id": run_id}
            when = (AT + timedelta(days=days)).isoformat()
            where = (
                {"key": f"of another {number}".encode()} if foreign and number % 10 == 0 else {"key": entity.encode()}
            )
            value_ = json.dumps(event | {"scored_at": when}).encode()
            sent.append(await self.producer.send(self.play.settings.topic(SCORES), value_, **where))
        await asyncio.gather(*sent)

    async def end(self, run_id, status="completed", **more):
        event = {"run_id": run_id, "status": status, "at": AT.isoformat()} | more
        topic = self.play.settings.topic(SCORE_RUNS)
        await self.producer.send_and_wait(topic, json.dumps(event).encode(), key=run_id.encode())

    async def summaries(self, run_id):
        """Of one run, by revision; an id that came twice has the same content."""
        found = {}
        async for record in read_topic(self.play.settings, RUN_SUMMARIES):
            summary = msgspec.json.decode(record.value)
            if summary["run_id"] == run_id:
                assert found.setdefault(summary.get("revision", 1), record.value) == record.value
        return [msgspec.json.decode(value) for _, value in sorted(found.items())]

    async def summary(self, run_id, revision=1, *, patience_s=60.0):
        async def there():
            return len(await self.summaries(run_id)) >= revision

        await until(there, f"revision {revision} of {run_id}", self.play.last_words, patience_s)
        return (await self.summaries(run_id))[revision - 1]


@pytest.fixture
def scores(play, producer):
    return Scores(play, producer)


async def test_x1_a_cold_detector_puts_all_that_was_acknowledged_before_the_end_into_the_summary(play, scores):
    await scores.run("before", 7.5, days=-1)
    await scores.run("r", 5.8, foreign=True)
    await scores.end("r")
    play.start("detector")
    summary = await scores.summary("r")
    assert (summary["scored"], summary["anomaly_count"]) == (ENTITIES, ENTITIES)
    assert "not_waited_for" not in summary
    assert len(await scores.summaries("r")) == 1


async def test_x1_a_detector_that_was_held_has_all_in_the_summary(play, scores):
    detector = play.start("detector")
    await ready(play, detector)
    await scores.run("before", 7.5, days=-1)
    await play.drained("detector", alive=lambda: detector.alive)
    detector.child.send(signal.SIGSTOP)
    await scores.run("r", 5.8, foreign=True)
    await scores.end("r")
    await asyncio.sleep(3)  # the time is the situation: it was held so long
    detector.child.send(signal.SIGCONT)
    summary = await scores.summary("r")
    assert (summary["scored"], summary["anomaly_count"]) == (ENTITIES, ENTITIES)


async def test_x1_another_members_partitions_are_waited_for(play, scores):
    first, second = play.start("detector"), play.start("detector")
    for detector in (first, second):
        await ready(play, detector)
    await scores.run("before", 7.5, days=-1)
    await play.drained("detector", alive=lambda: first.alive and second.alive)
    runs = [f"r{number}" for number in range(8)]  # of both members
    second.child.send(signal.SIGSTOP)
    try:
        for run_id in runs:
            await scores.run(run_id, 5.8, range(40), days=runs.index(run_id) / 1000)
            await scores.end(run_id)
        await asyncio.sleep(2)  # within the session of 6 s: it is held, not gone
    finally:
        second.child.send(signal.SIGCONT)
    assert [(await scores.summary(run_id))["scored"] for run_id in runs] == [40] * 8
    assert sum([len(await scores.summaries(run_id)) for run_id in runs]) == 8


async def test_x1_an_end_before_its_scores_is_revised_and_says_what_is_new(play, scores):
    detector = play.start("detector")
    await scores.run("before", 7.5, range(3), days=-1)
    await scores.run("r", 5.8, range(1))
    await scores.end("r")
    first = await scores.summary("r")
    assert (first["scored"], first["anomaly_count"]) == (1, 1)
    await scores.run("r", 5.8, range(1, 3))
    second = await scores.summary("r", revision=2)
    assert (second["scored"], second["anomaly_count"], second["revision"]) == (3, 3, 2)
    old = first["anomalies"][0]["id"]
    assert set(second["new"]) == {one["id"] for one in second["anomalies"]} - {old}
    assert second["id"] != first["id"]
    assert await asyncio.to_thread(detector.stop) == 0


@pytest.mark.parametrize("broker", ["tansu"], indirect=True)
@pytest.mark.parametrize(
    "point",
    [
        pytest.param("end-applied", marks=pytest.mark.drill),
        "ends-asked",
        pytest.param("ends-reached", marks=pytest.mark.drill),
        "closed-sent",
        pytest.param("closed-read", marks=pytest.mark.drill),
    ],
)
async def test_x1_killed_while_a_run_ends_the_next_owner_ends_it_the_same(play, scores, point):
    await scores.run("before", 7.5, range(20), days=-1)
    await scores.run("r", 5.8, range(20))
    await scores.end("r")
    killed = play.start("detector", fault_point=point)

    async def dead():
        return not killed.alive

    await until(dead, point, play.last_words)
    assert killed.killed
    play.start("detector")
    summary = await scores.summary("r")
    assert (summary["scored"], summary["anomaly_count"]) == (20, 20)


@pytest.mark.apache
@pytest.mark.parametrize("broker", ["apache"], indirect=True)
async def test_x1_scores_of_a_transaction_are_in_the_summary_beside_aborted_ones(play, producer):
    """Markers, and an aborted transaction at the end of a partition, are no records that a commit could pass by."""
    detector = play.start("detector")
    await ready(play, detector)
    options = client_options(play.settings)
    async with AIOKafkaProducer(**options, acks="all", transactional_id=play.settings.topic("t")) as transactional:
        scores, plain = Scores(play, transactional), Scores(play, producer)
        for run_id, value, aborted in (("before", 7.5, False), ("r", 5.8, False), ("r", 1.0, True)):
            await transactional.begin_transaction()
            await scores.run(run_id, value, range(40), days=-1 if run_id == "before" else 0)
            await (transactional.abort_transaction() if aborted else transactional.commit_transaction())
        await plain.end("r")
        summary = await plain.summary("r", patience_s=20)
    assert (summary["scored"], summary["anomaly_count"]) == (40, 40)
    assert "not_waited_for" not in summary, "it did not wait until patience ended"


@pytest.mark.apache
@pytest.mark.parametrize("broker", ["apache"], indirect=True)
async def test_x1_a_run_behind_a_transaction_that_never_ends_is_closed_and_says_what_is_missing(play, producer):
    play.settings = replace(play.settings, run_end_wait_s=3.0)
    detector = play.start("detector")
    await ready(play, detector)
    options = client_options(play.settings)
    async with AIOKafkaProducer(**options, acks="all", transactional_id=play.settings.topic("t")) as transactional:
        hung, plain = Scores(play, transactional), Scores(play, producer)
        await plain.run("before", 7.5, days=-1)
        await play.drained("detector", alive=lambda: detector.alive)  # the first score waits for what it needs
        end = 1 + max([one.offset async for one in read_topic(play.settings, SCORES) if one.partition == PLACE])
        await transactional.begin_transaction()
        await hung.run("r", 5.8, range(1))
        others = [n for n in range(1, 40) if owner_partition(f"dao-{n}", 4) != PLACE]
        await plain.run("r", 5.8, others)
        await plain.end("r")
        first = await plain.summary("r")
        assert first["scored"] == len(others)
        assert first["not_waited_for"] == [f"{play.settings.topic(SCORES)}-{PLACE}: 1 of {end + 1}"]
        await transactional.commit_transaction()
        assert (await plain.summary("r", revision=2))["scored"] == len(others) + 1

"""Whether all that was published before is applied: two stages, asked after the question, each look at most once."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError

from stream_detector.delivery import published_before as module
from stream_detector.delivery.published_before import PublishedBefore

S0, S1, R0 = TopicPartition("scores", 0), TopicPartition("scores", 1), TopicPartition("rekeyed", 0)


class Broker:
    """Topics and one group, and what was asked of it in what order."""

    def __init__(self) -> None:
        self.ends = {S0: 5, S1: 0, R0: 2}
        self.at = {S0: 5, S1: 0, R0: 2}
        self.asked: list[str] = []

    async def end_offsets(self, names):
        self.asked.append(f"ends {names[0]}")
        return {tp: end for tp, end in self.ends.items() if tp.topic in names}

    async def applied(self, role, names):
        assert role == "detector"
        self.asked.append(f"applied {names[0]}")
        return {tp: at for tp, at in self.at.items() if tp.topic in names}


class Scene:
    def __init__(self, connect=None) -> None:
        self.broker, self.done, self.looks = Broker(), 0, asyncio.Semaphore(0)
        self.answers = asyncio.Semaphore(0)
        self.published = PublishedBefore(
            connect or self.connect,
            "detector",
            (("scores",), ("rekeyed",)),
            patience_s=60,
            pause=self.pause,
            on_done=self.on_done,
        )

    @asynccontextmanager
    async def connect(self):
        yield self.broker

    async def pause(self):
        await self.looks.acquire()

    def on_done(self):
        self.done += 1
        self.answers.release()

    async def look(self):
        await self.published.look(self.broker)


@pytest.fixture
async def scene():
    return Scene()


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


async def test_where_all_is_applied_at_the_first_look_nothing_waits(scene):
    tickets = [scene.published.ask() for _ in range(3)]
    await scene.look()
    assert all(ticket.done and not ticket.not_waited_for for ticket in tickets)
    assert scene.broker.asked == ["ends scores", "applied scores", "ends rekeyed", "applied rekeyed"], "once for all"
    assert scene.done == 1


async def test_the_second_stage_is_asked_for_when_the_first_is_reached(scene):
    """What is still in `scores` is forwarded to `rekeyed` later: an end asked for now would be too low."""
    scene.broker.at[S0] = 4
    ticket = scene.published.ask()
    await scene.look()
    assert (ticket.done, scene.broker.asked) == (False, ["ends scores", "applied scores"])
    scene.broker.at[S0], scene.broker.ends[R0] = 5, 3
    await scene.look()
    assert not ticket.done
    scene.broker.at[R0] = 3
    scene.broker.ends[R0] = scene.broker.ends[S0] = 99
    await scene.look()
    assert ticket.done, "what is published after the question is not waited for"


async def test_another_members_partition_counts_as_well(scene):
    scene.broker.ends[S1] = 1
    ticket = scene.published.ask()
    await scene.look()
    assert not ticket.done
    scene.broker.at[S1] = 1
    await scene.look()
    assert ticket.done


async def test_a_question_during_a_wait_has_ends_of_its_own(scene):
    scene.broker.at[S0] = 4
    first = scene.published.ask()
    await scene.look()
    scene.broker.ends[S0] = 8
    second = scene.published.ask()
    scene.broker.at[S0] = 6
    await scene.look()
    assert (first.done, second.done) == (True, False)
    scene.broker.at[S0] = 8
    await scene.look()
    assert second.done


async def test_a_wait_without_any_movement_for_a_minute_is_given_up_and_named(scene, clock):
    scene.broker.at[S0] = 3
    ticket = scene.published.ask()
    for second in range(0, 58, 2):
        clock[0] += 2
        await scene.look()
        assert not ticket.done, second
    scene.broker.at[S0] = 4
    for _ in range(30):
        clock[0] += 2
        await scene.look()
    assert not ticket.done, "it had moved"
    clock[0] += 2
    await scene.look()
    assert (ticket.done, ticket.not_waited_for) == (True, ["scores-0: 1 of 5"])


async def test_a_process_that_was_stopped_has_not_waited_meanwhile(scene, clock):
    scene.broker.at[S0] = 3
    ticket = scene.published.ask()
    await scene.look()
    clock[0] += 3_600
    await scene.look()
    assert not ticket.done


async def test_it_answers_beside_the_worker_and_connects_again_when_the_broker_was_away(scene):
    connections = 0

    @asynccontextmanager
    async def connect():
        nonlocal connections
        connections += 1
        if connections == 1:
            raise KafkaConnectionError("away")
        yield scene.broker

    scene = Scene(connect)
    running = asyncio.create_task(scene.published.run())
    try:
        await asyncio.sleep(0)
        assert connections == 0, "nobody asks: nothing is connected"
        ticket = scene.published.ask()
        scene.looks.release()
        await asyncio.wait_for(scene.answers.acquire(), 5)
        assert ticket.done
        assert (connections, scene.done) == (2, 1)
        again = scene.published.ask()
        await asyncio.wait_for(scene.answers.acquire(), 5)
        assert again.done
        assert connections == 2
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_is_forgotten_is_not_answered(scene):
    scene.broker.at[S0] = 4
    ticket = scene.published.ask()
    await scene.look()
    scene.published.forget()
    scene.broker.at[S0] = 5
    await scene.look()
    assert (ticket.done, scene.done) == (False, 0)


async def test_what_the_broker_does_not_allow_ends_the_worker_instead_of_each_wait():
    @asynccontextmanager
    async def connect():
        raise GroupAuthorizationFailedError("stream-detector.detector")
        yield

    scene = Scene(connect)
    scene.published.ask()
    with pytest.raises(GroupAuthorizationFailedError):
        await asyncio.wait_for(scene.published.run(), 5)

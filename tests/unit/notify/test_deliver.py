"""The deliverer without any network: channels that do as the test says."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from stream_detector.notify.message import LONGEST_WAIT_S, Delivered, Delivery, Message, Refused, Result, RetryAfter
from stream_detector.notify.stages.circuit_breaker import FIRST_REST_S, CircuitBreaker
from stream_detector.notify.stages.deliver import Deliverer


class Doing:
    """A channel that awaits what it is given for each message."""

    def __init__(self, do: Callable[[Message], Coroutine[Any, Any, Result]]) -> None:
        self._do, self.closed = do, False

    async def deliver(self, message: Message) -> Result:
        return await self._do(message)

    async def close(self) -> None:
        self.closed = True


def delivery(name: str = "1", channel: str = "c") -> Delivery:
    return Delivery(message=Message(id=name, channel=channel, severity="warning", title="t", text="t"))


class Answers(list[tuple[str, Result]]):
    """What came back, and a way to wait for so many."""

    def __init__(self) -> None:
        self.came = asyncio.Event()

    def __call__(self, one: Delivery, result: Result) -> None:
        self.append((one.message.id, result))
        self.came.set()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self) < count:
                self.came.clear()
                await self.came.wait()


async def ok(message: Message) -> Result:
    return Delivered("ok")


async def never(message: Message) -> Result:
    await asyncio.Event().wait()
    raise AssertionError


async def broken(message: Message) -> Result:
    raise RuntimeError("https://hooks.example.org/secret")


async def test_answers_come_back_and_the_channel_is_closed_at_the_end() -> None:
    channel, answers = Doing(ok), Answers()
    deliverer = Deliverer({"c": channel}, answers)
    assert deliverer.submit(delivery())
    await answers.wait_for(1)
    assert answers == [("1", Delivered("ok"))]
    assert deliverer.busy_channels == frozenset()
    assert deliverer.submit(delivery()), "it may be tried again once it was answered"
    await answers.wait_for(2)
    await deliverer.stop()
    assert channel.closed


async def test_a_defect_of_a_channel_is_a_retry_without_its_words() -> None:
    answers = Answers()
    deliverer = Deliverer({"c": Doing(broken)}, answers)
    deliverer.submit(delivery("1"))
    await answers.wait_for(1)
    deliverer.submit(delivery("2"))
    await answers.wait_for(2)
    assert answers[0] == ("1", RetryAfter(0.0, "failed with RuntimeError"))
    await deliverer.stop()


async def test_a_delivery_that_takes_too_long_is_a_retry() -> None:
    answers = Answers()
    deliverer = Deliverer({"c": Doing(never)}, answers, timeout_s=0.01)
    deliverer.submit(delivery())
    await answers.wait_for(1)
    assert answers == [("1", RetryAfter(0.0, "no answer within 0.01 s"))]
    await deliverer.stop()


async def test_a_channel_has_one_on_its_way_and_one_without_settings_refuses() -> None:
    answers = Answers()
    deliverer = Deliverer({"c": Doing(never)}, answers)
    assert [deliverer.submit(delivery(name)) for name in ("0", "1", "0")] == [True, False, False]
    assert deliverer.submit(delivery("x", channel="gone"))
    await answers.wait_for(1)
    assert answers == [("x", Refused("channel gone has no settings any more"))]
    await deliverer.stop(within_s=0.01)


async def test_stop_cancels_what_hangs() -> None:
    answers = Answers()
    deliverer = Deliverer({"c": Doing(never)}, answers)
    deliverer.submit(delivery())
    await deliverer.stop(within_s=0.01)
    assert answers == []
    assert deliverer.busy_channels == frozenset()


async def test_a_defect_of_the_caller_ends_no_task() -> None:
    answers = Answers()

    def on_result(one: Delivery, result: Result) -> None:
        answers(one, result)
        if one.message.id == "1":
            raise ValueError("no")

    deliverer = Deliverer({"c": Doing(ok)}, on_result)
    for number in (1, 2):
        deliverer.submit(delivery(str(number)))
        await answers.wait_for(number)
    await deliverer.stop()
    assert [one for one, _ in answers] == ["1", "2"]


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


async def test_a_channel_that_fails_rests_and_is_tried_by_one_message_alone() -> None:
    clock, answers, results = Clock(), Answers(), [RetryAfter(0.0, "away")] * 6 + [Delivered("ok")] * 9
    tried: list[str] = []

    async def do(message: Message) -> Result:
        tried.append(message.id)
        return results.pop(0)

    deliverer = Deliverer({"c": Doing(do)}, answers, clock=clock)
    for number in range(5):
        assert deliverer.submit(delivery(str(number)))
        await answers.wait_for(number + 1)
    assert tried == ["0", "1", "2", "3", "4"]
    assert not deliverer.submit(delivery("5"))
    clock.now_s += FIRST_REST_S
    assert deliverer.submit(delivery("5"))
    assert not deliverer.submit(delivery("6")), "one alone tries"
    await answers.wait_for(6)
    clock.now_s += FIRST_REST_S
    assert not deliverer.submit(delivery("5")), "it rests twice as long"
    clock.now_s += FIRST_REST_S
    for number in range(7, 10):
        assert deliverer.submit(delivery(str(number)))
        await answers.wait_for(number)
    await deliverer.stop()


async def test_a_wait_that_a_provider_asks_for_is_the_whole_channels() -> None:
    clock, answers = Clock(), Answers()
    results: list[Result] = [RetryAfter(7.0, "429"), Delivered("ok")]

    async def do(message: Message) -> Result:
        return results.pop(0)

    deliverer = Deliverer({"c": Doing(do), "other": Doing(ok)}, answers, clock=clock)
    deliverer.submit(delivery("1"))
    await answers.wait_for(1)
    clock.now_s += 6.9
    assert not deliverer.submit(delivery("2"))
    assert deliverer.submit(delivery("2", channel="other"))
    clock.now_s += 0.1
    assert deliverer.submit(delivery("2"))
    await answers.wait_for(3)
    await deliverer.stop()


def test_a_refusal_is_an_answer_and_the_longest_rest_is_bounded() -> None:
    clock = Clock()
    circuit = CircuitBreaker(clock)
    for _ in range(4):
        circuit.record(RetryAfter(0.0, "away"))
    circuit.record(Refused("no"))
    circuit.record(RetryAfter(0.0, "away"))
    assert not circuit.is_open()
    for _ in range(100):
        circuit.record(RetryAfter(0.0, "away"))
    clock.now_s += LONGEST_WAIT_S
    assert not circuit.is_open()

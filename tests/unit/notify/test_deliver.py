"""The deliverer without any network: channels that do as the test says."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from stream_detector.notify.deliver import Deliverer
from stream_detector.notify.message import Delivered, Delivery, Message, Refused, Result, RetryAfter


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
    await deliverer.start()
    assert deliverer.submit(delivery())
    await answers.wait_for(1)
    assert answers == [("1", Delivered("ok"))]
    assert deliverer.under_way == frozenset()
    assert deliverer.submit(delivery()), "it may be tried again once it was answered"
    await answers.wait_for(2)
    await deliverer.stop()
    assert channel.closed


async def test_a_defect_of_a_channel_is_a_retry_without_its_words() -> None:
    answers = Answers()
    deliverer = Deliverer({"c": Doing(broken)}, answers)
    await deliverer.start()
    deliverer.submit(delivery("1"))
    deliverer.submit(delivery("2"))
    await answers.wait_for(2)
    assert answers[0] == ("1", RetryAfter(0.0, "failed with RuntimeError"))
    await deliverer.stop()


async def test_a_delivery_that_takes_too_long_is_a_retry() -> None:
    answers = Answers()
    deliverer = Deliverer({"c": Doing(never)}, answers, timeout_s=0.01)
    await deliverer.start()
    deliverer.submit(delivery())
    await answers.wait_for(1)
    assert answers == [("1", RetryAfter(0.0, "no answer within 0.01 s"))]
    await deliverer.stop()


async def test_the_queue_is_bounded_and_a_channel_without_settings_is_refused() -> None:
    answers = Answers()
    deliverer = Deliverer({"c": Doing(never)}, answers, queue_size=2)
    assert [deliverer.submit(delivery(str(number))) for number in range(3)] == [True, True, False]
    assert not deliverer.submit(delivery("0"))
    assert deliverer.submit(delivery("x", channel="gone"))
    await answers.wait_for(1)
    assert answers == [("x", Refused("channel gone has no settings any more"))]
    await deliverer.stop(within_s=0.01)


async def test_stop_leaves_what_waits_and_cancels_what_hangs() -> None:
    answers = Answers()
    deliverer = Deliverer({"c": Doing(never)}, answers)
    await deliverer.start()
    for number in range(3):
        deliverer.submit(delivery(str(number)))
    await asyncio.sleep(0)
    await deliverer.stop(within_s=0.01)
    assert answers == []
    assert deliverer.under_way == frozenset()


async def test_a_defect_of_the_caller_ends_no_task() -> None:
    answers = Answers()

    def on_result(one: Delivery, result: Result) -> None:
        answers(one, result)
        if one.message.id == "1":
            raise ValueError("no")

    deliverer = Deliverer({"c": Doing(ok)}, on_result)
    await deliverer.start()
    deliverer.submit(delivery("1"))
    deliverer.submit(delivery("2"))
    await answers.wait_for(2)
    await deliverer.stop()

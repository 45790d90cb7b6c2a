"""Deliveries, carried out: each channel has one on its way at most, so a slow or dead channel delays no other (W31)."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from stream_detector.notify.channels.channel import Channel
from stream_detector.notify.message import Delivery, Refused, Result, RetryAfter
from stream_detector.notify.stages.circuit_breaker import FIRST_REST_S, CircuitBreaker
from stream_detector.telemetry.log_events import ChannelPaused, ChannelResumed, DeliveryResultNotRecorded

TIMEOUT_S = 60.0
"""Longer than any channel's own: it is there for a channel that does not keep it."""

OnResult = Callable[[Delivery, Result], None]


class Deliverer:
    """Hands messages to channels and their answers to `on_result`, on the loop that it is used on.

    Nothing is kept here that matters: what is not delivered when it stops is due again from the policy's state.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        on_result: OnResult,
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channels, self._on_result, self._timeout_s = channels, on_result, timeout_s
        self._circuits = {name: CircuitBreaker(clock) for name in channels}
        self._paused: set[str] = set()
        """Those whose pause is in the log."""
        self._under_way: dict[str, asyncio.Task[Result]] = {}

    @property
    def busy_channels(self) -> frozenset[str]:
        """Those that have a delivery on its way."""
        return frozenset(self._under_way)

    def submit(self, delivery: Delivery) -> bool:
        """Take a delivery; at once, and without ever raising.

        Returns:
            Whether it was taken. False where the channel has one on its way already, or rests: it stays due, so the
            caller simply submits it again with the next round.
        """
        name = delivery.message.channel
        channel = self._channels.get(name)
        if name in self._under_way or (channel and self._circuits[name].is_open()):
            return False
        answer = channel.deliver(delivery.message) if channel else _refuse_unknown(name)
        task = asyncio.create_task(self._answer_in_time(answer), name=f"deliver-{name}")
        self._under_way[name] = task
        task.add_done_callback(partial(self._record, delivery))
        return True

    async def stop(self, within_s: float = 5.0) -> None:
        """Let what is on the wire finish for `within_s`, then cancel it; close every channel."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way.values(), timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            await asyncio.sleep(0)  # the callbacks of those that have just ended
        for channel in self._channels.values():
            with contextlib.suppress(Exception):
                await asyncio.wait_for(channel.close(), within_s)

    async def _answer_in_time(self, answer: Coroutine[Any, Any, Result]) -> Result:
        try:
            return await asyncio.wait_for(answer, self._timeout_s)
        except TimeoutError:
            return RetryAfter(0.0, f"no answer within {self._timeout_s:g} s")
        except Exception as error:  # a channel's own defect must not end the others; the text may hold a secret URL
            return RetryAfter(0.0, f"failed with {type(error).__name__}")

    def _record(self, delivery: Delivery, task: "asyncio.Task[Result]") -> None:
        name = delivery.message.channel
        del self._under_way[name]
        if task.cancelled():
            return
        result = task.result()
        if name in self._circuits:
            self._circuits[name].record(result)
            self._report(name, result)
        try:
            self._on_result(delivery, result)
        except Exception as error:
            DeliveryResultNotRecorded(delivery.message.id, name, repr(error)).emit()

    def _report(self, name: str, result: Result) -> None:
        """Log the first pause worth knowing of, and the end of all of them."""
        if not isinstance(result, RetryAfter):
            if name in self._paused:
                self._paused.discard(name)
                ChannelResumed(name).emit()
        elif (rest_s := self._circuits[name].rests_for_s) >= FIRST_REST_S - 1 and name not in self._paused:
            self._paused.add(name)
            ChannelPaused(name, rest_s, result.reason).emit()


async def _refuse_unknown(name: str) -> Result:
    return Refused(f"channel {name} has no settings any more")

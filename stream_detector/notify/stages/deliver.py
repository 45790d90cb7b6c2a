"""Deliveries, carried out: one queue and one task a channel, so that a slow or dead channel delays no other (W31)."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping

from stream_detector.notify.channels.channel import Channel
from stream_detector.notify.message import Delivery, Refused, Result, RetryAfter
from stream_detector.notify.stages.circuit import Circuit
from stream_detector.telemetry.log_events import DeliveryResultNotRecorded

QUEUE_SIZE = 1_000
TIMEOUT_S = 60.0
"""Longer than any channel's own: it is there for a channel that does not keep it."""

OnResult = Callable[[Delivery, Result], None]


class Deliverer:
    """Hands messages to channels and their answers to `on_result`, on the loop that it was started on.

    Nothing is kept here that matters: what is not delivered when it stops is due again from the policy's state.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        on_result: OnResult,
        *,
        timeout_s: float = TIMEOUT_S,
        queue_size: int = QUEUE_SIZE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channels, self._on_result, self._timeout_s = channels, on_result, timeout_s
        self._queues: dict[str, asyncio.Queue[Delivery]] = {n: asyncio.Queue(queue_size) for n in channels}
        self._circuits = {name: Circuit(clock) for name in channels}
        self._under_way: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def under_way(self) -> frozenset[str]:
        """Keys of the deliveries that were submitted and have no answer yet."""
        return frozenset(self._under_way)

    async def start(self) -> None:
        """Start one task a channel."""
        self._tasks = [asyncio.create_task(self._run(name), name=f"deliver-{name}") for name in self._channels]

    def submit(self, delivery: Delivery) -> bool:
        """Take a delivery; at once, and without ever raising.

        Returns:
            Whether it was taken. False where it is on its way already, the channel's queue is full, or the channel
            rests: it stays due, so the caller simply submits it again with the next round.
        """
        if delivery.key in self._under_way:
            return False
        queue = self._queues.get(delivery.message.channel)
        if queue is None:
            self._under_way.add(delivery.key)
            gone = Refused(f"channel {delivery.message.channel} has no settings any more")
            asyncio.get_running_loop().call_soon(self._answer, delivery, gone)
            return True
        circuit = self._circuits[delivery.message.channel]
        if not circuit.takes():
            return False
        try:
            queue.put_nowait(delivery)
        except asyncio.QueueFull:
            return False
        circuit.handed()
        self._under_way.add(delivery.key)
        return True

    async def stop(self, within_s: float = 5.0) -> None:
        """Let what is on the wire finish for `within_s`, then cancel it; close every channel."""
        if self._tasks:
            for queue in self._queues.values():
                while not queue.empty():
                    self._under_way.discard(queue.get_nowait().key)
                    queue.task_done()
            finish = asyncio.gather(*(queue.join() for queue in self._queues.values()))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(finish, within_s)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._tasks = []
        for channel in self._channels.values():
            with contextlib.suppress(Exception):
                await asyncio.wait_for(channel.close(), within_s)

    async def _run(self, name: str) -> None:
        queue, channel, circuit = self._queues[name], self._channels[name], self._circuits[name]
        while True:
            delivery = await queue.get()
            try:
                if circuit.rests():
                    continue  # since this was put in line: it stays due
                result = await self._deliver(channel, delivery)
                circuit.answered(result)
                self._answer(delivery, result)
            finally:
                self._under_way.discard(delivery.key)
                queue.task_done()

    async def _deliver(self, channel: Channel, delivery: Delivery) -> Result:
        try:
            return await asyncio.wait_for(channel.deliver(delivery.message), self._timeout_s)
        except TimeoutError:
            return RetryAfter(0.0, f"no answer within {self._timeout_s:g} s")
        except Exception as error:  # a channel's own defect must not end its task; the text may hold a secret URL
            return RetryAfter(0.0, f"failed with {type(error).__name__}")

    def _answer(self, delivery: Delivery, result: Result) -> None:
        self._under_way.discard(delivery.key)
        try:
            self._on_result(delivery, result)
        except Exception as error:
            DeliveryResultNotRecorded(delivery.message.id, delivery.message.channel, repr(error)).emit()

"""Whether all that was published before a moment is applied: by every member of the group, not by this one alone.

What a group has committed is applied, and what came out of it is acknowledged. So once its commits have reached the
ends that the topics had at that moment, everything published before is applied, and lies on the topics that it led to.
Where one of those is read by the group in turn, its ends are asked for only then, and waited for the same: a stage
each.

Ends are asked for after the moment, never taken from an earlier answer. They count what a transaction has not yet
committed: its events may have been published before.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from aiokafka.structs import TopicPartition

from stream_detector.delivery import faults

LONGEST_LOOK_S = 5.0
"""So much time at most counts between two looks: a process that was stopped has not waited meanwhile."""

Offsets = Mapping[TopicPartition, int]


class Asked(Protocol):
    """What is asked of the broker (`kafka.end_offsets.EndOffsets`)."""

    async def end_offsets(self, names: Collection[str]) -> Offsets:
        """The end of each partition of these topics, none older than this call."""

    async def applied(self, role: str, names: Collection[str]) -> Offsets:
        """How far the role's group has committed each of them; without a commit, where it begins."""


class Ticket:
    """One question: is all applied that was published before it was asked?"""

    def __init__(self) -> None:
        self.done = False
        self.not_waited_for: list[str] = []
        """Where nothing moved for too long: what is not applied, one text a partition."""


@dataclass
class _Wait:
    """Tickets that wait together."""

    tickets: list[Ticket]
    stage: int = 0
    ends: Offsets | None = None
    missing: dict[TopicPartition, int] = field(default_factory=dict)
    """Partition -> the offset that it has reached, of those that have not reached their end."""
    still_s: float = 0.0


class PublishedBefore:
    """Answers tickets, beside everything else that the worker does.

    Args:
        connect: to the broker; what it gives knows every topic of the stages.
        role: whose group.
        stages: topics without their prefix: first those that are published to, then those that the group itself writes
            from them and reads again, and so on.
        patience_s: a wait is given up where none of the positions that it waits for has moved for so long.
        pause: awaited between two looks: until the worker's next checkpoint.
        on_done: called when tickets are done.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractAsyncContextManager[Asked]],
        role: str,
        stages: Sequence[Collection[str]],
        *,
        patience_s: float,
        pause: Callable[[], Awaitable[None]],
        on_done: Callable[[], None],
    ) -> None:
        self._connect, self._role, self._stages = connect, role, stages
        self._patience_s, self._pause, self._on_done = patience_s, pause, on_done
        self._new: list[Ticket] = []
        self._waits: list[_Wait] = []
        self._wanted = asyncio.Event()
        self._looked_at_s = 0.0

    def ask(self) -> Ticket:
        """A ticket that is done once all is applied that was published before this call."""
        ticket = Ticket()
        self._new.append(ticket)
        self._wanted.set()
        return ticket

    def forget(self) -> None:
        """Drop all tickets: whoever owns what they were for asks anew."""
        self._new, self._waits = [], []

    async def run(self) -> None:
        """Answer until it is cancelled. While the broker is away nothing is done, and no time counts.

        Raises:
            KafkaError: it does not allow to ask.
        """
        while True:
            await self._wanted.wait()
            try:
                async with self._connect() as asked:
                    while True:
                        await self._answer(asked)
            except (GroupAuthorizationFailedError, TopicAuthorizationFailedError):
                raise  # would stay so, and no run would end: the worker ends with what to grant
            except (KafkaError, OSError, TimeoutError):
                self._looked_at_s = 0.0
                await self._pause()

    async def _answer(self, asked: Asked) -> None:
        if not (self._new or self._waits):
            self._wanted.clear()
            self._looked_at_s = 0.0
            await self._wanted.wait()
        await self.look(asked)
        if self._new or self._waits:
            await self._pause()

    async def look(self, asked: Asked) -> None:
        """Look once, for all that wait."""
        now_s = time.monotonic()
        passed_s = min(LONGEST_LOOK_S, now_s - self._looked_at_s) if self._looked_at_s else 0.0
        self._looked_at_s = now_s
        if self._new:
            self._waits.append(_Wait(self._new))
            self._new = []
        waits = self._waits
        moved: set[int] = set()
        for stage, names in enumerate(self._stages):
            if new := [wait for wait in waits if wait.stage == stage and wait.ends is None]:
                ends = await asked.end_offsets(names)
                faults.reach("ends-asked")
                for wait in new:
                    wait.ends = ends
            if waiting := [wait for wait in waits if wait.stage == stage]:
                applied = await asked.applied(self._role, names)
                for wait in waiting:
                    if _advance(wait, applied):
                        moved.add(id(wait))
        if waits is not self._waits:
            return  # forgotten meanwhile
        for wait in waits:
            wait.still_s = 0.0 if id(wait) in moved else wait.still_s + passed_s
        self._finish()

    def _finish(self) -> None:
        done = [w for w in self._waits if w.stage == len(self._stages) or w.still_s >= self._patience_s]
        if not done:
            return
        self._waits = [wait for wait in self._waits if wait not in done]
        for wait in done:
            for ticket in wait.tickets:
                ticket.done, ticket.not_waited_for = True, _named(wait)
        faults.reach("ends-reached")
        self._on_done()


def _advance(wait: _Wait, applied: Offsets) -> bool:
    """Compare with the ends; True where a position that was waited for has moved, or it is the first comparison."""
    assert wait.ends is not None
    missing = {tp: applied.get(tp, 0) for tp, end in wait.ends.items() if applied.get(tp, 0) < end}
    moved = not wait.missing or any(missing.get(tp) != offset for tp, offset in wait.missing.items())
    wait.missing = missing
    if not missing:
        wait.stage, wait.ends = wait.stage + 1, None
    return moved


def _named(wait: _Wait) -> list[str]:
    ends = wait.ends or {}
    return [f"{tp.topic}-{tp.partition}: {ends[tp] - at} of {ends[tp]}" for tp, at in sorted(wait.missing.items())]

"""A role with one protection taken out: shows that a drill fails when it must. No part of the product.

`python -m tests.drills.unprotected PROTECTION ROLE`
"""

import asyncio
import importlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from faust.streams import Stream
from mode.utils.queues import ThrowableQueue

from stream_detector.settings import load
from stream_detector.stream import detector, faults
from stream_detector.stream.checkpoint import Checkpoint
from stream_detector.stream.detector import Detector
from stream_detector.stream.part import Part
from stream_detector.stream.recovery import PositionRecovery
from stream_detector.stream.transport import BatchConsumer


def commit_order() -> None:
    """Offsets are committed before the state is written."""

    async def carry_out(self: Checkpoint, snapshots: list[Any]) -> bool:
        for send in [send for snapshot in snapshots for send in snapshot.sends]:
            await send
        offsets = {tp: offset for snapshot in snapshots for tp, offset in snapshot.offsets.items()}
        if offsets:
            await self._app.consumer._commit(offsets)
            faults.reach("committed")
        written = [place for snapshot in snapshots for place in snapshot.written]
        for place in written:
            place.snapshot.finish()
        await self._write([(place, place.snapshot.records) for place in written])
        return bool(offsets)

    Checkpoint._carry_out = carry_out  # type: ignore[method-assign]


def applied_positions() -> None:
    """A key does not know what it has applied: every replayed event is applied again."""
    Part.applied = lambda self, key, source: 0  # type: ignore[method-assign]


def emptied_queues() -> None:
    """A harm, not a protection: Faust's emptying of the agents' queues when it resumes the flow after recovery
    (tables/recovery.py:659) is made to hit. Its seek lasts longer, the agents work slowly, and the first layer against
    it, that only changelogs are read until the rebalance is over, is out. That a chunk must follow cures it."""
    perform_seek, events, clear = BatchConsumer.perform_seek, Stream.events, ThrowableQueue.clear

    async def seek_slowly(self: BatchConsumer) -> None:
        await perform_seek(self)
        self.app = _Blind(self.app)
        await asyncio.sleep(1.0)
        self.app = self.app._app

    async def work_slowly(self: Stream[Any]) -> AsyncIterator[Any]:
        async for event in events(self):
            yield event
            await asyncio.sleep(0.05)

    def tell(self: ThrowableQueue) -> None:
        if not self.empty():
            print(f"THREW AWAY {self.qsize()} chunks", flush=True)
        clear(self)

    BatchConsumer.perform_seek = seek_slowly  # type: ignore[method-assign]
    Stream.events = work_slowly
    ThrowableQueue.clear = tell  # type: ignore[method-assign]


class _Blind:
    """An app that does not see its rebalances."""

    rebalancing = False

    def __init__(self, app: Any) -> None:
        self._app = app

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)


def following() -> None:
    """The same harm, and no rule that a chunk must follow."""
    emptied_queues()
    BatchConsumer.follows = lambda self, chunk: self.shards.position(chunk.tp) is not None  # type: ignore[method-assign]


def blocked_loop() -> None:
    """A harm: the first chunk blocks the loop for ever, as a call that never returns does."""
    Detector.handle = lambda self, name, chunk: time.sleep(3600)  # type: ignore[method-assign]


def deaf() -> None:
    """A harm: nothing is fetched any more, and nothing says so."""

    async def nothing(self: BatchConsumer, active_partitions: Any, longest_s: float) -> dict[Any, Any]:
        await asyncio.sleep(longest_s)
        return {}

    BatchConsumer._getmany = nothing  # type: ignore[method-assign]


def held_recovery() -> None:
    """A harm: recovery goes on until the file that HELD names is gone."""
    needed = PositionRecovery.need_recovery
    PositionRecovery.need_recovery = lambda self: Path(os.environ["HELD"]).exists() or needed(self)  # type: ignore[method-assign]


def working_step() -> None:
    """A harm, not a protection: the step has a defect, which events with the label `harm: step` meet."""
    step = detector.step

    def defective(baseline: Any, event: Any, *args: Any, **more: Any) -> Any:
        if getattr(event, "labels", {}).get("harm") == "step":
            raise ZeroDivisionError("a defect")
        return step(baseline, event, *args, **more)

    detector.step = defective  # type: ignore[assignment]


PROTECTIONS: dict[str, Callable[[], None]] = {
    "commit-order": commit_order,
    "applied-positions": applied_positions,
    "emptied-queues": emptied_queues,
    "following": following,
    "blocked-loop": blocked_loop,
    "deaf": deaf,
    "held-recovery": held_recovery,
    "working-step": working_step,
}


def main() -> int:
    protection, role = sys.argv[1:]
    PROTECTIONS[protection]()
    run: Callable[[Any], int] = importlib.import_module(f"stream_detector.stream.{role}").run
    return run(load())


if __name__ == "__main__":
    sys.exit(main())

"""Harms from within a role, which no signal can do: each must cost no event. Not part of the product."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from faust.streams import Stream
from mode.utils.queues import ThrowableQueue

from stream_detector.delivery import broker_clock, worker
from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.broker_clock import BrokerClock
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.consumer import BatchConsumer
from stream_detector.delivery.group import InlineConsumerThread
from stream_detector.delivery.processor import Positions
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.state.recovery import PositionRecovery
from stream_detector.events import Notification
from stream_detector.kafka import inflate, topics
from stream_detector.notify import policy
from stream_detector.roles import detector, due_keys
from stream_detector.roles.detector import Detector

DEFECTIVE_FOR = "meets-the-defect"
"""The entity that `defective-policy` is about."""
SLOW_S = 14.0
"""Longer than a rebalance may take (a session of 6 s), shorter than patience."""


def blocked_loop() -> None:
    """The first chunk blocks the loop for ever, as a call that never returns does."""
    Detector.apply = lambda self, source, chunk: time.sleep(3600)  # type: ignore[method-assign, assignment, return-value]


KILLS, KILLS_IN_FETCH = b"kills-the-process", b"kills-when-it-is-read"


def poisoned() -> None:
    """A record with `KILLS` ends the process when it is to be applied, with `KILLS_IN_FETCH` when it is inflated. On
    dead letters it does not: nobody decodes it there."""
    is_next, at_once = Positions.is_next, inflate.at_once

    def killed(self: Positions, chunk: Chunk) -> bool:
        is_decoded = not chunk.tp.topic.endswith(topics.DEAD_LETTERS)
        if is_decoded and any(KILLS in (record.value or b"") for record in chunk.records):
            os.kill(os.getpid(), signal.SIGKILL)
        return is_next(self, chunk)

    def killed_before(codec: int, data: bytes) -> bytes:
        if KILLS_IN_FETCH in (found := at_once(codec, data)):
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    Positions.is_next, inflate.at_once = killed, killed_before  # type: ignore[method-assign]


def refused_delivery() -> None:
    """The broker refuses what comes of a record with `KILLS`, at each start again."""
    is_next = Positions.is_next

    def failing(self: Positions, chunk: Chunk) -> bool:
        if any(KILLS in (record.value or b"") for record in chunk.records):
            self._fail("delivery: the broker refuses it")
        return is_next(self, chunk)

    Positions.is_next = failing  # type: ignore[method-assign]


def deaf() -> None:
    """Nothing is fetched any more, and nothing says so."""

    async def nothing(self: BatchConsumer, active_partitions: Any, longest_s: float) -> dict[Any, Any]:
        await asyncio.sleep(longest_s)
        return {}

    BatchConsumer._getmany = nothing  # type: ignore[method-assign]


def troubled_group() -> None:
    """Something unexpected, once to a heartbeat, then to the leader that assigns."""
    beat, assign, troubles = GroupCoordinator._do_heartbeat, GroupCoordinator._perform_assignment, ["heartbeat"]

    async def troubled_beat(self: GroupCoordinator) -> bool:
        if troubles == ["heartbeat"]:
            troubles.append("assignment")
            raise KafkaError("unexpected, to a heartbeat")
        return bool(await beat(self))

    async def troubled_assignment(self: GroupCoordinator, response: Any) -> Any:
        if troubles[-1] == "assignment":
            troubles.append("")
            raise ValueError("unexpected, to an assignment")
        return await assign(self, response)

    GroupCoordinator._do_heartbeat = troubled_beat
    GroupCoordinator._perform_assignment = troubled_assignment


def ended_renewal() -> None:
    """What renews the cluster's metadata ends by a defect once it is in its group: who waits for it would for ever."""
    update = AIOKafkaClient._metadata_update
    beat = GroupCoordinator._do_heartbeat

    async def defective(self: AIOKafkaClient, *args: Any) -> bool:
        raise RuntimeError("a defect")

    async def with_defect(self: GroupCoordinator) -> bool:
        if AIOKafkaClient._metadata_update is update:
            AIOKafkaClient._metadata_update = defective
            self._client.force_metadata_update()
        return bool(await beat(self))

    GroupCoordinator._do_heartbeat = with_defect


def silent_coordinator() -> None:
    """No answer of the coordinator ever reaches us, and nothing else says so."""
    InlineConsumerThread.answered_at_s = property(lambda self: 0.0, lambda self, at: None)  # type: ignore[assignment]


def held_recovery() -> None:
    """Recovery goes on until the file that HELD names is gone."""
    needed = PositionRecovery.need_recovery
    PositionRecovery.need_recovery = lambda self: Path(os.environ["HELD"]).exists() or needed(self)  # type: ignore[method-assign]


def emptied_queues() -> None:
    """Faust's emptying of the agents' queues when it resumes the flow after recovery (tables/recovery.py:659) is made
    to hit. Its seek lasts longer, the agents work slowly, and the first layer against it, that only changelogs are read
    until the rebalance is over, is out. The second cures it: a chunk must follow the one before."""
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


def defective_step() -> None:
    """The step has a defect, which events with the label `harm: step` meet."""
    step = detector.step

    def defective(baseline: Any, event: Any, *args: Any, **more: Any) -> Any:
        if getattr(event, "labels", {}).get("harm") == "step":
            raise ZeroDivisionError("a defect")
        return step(baseline, event, *args, **more)

    detector.step = defective


def shifted_clock() -> None:
    """The machine's clock is off by CLOCK_OFF_S seconds: what asks for the time, and the records that it stamps."""
    off_s, now, now_ns, append = float(os.environ["CLOCK_OFF_S"]), time.time, time.time_ns, BatchBuilder.append

    def append_stamped(self: BatchBuilder, *, timestamp: int | None, **more: Any) -> Any:
        return append(self, timestamp=round(time.time() * 1000) if timestamp is None else timestamp, **more)

    time.time, time.time_ns = lambda: now() + off_s, lambda: now_ns() + round(off_s * 1e9)
    BatchBuilder.append = append_stamped


def hasty_clock() -> None:
    """The minutes in which the clock looks at what is due take a second."""
    due_keys.MINUTE_S = 1


def fast_run_clock() -> None:
    """How long nothing came of a score run is counted 60 times as fast: 15 minutes are 15 seconds."""
    steady_ms = broker_clock.steady_ms
    BrokerClock.steady_ms = lambda self: 60 * steady_ms()  # type: ignore[method-assign]


def slow_revocation() -> None:
    """Giving partitions back takes longer than a rebalance may: the group goes on without this worker."""
    revoked = BatchConsumer.on_partitions_revoked

    async def slowly(self: BatchConsumer, tps: Any) -> None:
        if tps:
            print(f"{os.getpid()} HOLDS {len(tps)} partitions", flush=True)
            await asyncio.sleep(SLOW_S)
        await revoked(self, tps)

    BatchConsumer.on_partitions_revoked = slowly  # type: ignore[method-assign]


def slow_recovery() -> None:
    """Reading state from the changelog takes seconds: 200 records at a time, each time 50 ms."""
    make_app, recover = worker.make_app, StatePartition.apply_changelog

    def with_small_chunks(*args: Any) -> WorkerApp:
        app = make_app(*args)
        app.conf.broker_max_poll_records = 200
        return app

    def slowly(self: StatePartition[Any], records: list[Any]) -> None:
        print(f"{os.getpid()} RECOVERS from {records[0].offset}", flush=True)
        time.sleep(0.05)
        recover(self, records)

    worker.make_app = with_small_chunks
    StatePartition.apply_changelog = slowly  # type: ignore[method-assign]


def defective_policy() -> None:
    """A defect in the notifier's policy that one entity meets: it raises when half of the decision is in the state."""
    accept = policy.accept

    def defective(state: Any, item: Any, *given: Any) -> list[Notification]:
        decided = accept(state, item, *given)
        if getattr(item, "entity_id", "") == DEFECTIVE_FOR:
            raise ZeroDivisionError("a defect of the policy")
        return decided

    policy.accept = defective


def standbys() -> None:
    """Faust's default of one standby a table: partitions turn from active to standby and back."""
    make_app = worker.make_app

    def with_standbys(*args: Any) -> WorkerApp:
        app = make_app(*args)
        app.conf.table_standby_replicas = 1
        return app

    worker.make_app = with_standbys


HARMS: dict[str, Callable[[], None]] = {
    "blocked-loop": blocked_loop,
    "deaf": deaf,
    "defective-policy": defective_policy,
    "defective-step": defective_step,
    "emptied-queues": emptied_queues,
    "ended-renewal": ended_renewal,
    "held-recovery": held_recovery,
    "silent-coordinator": silent_coordinator,
    "fast-run-clock": fast_run_clock,
    "hasty-clock": hasty_clock,
    "poisoned": poisoned,
    "refused-delivery": refused_delivery,
    "shifted-clock": shifted_clock,
    "slow-recovery": slow_recovery,
    "slow-revocation": slow_revocation,
    "standbys": standbys,
    "troubled-group": troubled_group,
}

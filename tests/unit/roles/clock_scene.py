"""The clock of one detector without sockets: its partition, the broker's time, and rules of one due time a key."""

import asyncio
from types import SimpleNamespace
from typing import Any

from stream_detector.delivery.clock_topic import Intake
from stream_detector.delivery.published_before import Ticket
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.detect import Config, WorkflowBaseline
from stream_detector.detect.times import resting
from stream_detector.events import Anomaly
from stream_detector.events.decode_census import decode_source_census
from stream_detector.events.source_census import SourceCensus
from stream_detector.roles.detector import BASELINE
from stream_detector.roles.stream_clock import StreamClock
from tests.unit.delivery.snapshots import take_snapshot

NOW_MS = 1_796_000_040_000
"""The beginning of a minute."""
MINUTE_MS = 60_000


class Rules:
    """A key is due once, at its due time; what is found is known by its key and that time."""

    def __init__(self) -> None:
        self.marked: dict[str, list[Any]] = {}
        self.excused: list[tuple[str, int, int]] = []

    def due(self, baseline: WorkflowBaseline, now_ms: int, config: Config) -> list[Anomaly]:
        if not baseline.due_s or baseline.due_s * 1000 > now_ms:
            return []
        found = SimpleNamespace(id=f"{baseline.key}@{baseline.due_s}")
        self.marked.setdefault(baseline.key, []).append(found)
        baseline.due_s = 0
        return [found]  # type: ignore[list-item]

    def unsent(self, baseline: WorkflowBaseline, config: Config) -> list[Anomaly]:
        return list(self.marked.get(baseline.key, []))

    def mark_unsent(self, baseline: WorkflowBaseline) -> None: ...

    def mark_sent(self, baseline: WorkflowBaseline) -> None:
        self.marked.pop(baseline.key, None)

    def excuse(self, baseline: WorkflowBaseline, from_ms: int, to_ms: int, config: Config) -> int:
        self.excused.append((baseline.key, from_ms, to_ms))
        baseline.due_s = 0
        return 1


class Topic:
    """The topic `clock` of a broker whose time the test sets."""

    def __init__(self) -> None:
        self.at_ms, self.is_usable, self.is_away = NOW_MS, True, False
        self.taken_in_ms: dict[int, int] = {0: NOW_MS}
        self.known_from_ms = 0
        self.records: list[tuple[bytes, bytes]] = []
        self.suspects: list[str] = []

    def now_ms(self) -> int | None:
        return self.at_ms

    async def until_read(self) -> None: ...

    async def stamp(self, key: bytes, value: bytes = b"{}") -> int | None:
        if self.is_away:
            raise OSError("the broker is away")
        self.records.append((key, value))
        return self.at_ms

    async def note_intake(self, partitions: Any) -> int | None:
        return await self.stamp(b"intake", repr(Intake(sorted(partitions)).partitions).encode())

    def suspected(self) -> set[str]:
        return set(self.suspects)

    def stamped(self) -> list[str]:
        """The keys of what was published, without censuses."""
        return [key.decode() for key, _ in self.records if not key.startswith(b"sources/")]

    def censuses(self) -> list[SourceCensus]:
        return [decode_source_census(value) for key, value in self.records if key == b"sources/0"]


class Published:
    """All is applied that was published before, when the test says so."""

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.at_once = True

    def ask(self) -> Ticket:
        ticket = Ticket()
        ticket.done = self.at_once
        self.tickets.append(ticket)
        return ticket

    def forget(self) -> None:
        self.tickets.clear()

    def answer(self) -> None:
        for ticket in self.tickets:
            ticket.done = True

    async def run(self) -> None: ...


class Clock(StreamClock):
    """Its steady clock is the test's."""

    at_ms = 0

    def steady_ms(self) -> int:
        return self.at_ms


class Scene:
    """One detector that owns partition 0."""

    def __init__(self, partition: StatePartition[bytes] | None = None, rules: Rules | None = None) -> None:
        self.partition = partition or owned()
        self.rules, self.topic, self.published = rules or Rules(), Topic(), Published()
        self.sent: list[str] = []
        self.looks = 0
        self.age_s = 0.0
        self.app = SimpleNamespace(
            checkpoint=SimpleNamespace(begun=0, completed=0),
            rebalancing=False,
            positions=SimpleNamespace(assignment=1),
            until_checkpoint=self._until_checkpoint,
            worker_consumer=SimpleNamespace(answer_age_s=lambda: self.age_s),
            on_rebalance_complete=SimpleNamespace(connect=lambda weak: self._listen),
        )
        ours = {0: self.partition}
        table = SimpleNamespace(find_owned=ours.get, get_owned=ours.__getitem__, owned_partitions=ours)
        self.clock = Clock(
            self.app,  # type: ignore[arg-type]
            table,  # type: ignore[arg-type]
            Config(profile="robust"),
            lambda key, alert, number: self.sent.append(alert.id),
            self.topic,  # type: ignore[arg-type]
            self.published,  # type: ignore[arg-type]
            self.rules,
        )

    def _listen(self, listener: Any) -> Any:
        self.rebalanced = listener
        return listener

    async def _until_checkpoint(self) -> None:
        self.looks += 1
        await asyncio.sleep(0)

    def pass_ms(self, ms: int) -> None:
        """Time passes, by the broker and by the clock that nobody sets."""
        self.topic.at_ms += ms
        self.clock.at_ms += ms

    def event(self, key: str, due_ms: int) -> None:
        """An event of the key leaves it with this due time."""
        mine = self.clock.begin(0, self.partition)
        baseline = baseline_of(key, due_ms)
        self.partition.put(key, baseline.pack())
        if baseline.due_s:
            mine.keys.note(key, baseline.due_s)

    def due_ms(self, key: str) -> int:
        """When the stored key is due."""
        packed = self.partition.get(key)
        assert packed is not None
        baseline = WorkflowBaseline.unpack(key, packed)
        assert isinstance(baseline, WorkflowBaseline)
        return baseline.due_s * 1000

    def checkpoint(self) -> None:
        """One is taken, and finishes."""
        at = self.app.checkpoint
        at.begun += 1
        self.clock.before_checkpoint(0)
        take_snapshot(self.partition, {})
        at.completed = at.begun

    async def look(self) -> None:
        """What `run` and `run_intake` do each time, once."""
        await self.clock.before_chunk(0)
        await self.clock.look()
        await self.clock.note_intake()


def baseline_of(key: str, due_ms: int) -> WorkflowBaseline:
    """A baseline with times, of nothing."""
    baseline = WorkflowBaseline.new(key)
    assert isinstance(baseline, WorkflowBaseline)
    baseline.rest, baseline.due_s = resting(1, 5), due_ms // 1000
    return baseline


def owned(due: dict[str, int] | None = None) -> StatePartition[bytes]:
    """A partition of ours that was recovered with these keys and their due times, in epoch ms."""
    partition = StatePartition(BASELINE)
    partition.finish_recovery(-1)
    partition.confirm_claim(0)
    for key, due_ms in (due or {}).items():
        partition.put(key, baseline_of(key, due_ms).pack())
    take_snapshot(partition, {})
    return partition

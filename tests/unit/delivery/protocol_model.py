"""The checkpoint protocol alone, without Kafka or Faust: workers whose every step may be the last, and a log.

What is real: `StatePartition`, with the rules of recovery. What is modelled: brokers that append what is under way in
the order of its sender but at any later time, also after its death; a group with generations; workers that own a
partition one after the other and may sleep anywhere (zombies). Each choice comes from a list of numbers, so a failure
shrinks.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.kafka.topics import COMPLETIONS, REKEYED

SOURCES = (COMPLETIONS, REKEYED)
KEYS = {COMPLETIONS: ("a", "b", "both"), REKEYED: ("x", "y", "both")}
PLACE = "workflow-completions/1"
"""Where the forwarded events come from."""
CODEC: Codec[list[list[object]]] = Codec(lambda value: json.dumps(value).encode(), lambda _, raw: json.loads(raw))


class Event(NamedTuple):
    """`origin` counts forwarded events at their place; `last` forgets the key (as an operator's retire does)."""

    key: str
    number: int
    origin: int = 0
    last: bool = False


class Record(NamedTuple):
    """One record of the changelog."""

    offset: int
    key: bytes
    value: bytes


@dataclass
class Batch:
    """Records under way; `base` is known once they are appended."""

    records: list[tuple[bytes, bytes]]
    base: int | None = None


@dataclass
class World:
    """Broker, group and everything that ever happened."""

    choose: Callable[[int], int]
    sources: dict[str, list[Event]] = field(default_factory=lambda: {name: [] for name in SOURCES})
    changelog: list[Record] = field(default_factory=list)
    committed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SOURCES, 0))
    generation: int = 0
    alerts: set[tuple[str, int]] = field(default_factory=set)
    forwarded: int = 0
    workers: list["Worker"] = field(default_factory=list)
    under_way: list[deque[Batch]] = field(default_factory=list)
    offset: int = 0

    def act(self) -> None:
        """One thing happens."""
        options: list[Callable[[], object]] = [self.publish, self.forward]
        options += [worker.step for worker in self.workers]
        options += [worker.go_on for worker in self.workers for _ in range(3)]
        options += [worker.die for worker in self.workers]
        options += [lambda queue=queue: self.append(queue) for queue in self.under_way if queue]
        options += [queue.clear for queue in self.under_way if queue and self.choose(4) == 0]
        if len(self.workers) < 3:
            options.append(lambda: self.workers.append(Worker(self)))
        options[self.choose(len(options))]()
        self.under_way = [queue for queue in self.under_way if queue or any(w.queue is queue for w in self.workers)]

    def publish(self) -> None:
        """A producer writes to the owner's own partition."""
        log, keys = self.sources[COMPLETIONS], KEYS[COMPLETIONS]
        key = keys[self.choose(len(keys))]
        log.append(Event(key, len(log), last=key == "b" and self.choose(4) == 0))

    def forward(self) -> None:
        """A forwarder sends on; after a crash it begins again at what it had committed."""
        begin = max(0, self.forwarded - self.choose(3))
        for origin in range(begin, begin + 2):
            key = KEYS[REKEYED][origin % 3]
            self.sources[REKEYED].append(Event(key, origin, origin))
        self.forwarded = max(self.forwarded, begin + 2)

    def append(self, queue: "deque[Batch]") -> None:
        """The oldest batch under way arrives."""
        batch = queue.popleft()
        batch.base = self.offset
        for key, value in batch.records:
            self.changelog.append(Record(self.offset, key, value))
            self.offset += 1

    def compact(self) -> None:
        """Only the last record of each key stays. Never while anything is under way: that is what the lag is for."""
        last = {record.key: record for record in self.changelog}
        self.changelog = sorted(last.values())

    def settle(self) -> None:
        """No more harm: what is under way arrives, the owner finishes (a new one where it is dead), then compaction."""
        owner = next((w for w in self.workers if w.generation == self.generation and w.partition.owned), None)
        for queue in self.under_way:
            while queue:
                self.append(queue)
        for worker in (owner, None):
            (worker or Worker(self)).finish()
            self.compact()

    def expected(self) -> dict[str, list[list[object]]]:
        """Per key its events, each once, since it was last forgotten."""
        state: dict[str, list[list[object]]] = {}
        for source, log in self.sources.items():
            seen = -1
            for event in log:
                if source == REKEYED:
                    if event.number <= seen:
                        continue
                    seen = event.number
                state.setdefault(event.key, []).append([source, event.number])
                if event.last:
                    del state[event.key]
        return state

    def found(self) -> dict[str, list[list[object]]]:
        """What a worker recovers from the changelog, sources one after the other (between them any order is right)."""
        partition: StatePartition[list[list[object]]] = StatePartition(CODEC)
        if self.changelog:
            partition.apply_changelog(self.changelog)
        partition.finish_recovery(-1)
        state = {key: partition.get(key) or [] for key in partition.keys()}  # noqa: SIM118
        return {key: sorted(value, key=lambda one: SOURCES.index(str(one[0]))) for key, value in state.items()}


class Worker:
    """One process: recovers, claims, applies, checkpoints. Every `yield` is a place to sleep or to die at."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dead = False
        self.generation = 0
        self.queue: deque[Batch] = deque()
        world.under_way.append(self.queue)
        self.partition: StatePartition[list[list[object]]] = StatePartition(CODEC)
        self.positions: dict[str, int] = {}
        self.alerts: list[tuple[str, int]] = []
        self._life = self._live()

    def step(self) -> str:
        """Go on to the next pause; returns where that is."""
        pause = "dead" if self.dead else next(self._life, "dead")
        if pause == "dead":
            self.die()
        return pause

    def go_on(self) -> None:
        """Run for a while; the broker answers at once. The others sleep."""
        for _ in range(self.world.choose(40)):
            self.step()
            while self.queue and self.world.choose(8):
                self.world.append(self.queue)

    def die(self) -> None:
        """SIGKILL. What it has sent is still under way."""
        self.dead = True
        if self in self.world.workers:
            self.world.workers.remove(self)

    def finish(self) -> None:
        """Run undisturbed until everything is applied and committed, with one whole checkpoint on the way."""
        whole = 0
        self.world.choose = lambda n: n - 1  # whole chunks, then a checkpoint
        world = self.world
        for _ in range(100_000):
            pause = self.step()
            while self.queue:
                world.append(self.queue)
            ends = {source: len(log) for source, log in world.sources.items()}
            if pause == "dead":
                Worker(world).finish()
                return
            whole += pause == "committed"
            if pause == "committed" and whole > 1 and world.committed == ends and self.partition.is_clean():
                return
        raise AssertionError("the last worker does not come to an end")

    def _live(self) -> Iterator[str]:
        while True:
            yield from self._recover()
            if not self.partition.owned:
                return
            still_ours = True
            while still_ours:
                what = self.world.choose(3)
                if what < 2:
                    self._apply(SOURCES[what])
                    yield "applied"
                    continue
                for source in SOURCES if self.world.choose(2) else ():
                    self._apply(source)
                still_ours = yield from self._checkpoint()
            # It has noticed. It joins again, and keeps what it has in memory where nothing is unwritten.
            if not self.partition.is_clean():
                self.partition = StatePartition(CODEC)
            self.alerts.clear()

    def _recover(self) -> Iterator[str]:
        world, partition = self.world, self.partition
        world.generation += 1
        self.generation = world.generation
        yield "joined"
        if world.choose(2):  # the broker may not answer what is committed
            partition.committed = dict(world.committed)
        while chunk := [record for record in world.changelog if record.offset > partition.read_offset][:3]:
            partition.apply_changelog(chunk)
            yield "reading"
        partition.finish_recovery(-1)
        claim = self._send([partition.claim_record()])
        yield from self._await([claim])
        if partition.confirm_claim(claim.base or 0):
            self.positions = dict(world.committed)

    def _apply(self, source: str) -> None:
        """As `Detector._apply` does."""
        partition, log, at = self.partition, self.world.sources[source], self.positions[source]
        replaying = at < partition.replay_until.get(source, 0)
        end = min(len(log), at + 1 + self.world.choose(4))
        for offset in range(at, end):
            event = log[offset]
            if source == REKEYED:
                if event.origin < partition.watermarks.get(PLACE, 0):
                    continue
                partition.watermarks[PLACE] = event.origin + 1
                partition.watermarks_changed = True
            if replaying and offset < partition.applied_offset(event.key, source):
                continue
            value = partition.get(event.key)
            if value is None:
                value = []
                partition.put(event.key, value)
            value.append([source, event.number])
            partition.dirty.add(event.key)
            self.alerts.append((source, event.number))
            if event.last:
                partition.delete(event.key)
        self.positions[source] = end

    def _checkpoint(self) -> "Iterator[str] | bool":  # type: ignore[misc]
        """As `Checkpoint` does; False when the partition turns out not to be ours any more."""
        world, partition = self.world, self.partition
        positions, alerts = dict(self.positions), self.alerts
        self.alerts = []
        snapshot = partition.begin_snapshot(positions)
        while partition.unencoded and self.world.choose(4):  # encoded while events go on
            key = sorted(partition.unencoded)[self.world.choose(len(partition.unencoded))]
            partition.unencoded.discard(key)
            snapshot.encode([key])
            if self.world.choose(2):
                self._apply(SOURCES[self.world.choose(2)])
            yield "encoding"
        snapshot.encode_for(float("inf"))
        records, watermarks = snapshot.records, snapshot.watermarks
        if self.world.choose(3):
            watermarks.append(partition.claim_record())  # what the checkpoint does every ten minutes
        records.sort()  # a set's order differs from process to process; a case must not
        yield "alerts-sent"
        world.alerts |= set(alerts)
        yield "alerts-acked"
        if self.generation != world.generation:
            snapshot.undo()
            return False
        yield "owned"
        for some in (records, watermarks):
            half = len(some) // 2
            batches = [self._send(records) for records in (some[:half], some[half:]) if records]
            yield from self._await(batches)
            for batch in batches:
                expected, base = partition.end_offset, batch.base or 0
                if not partition.confirm_write(base, len(batch.records)):
                    between = [(r.key, r.value) for r in world.changelog if expected <= r.offset < base]
                    if not partition.note_foreign_writes(between):
                        yield "dead"
        yield "changelog-acked"
        if self.generation != world.generation:
            return False
        world.committed = positions
        yield "committed"
        return True

    def _send(self, records: list[tuple[bytes, bytes]]) -> Batch:
        batch = Batch(records)
        self.queue.append(batch)
        return batch

    def _await(self, batches: list[Batch]) -> Iterator[str]:
        while any(batch.base is None for batch in batches):
            if not self.queue and any(batch.base is None for batch in batches):
                yield "dead"  # it was lost on the way: the real producer's error ends the process
            yield "waiting"

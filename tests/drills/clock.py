"""Executions that hang and runs that do not come, while detectors, the broker and clocks fail around the clock.

The drill knows what it has published. What hangs is reported once, under one id, and every opening has its end; what
ended in time, but was not read in time, is not reported, whoever was held, killed or behind. Minutes of the clock are
seconds here (`hasty-clock`), so that a scene takes half a minute; nothing else of it is changed.
"""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from stream_detector.events import Anomaly
from stream_detector.events.decode import decode_anomaly
from stream_detector.kafka.client import client_options
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import ALERTS, COMPLETIONS, owner_partition
from stream_detector.settings import Settings
from tests.drills.ledger import Verdict
from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, Play, Stage, stage, until

EVENTS = 100_000
"""Of the backlog."""
LIMIT_S = 12
HOUR_S = 3600
AWAY_S = 60.0
MISSED_AFTER_S = 65
"""By the rule of the scene `missed`."""
HASTY = "hasty-clock"


@dataclass
class Book:
    """What was published of executions: those that hang, and those that end in time."""

    hang: list[str] = field(default_factory=list)
    end_in_time: list[str] = field(default_factory=list)
    started_s: float = 0.0

    def passed_s(self) -> float:
        """Since the last start."""
        return time.monotonic() - self.started_s


class Producer:
    """Publishes starts and ends, one key in ten on a partition that does not own it."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self._settings, self._rng, self.book = settings, random.Random(seed), Book()
        self._producer = AIOKafkaProducer(**client_options(settings), acks="all", linger_ms=5)
        self._began: dict[str, datetime] = {}
        self._runs = 0
        self.limit_s = LIMIT_S

    async def __aenter__(self) -> "Producer":
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def start(self, count: int, *, hang: bool) -> list[str]:
        """Start so many executions, each of a workflow of its own; returns their names."""
        kind, known = ("hang", self.book.hang) if hang else ("ends", self.book.end_in_time)
        names = [f"{kind}-{len(known) + number}" for number in range(count)]
        known += names
        now = datetime.now(UTC)
        for name in names:
            self._began[name] = now
        await self._send(
            (name, {"state": "started", "started_at": now.isoformat(), "limit_s": self.limit_s}) for name in names
        )
        self.book.started_s = time.monotonic()
        return names

    async def end(self, names: Iterable[str]) -> None:
        """End executions, now."""
        now = datetime.now(UTC).isoformat()
        await self._send(
            (name, {"status": "success", "started_at": self._began[name].isoformat(), "finished_at": now})
            for name in names
        )

    async def run(self, names: Iterable[str]) -> None:
        """One more execution of each of these workflows."""
        now = datetime.now(UTC).isoformat()
        self._runs += 1
        run = {"status": "success", "started_at": now, "finished_at": now}
        await self._send((name, {**run, "execution_id": f"{name}-{self._runs}"}) for name in names)

    async def backlog(self, count: int) -> None:
        """Ends of other executions, all of them in one go."""
        at = datetime.now(UTC) - timedelta(minutes=5)
        done = {
            "status": "success",
            "started_at": at.isoformat(),
            "finished_at": (at + timedelta(seconds=60)).isoformat(),
        }
        await self._send((f"other-{number % 500}", {**done, "execution_id": f"o{number}"}) for number in range(count))

    async def _send(self, events: Iterable[tuple[str, dict[str, Any]]]) -> None:
        n, topic = self._settings.partitions, self._settings.topic(COMPLETIONS)
        sent = []
        for name, event in events:
            value = {"execution_id": f"{name}-1", "workflow_id": name, **event}
            place = (owner_partition(name, n) + (self._rng.random() < 0.1)) % n
            sent.append(
                await self._producer.send(topic, msgspec.json.encode(value), key=name.encode(), partition=place)
            )
        await asyncio.gather(*sent)


@dataclass
class Said:
    """What is on `alerts`, in the order of each partition."""

    records: list[tuple[Anomaly, bytes]]

    @classmethod
    async def read(cls, settings: Settings) -> "Said":
        """All that the clock's rules have led to."""
        found = [(decode_anomaly(record.value), record.value) async for record in read_topic(settings, ALERTS)]
        return cls([(one, value) for one, value in found if one.detector in ("still_running", "missed_run")])

    def opened(self) -> set[str]:
        """Workflows of which an incident was opened."""
        return {one.entity_id for one, _ in self.records if one.state == "opened"}

    def ended(self) -> set[str]:
        """Workflows of which an incident has ended."""
        return {one.entity_id for one, _ in self.records if one.state == "resolved"}

    def verdict(self, book: Book) -> Verdict:
        """Compare with what was published; all that hung has ended by now."""
        verdict = Verdict()
        verdict.events = len(book.hang) + len(book.end_in_time)
        by_id: dict[str, set[bytes]] = {}
        ids: Counter[tuple[str, str]] = Counter()
        for one, value in self.records:
            if one.id not in by_id:
                ids[one.entity_id, one.state] += 1
            else:
                verdict.repeated += 1
            by_id.setdefault(one.id, set()).add(value)
        false = self.opened() - set(book.hang)
        verdict.findings += [f"{name} was reported, and had ended in time" for name in sorted(false)]
        verdict.different = sum(len(values) > 1 for values in by_id.values())
        for name in book.hang:
            verdict.lost += ids[name, "opened"] == 0
            verdict.doubled += max(0, ids[name, "opened"] - 1) + max(0, ids[name, "resolved"] - 1)
            if ids[name, "opened"] and not ids[name, "resolved"]:
                verdict.findings.append(f"{name} was opened and has no end")
        verdict.findings += self._ends_before_openings()
        return verdict

    def _ends_before_openings(self) -> list[str]:
        opened: set[str | None] = set()
        found = []
        for one, _ in self.records:
            if one.state == "opened":
                opened.add(one.incident_id)
            elif one.incident_id not in opened:
                found.append(f"{one.entity_id}: its end was published before its opening")
        return found


@dataclass
class Scene:
    """One scene of the drill."""

    ground: Stage
    play: Play
    options: Options
    producer: Producer
    outcome: Outcome

    def detector(self, *changes: str, environ: dict[str, str] | None = None, **settings: str) -> Role:
        """Start one."""
        change = ",".join(filter(None, (HASTY, self.options.without, *changes)))
        return self.play.start("detector", change=change, environ=environ, **settings)

    async def ready(self, *roles: Role) -> None:
        """Return once they have recovered their state."""

        async def all_ready() -> bool:
            if not all(role.alive for role in roles):
                raise DrillError(f"a detector ended by itself\n{self.play.last_words()}")
            return all([await asyncio.to_thread(lambda role=role: role.ready) for role in roles])

        await until(all_ready, "the detectors to be ready", self.play.last_words)

    async def started(self, count: int) -> list[str]:
        """Some hang, some will end; all of them are in a checkpoint. Returns those that will end."""
        await self.producer.start(count, hang=True)
        names = await self.producer.start(count, hang=False)
        await self.play.drained("detector")
        return names

    async def told(self, names: Iterable[str] | None = None, patience_s: float = 60.0) -> None:
        """Return once all that hang are reported."""
        wanted = set(self.producer.book.hang if names is None else names)

        async def are_told() -> bool:
            return wanted <= (await Said.read(self.play.settings)).opened()

        await until(are_told, f"{len(wanted)} alerts", self.play.last_words, patience_s)

    async def finish(self, *, is_over: bool = False) -> None:
        """End what hangs, unless it is over, and judge."""
        hang = self.producer.book.hang
        if not is_over:
            await self.producer.end(hang)
        await self.play.drained("detector")

        async def are_over() -> bool:
            return set(hang) <= (await Said.read(self.play.settings)).ended()

        await until(are_over, "the ends of what was reported", self.play.last_words, 30.0)
        self.outcome.add((await Said.read(self.play.settings)).verdict(self.producer.book))

    async def until_due(self) -> None:
        """Return once everything that was started is past its limit."""

        async def is_past() -> bool:
            return self.producer.book.passed_s() > self.producer.limit_s + 2

        await until(is_past, "the limit to pass", self.play.last_words)


POINTS = "tick-stamped", "due-found", "due-safe", "due-sent>alerts-acked"


async def killed(scene: Scene, points: Iterable[str] = POINTS) -> None:
    """A detector is killed after it has found something, after the checkpoint that holds it, after its alert."""
    for point in points:
        first = scene.detector(fault_point=point)
        await scene.ready(first)
        await scene.producer.end(await scene.started(8))

        async def is_dead(first: Role = first) -> bool:
            return first.killed

        await until(is_dead, f"the kill at {point}", scene.play.last_words, 60.0)
        scene.outcome.restarts += 1
        second = scene.detector()
        await scene.ready(second)
        await scene.told()
        second.stop()
    await scene.ready(scene.detector())
    await scene.finish()


async def changing_places(scene: Scene) -> None:
    """One of two detectors leaves and another comes, again and again, while things become due."""
    roles = [scene.detector(), scene.detector()]
    await scene.ready(*roles)
    for _ in range(2):
        await scene.producer.end(await scene.started(8))
        await scene.until_due()
        leaver = roles.pop(0)
        roles.append(scene.detector())
        if await asyncio.to_thread(leaver.stop):
            raise DrillError(f"a detector did not stop in order\n{scene.play.last_words()}")
        await scene.ready(*roles)
        await scene.told()
    await scene.finish()


async def behind(scene: Scene) -> None:
    """The ends lie behind a backlog, the broker is away for a minute, and all is due by the time it is back."""
    first = scene.detector()
    await scene.ready(first)
    ending = await scene.started(8)
    first.kill()
    await scene.producer.backlog(scene.options.events)
    await scene.producer.end(ending)
    if scene.options.kafka != "embedded":  # which forgets everything
        scene.ground.broker.stop_broker(0)
        await asyncio.sleep(AWAY_S)
        scene.ground.broker.start_broker(0)
    await scene.until_due()
    await scene.ready(scene.detector())
    await scene.told(patience_s=120.0)
    await scene.play.drained("detector")
    await scene.finish()


async def held_forwarder(scene: Scene) -> None:
    """Whoever reads the ends that others own is held until they are due."""
    roles = [scene.detector(), scene.detector()]
    await scene.ready(*roles)
    ending = await scene.started(20)
    roles[1].child.send(signal.SIGSTOP)
    try:
        await scene.producer.end(ending)
        await scene.until_due()
        await scene.told()
    finally:
        roles[1].child.send(signal.SIGCONT)
    await scene.finish()


async def wrong_clocks(scene: Scene) -> None:
    """One worker's clock is an hour ahead and one's an hour behind; each takes over from the other."""
    ahead = scene.detector("shifted-clock", environ={"CLOCK_OFF_S": str(HOUR_S)})
    behind_ = scene.detector("shifted-clock", environ={"CLOCK_OFF_S": str(-HOUR_S)})
    await scene.ready(ahead, behind_)
    await scene.producer.end(await scene.started(8))
    await scene.told()
    ahead.kill()
    await scene.producer.end(await scene.started(8))
    heir = scene.detector("shifted-clock", environ={"CLOCK_OFF_S": str(HOUR_S)})
    await scene.ready(heir, behind_)
    await scene.told()
    behind_.kill()
    await scene.producer.end(await scene.started(8))
    await scene.told()
    await scene.finish()


async def missed(scene: Scene) -> None:
    """Runs of some workflows do not come again, those of others do; the detector is killed when it finds it."""
    rules = {"expect_rules": "run-* -> every 1min grace 5s"}
    first = scene.detector(fault_point="due-found", **rules)
    await scene.ready(first)
    producer, hang, come = scene.producer, [], []
    for number in range(8):
        (come if number % 2 else hang).append(f"run-{number}")
    await producer.run(hang + come)
    await scene.play.drained("detector")
    await asyncio.sleep(MISSED_AFTER_S - 20)
    await producer.run(come)
    producer.book.hang += hang
    producer.book.end_in_time += come

    async def is_dead() -> bool:
        return first.killed

    await until(is_dead, "the kill", scene.play.last_words, 60.0)
    await scene.ready(scene.detector(**rules))
    await scene.told(patience_s=30.0)
    await producer.run(hang + come)
    await scene.finish(is_over=True)


async def long_absence(scene: Scene) -> None:
    """Detectors are stopped, and every clock is eight hours on when they start: nothing of that time is missed."""
    rules = {"expect_rules": "run-* -> every 1h"}
    first = scene.detector(**rules)
    await scene.ready(first)
    names = [f"run-{number}" for number in range(8)]
    await scene.producer.run(names)
    scene.producer.book.end_in_time += names
    await scene.producer.start(4, hang=True)
    await scene.told(patience_s=60.0)
    await asyncio.to_thread(first.stop)
    second = scene.detector("shifted-clock", environ={"CLOCK_OFF_S": str(8 * HOUR_S)}, **rules)
    await scene.ready(second)

    async def is_noticed() -> bool:
        return "expected runs of that time are not reported" in second.child.log_path.read_text("utf-8")

    await until(is_noticed, "the notice of the absence", scene.play.last_words, 60.0)
    await scene.finish()


PlayScene = Callable[[Scene], Awaitable[None]]

SCENES: dict[str, PlayScene] = {
    "killed": killed,
    "changing-places": changing_places,
    "behind": behind,
    "held-forwarder": held_forwarder,
    "wrong-clocks": wrong_clocks,
    "missed": missed,
    "long-absence": long_absence,
}


AT_ONE_MACHINE = {"long-absence"}
"""Scenes in which every clock is another, the broker's too: that of the embedded one is the worker's."""


async def drill(options: Options, scenes: Iterable[str] = tuple(SCENES)) -> Outcome:
    """Each scene on topics of its own."""
    outcome = Outcome("clock")
    by_broker: dict[str, list[str]] = {}
    for name in scenes:
        by_broker.setdefault("embedded" if name in AT_ONE_MACHINE else options.kafka, []).append(name)
    for kafka, names in by_broker.items():
        with stage(kafka) as ground:
            for number in range(options.runs):
                for name in names:
                    await _play(ground, replace(options, kafka=kafka), outcome, name, options.seed + number)
    return outcome


async def drill_shortly(options: Options, point: str) -> Outcome:
    """One kill, of executions that hang for seconds."""
    outcome = Outcome("clock")

    async def scene_of(scene: Scene) -> None:
        scene.producer.limit_s = 3
        await killed(scene, (point,))

    with stage(options.kafka) as ground:
        await _play(ground, options, outcome, point, options.seed, scene_of)
    return outcome


async def _play(
    ground: Stage, options: Options, outcome: Outcome, name: str, seed: int, play_scene: PlayScene | None = None
) -> None:
    own: dict[str, Any] = {"clock": "on", "partitions": options.partitions}
    if options.kafka == "embedded":  # as `up` does, for one detector at a time
        own["starts_file"] = str(ground.folder / f"{name}-{seed}.starts")
    async with ground.play(**own) as play, Producer(play.settings, seed) as producer:
        scene = Scene(ground, play, options, producer, outcome)
        before = len(outcome.findings)
        await (play_scene or SCENES[name])(scene)
        outcome.findings[before:] = [f"{name}: {finding}" for finding in outcome.findings[before:]]

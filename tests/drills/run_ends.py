"""Score runs that end before, amid and after their scores, while detectors join, leave, are held and are killed.

Whatever was acknowledged before the end of a run was sent is in the first revision of its summary, everything else in
the first or in exactly one later one, the last has all, no id has two contents, and people get one message for the
first and one for each revision with something new. Every score is an anomaly, so that each is named in a summary.
"""

import asyncio
import contextlib
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import AIOKafkaProducer

from stream_detector.events.decode import decode_run_summary
from stream_detector.kafka.client import client_options
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import RUN_SUMMARIES, SCORE_RUNS, SCORES, owner_partition
from stream_detector.settings import Settings
from tests.drills.ledger import Verdict
from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, Play, stage, until

EVENTS = 52_000
"""Scores: about 200 runs of 1 to 2,000."""
LARGEST = 2_000
POINTS = ("end-applied", "ends-asked", "ends-reached", "closed-sent", "closed-read", "changelog-acked")
AT_ONCE = 6
"""Runs that are published side by side."""
SETTLE_S = 90.0


@dataclass
class Book:
    """What the producer of one run knows."""

    run_id: str
    entities: list[str]
    before: set[str] = field(default_factory=set)
    """Acknowledged before the end was sent."""


class Runs:
    """Publishes runs until it is asked to stop, in the order of `kinds`."""

    def __init__(self, settings: Settings, options: Options, seed: int) -> None:
        self._settings, self._planned, self._rng = settings, options.events, random.Random(seed)
        self._transactional = options.kafka != "embedded"  # which has no transactions
        self.books: dict[str, Book] = {}
        self.enough = asyncio.Event()
        """Set when the harm is done."""

    @property
    def scores(self) -> int:
        """So many were published."""
        return sum(len(book.entities) for book in self.books.values())

    async def publish(self) -> None:
        """The planned number of scores, then small runs until `enough`."""
        options = client_options(self._settings)
        async with AIOKafkaProducer(**options, acks="all", linger_ms=2) as producer:
            while self.scores < self._planned or not self.enough.is_set():
                wave = [self._publish_run(producer, self._new_book()) for _ in range(AT_ONCE)]
                await asyncio.gather(*wave)
                if self._transactional:
                    await self._publish_transaction(producer, self._new_book())
                if self.scores >= self._planned:
                    await asyncio.sleep(1.0)  # keeps something under way, no more

    def _new_book(self) -> Book:
        number = len(self.books)
        size = LARGEST if number == 0 else round(LARGEST ** self._rng.random())
        if self.scores >= self._planned:
            size = 5
        run_id = f"run-{number}"
        book = self.books[run_id] = Book(run_id, [f"{run_id}-e{entity}" for entity in range(size)])
        return book

    async def _publish_run(self, producer: AIOKafkaProducer, book: Book) -> None:
        kind = self._rng.choice(("before", "amid", "after", "after"))
        cut = {"before": 0, "amid": len(book.entities) // 2, "after": len(book.entities)}[kind]
        await self._publish_scores(producer, book, book.entities[:cut])
        await asyncio.sleep(self._rng.choice((0.0, 0.0, 0.5)))
        book.before = set(book.entities[:cut])
        await self._publish_end(producer, book, expected=self._rng.random() < 0.1)
        await self._publish_scores(producer, book, book.entities[cut:])

    async def _publish_transaction(self, plain: AIOKafkaProducer, book: Book) -> None:
        """Its scores in a transaction, beside one that is aborted."""
        name = f"{self._settings.topic_prefix}{book.run_id}"
        async with AIOKafkaProducer(**client_options(self._settings), acks="all", transactional_id=name) as producer:
            async with producer.transaction():
                await self._publish_scores(producer, book, book.entities)
            await producer.begin_transaction()
            await self._publish_scores(producer, book, [f"{book.run_id}-aborted"])
            await producer.abort_transaction()
        book.before = set(book.entities)
        await self._publish_end(plain, book, expected=False)

    async def _publish_scores(self, producer: AIOKafkaProducer, book: Book, entities: Sequence[str]) -> None:
        n, sent = self._settings.partitions, []
        at = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
        for entity in entities:
            event = {"entity_id": entity, "entity_name": entity, "score": 5.8, "previous_score": 7.5}
            value = json.dumps(event | {"scored_at": at, "run_id": book.run_id}).encode()
            foreign = self._rng.random() < 0.1
            place = (owner_partition(entity, n) + foreign) % n
            sent.append(await producer.send(self._settings.topic(SCORES), value, key=entity.encode(), partition=place))
        await asyncio.gather(*sent)  # each was acknowledged, or the drill ends here

    async def _publish_end(self, producer: AIOKafkaProducer, book: Book, *, expected: bool) -> None:
        event: dict[str, Any] = {"run_id": book.run_id, "at": datetime.now(UTC).isoformat()}
        event["status"] = "failed" if self._rng.random() < 0.1 else "completed"
        if expected:
            event["expected"] = len(book.entities)
        topic, key = self._settings.topic(SCORE_RUNS), book.run_id.encode()
        await producer.send_and_wait(topic, json.dumps(event).encode(), key=key)


async def drill(options: Options) -> Outcome:
    """Each run of the drill: publish, harm, wait until each last revision has all, compare."""
    outcome = Outcome("run-ends")
    with stage(options.kafka) as ground:
        for number in range(options.runs):
            seed = options.seed + number
            async with ground.play(partitions=options.partitions) as play:
                outcome.add(await with_runs(play, options, outcome, seed, _harm))
    return outcome


Harm = Callable[[Play, Options, Outcome, random.Random, "asyncio.Task[None]"], Awaitable[list[Role]]]
"""Does the harm while runs are published; returns the detectors that stand at the end."""


async def with_runs(play: Play, options: Options, outcome: Outcome, seed: int, harm: Harm) -> Verdict:
    """Publish runs, harm, wait until each last revision has all, compare."""
    runs, rng = Runs(play.settings, options, seed), random.Random(seed)
    notifier = play.start("notifier")
    publishing = asyncio.create_task(runs.publish())
    try:
        detectors = await harm(play, options, outcome, rng, publishing)
        runs.enough.set()
        await publishing
    finally:
        publishing.cancel()
    standing = [notifier, *detectors]
    summaries = Summaries(play, runs.books)
    await summaries.settled()  # as long as summaries come: to catch up takes minutes on a slow machine
    for _ in range(4):  # a notifier with tens of thousands of anomalies takes minutes on a slow machine
        with contextlib.suppress(DrillError):
            await play.drained("detector", "notifier", alive=lambda: all(role.alive for role in standing))
            break
    await play.drained("detector", "notifier", alive=lambda: all(role.alive for role in standing))
    verdict = summaries.verdict()
    await _compare_messages(play, summaries, verdict)
    codes = [await asyncio.to_thread(role.stop) for role in standing]
    if any(codes):
        raise DrillError(f"the roles ended with {codes}\n{play.last_words()}")
    return verdict


async def _harm(
    play: Play, options: Options, outcome: Outcome, rng: random.Random, publishing: "asyncio.Task[None]"
) -> list[Role]:
    """A cold start behind a backlog; kills at each point; one is held; one joins and leaves."""

    def start(**how: Any) -> Role:
        return play.start("detector", change=options.harm or options.without, **how)

    async def ready(role: Role, since_s: float) -> Role:
        async def recovered() -> bool:
            if publishing.done():
                publishing.result()
            if not role.alive:
                raise DrillError(f"the detector ended by itself\n{play.last_words()}")
            return await asyncio.to_thread(lambda: role.ready)

        await until(recovered, "the detector to recover", play.last_words)
        outcome.recovery_s.append(time.monotonic() - since_s)
        return role

    await asyncio.sleep(3.0)  # what lies there by then is the backlog of a cold start
    stays = await ready(start(), time.monotonic())
    points = POINTS if options.without != "barrier" else tuple(p for p in POINTS if not p.startswith("ends-"))
    for number, point in enumerate(rng.sample(points, len(points))):
        killed = start(fault_point=f"{point}:{rng.randint(1, 3)}")
        if number % 3 == 0:
            stays.kill()

        async def dead(role: Role = killed) -> bool:
            return not role.alive

        await until(dead, f"a detector to be killed at {point}", play.last_words)
        if not killed.killed:
            raise DrillError(f"the detector ended by itself\n{play.last_words()}")
        if not stays.alive:
            stays = await ready(start(), time.monotonic())
    stays.child.send(signal.SIGSTOP)
    await asyncio.sleep(3.0)  # held, within its session
    stays.child.send(signal.SIGCONT)
    guest = await ready(start(), time.monotonic())
    await asyncio.sleep(rng.uniform(0.5, 2.0))
    await asyncio.to_thread(guest.stop)  # in order, or by its own time limit where the machine is slow
    return [stays]


class Summaries:
    """Every summary on the topic, by run and revision, beside what the producer knows."""

    def __init__(self, play: Play, books: dict[str, Book]) -> None:
        self._play, self._books = play, books
        self.revisions: dict[str, dict[int, dict[int, Any]]] = {}
        self._values: dict[str, bytes] = {}
        self._different = 0

    async def read(self) -> None:
        """Read the whole topic anew."""
        self.revisions, self._values, self._different = {}, {}, 0
        async for record in read_topic(self._play.settings, RUN_SUMMARIES):
            summary = decode_run_summary(record.value)
            self._different += self._values.setdefault(summary.id, record.value) != record.value
            self.revisions.setdefault(summary.run_id, {}).setdefault(summary.revision, {})[summary.part] = summary

    async def settled(self) -> None:
        """Return once the last revision of each run has all, or nothing has come for a while."""
        deadline_s, before = time.monotonic() + SETTLE_S, -1
        while any(self._listed(run_id, last=True) != {*book.entities} for run_id, book in self._books.items()):
            await asyncio.sleep(1.0)
            await self.read()
            if len(self._values) != before:
                deadline_s, before = time.monotonic() + SETTLE_S, len(self._values)
            if time.monotonic() > deadline_s:
                return

    def new(self, run_id: str, revision: int) -> list[str]:
        """The entities that a revision is the first to name."""
        parts = self.revisions.get(run_id, {}).get(revision, {}).values()
        return [one.entity_id for part in parts for one in part.anomalies if revision == 1 or one.id in part.new]

    def _listed(self, run_id: str, *, last: bool) -> set[str]:
        revisions = self.revisions.get(run_id, {})
        parts = revisions[max(revisions) if last else 1].values() if revisions else []
        return {one.entity_id for part in parts for one in part.anomalies}

    def verdict(self) -> Verdict:
        """What is lost, doubled or different."""
        verdict = Verdict(events=sum(len(book.entities) for book in self._books.values()))
        verdict.note("contents of one id", different=self._different)
        for run_id, book in self._books.items():
            revisions = self.revisions.get(run_id, {})
            first = self._listed(run_id, last=False) if 1 in revisions else set()
            verdict.note(f"{run_id}: acknowledged before its end", lost=len(book.before - first))
            verdict.note(
                f"{run_id}: in its last revision", lost=len({*book.entities} - self._listed(run_id, last=True))
            )
            named = Counter(entity for revision in revisions for entity in self.new(run_id, revision))
            verdict.note(
                f"{run_id}: in exactly one revision",
                lost=len({*book.entities} - named.keys()),
                doubled=named.total() - len(named),
                different=len(named.keys() - {*book.entities}),
            )
            timed_out = sum(part.status == "timed_out" for parts in revisions.values() for part in parts.values())
            verdict.note(f"{run_id}: its end was sent and it timed out", different=timed_out)
            if sorted(revisions) != [*range(1, len(revisions) + 1)]:
                verdict.note(f"{run_id}: revisions {sorted(revisions)}", different=1)
        return verdict


async def _compare_messages(play: Play, summaries: Summaries, verdict: Verdict) -> None:
    """One message for the first revision with an anomaly, one for each later one with something new."""
    wanted = Counter(
        {
            run_id: sum(bool(summaries.new(run_id, revision)) for revision in revisions)
            for run_id, revisions in summaries.revisions.items()
        }
    )
    (provider,) = play.providers

    def got() -> Counter[str]:
        bodies = [json.loads(provider.text_of(one)) for one in provider.taken()]
        return Counter(body["run_id"] for body in bodies if body["state"] == "run")

    async def there() -> bool:
        return got() >= wanted

    with contextlib.suppress(DrillError):  # what is missing is counted below
        await until(there, "every message", play.last_words, patience_s=60.0)
    verdict.messages = got().total()
    verdict.note("messages", lost=(wanted - got()).total(), doubled=(got() - wanted).total())

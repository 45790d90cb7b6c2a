"""Keys without end: a producer that makes a new workflow id each run, for 400 days, and kills while keys are dropped.

Among them are a weekly and a monthly job, workflows that ran twice long ago, and a score 60 days after its last one. At
the end the detector has as many keys as it may, nothing young was dropped, the others' baselines are those of all their
events, PostgreSQL has the same keys and every execution, and one message reports the ids of today.

Memory is compared from where the detector has dropped as many keys as it may keep, since until then it has fewer than
it may and a backlog of its last start, to the end; and with that of a detector that starts again then.
"""

import asyncio
import json
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zlib import crc32

import asyncpg
from aiokafka import AIOKafkaProducer

from stream_detector.detect.single_run import QUIET_MS, single_run_of
from stream_detector.devstack.ports import free_port
from stream_detector.events import Completion, Score
from stream_detector.events.encode import encode
from stream_detector.kafka.client import client_options
from stream_detector.kafka.topics import COMPLETIONS, SCORES, owner_partition
from stream_detector.roles.single_runs import SLACK
from stream_detector.settings import Settings
from tests.drills.ledger import Verdict, compare_alerts, folded, recovered
from tests.drills.providers import Provider, webhook
from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, Play, Stage, stage, until

EVENTS = 20_000
DAYS = 400
SHARE = 8
"""One in so many ids may stay; those of the last 35 days are one in eleven."""
TODAY = 1_234
"""So many new ids are of today, of a pattern of their own."""
LASTS_S, RATE = 20.0, 4_000.0
"""All is published within the one, or at the other if that takes longer. What is published faster than it is applied
is there when a detector starts after a kill."""
KILLED_AT = ("changelog-acked:3", "changelog-half:2", "alerts-acked:2")
FLAT = 1.10
TOKEN = "drill-token-" + "x" * 40
ADVICE = "workflow ids look unique per run: `deploy-*`"


class Load:
    """What is published, in the order of its time, and what the producer knows of it."""

    def __init__(self, settings: Settings, events: int) -> None:
        self._settings, self._events = settings, events
        self.now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
        self.start = self.now - timedelta(days=DAYS)
        self.runs: Counter[str] = Counter()
        self.newest: dict[str, datetime] = {}
        self.enough = asyncio.Event()
        """Set when the harm is done: publishing ends once it is set and everything planned is out."""

    @property
    def ids(self) -> set[str]:
        """Every execution."""
        return {f"{name}/{number}" for name, runs in self.runs.items() for number in range(runs)}

    def _run(self, name: str, at: datetime) -> Completion:
        number = self.runs[name]
        self.runs[name], self.newest[name] = number + 1, at
        return Completion(
            execution_id=f"{name}/{number}",
            workflow_id=name,
            status="success",
            started_at=at - timedelta(seconds=100),
            finished_at=at,
            duration_s=100.0,
        )

    def planned(self) -> Iterator[Completion | Score]:
        """In the order of their times."""
        each = timedelta(days=DAYS) / self._events
        made = [(self.start + each * number, f"build-{number}") for number in range(self._events)]
        made += [(self.now, f"deploy-{number}") for number in range(TODAY)]
        made += [(self.start + timedelta(days=day), "weekly") for day in range(0, DAYS, 7)]
        made += [(self.start + timedelta(days=day), "monthly") for day in range(0, DAYS, 31)]
        made += [(self.start + timedelta(days=day), f"twice-{number}") for number in range(50) for day in (0, 1)]
        made += [(self.now - timedelta(days=60), "lido 7.5"), (self.now, "lido 5.8")]
        for at, name in sorted(made):
            if name.startswith("lido"):
                value = Decimal(name.partition(" ")[2])
                yield Score(entity_id="lido", entity_name="Lido", score=value, scored_at=at)
            else:
                yield self._run(name, at)

    async def publish(self) -> None:
        """All of it, then some jobs again and again until `enough`."""
        options, loop, sent = client_options(self._settings), asyncio.get_running_loop(), []
        async with AIOKafkaProducer(**options, acks="all", linger_ms=5, max_batch_size=1 << 17) as producer:
            began, rate = loop.time(), min(RATE, (self._events + TODAY) / LASTS_S)
            for count, event in enumerate(self.planned()):
                sent.append(await self._send(producer, event))
                if count % 50 == 0:
                    await asyncio.sleep(max(0.0, began + count / rate - loop.time()))
            while not self.enough.is_set():
                for number in range(8):  # on every partition
                    sent.append(await self._send(producer, self._run(f"twice-{number}", self.now)))
                await asyncio.sleep(0.1)
            await asyncio.gather(*sent)  # each was acknowledged, or the drill ends here

    async def _send(self, producer: AIOKafkaProducer, event: Completion | Score) -> "asyncio.Future[object]":
        topic, name = (SCORES, event.entity_id) if isinstance(event, Score) else (COMPLETIONS, event.workflow_id)
        n = self._settings.partitions
        place = (owner_partition(name, n) + (crc32(name.encode()) % 10 == 0)) % n
        sent: asyncio.Future[object] = await producer.send(
            self._settings.topic(topic), encode(event), key=name.encode(), partition=place
        )
        return sent


async def drill(options: Options) -> Outcome:
    """See above."""
    outcome = Outcome("many-keys")
    with stage(options.kafka) as ground:
        for _ in range(options.runs):
            outcome.add(await _one(ground, options, outcome))
    return outcome


async def _one(ground: Stage, options: Options, outcome: Outcome) -> Verdict:
    provider, most = webhook(), options.events // SHARE + TODAY
    changes: dict[str, Any] = {
        "single_run_keys": most,
        "executions_retention_d": 2 * DAYS,
        "partitions": options.partitions,
        "api_token": TOKEN,
    }
    async with ground.play([provider], **changes, api_port=free_port()) as play:
        load, others = Load(play.settings, options.events), [play.start(name) for name in ("recorder", "notifier")]
        api = play.start("api")
        publishing = asyncio.create_task(load.publish())
        try:
            for point in KILLED_AT:
                role = play.start("detector", change=options.without, fault_point=point)
                await until(_died(role), f"the detector to be killed at {point}", play.last_words)
                if not role.killed:
                    raise DrillError(f"the detector ended by itself\n{play.last_words()}")
            log = play.folder / "detector.log"
            known = log.stat().st_size
            began, detector = time.monotonic(), play.start("detector", change=options.without)
            await until(_is_ready(detector), "the detector to recover", play.last_words)
            outcome.recovery_s.append(time.monotonic() - began)
            if not options.without:
                await until(_drops(log, known, most), "keys to be dropped", play.last_words, patience_s=600.0)
            before = detector.child.memory_bytes(), await _ask(play, api)
            load.enough.set()
            await publishing
        finally:
            publishing.cancel()
        await play.drained("detector", "recorder", "notifier")
        after = detector.child.memory_bytes(), await _ask(play, api)
        verdict = await _compare(play, load, most)
        for name, first, last in zip(("detector", "api"), before, after, strict=True):
            print(f"{name}: {first >> 20} MiB, at the end {last >> 20} MiB", flush=True)
            verdict.note(f"memory of the {name}", different=last > FLAT * first)
        await _compare_messages(provider, play, options, verdict)
        codes = [await asyncio.to_thread(detector.stop)]
        detector = play.start("detector", change=options.without)
        await until(_is_ready(detector), "the detector to recover", play.last_words)
        again = detector.child.memory_bytes()
        print(f"a detector that starts at the end: {again >> 20} MiB", flush=True)
        verdict.note("memory of a detector that starts at the end", different=again > FLAT * before[0])
        codes += [await asyncio.to_thread(role.stop) for role in (detector, *others, api)]
        if any(codes):
            raise DrillError(f"the roles ended with {codes}\n{play.last_words()}")
        return verdict


def _died(role: Role) -> Any:
    async def died() -> bool:
        return not role.alive

    return died


def _is_ready(role: Role) -> Any:
    async def ready() -> bool:
        return await asyncio.to_thread(lambda: role.ready)

    return ready


def _drops(log: Path, known: int, count: int) -> Any:
    """Whether the detector has dropped so many by what it has logged behind the first `known` bytes."""

    async def drops() -> bool:
        lines = (await asyncio.to_thread(log.read_bytes))[known:]
        return sum(int(dropped) for dropped in re.findall(rb"dropped the baselines of (\d+)", lines)) >= count

    return drops


async def _ask(play: Play, api: Role) -> int:
    """The API's memory once it has answered what a page asks."""
    await until(_is_ready(api), "the API", play.last_words)

    def ask() -> None:
        for path in ("health", "overview", "workflows?limit=200", "ai/anomalies"):
            request = urllib.request.Request(f"http://127.0.0.1:{play.settings.api_port}/api/v1/{path}")
            request.add_header("Authorization", f"Bearer {TOKEN}")
            with urllib.request.urlopen(request, timeout=20) as answer:
                json.load(answer)

    await asyncio.to_thread(ask)
    return api.child.memory_bytes()


async def _compare(play: Play, load: Load, most: int) -> Verdict:
    fold, wanted = await folded(play.settings, (COMPLETIONS, SCORES))
    state, verdict = await recovered(play.settings), Verdict(events=sum(load.runs.values()))
    single = {key for key, packed in state.items() if single_run_of(packed)}
    verdict.note("keys above the limit", different=max(0, len(single) - most - most // SLACK))
    verdict.note("keys below the limit", lost=max(0, most - len(single)))
    young = load.now - timedelta(milliseconds=QUIET_MS)
    for name, at in load.newest.items():
        key = f"workflow:{name}"
        if key not in state:
            verdict.note(f"{name}, {at:%Y-%m-%d}", lost=int(at > young or load.runs[name] > 1))
        elif fold.baselines[key].pack() != state[key]:
            verdict.note(f"state of {name}", different=1)
    verdict.note("the score", different=int(state.get("score:lido") != fold.baselines["score:lido"].pack()))
    await compare_alerts(play.settings, wanted, verdict)
    connection = await asyncpg.connect(play.settings.database_url)
    try:
        executions = {row[0] for row in await connection.fetch("SELECT execution_id FROM executions")}
        keys = {row[0] for row in await connection.fetch("SELECT key FROM baselines")}
    finally:
        await connection.close()
    verdict.note("executions", lost=len(load.ids - executions), doubled=len(executions - load.ids))
    verdict.note("rows of baselines", lost=len(state.keys() - keys), doubled=len(keys - state.keys()))
    return verdict


async def _compare_messages(provider: Provider, play: Play, options: Options, verdict: Verdict) -> None:
    """One message about the ids of today, for all that was killed."""

    def count() -> int:
        return sum(ADVICE in provider.text_of(one) for one in provider.taken())

    async def came() -> bool:
        return count() > 0

    if not options.without:
        await until(came, "the message", play.last_words)
    verdict.note("messages", lost=int(count() == 0), doubled=max(0, count() - 1))

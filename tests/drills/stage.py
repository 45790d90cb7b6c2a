"""Where a drill plays: a broker, a database, topics and fake providers of its own, and patience."""

import asyncio
import contextlib
import shutil
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from stream_detector.devstack.apache import Apache
from stream_detector.devstack.postgres import Postgres
from stream_detector.devstack.tansu import Tansu
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.end_offsets import EndOffsets, total_lag
from stream_detector.kafka.topics import COMPLETIONS
from stream_detector.settings import Settings
from tests.drills.ledger import Verdict
from tests.drills.providers import Provider, settings_of, webhook
from tests.drills.roles import Role

PATIENCE_S = 120.0
KAFKA: dict[str, Callable[[Path], Any]] = {
    "embedded": Tansu.start,
    "apache": Apache.start,
    "apache3": lambda folder: Apache.start(folder, brokers=3),
}


class DrillError(Exception):
    """The drill could not be carried out: that proves nothing, so it fails."""


@dataclass(frozen=True)
class Options:
    """What may be asked of a drill."""

    kafka: str = "embedded"
    events: int = 20_000
    runs: int = 1
    seed: int = 1
    first_point: int = 0
    """Where among its points the drill begins."""
    without: str = ""
    """A protection to take out of the roles: the drill must then fail."""
    harm: str = ""
    """A further harm from within the detectors: the drill must pass all the same."""
    partitions: int = 4


@dataclass
class Outcome:
    """What all runs of a drill found together."""

    drill: str
    runs: int = 0
    events: int = 0
    lost: int = 0
    doubled: int = 0
    different: int = 0
    repeated: int = 0
    messages: int = 0
    notified_twice: int = 0
    notifiers_died: int = 0
    """Notifiers that ended otherwise than in order: only then may a message have come twice."""
    restarts: int = 0
    """Roles that ended by themselves and were started again, as a supervisor does."""
    recovery_s: list[float] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Count one run."""
        self.runs += 1
        for name in ("events", "lost", "doubled", "different", "repeated", "messages", "notified_twice"):
            setattr(self, name, getattr(self, name) + getattr(verdict, name))
        self.findings += verdict.findings
        if not verdict.events:
            self.findings.append("no events: nothing was tested")
        if verdict.notified_twice and not self.notifiers_died:
            self.findings.append(f"{verdict.notified_twice} messages came twice, and no notifier had died")

    @property
    def passed(self) -> bool:
        """Whether there was something to lose, and nothing was lost, doubled or changed."""
        return self.events > 0 and not (self.lost or self.doubled or self.different or self.findings)

    def report(self) -> dict[str, Any]:
        """The last line."""
        took = self.recovery_s
        spread = {"median": round(statistics.median(took), 2), "max": round(max(took), 2)} if took else None
        names = ("runs", "events", "lost", "doubled", "different", "repeated", "messages")
        numbers = {name: getattr(self, name) for name in names}
        return {
            "drill": self.drill,
            **numbers,
            "restarts": self.restarts,
            "notified_twice": self.notified_twice,
            "recovery_s": spread,
        }


@dataclass
class Stage:
    """One broker and one database for all runs of a drill."""

    broker: Any
    folder: Path
    postgres: Postgres
    database_url: Callable[[str], str] | None = None
    """How the roles reach a database, where that is not directly."""

    @contextlib.asynccontextmanager
    async def play(self, providers: Sequence[Provider] = (), **changes: Any) -> AsyncIterator["Play"]:
        """Topics, a database and providers of one run; every process that it started has ended afterwards."""
        name = f"d{uuid.uuid4().hex[:8]}"
        folder = self.folder / name
        folder.mkdir()
        create_database(self.postgres, name)
        providers = providers or [webhook()]
        for provider in providers:
            await provider.server.start()
        url = (self.database_url or self.postgres.url)(name)
        values = {"session_timeout_s": 6.0, "checkpoint_interval_s": 0.5, "database_url": url}
        values |= settings_of(providers, folder) | changes
        settings = Settings(broker=self.broker.address, topic_prefix=f"{name}.", **values)
        await make_topics(settings)
        play = Play(settings, folder, providers=providers)
        try:
            yield play
        finally:
            for role in play.roles:
                role.kill()
            for provider in providers:
                await provider.server.stop()


@dataclass
class Play:
    """One run."""

    settings: Settings
    folder: Path
    roles: list[Role] = field(default_factory=list)
    providers: Sequence[Provider] = ()

    async def committed(self, role: str) -> int:
        """How many completions the role's group has committed. 0 while nobody answers."""
        try:
            async with EndOffsets(self.settings) as ends:
                offsets = await ends.committed(role)
        except (KafkaError, OSError, TimeoutError):
            return 0
        name = self.settings.topic(COMPLETIONS)
        return sum(max(0, offset) for tp, offset in offsets.items() if tp.topic == name)

    def start(self, name: str, **how: Any) -> Role:
        """Start a role."""
        role = Role.start(name, self.settings, self.folder, **how)
        self.roles.append(role)
        return role

    async def drained(self, *roles: str, alive: Callable[[], bool] = lambda: True) -> None:
        """Return once these roles have read, applied and committed everything. Raises `DrillError` when they cannot."""
        async with EndOffsets(self.settings) as ends:

            async def done() -> bool:
                if not alive():
                    raise DrillError(f"a role ended by itself:\n{self.last_words()}")
                lags = await ends.lags()
                behind.append(sum(total_lag(lags, role) for role in roles))
                return behind[-1] == 0

            behind: list[int] = []
            await done()
            while behind[-1]:  # a million events take longer: patience is for those who get no further
                before = behind[-1]
                try:
                    await until(done, "the roles to catch up", self.last_words)
                except DrillError:
                    if not alive() or behind[-1] >= before:
                        raise

    def last_words(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"{role.name}: {role.child.last_lines(8)}" for role in self.roles[-4:])


async def until(
    done: Callable[[], Awaitable[bool]], what: str, why: Callable[[], str] = str, patience_s: float = PATIENCE_S
) -> None:
    """Return once `done` says so. Raises `DrillError` when patience ends."""
    deadline_s = time.monotonic() + patience_s
    while not await done():
        if time.monotonic() > deadline_s:
            raise DrillError(f"waited {patience_s:.0f} s for {what}\n{why()}")
        await asyncio.sleep(0.1)


def create_database(server: Postgres, name: str) -> None:
    """A fresh, empty database."""
    psql(server, f"CREATE DATABASE {name}")


def psql(server: Postgres, statement: str) -> None:
    """Run one statement as the server's superuser."""
    command = [str(server.binaries / "psql"), server.url("postgres"), "-qc", statement]
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def stage(kafka: str) -> Iterator[Stage]:
    """Start broker and database; all of it has ended, and its folder is gone, afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="stream-detector-drill-"))
    folder.chmod(0o755)
    try:
        with contextlib.ExitStack() as stack:
            broker = stack.enter_context(KAFKA[kafka](folder / "kafka"))
            ground = Stage(broker, folder, Postgres.start(folder / "postgres"))
            stack.callback(lambda: ground.postgres.stop())  # maybe another by then
            yield ground
    finally:
        shutil.rmtree(folder, ignore_errors=True)

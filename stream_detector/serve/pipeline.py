"""Every part of the pipeline, by what it answered within the last seconds: for `/health`, `doctor`, `up` and the page.

What has not answered for 10 s is away, whatever it said before; what nobody can know now is unknown.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Literal

from msgspec import Struct

from stream_detector.kafka.acls import GROUPED
from stream_detector.kafka.group_monitor import FRESH_S, LOOK_EVERY_S, Finding, GroupMonitor
from stream_detector.notify.channels.registry import CHANNELS, PROVIDERS
from stream_detector.serve.database import Database
from stream_detector.settings import Settings
from stream_detector.store.notifications import ChannelAnswer, channel_answers
from stream_detector.store.progress import Progress, progress
from stream_detector.telemetry.probes import RoleProbes

_DATABASE_WITHIN_S = 4.0
_ANSWER_COUNTS_FOR = timedelta(hours=25)
"""A message is given up after 24 h; a failure before that is no news of what the channel does now."""


class Part(Struct, kw_only=True):
    """One part of the pipeline."""

    name: str
    """kafka, postgresql, a role, or the name of a channel."""
    kind: Literal["service", "role", "channel"]
    state: Literal["ok", "behind", "away", "failing", "unknown"]
    """behind: it answers and does not get on; away: it does not answer; failing: a channel does not deliver; unknown:
    nothing is known of it now."""
    reason: str = ""
    """Why it is not ok; of a channel also its last answer."""

    @property
    def is_well(self) -> bool:
        """Whether nobody needs to look at it. Nothing is known of a channel before its first message, nor while the
        notifier is away, which is said of the notifier."""
        return self.state == "ok" or (self.kind == "channel" and self.state == "unknown")

    def __str__(self) -> str:
        return f"{title_of(self.name)} {_WORDS[self.state]}" + (f": {self.reason}" if self.reason else "")


_WORDS = {
    "ok": "is ok",
    "behind": "is behind",
    "away": "does not answer",
    "failing": "does not deliver",
    "unknown": "cannot be checked",
}
_TITLES = {"kafka": "Kafka", "postgresql": "PostgreSQL"}


def title_of(name: str) -> str:
    """What people call a part.

    >>> title_of("kafka"), title_of("recorder"), title_of("slack")
    ('Kafka', 'The recorder', 'The channel slack')
    """
    return _TITLES.get(name) or (f"The {name}" if name in GROUPED else f"The channel {name}")


class Pipeline:
    """Looks at every part again and again in the background, and judges when asked.

    Args:
        settings: where everything is.
        database: a hold on PostgreSQL that its owner starts and stops.
        clock: seconds that never go back.
    """

    def __init__(self, settings: Settings, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self.database, self._clock = settings, database, clock
        self.groups, self.probes = GroupMonitor(settings, clock), RoleProbes(settings.probes, clock)
        self.progress: Progress | None = None
        """How far the recorder is; None while the database is away."""
        self._answers: dict[str, ChannelAnswer] = {}
        self._began_s = clock()
        self._answered_s: float | None = None
        self._why_away = ""
        self._looking: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Look from now on."""
        self._began_s = self._clock()
        for role in self.probes.answers:
            self.probes.forget(role)
        self._looking = [asyncio.create_task(self.groups.run()), asyncio.create_task(self._run())]

    async def stop(self) -> None:
        """Nothing is under way afterwards."""
        for task in self._looking:
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)
        self._looking = []
        await self.groups.close()
        await self.probes.close()

    async def look(self) -> None:
        """Look at everything once."""
        await asyncio.gather(self.groups.look(), self.probes.look(), self.ask_database())

    async def _run(self) -> None:
        while True:
            await asyncio.gather(self.probes.look(), self.ask_database())
            await asyncio.sleep(LOOK_EVERY_S)

    async def ask_database(self) -> None:
        """Have PostgreSQL's answer of now. Never raises."""
        try:
            async with asyncio.timeout(_DATABASE_WITHIN_S):  # a half-open connection answers nothing, for hours
                self.progress = await self.database.query(progress)
                self._answers = await self.database.query(channel_answers, PROVIDERS)
        except Exception as error:  # also tables that are not there yet: whatever it is, there is no answer
            self.progress, self._answers = None, {}
            self._why_away = str(error) or f"no answer within {_DATABASE_WITHIN_S:g} s"
        else:
            self._answered_s, self._why_away = self._clock(), ""

    def silent_roles(self) -> list[tuple[str, float]]:
        """Roles whose address is known and that answer nothing at all, and for how many seconds."""
        if not self._looking:
            return []
        now_s = self._clock()
        return [(role, now_s - answer.answered_s) for role, answer in self.probes.answers.items()]

    # -- judging -------------------------------------------------------------------------------------------------

    def parts(self) -> list[Part]:
        """Each part, as of now; no API among them: it is who answers."""
        roles = [self._role(role) for role in GROUPED] if self._settings.broker else []
        return [*self._services(), *roles, *self._channels({role.name: role for role in roles})]

    def is_settled(self, role: str) -> bool:
        """Whether a longer look at the role would find nothing else."""
        answer = self.probes.answers.get(role)
        return self.groups.is_settled(role) and (answer is None or not answer.why)

    def _services(self) -> list[Part]:
        kafka = self.groups.kafka()
        services = [Part(name="kafka", kind="service", state=kafka.state, reason=kafka.reason)]
        return [*(services if self._settings.broker else []), self._postgresql()]

    def _postgresql(self) -> Part:
        age_s = self._clock() - (self._began_s if self._answered_s is None else self._answered_s)
        state: Literal["ok", "away", "unknown"] = "ok"
        if self._answered_s is None and age_s <= FRESH_S:
            state = "unknown"
        elif self._why_away or age_s > FRESH_S:
            state = "away"
        why = "" if state == "ok" else self._why_away or f"no answer for {age_s:.0f} s"
        return Part(name="postgresql", kind="service", state=state, reason=why)

    def _role(self, role: str) -> Part:
        found = worse(self.groups.role(role), self._probed(role))
        return Part(name=role, kind="role", state=found.state, reason=found.reason)

    def _probed(self, role: str) -> Finding | None:
        """What the role answers itself, where its address is known."""
        answer = self.probes.answers.get(role)
        if answer is None:
            return None
        now_s = self._clock()
        if now_s - answer.ready_s <= FRESH_S:
            return Finding("ok") if answer.ready_s > answer.first_s else Finding("unknown", answer.why)
        if now_s - answer.answered_s <= FRESH_S:
            return Finding("behind", f"it is not ready: {answer.why}")
        return Finding("away", f"{answer.why}, for {now_s - answer.answered_s:.0f} s")

    def _channels(self, roles: dict[str, Part]) -> list[Part]:
        """A channel goes by its last answer, which the notifier publishes and the recorder stores."""
        settings, found = self._settings, []
        for name in PROVIDERS:
            spec, answer = CHANNELS[name], self._answers.get(name)
            is_on = getattr(settings, spec.switch) and all(getattr(settings, each) for each in spec.settings)
            if not is_on and answer is None:
                continue
            found.append(self._channel(name, answer, roles))
        return found

    def _channel(self, name: str, answer: ChannelAnswer | None, roles: dict[str, Part]) -> Part:
        for role in ("notifier", "recorder"):
            if (part := roles.get(role)) is not None and part.state != "ok":
                return Part(name=name, kind="channel", state="unknown", reason=f"the {role} is {part.state}")
        if self.progress is None:
            return Part(name=name, kind="channel", state="unknown", reason="PostgreSQL does not answer")
        if answer is None:
            return Part(name=name, kind="channel", state="unknown")
        when = f"{duration(answer.age)} ago: {answer.reason}"
        if answer.outcome == "delivered":
            return Part(name=name, kind="channel", state="ok", reason=f"delivered {when}")
        if answer.age > _ANSWER_COUNTS_FOR:
            return Part(name=name, kind="channel", state="unknown", reason=f"its last answer, {when}")
        since = f"since {duration(answer.failing_for)}, " if answer.failing_for else ""
        return Part(name=name, kind="channel", state="failing", reason=f"{since}last answer {when}")


_RANKS = ("ok", "unknown", "behind", "away")


def worse(group: Finding, probe: Finding | None) -> Finding:
    """What two witnesses say of one role: the worse; but one who knows nothing says nothing against one who knows.

    >>> worse(Finding("unknown", "?"), Finding("ok")), worse(Finding("away", "left"), Finding("ok")).state
    (Finding(state='ok', reason=''), 'away')
    """
    if probe is None or probe.state == "unknown":
        return group
    return max(probe, group, key=lambda found: 0 if found.state == "unknown" else _RANKS.index(found.state))


def duration(age: timedelta) -> str:
    """About how long.

    >>> [duration(timedelta(seconds=s)) for s in (3, 240, 7300, 200_000)]
    ['3 s', '4 min', '2 h', '2 d']
    """
    seconds = max(0.0, age.total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length * (2 if unit != "min" else 1):
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


async def watch(pipeline: Pipeline, report: Callable[[str], None], every_s: float = 1.0) -> None:
    """Report each change of a part, until cancelled. What is starting has `FRESH_S` to answer."""
    known: dict[str, str] = {}
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            for part in pipeline.parts():
                before = known.get(part.name, "ok")
                state = "ok" if part.is_well else part.state
                if state != before and (state != "unknown" or before != "ok"):
                    report(f"{title_of(part.name)} is ok again" if state == "ok" else str(part))
                    known[part.name] = state
            await asyncio.sleep(every_s)

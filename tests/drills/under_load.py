"""What every drill of the detector shares: a load, a harm, patience, and the comparison."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.drills.ledger import (
    Verdict,
    compare,
    compare_clocks,
    compare_dead_letters,
    compare_messages,
    compare_rows,
    counted,
    folded,
    must_be_notified,
)
from tests.drills.load import SLOW_RATE, Load, Spice, plain
from tests.drills.providers import Provider
from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, Play, Stage, until

ROLES = ("detector", "recorder", "notifier")
KILLS_IN_A_ROW = 4


@dataclass
class Scene:
    """One run while its load is being published."""

    play: Play
    load: Load
    options: Options
    outcome: Outcome
    publishing: "asyncio.Task[None]"
    recorder: Role
    notifier: Role
    supervised: bool = False
    """Whether a role that ends by itself is started again, as a supervisor does."""

    def detector(self, **how: Any) -> Role:
        """Start a detector, with the change that the options name."""
        return self.play.start("detector", change=self.options.harm or self.options.without, **how)

    def stand(self, roles: list[Role]) -> bool:
        """Whether all are alive; where they are supervised, each that was not is replaced in the list."""
        if self.supervised:
            roles[:] = map(self.tend, roles)
        return all(role.alive for role in roles)

    def tend(self, role: Role) -> Role:
        """The same, or its successor where it has ended by itself."""
        if role.alive:
            return role
        self.outcome.restarts += 1
        if role.name == "notifier":
            self.outcome.notifiers_died += 1
        return self.detector() if role.name == "detector" else self.play.start(role.name, change=self.options.without)

    async def until_notified(self, due: set[str], standing: list[Role]) -> None:
        """Return once every provider has each message, or none has come for a while: what is missing then is lost.

        A notifier sends one message after the other, so thousands take minutes on a slow machine. Where a protection
        is left out much is lost, and is waited for in vain.
        """
        patience_s = 20.0 if self.options.without else 60.0
        missing, before = len(due), len(due) + 1

        async def all_notified() -> bool:
            nonlocal missing
            self.stand(standing)
            missing = max((len(due - set(provider.notified())) for provider in self.play.providers), default=0)
            return not missing

        while 0 < missing < before:
            before = missing
            with contextlib.suppress(DrillError):
                await until(all_notified, "every message", self.play.last_words, patience_s=patience_s)

    async def died(self, role: Role) -> None:
        """Return once it was killed. Raises `DrillError` if it ends otherwise."""
        await self.until(lambda: not role.alive, f"the {role.name} to be killed")
        if not role.killed:
            raise DrillError(f"the {role.name} ended by itself\n{self.play.last_words()}")

    async def ready(self, role: Role, since: float | None = None) -> Role:
        """Return it once it owns partitions and has recovered; the time `since` counts as recovery."""

        async def recovered() -> bool:
            if not role.alive:
                raise DrillError(f"the {role.name} ended by itself\n{self.play.last_words()}")
            return await asyncio.to_thread(lambda: role.ready)

        await until(recovered, f"the {role.name} to recover", self.play.last_words)
        if since is not None:
            self.outcome.recovery_s.append(time.monotonic() - since)
        return role

    async def until_soon(self, done: Callable[[], Awaitable[bool]], what: str) -> None:
        """Return once `done`."""
        await until(done, what, self.play.last_words)

    async def until(self, done: Callable[[], bool], what: str) -> None:
        """Return once `done`, with the load still running."""

        async def now() -> bool:
            if self.publishing.done():
                self.publishing.result()
            return done()

        await until(now, what, self.play.last_words)

    async def kill_in_a_row(self) -> None:
        """Four detectors at one offset, each with its state written and nothing committed. Dead letters are compared in
        the end: no record may be blamed for it."""
        for _ in range(KILLS_IN_A_ROW):
            await self.died(self.detector(fault_point="changelog-acked:1"))
        role, before = self.detector(), await self.play.committed("detector")

        async def got_on() -> bool:
            return role.alive and await self.play.committed("detector") > before

        await self.until_soon(got_on, "the detector after four kills in a row to commit")
        if (code := await asyncio.to_thread(role.stop)) != 0:
            raise DrillError(f"the detector left with {code}\n{self.play.last_words()}")


Harm = Callable[[Scene], Awaitable[list[Role]]]
"""Does the harm under load; returns the detectors that stand at the end and must stop in order."""


async def under_load(
    ground: Stage,
    options: Options,
    outcome: Outcome,
    seed: int,
    harm: Harm,
    spice: Spice = plain,
    providers: Sequence[Provider] = (),
    slow_rate: float = SLOW_RATE,
    kills_in_a_row: bool = False,
    load_of: type[Load] = Load,
) -> Verdict:
    """One run: publish, harm, let everybody catch up, compare everything. With `kills_in_a_row` four kills come first:
    on a broker that keeps a count of starts, and where no protection is left out."""
    async with ground.play(providers, partitions=options.partitions) as play:
        rate = options.events / 12
        kills_in_a_row = kills_in_a_row and options.kafka != "embedded" and not options.without
        if kills_in_a_row:  # they take longer than all the rest: as many events in all
            slow_rate /= 5
        load = load_of(play.settings, seed, options.events, rate=rate, slow_rate=slow_rate, spice=spice)
        recorder, notifier = (play.start(name, change=options.without) for name in ("recorder", "notifier"))
        publishing = asyncio.create_task(load.publish())
        scene = Scene(play, load, options, outcome, publishing, recorder, notifier)
        try:
            if kills_in_a_row:
                await scene.kill_in_a_row()
            detectors = await harm(scene)
            load.enough.set()
            await publishing
        finally:
            publishing.cancel()
        standing = [scene.recorder, scene.notifier, *detectors]
        await play.drained(*ROLES, alive=lambda: scene.stand(standing))
        fold, wanted = await folded(play.settings)
        due = must_be_notified(wanted.values())
        await scene.until_notified({one for anomalies in due.values() for one in anomalies}, standing)
        codes = [await asyncio.to_thread(role.stop) for role in standing]
        if any(codes):
            raise DrillError(f"the roles ended with {codes}\n{play.last_words()}")
        for name in load.dated_wrong:  # two of them are late by too much to count, and nobody else knows which
            load.counts[name] = counted(fold.baselines[f"workflow:{name}"].pack(), f"workflow:{name}")
        verdict = await compare(play.settings, load.counts, load.ids, fold, wanted)
        await compare_clocks(play.settings, load.dated_wrong, load.last, verdict)
        await compare_dead_letters(play.settings, load.refused, verdict)
        await compare_rows(play.settings, set(wanted), load.ids, verdict)
        for provider in play.providers:
            compare_messages(provider.channel, provider.notified(), due, verdict)
        return verdict

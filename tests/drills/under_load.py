"""What every drill of the detector shares: a load, a harm, patience, and the comparison."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.drills.ledger import Verdict, compare, compare_dead_letters, compare_rows, folded
from tests.drills.load import Load, Spice, plain
from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, Play, Stage, until


@dataclass
class Scene:
    """One run while its load is being published."""

    play: Play
    load: Load
    options: Options
    outcome: Outcome
    publishing: "asyncio.Task[None]"

    def detector(self, **how: Any) -> Role:
        """Start a detector, with the protection taken out that the options name."""
        return self.play.start("detector", without=self.options.without, **how)

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


Harm = Callable[[Scene], Awaitable[list[Role]]]
"""Does the harm under load; returns the roles that stand at the end and must stop in order."""


async def under_load(
    ground: Stage, options: Options, outcome: Outcome, seed: int, harm: Harm, spice: Spice = plain
) -> Verdict:
    """One run: publish, harm, let everybody catch up, compare everything."""
    roles = ["detector", "recorder"] if ground.postgres else ["detector"]
    async with ground.play() as play:
        load = Load(play.settings, seed, options.events, rate=options.events / 12, spice=spice)
        standing = [play.start("recorder")] if ground.postgres else []
        scene = Scene(play, load, options, outcome, asyncio.create_task(load.publish()))
        try:
            standing += await harm(scene)
            load.enough.set()
            await scene.publishing
        finally:
            scene.publishing.cancel()
        await play.drained(*roles, alive=lambda: all(role.alive for role in standing))
        codes = [role.stop() for role in standing]
        if any(codes):
            raise DrillError(f"the roles ended with {codes}\n{play.last_words()}")
        verdict = await compare(play.settings, load.counts, load.ids)
        await compare_dead_letters(play.settings, load.refused, verdict)
        if ground.postgres:
            _, anomalies = await folded(play.settings)
            await compare_rows(play.settings, set(anomalies), load.ids, verdict)
        return verdict

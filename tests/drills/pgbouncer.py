"""PostgreSQL through pgbouncer in transaction mode, with fewer connections than the recorders have to it.

Two recorders store at once; they are killed within a transaction's time of each other, then pgbouncer is, then its
connections to PostgreSQL are cut.
"""

import asyncio
import contextlib
import random
import time

from tests.drills.roles import Role
from tests.drills.stage import Options, Outcome, Stage, psql, stage
from tests.drills.under_load import Harm, Scene, under_load
from tests.servers.pgbouncer import PgBouncer

EVENTS = 20_000
KILLS = 4
AWAY_S = 3.0


async def drill(options: Options) -> Outcome:
    """Each run kills recorders `KILLS` times, and pgbouncer once."""
    outcome = Outcome("pgbouncer")
    with stage(options.kafka) as ground, contextlib.ExitStack() as stack:
        bouncer = stack.enter_context(PgBouncer.start(ground.folder / "pgbouncer", ground.postgres))
        ground.database_url = bouncer.url
        for number in range(options.runs):
            seed = options.seed + number
            harm = _harm(ground, bouncer, random.Random(seed))
            outcome.add(await under_load(ground, options, outcome, seed, harm))
    return outcome


def _harm(ground: Stage, bouncer: PgBouncer, rng: random.Random) -> Harm:
    async def harm(scene: Scene) -> list[Role]:
        detector = await scene.ready(scene.detector())
        other = await scene.ready(scene.play.start("recorder", change=scene.options.without))
        await scene.ready(scene.recorder)
        for _ in range(KILLS):
            await _goes_on(scene)
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            scene.recorder, other = other, scene.recorder
            other.kill()
            other = await scene.ready(scene.play.start("recorder", change=scene.options.without), time.monotonic())
        bouncer.child.kill()
        await asyncio.sleep(AWAY_S)
        bouncer.relaunch()
        await _goes_on(scene)
        psql(ground.postgres, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        await _goes_on(scene)
        await scene.until(lambda: scene.recorder.alive and other.alive and detector.alive, "all to stand")
        return [detector, other]

    return harm


async def _goes_on(scene: Scene) -> None:
    """The recorders have stored more of what is being published."""
    then = await scene.play.committed("recorder")

    async def stored_more() -> bool:
        return await scene.play.committed("recorder") > then

    await scene.until_soon(stored_more, "the recorders to store more")

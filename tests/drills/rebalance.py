"""Workers join and leave under load, in order and by kill -9, while one stays."""

import asyncio
import random
import time

from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, stage
from tests.drills.under_load import Harm, Scene, under_load

EVENTS = 50_000
JOINS = 3


async def drill(options: Options) -> Outcome:
    """Three workers join each run; the first two leave by SIGTERM, the last is killed."""
    outcome = Outcome("rebalance")
    with stage(options.kafka) as ground:
        for number in range(options.runs):
            seed = options.seed + number
            outcome.add(await under_load(ground, options, outcome, seed, _harm(random.Random(seed))))
    return outcome


def _harm(rng: random.Random) -> Harm:
    async def harm(scene: Scene) -> list[Role]:
        stays = await scene.ready(scene.detector())
        for join in range(JOINS):
            guest = await scene.ready(scene.detector(), time.monotonic())
            await asyncio.sleep(rng.uniform(0.0, 2.0))
            if join == JOINS - 1:
                guest.kill()
            elif (code := await asyncio.to_thread(guest.stop)) != 0:
                raise DrillError(f"the guest left with {code}\n{scene.play.last_words()}")
        return [stays]

    return harm

"""Workers join and leave under load, in order and by kill -9 within a checkpoint, while one stays."""

import asyncio
import random
import time

from tests.drills.kill_detector import POINTS
from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, stage
from tests.drills.under_load import Harm, Scene, under_load

EVENTS = 50_000
JOINS = 3
WEAK = {"applied-positions": "changelog-acked"}
"""Where a missing protection must show."""


async def drill(options: Options, joins: int = JOINS) -> Outcome:
    """So many workers join each run, one after the other; all leave by SIGTERM but the last, which is killed."""
    outcome = Outcome("rebalance")
    with stage(options.kafka) as ground:
        for number in range(options.runs):
            seed = options.seed + number
            rng = random.Random(seed)
            point = WEAK.get(options.without) or rng.choice(POINTS)
            harm = _harm(rng, point, joins)
            outcome.add(await under_load(ground, options, outcome, seed, harm, kills_in_a_row=number == 0))
    return outcome


def _harm(rng: random.Random, point: str, joins: int) -> Harm:
    async def harm(scene: Scene) -> list[Role]:
        stays = await scene.ready(scene.detector())
        for _ in range(joins - 1):
            guest = await scene.ready(scene.detector(), time.monotonic())
            await asyncio.sleep(rng.uniform(0.0, 2.0))
            if (code := await asyncio.to_thread(guest.stop)) != 0:
                raise DrillError(f"the guest left with {code}\n{scene.play.last_words()}")
        await scene.died(scene.detector(fault_point=f"{point}:{rng.randint(1, 3)}"))
        return [stays]

    return harm

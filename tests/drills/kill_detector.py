"""kill -9 of the detector under load: at a point of the checkpoint, and at a random moment."""

import asyncio
import random
import time

from tests.drills.roles import Role
from tests.drills.stage import Options, Outcome, stage
from tests.drills.under_load import Harm, Scene, under_load

POINTS = ("alerts-sent", "alerts-acked", "owned", "changelog-half", "changelog-acked", "committed")
WEAK = {"commit-order": "committed", "applied-positions": "changelog-acked"}
"""Where a missing protection must show."""
EVENTS = 100_000


async def drill(options: Options) -> Outcome:
    """Each run kills at one point of the checkpoint, the next at the next, and then once at a random moment."""
    outcome = Outcome("kill-detector")
    with stage(options.kafka) as ground:
        for number in range(options.runs):
            point = WEAK.get(options.without) or POINTS[(options.first_point + number) % len(POINTS)]
            seed = options.seed + number
            harm = _harm(point, random.Random(seed))
            outcome.add(await under_load(ground, options, outcome, seed, harm, kills_in_a_row=number == 0))
    return outcome


def _harm(point: str, rng: random.Random) -> Harm:
    async def harm(scene: Scene) -> list[Role]:
        await scene.died(scene.detector(fault_point=f"{point}:{rng.randint(1, 3)}"))
        second = await scene.ready(scene.detector(), time.monotonic())
        await asyncio.sleep(rng.uniform(0.0, 2.0))
        second.kill()
        return [await scene.ready(scene.detector(), time.monotonic())]

    return harm

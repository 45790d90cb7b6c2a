"""SIGSTOP for longer than the session, between the check of the lease and the write; SIGCONT; SIGTERM under load.

The process that wakes up believes that the partitions are its own, and what it writes comes too late.
"""

import asyncio
import random
import signal
import time
from pathlib import Path

from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, stage
from tests.drills.under_load import Harm, Scene, under_load

EVENTS = 50_000
POINTS = ("owned", "alerts-acked", "changelog-acked")
"""After the check; before it; before the commit."""


async def drill(options: Options) -> Outcome:
    """Each run stops a worker at one of the points until another has taken over."""
    outcome = Outcome("stop-and-go")
    with stage(options.kafka) as ground:
        for number in range(options.runs):
            seed, point = options.seed + number, POINTS[(options.first_point + number) % len(POINTS)]
            outcome.add(await under_load(ground, options, outcome, seed, _harm(point, random.Random(seed))))
    return outcome


def _harm(point: str, rng: random.Random) -> Harm:
    async def harm(scene: Scene) -> list[Role]:
        zombie = scene.detector(fault_point=f"{point}:{rng.randint(2, 4)}:stop")
        await scene.until(lambda: _stopped(zombie), "the worker to stop itself")
        heir = await scene.ready(scene.detector(), time.monotonic())
        await asyncio.sleep(rng.uniform(0.0, 2.0))
        zombie.child.send(signal.SIGCONT)
        await asyncio.sleep(rng.uniform(1.0, 3.0))
        if (code := await asyncio.to_thread(heir.stop)) != 0:  # SIGTERM under load; the zombie may be its heir now
            raise DrillError(f"the heir ended with {code}\n{scene.play.last_words()}")
        last = await scene.ready(scene.detector())
        zombie.kill()
        return [last]

    return harm


def _stopped(role: Role) -> bool:
    try:
        return Path(f"/proc/{role.child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError as error:
        raise DrillError("the worker is gone") from error

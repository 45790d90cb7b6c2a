"""PostgreSQL stops under load, stays away and comes back: detection goes on, the recorder catches up."""

import asyncio
import time
from collections.abc import Callable

from stream_detector.devstack.postgres import Postgres
from tests.drills.roles import Role
from tests.drills.stage import Options, Outcome, Stage, stage
from tests.drills.under_load import Harm, Scene, under_load

EVENTS = 50_000
AWAY_S = 60.0


async def drill(options: Options, away_s: float = AWAY_S) -> Outcome:
    """Each run takes the database away once, while the recorder is at work."""
    outcome = Outcome("postgres-away")
    with stage(options.kafka) as ground:
        for number in range(options.runs):
            outcome.add(await under_load(ground, options, outcome, options.seed + number, _harm(ground, away_s)))
    return outcome


def _harm(ground: Stage, away_s: float) -> Harm:
    async def harm(scene: Scene) -> list[Role]:
        recorder = scene.recorder
        detector = await scene.ready(scene.detector())
        await scene.ready(recorder)
        ground.postgres.stop()
        await scene.until(lambda: recorder.answers("/readyz") == 503, "the recorder to say that it waits")

        def bring_back() -> None:
            ground.postgres = Postgres.start(ground.folder / "postgres")

        await outlive(scene, detector, away_s, bring_back)
        return [detector]

    return harm


async def outlive(scene: Scene, detector: Role, away_s: float, bring_back: Callable[[], None]) -> None:
    """The database stays away for so long; once it is back, the recorder stores all that was published."""
    await asyncio.sleep(away_s)
    await scene.until(lambda: detector.alive and scene.recorder.alive, "both to stand")
    bring_back()
    back_at = time.monotonic()
    scene.load.enough.set()
    await scene.publishing
    await scene.play.drained("recorder", alive=lambda: scene.recorder.alive)
    scene.outcome.recovery_s.append(time.monotonic() - back_at)

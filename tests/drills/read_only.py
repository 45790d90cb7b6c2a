"""PostgreSQL can only be read for a while, as during a failover: detection goes on, the recorder waits and catches up.

Connections stay, and reads are answered, so that nothing but a refused write tells. A recorder is also started
meanwhile, and must wait as well.
"""

from tests.drills.postgres_away import outlive
from tests.drills.roles import Role
from tests.drills.stage import Options, Outcome, Stage, psql, stage
from tests.drills.under_load import Harm, Scene, under_load

EVENTS = 20_000
AWAY_S = 20.0


async def drill(options: Options, away_s: float = AWAY_S) -> Outcome:
    """Each run has one such failover, while the recorder is at work."""
    outcome = Outcome("read-only")
    with stage(options.kafka) as ground:
        for number in range(options.runs):
            outcome.add(await under_load(ground, options, outcome, options.seed + number, _harm(ground, away_s)))
    return outcome


def _harm(ground: Stage, away_s: float) -> Harm:
    async def harm(scene: Scene) -> list[Role]:
        detector = await scene.ready(scene.detector())
        first = await scene.ready(scene.recorder)
        _set_read_only(ground, "on")
        await scene.until(lambda: first.answers("/readyz") == 503, "the recorder to report that it waits")
        first.kill()
        scene.recorder = scene.play.start("recorder", change=scene.options.without)
        await outlive(scene, detector, away_s, lambda: _set_read_only(ground, "off"))
        return [detector]

    return harm


def _set_read_only(ground: Stage, state: str) -> None:
    psql(ground.postgres, f"ALTER SYSTEM SET default_transaction_read_only = {state}")
    psql(ground.postgres, "SELECT pg_reload_conf()")

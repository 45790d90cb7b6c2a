"""A broker stops in order and comes back, or is killed, under load."""

import asyncio
import time

from stream_detector.devstack.apache import Apache
from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, Stage, stage
from tests.drills.under_load import Harm, Scene, under_load

EVENTS = 50_000
AWAY_S = 5.0


async def drill(options: Options) -> Outcome:
    """Each run stops one broker in order; with three of them, another each run."""
    return await run("broker-restart", options, kill=False)


async def run(name: str, options: Options, *, kill: bool) -> Outcome:
    """Take one broker away for a while. The embedded one keeps nothing, so it has no such drill."""
    if options.kafka == "embedded":
        raise DrillError(f"{name} needs --kafka apache or apache3: the embedded broker keeps nothing")
    outcome = Outcome(name)
    with stage(options.kafka) as ground:
        for number in range(options.runs):
            seed = options.seed + number
            harm = _harm(ground, number, kill)
            outcome.add(await under_load(ground, options, outcome, seed, harm, kills_in_a_row=number == 0))
    return outcome


def _harm(ground: Stage, number: int, kill: bool) -> Harm:
    async def harm(scene: Scene) -> list[Role]:
        brokers: Apache = ground.broker
        index = number % len(brokers.ports)
        detector = await scene.ready(scene.detector())
        scene.supervised = True
        (brokers.kill_broker if kill else brokers.stop_broker)(index)
        await asyncio.sleep(AWAY_S)
        brokers.start_broker(index)
        back_at = time.monotonic()
        committed = scene.play.committed

        async def caught_up() -> bool:
            nonlocal detector
            detector = scene.tend(detector)
            scene.recorder, scene.notifier = scene.tend(scene.recorder), scene.tend(scene.notifier)
            return await committed("detector") >= published

        published = len(scene.load.ids)
        await scene.until_soon(caught_up, "the detector to commit what was published before the broker was back")
        scene.outcome.recovery_s.append(time.monotonic() - back_at)
        return [detector]

    return harm

"""kill -9 of the detector under load: once at each point of the checkpoint, and at random moments."""

import asyncio
import random
import time

from tests.drills.ledger import Verdict, compare, compare_rows, folded
from tests.drills.load import Load
from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, Play, Stage, stage, until

POINTS = ("alerts-sent", "alerts-acked", "owned", "changelog-half", "changelog-acked", "committed")
WEAK = {"commit-order": "committed", "applied-positions": "changelog-acked"}
"""Where a missing protection must show."""
EVENTS = 100_000


async def drill(options: Options) -> Outcome:
    """Each run kills at one point of the checkpoint, the next at the next, and then once at a random moment."""
    outcome = Outcome("kill-detector")
    with stage(options.kafka, database=True) as ground:
        for number in range(options.runs):
            point = WEAK.get(options.without) or POINTS[(options.first_point + number) % len(POINTS)]
            outcome.add(await _run(ground, options, options.seed + number, point, outcome))
    return outcome


async def _run(ground: Stage, options: Options, seed: int, point: str, outcome: Outcome) -> Verdict:
    rng = random.Random(seed)
    async with ground.play() as play:
        load = Load(play.settings, seed, options.events, rate=options.events / 12)
        recorder = play.start("recorder")
        detector = play.start("detector", without=options.without, fault_point=f"{point}:{rng.randint(1, 3)}")
        publishing = asyncio.create_task(load.publish())
        try:
            await _died(play, detector, publishing)
            detector = await _restarted(play, options, outcome)
            await asyncio.sleep(rng.uniform(0.0, 2.0))
            detector.kill()
            detector = await _restarted(play, options, outcome)
            load.enough.set()
            await publishing
        finally:
            publishing.cancel()
        await play.drained("detector", "recorder", alive=lambda: detector.alive and recorder.alive)
        codes = detector.stop(), recorder.stop()
        if codes != (0, 0):
            raise DrillError(f"detector and recorder ended with {codes}\n{play.last_words()}")
        verdict = await compare(play.settings, load.counts, load.ids)
        _, anomalies = await folded(play.settings)
        await compare_rows(play.settings, set(anomalies), load.ids, verdict)
        return verdict


async def _died(play: Play, detector: Role, publishing: "asyncio.Task[None]") -> None:
    async def dead() -> bool:
        if publishing.done():
            publishing.result()
        return not detector.alive

    await until(dead, "the detector to reach its fault point", play.last_words)
    if not detector.killed:
        raise DrillError(f"the detector ended by itself\n{play.last_words()}")


async def _restarted(play: Play, options: Options, outcome: Outcome) -> Role:
    """A new one that has recovered; the time from the death until then counts."""
    began = time.monotonic()
    detector = play.start("detector", without=options.without)

    async def ready() -> bool:
        if not detector.alive:
            raise DrillError(f"the detector ended by itself\n{play.last_words()}")
        return await asyncio.to_thread(lambda: detector.ready)

    await until(ready, "the detector to recover", play.last_words)
    outcome.recovery_s.append(time.monotonic() - began)
    return detector

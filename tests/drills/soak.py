"""Ten minutes of random faults, one after the other, under load: nothing lost, memory flat, lag back to zero each time.

One detector stands through all of it; its memory is looked at. Roles that end by themselves are started again.
"""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial

from stream_detector.devstack.postgres import Postgres
from tests.drills.kill_detector import POINTS
from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, Stage, stage
from tests.drills.under_load import Harm, Scene, under_load

EVENTS = 20_000
LINK_LIFETIME_S = 600.0
SLOW_RATE = 150.0
"""Events a second over the whole time: several times what a team has, and few enough to compare all in the end."""
FLAT = 1.2
"""Memory at the end may be so many times the most that it was while each fault came for the second time."""


async def drill(options: Options, lasts_s: float = LINK_LIFETIME_S) -> Outcome:
    """Each run lasts that long, and then as long as comparing takes."""
    outcome = Outcome("soak")
    with stage(options.kafka) as ground:
        for number in range(options.runs):
            seed = options.seed + number
            harm = _harm(ground, random.Random(seed), lasts_s)
            outcome.add(
                await under_load(ground, options, outcome, seed, harm, slow_rate=SLOW_RATE, kills_in_a_row=True)
            )
    return outcome


def _harm(ground: Stage, rng: random.Random, lasts_s: float) -> Harm:
    async def harm(scene: Scene) -> list[Role]:
        scene.supervised = True
        standing = [await scene.ready(scene.detector())]
        faults: dict[str, Callable[[], Awaitable[None]]] = {
            "detector killed": partial(_detector_killed, scene, rng),
            "detector joins and leaves": partial(_joins_and_leaves, scene, rng),
            "detector stopped and awake again": partial(_stopped, scene, standing),
            "recorder killed": partial(_killed, scene, "recorder"),
            "notifier killed": partial(_killed, scene, "notifier"),
            "postgres away": partial(_postgres_away, ground),
        }
        if scene.options.kafka != "embedded":  # which keeps nothing
            faults["broker restarted"] = partial(_broker_away, ground, ground.broker.stop_broker)
            faults["broker killed"] = partial(_broker_away, ground, ground.broker.kill_broker)
        ends_at, memory, order = time.monotonic() + lasts_s, [], list(faults)
        while time.monotonic() < ends_at:
            rng.shuffle(order)
            for name in order:
                began = time.monotonic()
                await faults[name]()
                await _lag_is_zero(scene, standing)
                scene.outcome.recovery_s.append(time.monotonic() - began)
                memory.append(standing[0].child.memory_bytes())
                print(f"{name}: over in {time.monotonic() - began:.1f} s, {memory[-1] >> 20} MiB", flush=True)
        warm = memory[len(order) : 2 * len(order)]
        if not warm:
            raise DrillError("each fault must come twice: it lasted too short a time")
        if memory[-1] > FLAT * max(warm):
            scene.outcome.findings.append(f"the detector's memory grew: {[size >> 20 for size in memory]} MiB")
        return standing

    return harm


async def _lag_is_zero(scene: Scene, standing: list[Role]) -> None:
    """All that was published up to now is detected and stored."""
    published = len(scene.load.ids)

    async def caught_up() -> bool:
        if scene.publishing.done():
            scene.publishing.result()
        scene.stand(standing)
        scene.recorder, scene.notifier = scene.tend(scene.recorder), scene.tend(scene.notifier)
        return min(await asyncio.gather(*map(scene.play.committed, ("detector", "recorder")))) >= published

    await scene.until_soon(caught_up, "the lag to go back to zero")


async def _detector_killed(scene: Scene, rng: random.Random) -> None:
    """A second one, at a point of its checkpoint."""
    await scene.died(scene.detector(fault_point=f"{rng.choice(POINTS)}:{rng.randint(1, 3)}"))


async def _joins_and_leaves(scene: Scene, rng: random.Random) -> None:
    guest = await scene.ready(scene.detector())
    await asyncio.sleep(rng.uniform(0.0, 2.0))
    if (code := await asyncio.to_thread(guest.stop)) != 0:
        raise DrillError(f"the guest left with {code}\n{scene.play.last_words()}")


async def _stopped(scene: Scene, standing: list[Role]) -> None:
    """For longer than its session; then another has its partitions."""
    zombie = await scene.ready(scene.detector())
    zombie.child.send(signal.SIGSTOP)
    await asyncio.sleep(scene.play.settings.session_timeout_s + 2.0)
    zombie.child.send(signal.SIGCONT)
    await asyncio.sleep(1.0)
    await asyncio.to_thread(zombie.stop)
    await scene.ready(standing[0])


async def _killed(scene: Scene, name: str) -> None:
    getattr(scene, name).kill()  # and started again by `tend`


async def _postgres_away(ground: Stage) -> None:
    ground.postgres.stop()
    await asyncio.sleep(10.0)
    ground.postgres = Postgres.start(ground.folder / "postgres")


async def _broker_away(ground: Stage, away: Callable[[int], None]) -> None:
    away(0)
    await asyncio.sleep(5.0)
    ground.broker.start_broker(0)

"""A worker on a machine that has never seen one: its state comes from the changelog alone, no disk is used."""

import time

from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, stage
from tests.drills.under_load import Scene, under_load

EVENTS = 50_000


async def drill(options: Options) -> Outcome:
    """Two workers one after the other, each with an empty folder for data and temporary files."""
    outcome = Outcome("empty-disk")

    async def harm(scene: Scene) -> list[Role]:
        first = await scene.ready(_elsewhere(scene, "first"))
        await scene.until(lambda: len(scene.load.ids) > options.events / 2, "half of the load")
        first.kill()
        second = await scene.ready(_elsewhere(scene, "second"), time.monotonic())
        for folder in (scene.play.folder / "first", scene.play.folder / "second"):
            if left := [str(path) for path in folder.rglob("*")]:
                raise DrillError(f"something was written to disk: {left}")
        return [second]

    with stage(options.kafka) as ground:
        for number in range(options.runs):
            outcome.add(await under_load(ground, options, outcome, options.seed + number, harm))
    return outcome


def _elsewhere(scene: Scene, name: str) -> Role:
    folder = scene.play.folder / name
    folder.mkdir(parents=True)
    return scene.detector(data_dir=str(folder), environ={"TMPDIR": str(folder), "HOME": str(folder)})

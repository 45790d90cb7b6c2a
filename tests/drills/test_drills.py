"""The drills as CI runs them, one run each."""

import pytest

from tests.drills import postgres_away
from tests.drills.roles import Role
from tests.drills.stage import Options, Outcome, stage
from tests.drills.under_load import Scene, under_load


@pytest.mark.drill
async def test_postgres_away_and_back_loses_no_row():
    outcome = await postgres_away.drill(Options(events=5_000), away_s=3.0)
    assert outcome.passed, outcome.findings


@pytest.mark.drill
@pytest.mark.parametrize("what", ["emptied-queues", "following"])
async def test_chunks_that_faust_threw_away_are_fetched_again(what):
    changed = {"without": "following"} if what == "following" else {"harm": what}
    options, outcome = Options(events=10_000, **changed), Outcome("emptied-queues")

    async def harm(scene: Scene) -> list[Role]:
        first = await scene.ready(scene.play.start("detector"))  # it leaves a changelog that must be recovered

        async def written() -> bool:
            return await scene.play.committed("detector") > 0

        await scene.until_soon(written, "its first checkpoint")
        first.kill()
        second = await scene.ready(scene.detector())
        assert "THREW AWAY" in second.child.log_path.read_text(), "the window was not hit"
        then = await scene.play.committed("detector")

        async def went_on() -> bool:
            return await scene.play.committed("detector") > then + 1_000

        await scene.until_soon(went_on, "later chunks of each partition")  # without one nothing jumps over what is gone
        return [second]

    with stage(options.kafka) as ground:
        outcome.add(await under_load(ground, options, outcome, 1, harm))
    if what == "following":
        assert outcome.lost, "without the rule that a chunk must follow they are gone"
    else:
        assert outcome.passed, outcome.findings

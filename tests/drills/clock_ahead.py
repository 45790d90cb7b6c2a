"""Producers a year ahead, in event and record; records without a time that is believed; workers an hour off each way.

The same workers then read score runs: none times out, and what each summary has is what its producer knows.

No key stays muted: after three more executions of right clocks each is judged again, which an independent book of the
last execution of each key says, and everything is what the fold makes of the topic, which knows no clock at all.
"""

import asyncio
import random
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial

import msgspec

from stream_detector.events import Completion
from stream_detector.events.encode import encode
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import RUN_SUMMARIES
from tests.drills.load import Sent, plain
from tests.drills.roles import Role
from tests.drills.run_ends import with_runs
from tests.drills.stage import Options, Outcome, Play, stage, until
from tests.drills.under_load import Scene, under_load

EVENTS = 20_000
HOUR_S = 3600
YEAR = timedelta(days=365)
SCORES_OF = 5
"""One score for so many executions."""
LAST_WRONG = 2_500
"""From this event on all clocks are right: a dozen more of each key are to come where 5,000 are planned."""


def wrong_clocks(rng: random.Random, event: Completion, *, stamped: bool = True) -> list[Sent]:
    """One record in twenty has no timestamp that is believed; before one event in fifty comes one of next year, its
    record as well where `stamped`: Apache Kafka 4 takes none that is more than an hour ahead."""
    good = plain(rng, event)
    if rng.random() < 0.05:
        good = [good[0]._replace(timestamp_ms=rng.choice((0, round(time.time()))))]
    if int(event.execution_id.rpartition("-")[2]) >= LAST_WRONG or rng.random() >= 0.02:
        return good
    wrong = msgspec.structs.replace(
        event,
        execution_id=event.execution_id + "-ahead",
        started_at=event.started_at + YEAR,
        finished_at=event.finished_at + YEAR,
    )
    stamp_ms = rng.choice((0, round((time.time() + YEAR.total_seconds()) * 1000 if stamped else 0)))
    ahead = Sent(encode(wrong), event.workflow_id, wrong.execution_id, timestamp_ms=stamp_ms, is_dated_wrong=True)
    return [ahead, *good]


async def drill(options: Options) -> Outcome:
    """Two workers, one an hour ahead and one an hour behind; one is killed, and another takes over."""
    outcome = Outcome("clock-ahead")

    async def harm(scene: Scene) -> list[Role]:
        ahead, behind = _with_clock(scene, HOUR_S), _with_clock(scene, -HOUR_S)
        await scene.ready(ahead)
        await scene.ready(behind)
        await scene.until(lambda: len(scene.load.ids) > options.events / 2, "half of the load")
        ahead.kill()
        heir = await scene.ready(_with_clock(scene, HOUR_S), time.monotonic())
        return [behind, heir]

    with stage(options.kafka) as ground:
        for number in range(options.runs):
            seed = options.seed + number
            spice = partial(wrong_clocks, stamped=options.kafka == "embedded")
            outcome.add(await under_load(ground, options, outcome, seed, harm, spice))
            async with ground.play(partitions=options.partitions) as play:
                scores = replace(options, events=options.events // SCORES_OF)
                outcome.add(await with_runs(play, scores, outcome, seed, _harm_runs))
    return outcome


async def _harm_runs(
    play: Play, options: Options, outcome: Outcome, rng: random.Random, publishing: "asyncio.Task[None]"
) -> list[Role]:
    """Whoever owns a run and whoever reads its scores are two hours apart, also after one has taken over."""

    async def ready(off_s: float) -> Role:
        role = _start(play, options, off_s)

        async def recovered() -> bool:
            if publishing.done():
                publishing.result()
            return role.alive and await asyncio.to_thread(lambda: role.ready)

        await until(recovered, "the detector to recover", play.last_words)
        return role

    async def summaries(count: int) -> None:
        async def there() -> bool:
            return len([record async for record in read_topic(play.settings, RUN_SUMMARIES)]) >= count

        await until(there, f"{count} summaries", play.last_words)

    ahead, behind = await ready(HOUR_S), await ready(-HOUR_S)
    await summaries(20)
    ahead.kill()
    heir = await ready(HOUR_S)
    await summaries(40)
    return [behind, heir]


def _with_clock(scene: Scene, off_s: float) -> Role:
    return _start(scene.play, scene.options, off_s)


def _start(play: Play, options: Options, off_s: float) -> Role:
    change = ",".join(filter(None, ("shifted-clock", options.without)))
    return play.start("detector", change=change, environ={"CLOCK_OFF_S": str(off_s)})

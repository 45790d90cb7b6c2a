"""Producers a year ahead, in event and record; records without a time that is believed; workers an hour off each way.

No key stays muted: after three more executions of right clocks each is judged again, which an independent book of the
last execution of each key says, and everything is what the fold makes of the topic, which knows no clock at all.
"""

import random
import time
from datetime import timedelta

import msgspec

from stream_detector.events import Completion
from stream_detector.events.encode import encode
from tests.drills.load import Sent, plain
from tests.drills.roles import Role
from tests.drills.stage import Options, Outcome, stage
from tests.drills.under_load import Scene, under_load

EVENTS = 20_000
HOUR_S = 3600
YEAR = timedelta(days=365)
LAST_WRONG = 2_500
"""From this event on all clocks are right: a dozen more of each key are to come where 5,000 are planned."""


def wrong_clocks(rng: random.Random, event: Completion) -> list[Sent]:
    """One record in twenty has no timestamp that is believed; before one event in fifty comes one of next year."""
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
    stamp_ms = rng.choice((0, round((time.time() + YEAR.total_seconds()) * 1000)))
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
            outcome.add(await under_load(ground, options, outcome, options.seed + number, harm, wrong_clocks))
    return outcome


def _with_clock(scene: Scene, off_s: float) -> Role:
    change = ",".join(filter(None, ("shifted-clock", scene.options.without)))
    return scene.play.start("detector", change=change, environ={"CLOCK_OFF_S": str(off_s)})

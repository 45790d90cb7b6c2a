"""Inputs as they come in life: poison, repeats, late events, producers with wrong clocks. And a kill on the way."""

import random
import time
from collections.abc import Callable
from datetime import timedelta

import msgspec

from stream_detector.events import Completion
from stream_detector.events.encode import encode
from tests.drills.load import Sent, Spice, plain
from tests.drills.roles import Role
from tests.drills.stage import Options, Outcome, stage
from tests.drills.under_load import Scene, under_load

FUTURE_MS = 600_000
"""An event that finished so long after its record's timestamp is refused."""
STAMPED_WITH_START_MS = 60_000
"""But for one whose record is stamped so near its start."""

POISON: tuple[Callable[[bytes], bytes | None], ...] = (
    lambda good: None,
    lambda good: b"",
    lambda good: good[: len(good) // 2],
    lambda good: good.replace(b'"success"', b'"succes\xff"').replace(b'"failure"', b'"failur\xff"'),
    lambda good: good.decode().encode("utf-16"),
    lambda good: b"[" * 100_000,
    lambda good: b'{"a":' * 50_000,
    lambda good: good[:-1] + b',"labels":{"a":"' + b"x" * 600_000 + b'"}}',
    lambda good: good.replace(b'"workflow_id":"', b'"workflow_id":"\\u0000'),
    lambda good: good.replace(b'"duration_s":', b'"duration_s":-'),
    lambda good: good.replace(b'"duration_s":', b'"duration_s":NaN,"x":'),
    lambda good: b"\x00" * 1000,
    lambda good: b"null",
    lambda good: b'{"execution_id":{"$gt":""},"workflow_id":"x"}',
)


def hostile(rng: random.Random, event: Completion) -> list[Sent]:
    """One record in fifty is poison, in the place of any key."""
    good = plain(rng, event)
    if rng.random() >= 0.02:
        return good
    bad = rng.choice(POISON)(encode(event))
    return [Sent(bad, event.workflow_id, event.execution_id, counts=False), *good]


def duplicates_and_late(rng: random.Random, event: Completion) -> list[Sent]:
    """One event in ten comes two or three times; one in fifty is followed by one of hours or days before."""
    sent = plain(rng, event) * (rng.choice((2, 3)) if rng.random() < 0.1 else 1)
    if rng.random() < 0.02:
        back = timedelta(hours=rng.uniform(1.5, 24 * 5))
        late = msgspec.structs.replace(
            event,
            execution_id=event.execution_id + "-late",
            started_at=event.started_at - back,
            finished_at=event.finished_at - back,
        )
        sent += plain(rng, late)
    return sent


def clock_skew(rng: random.Random, event: Completion) -> list[Sent]:
    """The clock of one producer in three is up to 20 days slow or 50 minutes fast, another each event."""
    if rng.random() > 0.33:
        return plain(rng, event)
    off_s = rng.choice((-86_400 * 20 * rng.random(), 3_000 * rng.random()))
    stamp_ms = round((time.time() + off_s) * 1000)
    started_ms, finished_ms = event.started_at.timestamp() * 1000, event.finished_at.timestamp() * 1000
    counts = finished_ms <= stamp_ms + FUTURE_MS or abs(started_ms - stamp_ms) <= STAMPED_WITH_START_MS
    return [Sent(encode(event), event.workflow_id, event.execution_id, counts, stamp_ms)]


async def run(name: str, spice: Spice, options: Options) -> Outcome:
    """The load with its spice, one kill -9 on the way."""
    outcome = Outcome(name)

    async def harm(scene: Scene) -> list[Role]:
        await scene.died(scene.detector(fault_point="changelog-acked:2"))
        return [await scene.ready(scene.detector(), time.monotonic())]

    with stage(options.kafka) as ground:
        for number in range(options.runs):
            outcome.add(await under_load(ground, options, outcome, options.seed + number, harm, spice))
    return outcome

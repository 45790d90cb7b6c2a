"""X21: variants in a running detector that is killed at each point of its checkpoint."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaProducer

from stream_detector.events import Completion
from stream_detector.events.encode import encode
from stream_detector.events.variant import BRANCH, DEFAULT_BRANCH, SCHEDULE, key_parts
from stream_detector.kafka.client import client_options
from stream_detector.kafka.topics import COMPLETIONS
from stream_detector.settings import Settings
from tests.drills.kill_detector import POINTS
from tests.drills.ledger import Verdict, compare_alerts, folded, recovered
from tests.drills.stage import Play
from tests.integration.roles.test_recreated_topics import ended
from tests.integration.roles.watching import ready

pytestmark = pytest.mark.drill
WORKFLOWS, RUNS = 60, 12
VARIANTS = SCHEDULE, DEFAULT_BRANCH, BRANCH, DEFAULT_BRANCH, DEFAULT_BRANCH, None
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)


def events(numbers: range, variants: tuple[str | None, ...]) -> list[Completion]:
    """Of each workflow so many executions; every other workflow has been failing since its last but two."""
    made = []
    for number in numbers:
        for workflow in range(WORKFLOWS):
            at = START + timedelta(hours=number, seconds=workflow)
            failed = workflow % 2 == 0 and number >= RUNS - 3
            made.append(
                Completion(
                    execution_id=f"{workflow}-{number}",
                    workflow_id=f"wf:{workflow}",
                    status="failure" if failed else "success",
                    started_at=at - timedelta(seconds=60),
                    finished_at=at,
                    variant=variants[(number + workflow) % len(variants)],
                    labels={"branch": f"b{number}"},
                )
            )
    return made


async def publish(settings: Settings, made: list[Completion]) -> None:
    """Without keys, so that most are passed on to their owner."""
    async with AIOKafkaProducer(**client_options(settings), acks="all", linger_ms=20) as producer:
        for number, event in enumerate(made):
            await producer.send(settings.topic(COMPLETIONS), encode(event), partition=number % WORKFLOWS % 4)


async def drained(play: Play, **more: object) -> None:
    detector = play.start("detector", **more)
    await ready(play, detector)
    await play.drained("detector", alive=lambda: detector.alive)
    assert await asyncio.to_thread(detector.stop) == 0


@pytest.mark.parametrize("point", POINTS)
async def test_x21_what_a_variant_takes_over_is_there_once_whatever_a_kill_interrupts(play, point):
    settings = play.settings
    await publish(settings, events(range(RUNS), (None,)))
    await drained(play)
    await publish(settings, events(range(RUNS, RUNS + 8), VARIANTS))
    await ended(play.start("detector", fault_point=f"{point}:1"), 60.0)
    await ended(play.start("detector", fault_point="changelog-acked:1"), 60.0)
    await drained(play)
    fold, wanted = await folded(settings)
    state = await recovered(settings)
    assert {key: baseline.pack() for key, baseline in fold.baselines.items()} == state
    kinds = {key_parts(key).variant for key in state}
    assert kinds == {SCHEDULE, DEFAULT_BRANCH, BRANCH, None}
    verdict = Verdict(events=WORKFLOWS * (RUNS + 8))
    await compare_alerts(settings, wanted, verdict)
    assert verdict.exact, verdict.findings

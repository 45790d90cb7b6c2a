"""Slack, mail and a webhook fail in every way under load: nobody misses a message or gets it twice.

First none of them answers: meanwhile everything that was published must be detected and stored. Then each by itself is
busy (429 with Retry-After, in SMTP 451), broken (500, 421), slow by 30 s, and refuses connections.
"""

import asyncio
import time
from functools import partial

import msgspec

from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import NOTIFICATIONS
from tests.drills.ledger import folded, must_be_notified
from tests.drills.providers import RETRY_AFTER_S, SLOW_S, Provider, mail, slack, webhook
from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, stage
from tests.drills.under_load import Harm, Scene, under_load

EVENTS = 10_000
SLOW_RATE = 100.0
"""Events a second while the channels fail: about five messages a second to each."""
FAULTS = ("busy", "broken", "slow", "refused")
WORDS = {
    "busy": {"webhook": "answered 429", "slack": "answered 429", "email": "451"},
    "broken": {"webhook": "answered 500", "slack": "answered 500", "email": "421"},
    "refused": dict.fromkeys(("webhook", "slack", "email"), "cannot be reached"),
    "silent": dict.fromkeys(("webhook", "slack", "email"), "did not respond within"),
}
"""What the notifier must have said of each fault: else it was not met."""


async def drill(options: Options) -> Outcome:
    """In each run the channels meet the faults in another order, so that each is up while another is down."""
    outcome = Outcome("channels-failing")
    with stage(options.kafka) as ground:
        for number in range(options.runs):
            seed, folder = options.seed + number, ground.folder / f"mail-{number}"
            folder.mkdir()
            providers = [webhook(), slack(), mail(folder)]
            harm = _harm(number)
            outcome.add(
                await under_load(ground, options, outcome, seed, harm, providers=providers, slow_rate=SLOW_RATE)
            )
    return outcome


def _harm(first: int) -> Harm:
    async def harm(scene: Scene) -> list[Role]:
        detector = await scene.ready(scene.detector())
        for role in (scene.recorder, scene.notifier):
            await scene.ready(role)
        await _all_silent(scene, detector)
        turns = enumerate(scene.play.providers)
        await asyncio.gather(*(_fail(scene, one, first + turn) for turn, one in turns))
        healed_at = time.monotonic()
        scene.load.enough.set()
        await scene.publishing
        _, wanted = await folded(scene.play.settings)
        due = must_be_notified(wanted.values())
        await scene.until_notified({one for anomalies in due.values() for one in anomalies}, [])
        scene.outcome.recovery_s.append(time.monotonic() - healed_at)
        await _met(scene)
        return [detector]

    return harm


async def _all_silent(scene: Scene, detector: Role) -> None:
    """No provider answers until everything that was published by then has been detected and stored."""
    providers = scene.play.providers
    for provider in providers:
        for _ in range(100):
            provider.server.hang_next()
    await scene.until(lambda: all(one.server.hanging.is_set() for one in providers), "all channels to hang")
    before, published = [len(one.notified()) for one in providers], len(scene.load.ids)

    async def undelayed() -> bool:
        if not (detector.alive and scene.recorder.alive):
            raise DrillError(f"a role ended by itself\n{scene.play.last_words()}")
        return min(await asyncio.gather(*map(scene.play.committed, ("detector", "recorder")))) >= published

    await scene.until_soon(undelayed, "everything to be detected and stored")
    if [len(one.notified()) for one in providers] != before:
        raise DrillError("a channel was up meanwhile: nothing was shown")
    for provider in providers:
        provider.server.forget_plans()


async def _fail(scene: Scene, provider: Provider, first: int) -> None:
    """One fault after the other; messages go through in between."""
    for turn in range(len(FAULTS)):
        await _went_through(scene, provider)
        match FAULTS[(first + turn) % len(FAULTS)]:
            case "busy":
                provider.busy()
                await _answered(scene, provider)
                await _left_alone(scene, provider)
            case "broken":
                provider.broken()
                await _answered(scene, provider)
            case "slow":
                provider.server.slow_next(SLOW_S)
                await _answered(scene, provider)
            case "refused":
                await provider.server.stop()
                await scene.until_soon(partial(_has_said, scene, provider, "refused"), f"{provider.channel} to refuse")
                await provider.server.start()
    await _went_through(scene, provider)


async def _went_through(scene: Scene, provider: Provider) -> None:
    before = len(provider.notified())
    await scene.until(lambda: len(provider.notified()) > before, f"a message to {provider.channel}")


async def _answered(scene: Scene, provider: Provider) -> None:
    await scene.until(lambda: not provider.server.planned, f"{provider.channel} to be asked")


async def _left_alone(scene: Scene, provider: Provider) -> None:
    """A provider that has asked to wait is not asked before."""
    before = len(provider.notified())
    await asyncio.sleep(RETRY_AFTER_S - 1.0)
    if provider.channel != "email" and len(provider.notified()) > before:
        scene.outcome.findings.append(f"{provider.channel} got a message within its Retry-After")


async def _met(scene: Scene) -> None:
    for fault in WORDS:
        for provider in scene.play.providers:
            if not await _has_said(scene, provider, fault):
                raise DrillError(f"{provider.channel} never was {fault}: nothing was shown")


async def _has_said(scene: Scene, provider: Provider, fault: str) -> bool:
    words = WORDS[fault][provider.channel]
    said = [msgspec.json.decode(record.value) async for record in read_topic(scene.play.settings, NOTIFICATIONS)]
    return any(
        one["channel"] == provider.channel and one["outcome"] == "retrying" and words in one["reason"] for one in said
    )

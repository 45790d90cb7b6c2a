"""W39: detectors of one group judge under the same settings, and which these were is on the topic for good."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from stream_detector.events.decode import decode_detector_settings
from stream_detector.events.detector_settings import DetectorSettings
from stream_detector.events.encode import encode
from stream_detector.kafka.client import client_options
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import COMPLETIONS, DETECTOR_SETTINGS, owner_partition
from stream_detector.roles.detector_settings import SettingsConflictError, SettingsLog
from tests.integration.roles.watching import caught_up, dead, publish, ready

CLASSIC, ROBUST = {"profile": "classic"}, {"profile": "robust"}


async def revisions(play) -> list[tuple[int, str]]:
    """(revision, profile) of each that holds, in order."""
    found = [decode_detector_settings(each.value) async for each in read_topic(play.settings, DETECTOR_SETTINGS)]
    holding: dict[int, str] = {}
    for each in found:
        if each.kind == "in_force":
            holding.setdefault(each.revision, each.settings["profile"])
    return sorted(holding.items())


async def last_offsets(play) -> Any:
    records = [decode_detector_settings(each.value) async for each in read_topic(play.settings, DETECTOR_SETTINGS)]
    return [each for each in records if each.kind == "in_force"][-1].offsets


async def agree(play, **changes: Any) -> None:
    """What a detector does before it joins its group, without joining: as one that dies in between."""
    log = SettingsLog(replace(play.settings, **changes), pytest.fail)
    await log.agree()
    await log.stop()


async def test_w39_a_later_start_with_other_settings_is_refused_with_both_values_and_what_to_do(play) -> None:
    first = play.start("detector", **CLASSIC)
    await ready(play, first)
    second = play.start("detector", **ROBUST)
    await dead(play, second)
    said = second.child.last_lines(3)
    assert "STREAM_DETECTOR_PROFILE is 'robust' here and 'classic' there" in said
    assert "stop all of them, then start them with the new one" in said
    same = play.start("detector", **CLASSIC)
    await ready(play, same)
    assert first.alive and await revisions(play) == [(1, "classic")]
    await publish(play, range(5))
    await caught_up(play, first)
    assert first.stop() == same.stop() == 0
    changed = play.start("detector", **ROBUST)
    await ready(play, changed)
    assert await revisions(play) == [(1, "classic"), (2, "robust")]
    assert (await last_offsets(play))[COMPLETIONS][owner_partition("nightly", 4)] == 5


@pytest.mark.drill
async def test_w39_one_that_was_killed_makes_room_for_other_settings(play) -> None:
    first = play.start("detector", **CLASSIC)
    await ready(play, first)
    first.kill()
    changed = play.start("detector", **ROBUST)
    await ready(play, changed)
    assert await revisions(play) == [(1, "classic"), (2, "robust")]


async def test_w39_a_rolling_change_is_refused_and_the_others_go_on(play) -> None:
    both = [play.start("detector", **CLASSIC) for _ in range(2)]
    for each in both:
        await ready(play, each)
    assert both[0].stop() == 0
    again = play.start("detector", **ROBUST)
    await dead(play, again)
    assert both[1].alive and await revisions(play) == [(1, "classic")]


@pytest.mark.drill
async def test_w39_a_crash_between_publishing_and_starting_leaves_a_revision_of_no_events(play) -> None:
    first = play.start("detector", **CLASSIC)
    await ready(play, first)
    await publish(play, range(5))
    await caught_up(play, first)
    assert first.stop() == 0
    await agree(play, **ROBUST)
    since = await last_offsets(play)
    second = play.start("detector", **CLASSIC)
    await ready(play, second)
    assert await revisions(play) == [(1, "classic"), (2, "robust"), (3, "classic")]
    assert await last_offsets(play) == since and since[COMPLETIONS]


async def test_w39_of_two_that_start_at_the_same_moment_one_starts(play) -> None:
    for number in range(4):
        profiles = ("classic", "robust") if number % 2 else ("robust", "classic")
        thresholds = Decimal(number + 2), Decimal(number + 2)
        done = await asyncio.gather(
            *(
                agree(play, profile=profile, score_threshold=threshold)
                for profile, threshold in zip(profiles, thresholds, strict=True)
            ),
            return_exceptions=True,
        )
        refused = [each for each in done if each is not None]
        assert len(refused) == 1 and isinstance(refused[0], SettingsConflictError), done
        found = await revisions(play)
        assert len(found) == number + 1 and found[-1][1] == profiles[done.index(None)]


async def test_w39_settings_that_are_written_otherwise_are_the_same(play) -> None:
    await agree(play, score_threshold=Decimal("0.5"), profile_rules="a-*->classic")
    await agree(play, score_threshold=Decimal("0.50"), profile_rules=" a-* -> classic ")
    assert await revisions(play) == [(1, "robust")]


async def test_w39_beside_a_former_version_which_publishes_nothing_the_first_revision_is_published(play) -> None:
    former = AIOKafkaConsumer(
        play.settings.topic(COMPLETIONS), **client_options(play.settings), group_id=play.settings.group("detector")
    )
    await former.start()
    try:
        await former.getmany(timeout_ms=500)
        await agree(play, **CLASSIC)
    finally:
        await former.stop()
    assert await revisions(play) == [(1, "classic")]


async def test_one_whose_settings_are_no_longer_in_force_ends(play, producer) -> None:
    first = play.start("detector", **CLASSIC)
    await ready(play, first)
    robust = DetectorSettings(
        schema_version=1, kind="in_force", revision=2, settings={"profile": "robust"}, at=datetime.now(UTC)
    )
    await producer.send_and_wait(play.settings.topic(DETECTOR_SETTINGS), encode(robust), partition=0)
    await dead(play, first)
    assert "runs with other settings" in first.child.last_lines(3)

"""X32: a source that is silent, with the processes and topics that it takes: one message, also when the notifier is
killed before it, and one when its events come again."""

import time
from dataclasses import replace
from typing import Any

import pytest

from stream_detector.events import Anomaly
from stream_detector.events.encode import encode
from stream_detector.events.source_census import SourceCensus, SourceCount, census_key
from stream_detector.kafka.topics import ALERTS, CLOCK, owner_partition
from stream_detector.notify.subject import instant
from tests.drills.stage import Play
from tests.servers.installation import wait_until
from tests.servers.slack import SlackServer, slack
from tests.unit.notify.absent import missed

__all__ = ["slack"]
NAMES = [f"job-{number}" for number in range(6)]


@pytest.fixture
def broker(tansu: Any) -> Any:
    """The embedded one alone: what is tested lies on our side of it."""
    return tansu


async def test_x32_a_silent_source_is_one_message_and_its_end_another_whoever_is_killed(
    play: Play, producer: Any, slack: SlackServer
) -> None:
    play.settings = replace(play.settings, slack_webhook_url=slack.url)
    due_ms = round(1000 * (time.time() - 60))

    async def put_alert(one: Anomaly) -> None:
        place, key = owner_partition(one.entity_id, play.settings.partitions), f"workflow:{one.entity_id}"
        await producer.send_and_wait(play.settings.topic(ALERTS), encode(one), key=key.encode(), partition=place)

    async def put_census(absent: int, newest_ms: int) -> None:
        count = SourceCount(scheduled=9, missed=absent, first_due_ms=due_ms if absent else 0, newest_ms=newest_ms)
        census = SourceCensus(schema_version=1, partition=0, sources={"jenkins": count})
        await producer.send_and_wait(play.settings.topic(CLOCK), encode(census), key=census_key(0), partition=0)

    def titles() -> list[str]:
        return [payload["blocks"][0]["text"]["text"] for payload in slack.accepted]

    notifier = play.start("notifier")
    for name in NAMES:
        await put_alert(missed(name, instant(due_ms / 1000)))
    await put_census(absent=6, newest_ms=due_ms - 60_000)
    await wait_until(lambda: notifier.ready, "the notifier to have read it")
    notifier.kill()
    heir = play.start("notifier")
    await wait_until(lambda: slack.accepted, "the message about the source")
    await put_census(absent=1, newest_ms=due_ms + 30_000)
    await wait_until(lambda: len(slack.accepted) > 1, "its end")
    first, second = titles()
    assert first.startswith("🔕 No events from jenkins since ") and first.endswith(
        "6 of 9 scheduled workflows did not come"
    )
    assert second == "✅ Events come from jenkins again" and heir.alive

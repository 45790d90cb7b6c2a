"""The notifier as a process on a real broker: bursts, routes read again, an input that fell silent, the bot."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from stream_detector.devstack.tansu import Tansu
from stream_detector.events.encode import encode
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.topics import owner_partition
from stream_detector.settings import Settings
from tests.events_made import action, anomaly, uuid
from tests.servers.installation import Installation, wait_until
from tests.servers.slack import BOT_CHANNEL, BOT_TOKEN, SlackServer
from tests.servers.smtp import MailServer

MANY = 10_000


@pytest.fixture
def settings(tansu: Tansu, make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(broker=tansu.address, rate_limit_count=5)


async def publish(settings: Settings, topic: str, key: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.broker, acks="all") as producer:
        name, place = settings.topic(topic), owner_partition(key, 4)
        waiting = [await producer.send(name, value, key=key.encode(), partition=place) for value in values]
        await asyncio.gather(*waiting)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Callable[[Settings], Any]]:
    """Starts a notifier with these settings."""
    started: list[Installation] = []

    async def start(settings: Settings) -> Installation:
        made = Installation(settings, tmp_path / "data", roles=("notifier",))
        await made.__aenter__()
        started.append(made)
        return made

    yield start
    for one in started:
        await one.__aexit__(None, None, None)


async def test_10_000_at_once_are_five_messages_and_a_digest_on_each_channel(
    settings: Settings, running: Callable[[Settings], Any], slack: SlackServer, mail_server: MailServer
) -> None:
    given = replace(
        settings,
        slack_webhook_url=slack.url,
        smtp_url=mail_server.url,
        email_from="a@example.org",
        email_to="b@example.org",
    )
    burst = [encode(anomaly(f"{number}", entity_id=f"w{number % 500}")) for number in range(MANY)]
    await make_topics(given)
    await publish(given, "alerts", "burst", *burst)  # before the notifier is there: a pause of the publisher is a lull
    installation = await running(given)
    await wait_until(lambda: len(slack.accepted) >= 6 and len(mail_server.mails) >= 6, "five messages and a digest")
    assert f"{MANY - 5:,} messages were held back" in slack.accepted[-1]["text"]
    assert f"{MANY - 5:,} messages were held back" in str(mail_server.mails[-1]["Subject"])

    async def all_told() -> bool:
        records = [json.loads(record.value) for record in await installation.records("notifications")]
        told = {one.get("anomaly_id") for one in records if one["channel"] == "slack" and one["outcome"] == "delivered"}
        return len(told - {None}) == MANY

    await wait_until(all_told, "every anomaly has its outcome")
    assert len(slack.accepted) == 6 and len(mail_server.mails) == 6


async def test_the_bot_changes_its_message_until_the_end(
    settings: Settings, running: Callable[[Settings], Any], slack: SlackServer
) -> None:
    bot = {"slack_bot_token": BOT_TOKEN, "slack_bot_channel": BOT_CHANNEL, "slack_api_url": slack.api_url}
    given = replace(settings, **bot, group_interval_s=1.0)
    await running(given)
    opened = anomaly("open", incident="i", anomaly_type="SpikeInFailures")
    await publish(given, "alerts", "nightly", encode(opened))
    await wait_until(lambda: len(slack.messages) == 1, "the message")
    await publish(given, "operator-actions", "nightly", encode(action("1", "acknowledge", incident_id=uuid("i"))))
    await wait_until(lambda: len(slack.replies) == 1, "what is new in its thread")
    end = anomaly(
        "end", incident="i", anomaly_type="SpikeInFailures", state="resolved", severity="info", duration_s=65.0
    )
    await publish(given, "alerts", "nightly", encode(end))
    await wait_until(lambda: [len(found) for found in slack.replies.values()] == [2], "the end")
    (message,) = slack.messages.values()
    assert (
        message["text"].startswith("✅ Resolved: Spike in failures in Nightly") and "Lasted: 1 m 5 s" in message["text"]
    )
    assert [reply["text"] for found in slack.replies.values() for reply in found] == [
        "Acknowledged by ann",
        "Resolved: Spike in failures in Nightly",
    ]


async def test_routes_are_read_again_and_a_fault_changes_nothing(
    settings: Settings, running: Callable[[Settings], Any], slack: SlackServer, tmp_path: Path
) -> None:
    routes = tmp_path / "routes.toml"
    routes.write_text('[[route]]\nname = "none"\nchannels = []')
    given = replace(settings, slack_webhook_url=slack.url, routes_file=str(routes), rate_limit_count=1_000)
    installation = await running(given)

    async def outcome(name: str) -> Any:
        records = [json.loads(record.value) for record in await installation.records("notifications")]
        found = [one for one in records if one["channel"] == "slack" and one.get("anomaly_id") == uuid(name)]
        return found[-1] if found else None

    async def logged(words: str, times: int = 1) -> None:
        log = installation.folder.log("notifier")
        await wait_until(lambda: log.read_text().count(words) == times, f"{times} times: {words}")

    await publish(given, "alerts", "a", encode(anomaly("a")))
    first = await wait_until(lambda: outcome("a"), "the first outcome")
    assert first["reason"] == "no route that takes it leads to slack"
    routes.write_text('[[route]]\nname = "all"\nchannels = ["slack"]')
    await logged("loaded 1 routes")
    routes.write_text("[[route]")
    await logged("keeping the previous routes")
    (notifier,) = installation.supervisor.roles
    notifier.child.send(signal.SIGHUP)
    await logged("keeping the previous routes", 2)
    await publish(given, "alerts", "c", encode(anomaly("c")))
    told = await wait_until(lambda: outcome("c"), "an outcome by the routes before")
    assert "of route all" in told["reason"] and len(slack.accepted) == 1


async def test_an_input_that_falls_silent_is_told(
    settings: Settings, running: Callable[[Settings], Any], slack: SlackServer
) -> None:
    given = replace(settings, slack_webhook_url=slack.url, quiet_after="scores=1")
    await running(given)
    await publish(given, "scores", "lido", b"{}")
    await wait_until(lambda: any("No event on scores" in one["text"] for one in slack.accepted), "the notice")
    await publish(given, "scores", "lido", b"{}")
    await wait_until(lambda: any("Events come again on scores" in one["text"] for one in slack.accepted), "its end")

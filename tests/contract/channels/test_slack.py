"""Slack's incoming webhook."""

import pytest

from stream_detector.notify.configure import connect_channels
from stream_detector.notify.message import Delivered, Refused, RetryAfter
from stream_detector.settings import Settings
from tests.contract.channels.provider import Provider
from tests.servers.slack import TOKEN, SlackServer


def slack_provider(server: SlackServer) -> Provider:
    return Provider(
        name="slack",
        channel=connect_channels(Settings(slack_webhook_url=server.url))["slack"],
        secrets=(TOKEN, TOKEN.split("/")[-1]),
        count=lambda: len(server.accepted),
        busy=lambda: server.answer_next(429, "rate_limited", {"Retry-After": "7"}),
        refuse=lambda: server.answer_next(400, "invalid_payload"),
        hang=server.hang_next,
        hanging=server.hanging,
        stop=server.stop,
        wait_s=7.0,
        ask_to_wait=lambda headers, body: server.answer_next(429, body, headers),
    )


async def test_slack_revoked_token_is_refused_by_the_server_itself(slack: SlackServer) -> None:
    channel = connect_channels(Settings(slack_webhook_url=f"{slack.url}x"))["slack"]
    result = await channel.deliver(slack_provider(slack).message())
    assert result == Refused(
        "Slack answered 403 invalid_token: the webhook was revoked; create a new one and set SLACK_WEBHOOK_URL"
    )
    await channel.close()


@pytest.mark.parametrize(("header", "wait_s"), [("30", 30.0), ("soon", 0.0), ("", 0.0)])
async def test_slack_retry_after_is_read(slack: SlackServer, header: str, wait_s: float) -> None:
    made = slack_provider(slack)
    slack.answer_next(503, "", {"Retry-After": header})
    assert await made.channel.deliver(made.message()) == RetryAfter(wait_s, "Slack answered 503")
    await made.channel.close()


async def test_slack_an_answer_that_is_not_ok_is_not_a_delivery(slack: SlackServer) -> None:
    made = slack_provider(slack)
    slack.answer_next(200, "<html>please log in</html>")
    assert isinstance(await made.channel.deliver(made.message()), Refused)
    await made.channel.close()


@pytest.mark.parametrize("answer", ["invalid_token", "no_service", "channel_is_archived"])
async def test_slack_says_what_to_do_when_the_webhook_is_gone(slack: SlackServer, answer: str) -> None:
    channel = slack_provider(slack).channel
    slack.answer_next(403, answer)
    result = await channel.deliver(slack_provider(slack).message())
    assert isinstance(result, Refused)
    assert answer in result.reason and ": " in result.reason
    await channel.close()


@pytest.mark.parametrize("status", [200, 403, 503])
async def test_slack_an_answer_of_any_size_is_not_read_to_its_end(slack: SlackServer, status: int) -> None:
    made = slack_provider(slack)
    slack.answer_next(status, "x" * 20_000_000)
    result = await made.channel.deliver(made.message())
    assert isinstance(result, RetryAfter) and len(result.reason) < 300
    assert isinstance(await made.channel.deliver(made.message()), Delivered)
    await made.channel.close()

"""The Slack bot."""

import msgspec
import pytest

from stream_detector.notify.configure import connect_channels
from stream_detector.notify.message import Delivered, Refused, RetryAfter
from stream_detector.settings import Settings
from tests.contract.channels.provider import Provider
from tests.servers.slack import BOT_CHANNEL, BOT_TOKEN, SlackServer


def bot_provider(server: SlackServer) -> Provider:
    settings = Settings(slack_bot_token=BOT_TOKEN, slack_bot_channel=BOT_CHANNEL, slack_api_url=server.api_url)
    return Provider(
        name="slack_bot",
        channel=connect_channels(settings)["slack_bot"],
        secrets=(BOT_TOKEN,),
        count=lambda: len(server.messages),
        busy=lambda: server.answer_next(429, '{"ok":false,"error":"ratelimited"}', {"Retry-After": "7"}),
        refuse=lambda: server.answer_next(200, '{"ok":false,"error":"not_in_channel"}'),
        hang=server.hang_next,
        hanging=server.hanging,
        stop=server.stop,
        wait_s=7.0,
        ask_to_wait=lambda headers, body: server.answer_next(
            429, body or '{"ok":false,"error":"ratelimited"}', headers
        ),
    )


async def test_bot_changes_its_message_and_says_what_is_new_in_the_thread(slack: SlackServer) -> None:
    made = bot_provider(slack)
    first = await made.channel.deliver(made.message())
    assert isinstance(first, Delivered) and first.reference
    changed = msgspec.structs.replace(made.message(2), text="changed", note="Acknowledged by <!ann>")
    again = await made.channel.deliver(msgspec.structs.replace(changed, reference=first.reference))
    assert again == Delivered("Slack updated the message", first.reference)
    (stamp,) = slack.messages
    assert slack.messages[stamp]["text"] == "changed"
    assert [reply["text"] for reply in slack.replies[stamp]] == ["Acknowledged by &lt;!ann&gt;"]
    assert not slack.replies[stamp][0]["reply_broadcast"]
    await made.channel.close()


async def test_bot_a_message_that_is_gone_is_written_anew(slack: SlackServer) -> None:
    made = bot_provider(slack)
    lost = msgspec.structs.replace(made.message(), reference=f"{BOT_CHANNEL} 1.2")
    result = await made.channel.deliver(lost)
    assert isinstance(result, Delivered) and result.reference != lost.reference
    assert len(slack.messages) == 1
    await made.channel.close()


async def test_bot_a_reply_that_fails_does_not_change_the_message_twice(slack: SlackServer) -> None:
    made = bot_provider(slack)
    first = await made.channel.deliver(made.message())
    assert isinstance(first, Delivered)
    slack.answer_next(200, f'{{"ok":true,"channel":"{BOT_CHANNEL}","ts":"{first.reference.split()[1]}"}}')
    slack.answer_next(500, "")
    again = await made.channel.deliver(msgspec.structs.replace(made.message(), reference=first.reference))
    assert isinstance(again, Delivered) and "rejected the reply" in again.detail
    await made.channel.close()


async def test_bot_what_got_critical_is_shown_to_the_whole_channel(slack: SlackServer) -> None:
    made = bot_provider(slack)
    first = await made.channel.deliver(made.message())
    assert isinstance(first, Delivered)
    worse = msgspec.structs.replace(made.message(), reference=first.reference, state="ongoing", severity="critical")
    await made.channel.deliver(worse)
    (replies,) = slack.replies.values()
    assert replies[0]["reply_broadcast"]
    await made.channel.close()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, '{"ok":false,"error":"invalid_auth"}', Refused),
        (200, '{"ok":false,"error":"fatal_error"}', RetryAfter),
        (200, "<html>please log in</html>", RetryAfter),
        (404, "nothing here", Refused),
        (502, "bad gateway", RetryAfter),
    ],
)
async def test_bot_answers_are_sent_apart(slack: SlackServer, status: int, body: str, kind: type) -> None:
    made = bot_provider(slack)
    slack.answer_next(status, body)
    result = await made.channel.deliver(made.message())
    assert isinstance(result, kind), result
    if "invalid_auth" in body:
        assert result == Refused("Slack answered invalid_auth: the token is wrong or was revoked; set SLACK_BOT_TOKEN")
    await made.channel.close()


async def test_bot_an_answer_of_any_size_is_not_read_to_its_end(slack: SlackServer) -> None:
    made = bot_provider(slack)
    slack.answer_next(200, '{"ok":true,"x":"' + "x" * 20_000_000 + '"}')
    result = await made.channel.deliver(made.message())
    assert isinstance(result, RetryAfter) and len(result.reason) < 300
    assert isinstance(await made.channel.deliver(made.message()), Delivered)
    await made.channel.close()

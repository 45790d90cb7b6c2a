"""Slack by a bot's token: one message an incident, changed as it goes on. It looks as the webhook's (`slack`)."""

from typing import TYPE_CHECKING

from stream_detector.notify.channels.channel import Channel

if TYPE_CHECKING:
    from stream_detector.settings import Settings


def connect(settings: "Settings") -> Channel:
    """The channel of `SLACK_BOT_TOKEN` and `SLACK_BOT_CHANNEL`."""
    from stream_detector.notify.channels.slack_bot.client import SlackBot

    return SlackBot(settings.slack_bot_token, settings.slack_bot_channel, api_url=settings.slack_api_url)

"""Slack by an incoming webhook, whose URL is the secret."""

from typing import TYPE_CHECKING

from stream_detector.notify.channels.channel import Channel

if TYPE_CHECKING:
    from stream_detector.settings import Settings


def connect(settings: "Settings") -> Channel:
    """The channel of `SLACK_WEBHOOK_URL`."""
    from stream_detector.notify.channels.slack.client import SlackWebhook

    return SlackWebhook(settings.slack_webhook_url)

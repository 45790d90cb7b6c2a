"""A generic webhook: every message as signed JSON."""

from typing import TYPE_CHECKING

from stream_detector.notify.channels.channel import Channel

if TYPE_CHECKING:
    from stream_detector.settings import Settings


def connect(settings: "Settings") -> Channel:
    """The channel of `WEBHOOK_URL` and `WEBHOOK_SECRET`."""
    from stream_detector.notify.channels.webhook.client import Webhook

    return Webhook(settings.webhook_url, settings.webhook_secret.encode())

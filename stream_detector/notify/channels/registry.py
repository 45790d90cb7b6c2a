"""Every channel, one row each: what the settings, the command line, routes, metrics, page and docs know of it.

A new channel is a folder beside this file (`__init__.py` with `connect`, `client.py`, and `rendering.py` where plain
text will not do), its settings in `stream_detector/settings.py`, and a row here. `tests/unit/notify/test_registry.py`
names what else still lacks it: the page's names, the docs' rows, its test server's contract.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stream_detector.notify.channels import apprise, email, slack, slack_bot, webhook
from stream_detector.notify.channels.channel import Channel
from stream_detector.notify.channels.email.rendering import MailLayout
from stream_detector.notify.channels.slack.rendering import SlackLayout
from stream_detector.notify.config import INBOX
from stream_detector.notify.rendering.layout import Layout
from stream_detector.notify.rendering.text import TextLayout

if TYPE_CHECKING:
    from stream_detector.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ChannelSpec:
    """One channel.

    Attributes:
        name: in settings, routes, metrics, outcomes and on the command line.
        title: on the page and in docs.
        layout: how messages look there, within the provider's limits and escaped for it.
        settings: the settings without which it cannot send; all of them, or none.
        wanted_by: those that say that it is wanted; where one is set the others must be, too. Empty: any of `settings`.
        connect: its client, made from its settings, which are complete; connects to nothing yet. None: it has no
            provider, its messages are rows that the recorder stores.
        updates_messages: whether it can change a message that it has sent: one message an incident there.
    """

    name: str
    title: str
    layout: Layout
    settings: tuple[str, ...] = ()
    wanted_by: tuple[str, ...] = ()
    connect: "Callable[[Settings], Channel] | None" = None
    updates_messages: bool = False

    @property
    def switch(self) -> str:
        """The setting that switches it off."""
        return f"{self.name}_enabled"


_CHANNELS = (
    ChannelSpec(name=INBOX, title="Inbox", layout=TextLayout()),
    ChannelSpec(
        name="slack",
        title="Slack",
        layout=SlackLayout(),
        settings=("slack_webhook_url",),
        connect=slack.connect,
    ),
    ChannelSpec(
        name="slack_bot",
        title="Slack bot",
        layout=SlackLayout(),
        settings=("slack_bot_token", "slack_bot_channel"),
        connect=slack_bot.connect,
        updates_messages=True,
    ),
    ChannelSpec(
        name="email",
        title="Email",
        layout=MailLayout(),
        settings=("smtp_url", "email_from", "email_to"),
        connect=email.connect,
    ),
    ChannelSpec(
        name="webhook",
        title="Webhook",
        layout=TextLayout(),
        settings=("webhook_url", "webhook_secret"),
        wanted_by=("webhook_url",),
        connect=webhook.connect,
    ),
    ChannelSpec(
        name="apprise",
        title="Apprise",
        layout=TextLayout(),
        settings=("apprise_urls",),
        connect=apprise.connect,
    ),
)

CHANNELS = {spec.name: spec for spec in _CHANNELS}
"""In the order in which the policy asks them."""

PROVIDERS = tuple(name for name, spec in CHANNELS.items() if spec.connect)
"""Names of the channels that reach people outside of the product: all but the inbox."""

_PLAIN = TextLayout()


def updates_messages(channel: str) -> bool:
    """Whether the channel can change a message that it has sent."""
    return channel in CHANNELS and CHANNELS[channel].updates_messages


def layout_of(channel: str) -> Layout:
    """The channel's layout; plain text for one that is gone, whose deliveries may still lie in the state."""
    return CHANNELS[channel].layout if channel in CHANNELS else _PLAIN

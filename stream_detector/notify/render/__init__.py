"""Messages as people read them, one file a channel, each value escaped for the place where it stands.

Receives an anomaly or a run from the policy; returns a `Message`. Never decides whether it is sent, and is pure: the
same subject gives the same text, byte for byte.
"""

from msgspec.structs import replace

from stream_detector.events import Anomaly
from stream_detector.notify.config import EMAIL, SLACK, SLACK_BOT, NotifyConfig
from stream_detector.notify.message import Message
from stream_detector.notify.render.email import render_email
from stream_detector.notify.render.escape import for_html, for_slack, one_line
from stream_detector.notify.render.inbox import render_inbox
from stream_detector.notify.render.links import linked, links_of
from stream_detector.notify.render.slack import TEXT_LIMIT, render_slack, section
from stream_detector.notify.subject import Subject

__all__ = ["render"]

_RENDERERS = {SLACK: render_slack, SLACK_BOT: render_slack, EMAIL: render_email}
"""The others show the plain text of the inbox."""


def render(
    channel: str, subject: Subject, config: NotifyConfig, message_id: str, *, note: str = "", at_s: float = 0.0
) -> Message:
    """The message about `subject` as that channel shows it.

    Args:
        note: what is new about something that was told before; it stands first.
        at_s: when it was decided to send it; links that expire count from then.
    """
    made = _RENDERERS.get(channel, render_inbox)(subject, config, message_id)
    state = subject.state if isinstance(subject, Anomaly) else "run"
    made = replace(made, channel=channel, state=state, note=one_line(note, 200))
    if isinstance(subject, Anomaly):
        made = linked(made, links_of(subject, channel, config, at_s))
    return _noted(made) if note else made


def _noted(message: Message) -> Message:
    """With what is new as its first line."""
    note = for_slack(message.note) if message.blocks else message.note
    shown = message.html.replace("<h1 ", f'<p class="soft" style="{_NOTE}">{for_html(message.note)}</p>\n<h1 ', 1)
    return replace(
        message,
        title=one_line(f"{message.note}: {message.title}", 200),
        text=f"{note}\n\n{message.text}"[:TEXT_LIMIT] if message.blocks else f"{note}\n\n{message.text}",
        html=shown,
        blocks=[section(note), *message.blocks] if message.blocks else [],
    )


_NOTE = "margin:0 0 8px;font-size:14px;color:#5b6573"

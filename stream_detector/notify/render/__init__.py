"""Messages as people read them, one file a channel, each value escaped for the place where it stands.

Receives an anomaly or a run from the policy; returns a `Message`. Never decides whether it is sent, and is pure: the
same subject gives the same text, byte for byte.
"""

from stream_detector.notify.config import EMAIL, INBOX, SLACK, NotifyConfig
from stream_detector.notify.message import Message
from stream_detector.notify.render.email import render_email
from stream_detector.notify.render.inbox import render_inbox
from stream_detector.notify.render.slack import render_slack
from stream_detector.notify.subject import Subject

__all__ = ["render"]

_RENDERERS = {INBOX: render_inbox, SLACK: render_slack, EMAIL: render_email}


def render(channel: str, subject: Subject, config: NotifyConfig, message_id: str) -> Message:
    """The message about `subject` as that channel shows it."""
    return _RENDERERS[channel](subject, config, message_id)

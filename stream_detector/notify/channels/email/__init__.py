"""Mail over SMTP: one message to all recipients, as text and HTML."""

from typing import TYPE_CHECKING

from stream_detector.notify.channels.channel import Channel

if TYPE_CHECKING:
    from stream_detector.settings import Settings


def connect(settings: "Settings") -> Channel:
    """The channel of `SMTP_URL`, `EMAIL_FROM` and `EMAIL_TO`.

    Raises:
        SettingsError: one of them cannot be used.
    """
    from stream_detector.notify.channels.email.client import EmailSmtp
    from stream_detector.notify.channels.email.settings import mail_server, recipients, sender

    return EmailSmtp(mail_server(settings), sender(settings), recipients(settings))

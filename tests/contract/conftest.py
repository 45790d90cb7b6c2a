"""The servers that these tests talk to."""

from tests.servers.slack import slack
from tests.servers.smtp import mail_server

__all__ = ["mail_server", "slack"]

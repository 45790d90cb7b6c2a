"""The providers' servers, for every end-to-end test."""

from tests.servers.slack import slack
from tests.servers.smtp import mail_server

__all__ = ["mail_server", "slack"]

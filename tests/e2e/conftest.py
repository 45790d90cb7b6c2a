"""The providers' servers, for every end-to-end test; for those of the dashboard one browser and one site."""

from tests.servers.dashboard import browser, open_page, root, site, write
from tests.servers.slack import slack
from tests.servers.smtp import mail_server

__all__ = ["browser", "mail_server", "open_page", "root", "site", "slack", "write"]

"""Fake providers at which the messages of a run arrive, and how each can be made to fail."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tests.servers.hook import HookServer
from tests.servers.slack import SlackServer
from tests.servers.smtp import MailServer

RETRY_AFTER_S = 3
SLOW_S = 30.0
_LINK = re.compile(r"/anomalies/([0-9a-f-]{36})")
_SECRET = "drill-" * 6


@dataclass
class Provider:
    """One of them. `notified` gives the anomalies' ids in the order in which their messages were taken."""

    channel: str
    server: Any
    settings: Callable[[], dict[str, str]]
    taken: Callable[[], Sequence[Any]]
    """Everything that it took, in that order."""
    text_of: Callable[[Any], str]
    busy: Callable[[], None]
    """Answers one message "later": 429 with Retry-After, in SMTP 451."""
    broken: Callable[[], None]
    """Answers one message with 500, in SMTP 421."""

    _notified: list[str] = field(default_factory=list)
    _read: int = 0

    def notified(self) -> list[str]:
        """Each message's anomaly, by the link in it; notices about ourselves have none."""
        for one in islice(self.taken(), self._read, None):
            self._read += 1
            if link := _LINK.search(self.text_of(one)):
                self._notified.append(link[1])
        return self._notified


def webhook() -> Provider:
    """A generic webhook."""
    server = HookServer()
    return Provider(
        channel="webhook",
        server=server,
        settings=lambda: {"webhook_url": f"http://127.0.0.1:{server.port}/drill", "webhook_secret": _SECRET},
        taken=lambda: server.requests,
        text_of=lambda request: request[0].decode(),
        busy=lambda: server.answer_next(429, "", {"Retry-After": str(RETRY_AFTER_S)}),
        broken=lambda: server.answer_next(500),
    )


def slack() -> Provider:
    """Slack's incoming webhook."""
    server = SlackServer()
    return Provider(
        channel="slack",
        server=server,
        settings=lambda: {"slack_webhook_url": server.url},
        taken=lambda: server.accepted,
        text_of=lambda payload: payload["text"],
        busy=lambda: server.answer_next(429, "rate_limited", {"Retry-After": str(RETRY_AFTER_S)}),
        broken=lambda: server.answer_next(500, "fatal_error"),
    )


def mail(folder: Path) -> Provider:
    """A mail server."""
    server = MailServer(folder=folder)
    return Provider(
        channel="email",
        server=server,
        settings=lambda: {
            "smtp_url": server.url,
            "email_from": "drill@example.org",
            "email_to": "people@example.org",
        },
        taken=lambda: server.mails,
        text_of=lambda one: one.get_body(("plain",)).get_content(),
        busy=lambda: server.answer_next("451 4.3.0 later"),
        broken=lambda: server.answer_next("421 4.3.0 broken"),
    )


def settings_of(providers: Sequence[Provider], folder: Path) -> dict[str, Any]:
    """Every anomaly is a message at each of them: no threshold, no limit, and what opens again is an incident anew."""
    routes = folder / "routes.toml"
    routes.write_text('[[route]]\nname = "all"\nflap_window_s = 0\n')
    values: dict[str, Any] = {
        "routes_file": str(routes),
        "notify_severity": "info",
        "notify_max_age_s": 0.0,
        "rate_limit_count": 100_000,
        "rate_limit_window_s": 1.0,
        "group_by": "none",
        "group_wait_s": 0.0,
        "group_interval_s": 0.0,
    }
    for provider in providers:
        values |= provider.settings()
    return values

"""Fake providers at which the messages of a run arrive, and how each can be made to fail."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    """One of them. `told` gives the anomalies' ids in the order in which their messages were taken."""

    channel: str
    server: Any
    settings: Callable[[], dict[str, str]]
    texts: Callable[[], list[str]]
    busy: Callable[[], None]
    """Answers one message "later": 429 with Retry-After, in SMTP 451."""
    broken: Callable[[], None]
    """Answers one message with 500, in SMTP 421."""

    def told(self) -> list[str]:
        """Each message's anomaly, by the link in it; notices about ourselves have none."""
        found = (_LINK.search(text) for text in self.texts())
        return [link[1] for link in found if link]


def webhook() -> Provider:
    """A generic webhook."""
    server = HookServer()
    return Provider(
        channel="webhook",
        server=server,
        settings=lambda: {"webhook_url": f"http://127.0.0.1:{server.port}/drill", "webhook_secret": _SECRET},
        texts=lambda: [body.decode() for body, _ in server.requests],
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
        texts=lambda: [payload["text"] for payload in server.accepted],
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
        texts=lambda: [str(one.get_body(("plain",)).get_content()) for one in server.mails],  # type: ignore[union-attr]
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
        "rate_limit_count": 100_000,
        "rate_limit_window_s": 1.0,
    }
    for provider in providers:
        values |= provider.settings()
    return values

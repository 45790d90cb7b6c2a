"""What the policy is told by the settings and the routes file, as plain values. `configure` reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from stream_detector.events.anomaly import severity_rank
from stream_detector.events.anomaly_types import SEVERITIES, Severity

INBOX, SLACK, EMAIL = "inbox", "slack", "email"
SLACK_BOT, WEBHOOK, APPRISE = "slack_bot", "webhook", "apprise"
CHANNELS = (INBOX, SLACK, SLACK_BOT, EMAIL, WEBHOOK, APPRISE)
UPDATING = frozenset({SLACK_BOT})
"""Channels that can change a message they have sent: one message per incident there."""


class _Ranks(dict[str, int]):
    """A severity of a later version ranks above all."""

    def __missing__(self, severity: str) -> int:
        return severity_rank(severity)


RANK: Mapping[str, int] = _Ranks({severity: severity_rank(severity) for severity in SEVERITIES})


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where what it matches goes, and how. `docs/notifications.md` explains each with an example."""

    name: str = ""
    """Empty for the route of the settings, which takes what no other has matched."""
    match: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Fact -> shell patterns, of which one must match; every fact must."""
    channels: tuple[str, ...] | None = None
    """None: every channel."""
    threshold: Severity = "warning"
    group_by: tuple[str, ...] = ()
    """What anomalies may share to be one message, the most telling first; none: each is told by itself."""
    group_wait_s: float = 0.0
    group_interval_s: float = 0.0
    repeat_interval_s: float = 0.0
    """0: never reminded."""
    rate_limit_count: int = 5
    rate_limit_window_s: float = 3600.0
    own_limit: bool = False
    """Whether its messages are counted by themselves, not with the rest of the channel."""
    flap_window_s: float = 600.0
    """What opens again within it after its end is the same incident; 0: never."""
    goes_on: bool = False
    """Whether the routes after it are asked too."""


@dataclass(frozen=True, kw_only=True)
class NotifyConfig:
    """The policy in force.

    `channels` holds every channel that has what it needs to send, and whether it is switched on; a channel without an
    address is not in it. `base_url` has no slash at its end.
    """

    channels: Mapping[str, bool] = field(default_factory=lambda: {INBOX: True})
    severity: Severity = "warning"
    rate_limit_count: int = 5
    rate_limit_window_s: float = 3600.0
    group_by: tuple[str, ...] = ()
    group_wait_s: float = 0.0
    group_interval_s: float = 0.0
    routes: tuple[Route, ...] = ()
    quiet_after_s: Mapping[str, float] = field(default_factory=dict)
    """Input topic -> how long it may be without an event before people are told."""
    product_name: str = "GVS"
    entity_word: str = "DAO"
    base_url: str = "http://127.0.0.1:8080"
    link_key: bytes = field(default=b"", repr=False)
    """Signs the links in messages; empty: no such links."""

    @cached_property
    def fallback(self) -> Route:
        """The route of the settings alone."""
        return Route(
            threshold=self.severity,
            group_by=self.group_by,
            group_wait_s=self.group_wait_s,
            group_interval_s=self.group_interval_s,
            rate_limit_count=self.rate_limit_count,
            rate_limit_window_s=self.rate_limit_window_s,
        )

"""What the policy is told by the settings and the routes file, as plain values. `configure` reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

INBOX = "inbox"
"""The in-app inbox: the one channel without a provider. It gets each alert by itself, at once and without a limit."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where what it matches goes, and how. `docs/notifications.md` explains each with an example."""

    name: str = ""
    """Empty for the route of the settings, which takes what no other has matched."""
    match: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Fact -> shell patterns, of which one must match; every fact must."""
    channels: tuple[str, ...] | None = None
    """None: every channel."""
    threshold: str = "warning"
    """Least severity that is sent."""
    group_by: tuple[str, ...] = ()
    """What anomalies may share to be one message, the most telling first; none: each is sent by itself."""
    group_wait_s: float = 0.0
    group_interval_s: float = 0.0
    repeat_interval_s: float = 0.0
    """0: no reminders."""
    rate_limit_count: int = 5
    rate_limit_window_s: float = 3600.0
    own_limit: bool = False
    """Whether its messages are counted by themselves, not with the rest of the channel."""
    flap_window_s: float = 600.0
    """What opens again within it after its end is the same incident; 0: never."""
    continues: bool = False
    """Whether the routes after it are asked too."""

    @property
    def has_group_wait(self) -> bool:
        """Whether anomalies on this route wait for others before they are sent."""
        return bool(self.group_by or self.group_wait_s or self.group_interval_s)


@dataclass(frozen=True, kw_only=True)
class NotifyConfig:
    """The policy in force.

    `channels` holds every channel that has what it needs to send, and whether it is switched on; a channel without an
    address is not in it. `base_url` has no slash at its end.
    """

    channels: Mapping[str, bool] = field(default_factory=lambda: {INBOX: True})
    severity: str = "warning"
    rate_limit_count: int = 5
    rate_limit_window_s: float = 3600.0
    group_by: tuple[str, ...] = ()
    group_wait_s: float = 0.0
    group_interval_s: float = 0.0
    routes: tuple[Route, ...] = ()
    max_age_s: float = 86_400.0
    """What was published later than this after it happened is counted, not sent; 0: it is sent."""
    quiet_after_s: Mapping[str, float] = field(default_factory=dict)
    """Input topic -> how long it may be without an event before people are notified."""
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

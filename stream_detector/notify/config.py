"""What the policy is told by the settings, as plain values. `configure` reads them from `Settings`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stream_detector.events import Severity

INBOX, SLACK, EMAIL = "inbox", "slack", "email"

RANK: Mapping[Severity, int] = {"info": 0, "warning": 1, "critical": 2}


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
    product_name: str = "GVS"
    entity_word: str = "DAO"
    base_url: str = "http://127.0.0.1:8080"

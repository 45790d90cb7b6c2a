"""The contract of a channel's layout: what a message says, as this channel shows it, escaped for the place."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.rendering.action_links import Links
from stream_detector.notify.rendering.alert import Alert
from stream_detector.notify.rendering.combined import CombinedContent
from stream_detector.notify.rendering.score_changes import Changes

TITLE_LIMIT = 200
"""Characters of a title, which is a mail's subject."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One message laid out. `html` is a mail's second form, `blocks` Slack's."""

    title: str
    text: str
    html: str = ""
    blocks: list[dict[str, Any]] = field(default_factory=list)


class Layout(Protocol):
    """How one channel shows each kind of message."""

    def show_alert(self, alert: Alert, config: NotifyConfig) -> Shown:
        """One anomaly that is no score change."""

    def show_score_changes(self, changes: Changes, alert: Alert | None, config: NotifyConfig) -> Shown:
        """The score changes of a run, or one outside a run, whose `alert` is then given."""

    def show_combined(self, content: CombinedContent, config: NotifyConfig) -> Shown:
        """A digest, a group or a reminder."""

    def show_notice(self, title: str, text: str, link: str, config: NotifyConfig) -> Shown:
        """Something about ourselves; both are free of control characters."""

    def add_note(self, shown: Shown, note: str) -> Shown:
        """The same with what is new as its first line. `note` is one line."""

    def add_links(self, shown: Shown, links: Links) -> Shown:
        """The same with what one click may do, after everything else."""

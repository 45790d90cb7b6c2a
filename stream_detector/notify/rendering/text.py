"""Plain text: the inbox, whose text the page escapes, and every channel without a layout of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.rendering.action_links import Links
from stream_detector.notify.rendering.alert import Alert, alert_text
from stream_detector.notify.rendering.combined import CombinedContent, combined_text
from stream_detector.notify.rendering.escape import composed_line
from stream_detector.notify.rendering.graphemes import cut
from stream_detector.notify.rendering.layout import TITLE_LIMIT, Shown
from stream_detector.notify.rendering.score_changes import Changes, batch_text, heading, one_line_form

TEXT_ENTRIES = 50
"""Entries of a combined message; the rest is counted."""


@dataclass(frozen=True)
class TextLayout:
    """Title and text, nothing else.

    Args:
        limit: characters of a text that the provider takes; None: any number.
        escape: makes a value harmless where the provider would read markup in it.
    """

    limit: int | None = None
    escape: Callable[[str], str] = str

    def show_alert(self, alert: Alert, config: NotifyConfig) -> Shown:
        """W24, W27."""
        return self._shown(alert.title, alert_text(alert))

    def show_score_changes(self, changes: Changes, alert: Alert | None, config: NotifyConfig) -> Shown:
        """W24: one outside a run is headed by its one-line form."""
        if alert:
            return self._shown(one_line_form(changes.changes[0]), alert_text(alert))
        return self._shown(heading(config), batch_text(changes, config))

    def show_combined(self, content: CombinedContent, config: NotifyConfig) -> Shown:
        """Its entries, up to `TEXT_ENTRIES`."""
        return self._shown(composed_line(content.title, TITLE_LIMIT), combined_text(content, TEXT_ENTRIES))

    def show_notice(self, title: str, text: str, link: str, config: NotifyConfig) -> Shown:
        """Title and text."""
        return self._shown(title, f"{title}\n\n{text}")

    def add_note(self, shown: Shown, note: str) -> Shown:
        """In the title, too."""
        text = self._within_limit(f"{self.escape(note)}\n\n{shown.text}")
        return replace(shown, title=composed_line(f"{note}: {shown.title}", TITLE_LIMIT), text=text)

    def add_links(self, shown: Shown, links: Links) -> Shown:
        """One line each, where there is room."""
        rows = "".join(f"\n{words}: {url}" for words, url in links)
        text = f"{shown.text}\n{rows}"
        return shown if self.limit is not None and len(text) > self.limit else replace(shown, text=text)

    def _shown(self, title: str, text: str) -> Shown:
        return Shown(title=title, text=self._within_limit(self.escape(text)))

    def _within_limit(self, text: str) -> str:
        return text if self.limit is None else cut(text, self.limit)

"""Combined messages: the digest of what was held back, anomalies that opened together, and reminders of a group.

Each leads with what matters: how many and how bad, or what they share. Lines follow, the most severe first; what does
not fit a channel is counted, never dropped unsaid.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stream_detector.events.anomaly import severity_rank
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.rendering.escape import one_line
from stream_detector.notify.rendering.words import duration, mark_of, minute
from stream_detector.notify.shared_facets import facet_words
from stream_detector.notify.state.state_models import Combined, Line
from stream_detector.notify.subject import RESOLVED, instant

MAX_SHARED = 3
"""So many of the things that all share are named in the title."""


@dataclass(frozen=True, kw_only=True)
class CombinedContent:
    """What a combined message says, not yet escaped."""

    title: str
    intro: str
    lines: tuple[Line, ...]
    footer: str
    link: str


def combined_content(head: Combined, lines: Sequence[Line], config: NotifyConfig) -> CombinedContent:
    """What is said of these lines, which are one an incident, the most severe first."""
    return _CONTENT[head.kind](head, lines, config)


def combined_text(content: CombinedContent, limit: int) -> str:
    """As plain text with so many lines at most."""
    rows = [f"• {line.title}" for line in content.lines[:limit]]
    if len(content.lines) > limit:
        rows.append(more_lines(len(content.lines) - limit))
    shown = ["", *rows] if rows else []
    return "\n".join([content.title, "", content.intro, *shown, "", content.footer, f"Dashboard: {content.link}"])


def more_lines(count: int) -> str:
    """What stands in place of lines that do not fit."""
    return f"• … and {count:,} more on the dashboard"


def _digest(head: Combined, lines: Sequence[Line], config: NotifyConfig) -> CombinedContent:
    what = "1 message was" if head.count == 1 else f"{head.count:,} messages were"
    critical = severity_rank("critical")
    mark = "🔴" if any(severity_rank(kind) >= critical for kind in head.counts if kind != RESOLVED) else "🟠"
    return CombinedContent(
        title=f"{mark} {what} held back: {_count_words(head.counts)}",
        intro="The rate limit was reached, so these came together. The most severe come first:",
        lines=tuple(lines),
        footer=f"Held back since {minute(instant(head.since_s))} | Limit: {head.limit} in {duration(head.window_s)}",
        link=f"{config.base_url}/anomalies",
    )


def _group(head: Combined, lines: Sequence[Line], config: NotifyConfig) -> CombinedContent:
    shared = "; ".join(map(facet_words, head.shared[:MAX_SHARED])) or "one incident"
    more = f" and {len(head.shared) - MAX_SHARED} more" if len(head.shared) > MAX_SHARED else ""
    worst = max((kind for kind in head.counts if kind != RESOLVED), key=severity_rank, default="info")
    mark = mark_of(RESOLVED if head.all_resolved else worst)
    many = f"{head.members:,} anomalies share" if head.members > 1 else "1 anomaly opened again:"
    title = f"{mark} {'Resolved: all' if head.all_resolved else ''} {many} {one_line(shared, 120)}{more}"
    active = f", of which {head.active:,} go on" if head.active else ""
    if head.all_resolved:
        intro = "The last of it has ended:"
    elif head.members <= len(lines):
        intro = f"They opened together ({_count_words(head.counts)}):"
    else:
        intro = f"News of it: {_count_words(head.counts)}. In all {head.members:,}{active}:"
    return CombinedContent(
        title=" ".join(title.split()),
        intro=intro,
        lines=tuple(lines),
        footer=_footer(head),
        link=f"{config.base_url}/anomalies",
    )


def _reminder(head: Combined, lines: Sequence[Line], config: NotifyConfig) -> CombinedContent:
    newest = max(lines, key=lambda line: line.at_s)
    after = duration(max(1.0, newest.at_s - head.since_s))
    return CombinedContent(
        title=f"{mark_of(newest.severity)} Still going on after {after}: {newest.title}",
        intro="Nobody has acknowledged them. This is said again until somebody does, or they have ended.",
        lines=(),
        footer=_footer(head),
        link=f"{config.base_url}/anomalies",
    )


_CONTENT: dict[str, Callable[[Combined, Sequence[Line], NotifyConfig], CombinedContent]] = {
    "digest": _digest,
    "group": _group,
    "reminder": _reminder,
}


def _count_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{many:,} {kind}" for kind, many in counts.items())


def _footer(head: Combined) -> str:
    shared = "; ".join(map(facet_words, head.shared)) or "one incident"
    return f"All share: {one_line(shared, 600)} | Since {minute(instant(head.since_s))}"

"""Slack: `text` for the notification and old clients, blocks for the channel, both within Slack's limits.

All text is `plain_text` or sent with `mrkdwn` off, and escaped: nothing from an event can mention, link or format.
"""

from dataclasses import replace
from typing import Any

from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.rendering.action_links import Links
from stream_detector.notify.rendering.alert import EXCERPT_HEADING, Alert, alert_text
from stream_detector.notify.rendering.combined import (
    CombinedContent,
    Entry,
    entry_rows,
    more_entries,
    step_rows,
)
from stream_detector.notify.rendering.escape import composed_line, for_slack
from stream_detector.notify.rendering.graphemes import cut, graphemes
from stream_detector.notify.rendering.layout import TITLE_LIMIT, Shown
from stream_detector.notify.rendering.score_changes import (
    INTRO,
    Changes,
    batch_text,
    footer_lines,
    heading,
    one_line_form,
)

TEXT_LIMIT = 3_000
"""Of a text object (docs.slack.dev, Block Kit, text object)."""
HEADER_LIMIT = 150
FIELD_LIMIT = 2_000
MAX_ENTRIES = 19
"""Entries of a combined message as blocks. A message has fifty blocks at most, an entry two, and up to ten are left for
heading, intro, steps, footer and links."""
ENTRY_LIMITS = (300, 120)
"""Characters of an entry's title in the text; the second where not all entries fit with the first."""

SHORT = {"title": 250, "description": 600, "step": 150, "excerpt": 100, "shared step": 250}
"""Characters, escaped, where the whole would be over `TEXT_LIMIT`."""
MAX_STEPS = 5


class SlackLayout:
    """Text and blocks."""

    def show_alert(self, alert: Alert, config: NotifyConfig) -> Shown:
        """W27."""
        return Shown(title=alert.title, text=_alert_text(alert), blocks=_alert_blocks(alert))

    def show_score_changes(self, changes: Changes, alert: Alert | None, config: NotifyConfig) -> Shown:
        """S16 to S20. One change: `text` is its one-line form. Several: the batch, what is over the limit counted."""
        first = fit(one_line_form(changes.changes[0]), TEXT_LIMIT)
        is_batch = len(changes.changes) > 1
        room = TEXT_LIMIT - len(for_slack(f"{changes.remark}\n\n")) if changes.remark else TEXT_LIMIT
        batch = batch_text(changes, config, limit=room, escape=for_slack) if is_batch else ""
        return Shown(
            title=heading(config),
            text=batch or first,
            blocks=[
                header(heading(config)),
                section(fit(INTRO, TEXT_LIMIT)),
                section(batch.split("\n\n")[2] if is_batch else first),
                context(fit(footer_lines(changes)[0], FIELD_LIMIT)),
                link_block(changes.link, "View dashboard"),
            ],
        )

    def show_combined(self, content: CombinedContent, config: NotifyConfig) -> Shown:
        """As many entries as fit; the rest is counted."""
        return Shown(
            title=composed_line(content.title, TITLE_LIMIT),
            text=_combined_text(content),
            blocks=_combined_blocks(content),
        )

    def show_notice(self, title: str, text: str, link: str, config: NotifyConfig) -> Shown:
        """Title and text."""
        shown = fit(f"{title}\n\n{text}", TEXT_LIMIT)
        blocks = [header(title), section(fit(text, TEXT_LIMIT))]
        if "?" in link:  # it leads to what the notice is about, not to the list of all
            blocks.append(link_block(link, "View dashboard"))
        return Shown(title=title, text=shown, blocks=blocks)

    def add_note(self, shown: Shown, note: str) -> Shown:
        """A paragraph of its own, and in text and title."""
        escaped = for_slack(note)
        return Shown(
            title=composed_line(f"{note}: {shown.title}", TITLE_LIMIT),
            text=cut(f"{escaped}\n\n{shown.text}", TEXT_LIMIT, ""),
            blocks=[section(escaped), *shown.blocks],
        )

    def add_links(self, shown: Shown, links: Links) -> Shown:
        """A block each: two of a group's could together be longer than Slack takes. Not in the text, which is read
        aloud."""
        return replace(shown, blocks=[*shown.blocks, *(link_block(url, words) for words, url in links)])


def fit(value: str, limit: int) -> str:
    """The value escaped, cut so that it has at most `limit` characters then; never in the middle of an entity.

    >>> fit("a & b", 5), fit("a & b", 9)
    ('a …', 'a &amp; b')
    """
    escaped = for_slack(value)
    if len(escaped) <= limit:
        return escaped
    kept, room = [], limit - 1
    for piece in graphemes(value[:limit]):  # one more than fits: the last is cut or dropped
        room -= len(for_slack(piece))
        if room < 0:
            break
        kept.append(for_slack(piece))
    return "".join(kept) + "…"


def _alert_text(alert: Alert) -> str:
    """The alert as text; a long description and all but the first steps are shortened where it would be too long."""
    whole = for_slack(alert_text(alert))
    if len(whole) <= TEXT_LIMIT:
        return whole
    lines = [f"{alert.mark} {fit(alert.title, SHORT['title'])}", "", fit(alert.description, SHORT["description"]), ""]
    lines += [for_slack(f"{name}: {value}") for name, value in alert.facts]
    if alert.steps:
        lines += ["", "What to look at:"]
        lines += [f"{number}. {fit(step, SHORT['step'])}" for number, step in enumerate(alert.steps[:MAX_STEPS], 1)]
        if len(alert.steps) > MAX_STEPS:
            lines.append(f"… and {len(alert.steps) - MAX_STEPS} more steps behind the link")
    if alert.excerpt:
        lines += ["", EXCERPT_HEADING, *(f"  {fit(row, SHORT['excerpt'])}" for row in alert.excerpt[-MAX_STEPS:])]
    return "\n".join([*lines, "", f"Details: {for_slack(alert.link)}"])


def _alert_blocks(alert: Alert) -> list[dict[str, Any]]:
    steps = "\n".join(["What to look at:", *(f"{number}. {step}" for number, step in enumerate(alert.steps, 1))])
    return [
        header(f"{alert.mark} {alert.title}"),
        *([section(fit(alert.description, TEXT_LIMIT))] if alert.description else []),
        {"type": "section", "fields": [_text(fit(f"{name}\n{value}", FIELD_LIMIT)) for name, value in alert.facts]},
        *([section(fit(steps, TEXT_LIMIT))] if alert.steps else []),
        *([section(fit("\n".join([EXCERPT_HEADING, *alert.excerpt]), TEXT_LIMIT))] if alert.excerpt else []),
        link_block(alert.link, "Open the details"),
    ]


def _combined_text(content: CombinedContent) -> str:
    top = [fit(content.title, 250), "", fit(content.intro, 300), ""]
    steps = [fit(row, SHORT["shared step"]) for row in step_rows(content)[: MAX_STEPS + 1]] if content.steps else []
    bottom = [*([*steps, ""] if steps else []), fit(content.footer, 500), for_slack(f"Dashboard: {content.link}")]
    room = TEXT_LIMIT - sum(len(row) + 1 for row in top + bottom) - 1
    rows = [*_rows_within(content, room), ""] if content.entries else []
    return "\n".join([*top, *rows, *bottom])


def _rows_within(content: CombinedContent, room: int) -> list[str]:
    """As many entries as fit `room` characters, escaped; what does not fit is counted.

    Where not all fit whole, each is shorter, so that more do.
    """
    for limit in ENTRY_LIMITS:
        rows: list[str] = []
        used, shown = len(more_entries(len(content.entries))) + 1, 0
        for entry in content.entries:
            parts = _entry_rows(entry, limit)
            size = sum(len(part) + 1 for part in parts)
            if used + size > room:
                break
            rows += parts
            used, shown = used + size, shown + 1
        if shown == len(content.entries):
            return rows
    return [*rows, more_entries(len(content.entries) - shown)]


def _entry_rows(entry: Entry, limit: int) -> list[str]:
    title, *rest = entry_rows(entry)
    return [fit(title, limit), *map(for_slack, rest)]


def _combined_blocks(content: CombinedContent) -> list[dict[str, Any]]:
    shown = content.entries[:MAX_ENTRIES]
    left = len(content.entries) - len(shown)
    return [
        header(content.title),
        section(fit(content.intro, TEXT_LIMIT)),
        *(block for entry in shown for block in _entry_blocks(entry)),
        *([section(more_entries(left))] if left else []),
        *([section(fit("\n".join(step_rows(content)), TEXT_LIMIT))] if content.steps else []),
        context(fit(content.footer, FIELD_LIMIT)),
        link_block(content.link, "View dashboard"),
    ]


def _entry_blocks(entry: Entry) -> list[dict[str, Any]]:
    title, *rest = entry_rows(entry)
    text = "\n".join([title, *(row.strip() for row in rest[:-1])])
    link = {"type": "mrkdwn", "text": f"<{for_slack(entry.link)}|Details>", "verbatim": True}
    return [section(fit(text, TEXT_LIMIT)), {"type": "context", "elements": [link]}]


def _text(escaped: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": escaped, "emoji": False}


def header(value: str) -> dict[str, Any]:
    """A heading, cut to Slack's limit."""
    return {"type": "header", "text": _text(fit(value, HEADER_LIMIT))}


def section(escaped: str) -> dict[str, Any]:
    """A paragraph of escaped text."""
    return {"type": "section", "text": _text(escaped)}


def context(escaped: str) -> dict[str, Any]:
    """Small print, escaped."""
    return {"type": "context", "elements": [_text(escaped)]}


def link_block(url: str, words: str) -> dict[str, Any]:
    """The one place with markup, all of it ours: addresses are percent-encoded, and no word can end the link."""
    shown = for_slack(words.replace("|", "/"))
    return {"type": "section", "text": {"type": "mrkdwn", "text": f"<{for_slack(url)}|{shown}>", "verbatim": True}}

"""Mail: a subject of one line, plain text and HTML with the same content, never cut.

The HTML is one table 600 px wide at most, styled inline for programs that drop style sheets; a dark form follows the
reader's setting. No picture, no script, nothing loaded from anywhere.
"""

from collections.abc import Sequence
from dataclasses import replace

from stream_detector.events import SummaryAnomaly
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.rendering.action_links import Links
from stream_detector.notify.rendering.alert import EXCERPT_HEADING, Alert, alert_text
from stream_detector.notify.rendering.combined import CombinedContent, combined_text
from stream_detector.notify.rendering.escape import composed_line, for_html, one_line
from stream_detector.notify.rendering.layout import TITLE_LIMIT, Shown
from stream_detector.notify.rendering.score_changes import (
    Changes,
    batch_text,
    change_values,
    entity_name,
    heading,
    one_line_form,
    threshold_words,
)
from stream_detector.notify.rendering.words import minute

RED, GREEN, ACCENT = "#c62828", "#1b7f3b", "#1f5fbf"
_FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_STYLE = """
:root { color-scheme: light dark; supported-color-schemes: light dark; }
.changes { border-collapse: collapse; margin: 0 0 16px; }
.changes th, .changes td { padding: 10px 8px; border-bottom: 1px solid #e6e9ee; font-size: 15px; color: #1c2430; }
.changes th { padding: 6px 8px; font-size: 13px; font-weight: 600; color: #5b6573; border-color: #d5dae1; }
.changes td { white-space: nowrap; font-variant-numeric: tabular-nums; }
.changes td:first-child { white-space: normal; overflow-wrap: anywhere; }
.changes th:first-child, .changes td:first-child { padding-left: 0; }
.changes th:last-child, .changes td:last-child { padding-right: 0; }
.drop, .rise { font-weight: 600; }
@media (max-width: 480px) {
  .page { padding: 12px 8px !important; }
  .card { padding: 20px 16px !important; }
}
@media (prefers-color-scheme: dark) {
  .page { background: #14171c !important; }
  .card { background: #1e232b !important; border-color: #333b47 !important; }
  .ink, .changes td { color: #e8ebf0 !important; }
  .soft, .changes th { color: #a3adbb !important; }
  .line, .changes th, .changes td { border-color: #333b47 !important; }
  .changes td.drop { color: #ff8a80 !important; }
  .changes td.rise { color: #7fd89b !important; }
  .go { background: #8ab4f8 !important; color: #14171c !important; }
}
""".strip()
_ENTRIES_STYLE = """
.entries td { padding: 8px 0; border-bottom: 1px solid #e6e9ee; font-size: 14px; line-height: 1.4;
  word-break: break-word; }
.entries a { color: #1c2430; }
.entries .soft { font-size: 13px; color: #5b6573; }
@media (prefers-color-scheme: dark) {
  .entries a { color: #e8ebf0 !important; }
  .entries .soft { color: #a3adbb !important; }
  .entries td { border-color: #333b47 !important; }
}
""".rstrip()
"""Of a mail about several alone."""


class MailLayout:
    """Text and HTML."""

    def show_alert(self, alert: Alert, config: NotifyConfig) -> Shown:
        """W27."""
        return _mail(f"{config.product_name}: {alert.title}", alert_text(alert), _page(alert.title, _alert_card(alert)))

    def show_score_changes(self, changes: Changes, alert: Alert | None, config: NotifyConfig) -> Shown:
        """S22 to S24."""
        many, first = len(changes.changes), changes.changes[0]
        previous, current, delta = change_values(first)
        one = f"{entity_name(first)} {previous} → {current} ({delta})"
        what = one if many == 1 else f"{many} significant score changes"
        text = batch_text(changes, config)
        return _mail(
            f"{config.product_name} Anomaly Alert: {what}",
            text if many > 1 else f"{one_line_form(first)}\n\n{text}",
            _page(heading(config), _changes_card(changes, config)),
        )

    def show_combined(self, content: CombinedContent, config: NotifyConfig) -> Shown:
        """Every entry, as a link to its details: a mail is never cut."""
        title = f"{config.product_name}: {content.title}"
        return _mail(title, combined_text(content), _combined_page(content))

    def show_notice(self, title: str, text: str, link: str, config: NotifyConfig) -> Shown:
        """Title and text."""
        page = mail_page(title, title, [text], [], link, "View Dashboard")
        return _mail(f"{config.product_name}: {title}", f"{title}\n\n{text}", page)

    def add_note(self, shown: Shown, note: str) -> Shown:
        """Above the heading, and in text and subject."""
        line = f'<p class="soft" style="{_NOTE}">{for_html(note)}</p>\n<h1 '
        return Shown(
            title=composed_line(f"{note}: {shown.title}", TITLE_LIMIT),
            text=f"{note}\n\n{shown.text}",
            html=shown.html.replace("<h1 ", line, 1),
        )

    def add_links(self, shown: Shown, links: Links) -> Shown:
        """Below everything else, in text and HTML."""
        rows = "".join(f"\n{words}: {url}" for words, url in links)
        anchors = " &nbsp; ".join(
            f'<a class="soft" href="{for_html(url)}" style="{_LINK}">{for_html(words)}</a>' for words, url in links
        )
        page, end, rest = shown.html.rpartition("</td></tr>\n</table>\n</body>")
        html = f'{page}<p style="margin:16px 0 0">{anchors}</p>\n{end}{rest}'
        return replace(shown, text=f"{shown.text}\n{rows}", html=html)


def _mail(subject: str, text: str, html: str) -> Shown:
    return Shown(title=composed_line(subject, TITLE_LIMIT), text=text, html=html)


def _combined_page(content: CombinedContent) -> str:
    rows = [(entry.title, entry.link, entry.facts) for entry in content.entries]
    return mail_page(
        content.title,
        content.title,
        [content.intro],
        rows,
        content.link,
        "View Dashboard",
        [content.footer],
        content.steps,
    )


def sentence(changes: Changes, config: NotifyConfig) -> str:
    """The one sentence of S23."""
    many, word = len(changes.changes), one_line(config.entity_word)
    who = f"1 {word} has" if many == 1 else f"{many:,} {word}s have"
    return f"{who} a score that changed significantly, detected {minute(changes.detected_at)}."


def _changes_card(changes: Changes, config: NotifyConfig) -> str:
    rows = "\n".join(_row(change) for change in changes.changes)
    threshold = for_html(threshold_words(changes))
    return f"""{_heading(heading(config))}
{_paragraph(sentence(changes, config))}
<table class="changes" width="100%" cellpadding="0" cellspacing="0">
<thead><tr>
<th align="left">{for_html(one_line(config.entity_word))}</th>
<th align="right">Previous</th><th align="right">Current</th><th align="right">Change</th>
</tr></thead>
<tbody>
{rows}
</tbody>
</table>
<p class="soft" style="margin:0 0 20px;font-size:14px;line-height:1.5;color:#5b6573">{threshold}</p>
{_button(changes.link, "View Dashboard")}"""


def _row(change: SummaryAnomaly) -> str:
    """S24. Short, since a run may have thousands: what every cell has in common is in the style sheet."""
    previous, current, delta = change_values(change)
    colour, kind = (RED, "drop") if change.direction == "down" else (GREEN, "rise")
    return (
        f"<tr><td>{for_html(entity_name(change))}</td>"
        f'<td align="right">{previous}</td><td align="right">{current}</td>'
        f'<td align="right" class="{kind}" style="color:{colour}">{delta}</td></tr>'
    )


def _alert_card(alert: Alert) -> str:
    rows = "\n".join(
        f'<tr><td class="soft line" valign="top" style="padding:8px 12px 8px 0;border-bottom:1px solid #e6e9ee;'
        f'font-size:14px;color:#5b6573;white-space:nowrap">{for_html(name)}</td>\n'
        f'<td class="ink line" align="right" style="padding:8px 0;border-bottom:1px solid #e6e9ee;font-size:15px;'
        f'color:#1c2430;text-align:right;word-break:break-word">{for_html(value)}</td></tr>'
        for name, value in alert.facts
    )
    description = "<br>\n".join(for_html(line) for line in alert.description.splitlines())
    return f"""{_heading(f"{alert.mark} {alert.title}")}
{f'<p class="ink" style="{_TEXT}">{description}</p>' if description else ""}
<table role="table" width="100%" cellpadding="0" cellspacing="0" style="border-collapse:collapse;margin:0 0 20px">
{rows}
</table>
{_steps(alert.steps)}{_excerpt(alert.excerpt)}{_button(alert.link, "Open the details")}"""


_NOTE = "margin:0 0 8px;font-size:14px;color:#5b6573"
_LINK = "font-size:14px;color:#5b6573"
_TEXT = "margin:0 0 16px;font-size:15px;line-height:1.5;color:#1c2430;word-break:break-word"


def mail_page(
    title: str,
    heading_words: str,
    paragraphs: Sequence[str],
    rows: Sequence[tuple[str, str, str]],
    link: str,
    words: str,
    small: Sequence[str] = (),
    steps: Sequence[str] = (),
) -> str:
    """A whole mail: heading, paragraphs, entries that link to their details, steps, small print, a button.

    Args:
        rows: text, link and small print of each entry.
    """
    items = "\n".join(_entry(*row) for row in rows)
    table = f"""<table class="entries" role="table" width="100%" cellpadding="0" cellspacing="0"
 style="border-collapse:collapse;margin:0 0 20px">
{items}
</table>
"""
    print_ = "\n".join(
        f'<p class="soft" style="margin:0 0 12px;font-size:13px;line-height:1.5;color:#5b6573">{for_html(one)}</p>'
        for one in small
    )
    shown = "\n".join(_paragraph(row) for one in paragraphs for row in one.splitlines())
    card = f"{_heading(heading_words)}\n{shown}\n{table if rows else ''}{_steps(steps)}{print_}\n{_button(link, words)}"
    return _page(title, card, _ENTRIES_STYLE if rows else "")


def _entry(text: str, link: str, facts: str) -> str:
    """Short, since a digest may have thousands: what every entry has in common is in the style sheet."""
    small = f'<br><span class="soft">{for_html(facts)}</span>' if facts else ""
    return f'<tr><td class="line"><a class="ink" href="{for_html(link)}">{for_html(text)}</a>{small}</td></tr>'


def _steps(steps: Sequence[str]) -> str:
    if not steps:
        return ""
    items = "\n".join(f'<li style="margin:0 0 6px">{for_html(step)}</li>' for step in steps)
    return f"""<h2 class="ink" style="margin:0 0 8px;font-size:16px;color:#1c2430">What to look at</h2>
<ol class="ink" style="{_TEXT};padding-left:22px">
{items}
</ol>
"""


def _excerpt(rows: Sequence[str]) -> str:
    if not rows:
        return ""
    shown = "<br>\n".join(map(for_html, rows))
    return f"""<p class="soft" style="{_NOTE}">{EXCERPT_HEADING}</p>
<p class="ink" style="margin:0 0 20px;font-family:Menlo,Consolas,monospace;font-size:13px;line-height:1.5;color:#1c2430;
 word-break:break-word">
{shown}</p>
"""


def _heading(value: str) -> str:
    style = "margin:0 0 12px;font-size:20px;line-height:1.3;color:#1c2430;word-break:break-word"
    return f'<h1 class="ink" style="{style}">{for_html(value)}</h1>'


def _paragraph(value: str) -> str:
    return f'<p class="ink" style="{_TEXT}">{for_html(value)}</p>'


def _button(link: str, words: str) -> str:
    style = (
        f"display:inline-block;padding:10px 18px;border-radius:6px;background:{ACCENT};color:#ffffff;"
        "font-size:15px;font-weight:600;text-decoration:none"
    )
    return f'<a class="go" href="{for_html(link)}" style="{style}">{words}</a>'


def _page(title: str, card: str, more_style: str = "") -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{for_html(title)}</title>
<style>
{_STYLE}{more_style}
</style>
</head>
<body class="page" style="margin:0;padding:24px 12px;background:#f3f5f8;{_FONT}">
<table role="presentation" align="center" width="100%" cellpadding="0" cellspacing="0"
 style="max-width:600px;margin:0 auto">
<tr><td class="card" style="padding:28px;background:#ffffff;border:1px solid #e1e5eb;border-radius:10px">
{card}
</td></tr>
</table>
</body>
</html>
"""

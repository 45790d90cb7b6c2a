"""Mail: a subject of one line, plain text and HTML with the same content, never cut.

The HTML is one table 600 px wide at most, styled inline for programs that drop style sheets; a dark form follows the
reader's setting. No picture, no script, nothing loaded from anywhere.
"""

from collections.abc import Sequence

from stream_detector.events import Anomaly, SummaryAnomaly
from stream_detector.notify.config import EMAIL, NotifyConfig
from stream_detector.notify.message import Message
from stream_detector.notify.render.alert import Alert, alert, plain
from stream_detector.notify.render.changes import (
    Changes,
    batch,
    changes_of,
    heading,
    name_of,
    one_line_form,
    threshold,
    values,
)
from stream_detector.notify.render.escape import for_html, one_line
from stream_detector.notify.render.words import minute
from stream_detector.notify.subject import Subject

SUBJECT_LIMIT = 200

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


def render_email(subject: Subject, config: NotifyConfig, message_id: str) -> Message:
    """S22 to S24 for score changes, W27 for everything else."""
    changes = changes_of(subject, config)
    if changes:
        return _about_changes(changes, config, message_id)
    assert isinstance(subject, Anomaly)  # a run always has its changes
    facts = alert(subject, config)
    return Message(
        id=message_id,
        channel=EMAIL,
        severity=subject.severity,
        title=one_line(f"{config.product_name}: {facts.title}", SUBJECT_LIMIT),
        text=plain(facts),
        html=_page(facts.title, _alert_card(facts)),
        link=facts.link,
        incident_id=subject.incident_id,
        anomaly_id=subject.id,
        run_id=subject.run_id,
    )


def _about_changes(changes: Changes, config: NotifyConfig, message_id: str) -> Message:
    many = len(changes.changes)
    first = changes.changes[0]
    previous, current, delta = values(first)
    what = f"{name_of(first)} {previous} → {current} ({delta})" if many == 1 else f"{many} significant score changes"
    return Message(
        id=message_id,
        channel=EMAIL,
        severity=changes.severity,
        title=one_line(f"{config.product_name} Anomaly Alert: {what}", SUBJECT_LIMIT),
        text=batch(changes, config) if many > 1 else f"{one_line_form(first)}\n\n{batch(changes, config)}",
        html=_page(heading(config), _changes_card(changes, config)),
        link=changes.link,
        incident_id=changes.incident_id,
        anomaly_id=changes.anomaly_id,
        run_id=changes.run_id,
    )


def sentence(changes: Changes, config: NotifyConfig) -> str:
    """The one sentence of S23."""
    many, word = len(changes.changes), one_line(config.entity_word)
    who = f"1 {word} has" if many == 1 else f"{many:,} {word}s have"
    return f"{who} a score that changed significantly, detected {minute(changes.detected_at)}."


def _changes_card(changes: Changes, config: NotifyConfig) -> str:
    rows = "\n".join(_row(change) for change in changes.changes)
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
<p class="soft" style="margin:0 0 20px;font-size:14px;line-height:1.5;color:#5b6573">{for_html(threshold(changes))}</p>
{_button(changes.link, "View Dashboard")}"""


def _row(change: SummaryAnomaly) -> str:
    """S24. Short, since a run may have thousands: what every cell has in common is in the style sheet."""
    previous, current, delta = values(change)
    colour, kind = (RED, "drop") if change.direction == "down" else (GREEN, "rise")
    return (
        f"<tr><td>{for_html(name_of(change))}</td>"
        f'<td align="right">{previous}</td><td align="right">{current}</td>'
        f'<td align="right" class="{kind}" style="color:{colour}">{delta}</td></tr>'
    )


def _alert_card(facts: Alert) -> str:
    rows = "\n".join(
        f'<tr><td class="soft line" valign="top" style="padding:8px 12px 8px 0;border-bottom:1px solid #e6e9ee;'
        f'font-size:14px;color:#5b6573;white-space:nowrap">{for_html(name)}</td>\n'
        f'<td class="ink line" align="right" style="padding:8px 0;border-bottom:1px solid #e6e9ee;font-size:15px;'
        f'color:#1c2430;text-align:right;word-break:break-word">{for_html(value)}</td></tr>'
        for name, value in facts.facts
    )
    steps = "\n".join(f'<li style="margin:0 0 6px">{for_html(step)}</li>' for step in facts.steps)
    look = f"""<h2 class="ink" style="margin:0 0 8px;font-size:16px;color:#1c2430">What to look at</h2>
<ol class="ink" style="{_TEXT};padding-left:22px">
{steps}
</ol>
"""
    description = "<br>\n".join(for_html(line) for line in facts.description.splitlines())
    return f"""{_heading(f"{facts.mark} {facts.title}")}
{f'<p class="ink" style="{_TEXT}">{description}</p>' if description else ""}
<table role="table" width="100%" cellpadding="0" cellspacing="0" style="border-collapse:collapse;margin:0 0 20px">
{rows}
</table>
{look if steps else ""}{_button(facts.link, "Open the details")}"""


_TEXT = "margin:0 0 16px;font-size:15px;line-height:1.5;color:#1c2430;word-break:break-word"


def mail_page(
    title: str,
    heading_words: str,
    paragraphs: Sequence[str],
    rows: Sequence[tuple[str, str]],
    link: str,
    words: str,
    small: Sequence[str] = (),
) -> str:
    """A whole mail: heading, paragraphs, a list of lines that link to their details, a button, small print."""
    items = "\n".join(
        f'<tr><td class="ink line" style="padding:8px 0;border-bottom:1px solid #e6e9ee;font-size:14px;line-height:1.4;'
        f'color:#1c2430;word-break:break-word"><a class="ink" href="{for_html(to)}" style="color:#1c2430">'
        f"{for_html(row)}</a></td></tr>"
        for row, to in rows
    )
    table = f"""<table role="table" width="100%" cellpadding="0" cellspacing="0"
 style="border-collapse:collapse;margin:0 0 20px">
{items}
</table>
"""
    print_ = "\n".join(
        f'<p class="soft" style="margin:0 0 12px;font-size:13px;line-height:1.5;color:#5b6573">{for_html(one)}</p>'
        for one in small
    )
    shown = "\n".join(_paragraph(row) for one in paragraphs for row in one.splitlines())
    return _page(title, f"{_heading(heading_words)}\n{shown}\n{table if rows else ''}{print_}\n{_button(link, words)}")


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


def _page(title: str, card: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{for_html(title)}</title>
<style>
{_STYLE}
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

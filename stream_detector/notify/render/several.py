"""Messages about several things: the digest of what was held back, anomalies told together, and notices about us.

Each leads with what matters: how many and how bad, or what they share. Lines follow, the most severe first; what does
not fit a channel is counted, never dropped unsaid.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stream_detector.events import SeverityName
from stream_detector.notify.config import EMAIL, SLACK, SLACK_BOT, NotifyConfig
from stream_detector.notify.kept import Line, Notice, Several
from stream_detector.notify.message import Message
from stream_detector.notify.render.email import mail_page
from stream_detector.notify.render.escape import for_slack, one_line
from stream_detector.notify.render.links import linked, links_of_group
from stream_detector.notify.render.slack import FIELD_LIMIT, TEXT_LIMIT, context, fit, header, link_block, section
from stream_detector.notify.render.words import duration, minute
from stream_detector.notify.send import ORDER, kind_of, merged
from stream_detector.notify.share import words
from stream_detector.notify.subject import instant

MAIL_LINES = 500
"""Lines of one mail; the rest is counted. A mail of 10,000 lines (1 MB) is cut off by many programs."""
TEXT_LINES = 50
SHARED_LIMIT = 3
"""So many of the things that all share are named."""


@dataclass(frozen=True)
class _Parts:
    title: str
    intro: str
    lines: tuple[Line, ...]
    footer: str
    link: str


def render_several(
    channel: str,
    head: Several,
    lines: Sequence[Line],
    severity: SeverityName,
    config: NotifyConfig,
    message_id: str,
    *,
    at_s: float = 0.0,
) -> Message:
    """The message about these lines as that channel shows it. `at_s`: when it was decided to send it."""
    known = sorted(merged(list(lines)), key=lambda line: (ORDER[kind_of(line)], line.at_s))
    parts = _PARTS[head.kind](head, known, config)
    single = known[0] if len(known) == 1 else None
    made = Message(
        id=message_id,
        channel=channel,
        severity=severity,
        title=one_line(f"{config.product_name}: {parts.title}" if channel == EMAIL else parts.title, 200),
        text=_slack_text(parts)
        if channel in (SLACK, SLACK_BOT)
        else _text(parts, MAIL_LINES if channel == EMAIL else TEXT_LINES),
        html=_html(parts) if channel == EMAIL else "",
        blocks=_blocks(parts) if channel in (SLACK, SLACK_BOT) else [],
        link=parts.link,
        incident_id=single.incident_id if single else None,
        state=head.kind,
    )
    act = head.kind != "digest" and not head.over
    return linked(made, links_of_group(head, known, channel, config, at_s)) if act else made


def render_notice(
    channel: str, notice: Notice, severity: SeverityName, config: NotifyConfig, message_id: str
) -> Message:
    """Something about ourselves."""
    title, text = one_line(notice.title, 200), "\n".join(one_line(row, 1_000) for row in notice.text.splitlines())
    link = f"{config.base_url}/anomalies"
    slack = channel in (SLACK, SLACK_BOT)
    return Message(
        id=message_id,
        channel=channel,
        severity=severity,
        title=one_line(f"{config.product_name}: {title}", 200) if channel == EMAIL else title,
        text=fit(f"{title}\n\n{text}", TEXT_LIMIT) if slack else f"{title}\n\n{text}",
        html=mail_page(title, title, [text], [], link, "View Dashboard") if channel == EMAIL else "",
        blocks=[header(title), section(fit(text, TEXT_LIMIT))] if slack else [],
        link=link,
        state="notice",
    )


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{many:,} {kind}" for kind, many in counts.items())


def _digest(head: Several, lines: Sequence[Line], config: NotifyConfig) -> _Parts:
    what = "1 message was" if head.count == 1 else f"{head.count:,} messages were"
    mark = "🔴" if "critical" in head.counts else "🟠"
    return _Parts(
        title=f"{mark} {what} held back: {_counted(head.counts)}",
        intro="The rate limit was reached, so these came together. The most severe come first:",
        lines=tuple(lines),
        footer=f"Held back since {minute(instant(head.since_s))} | Limit: {head.limit} in {duration(head.window_s)}",
        link=f"{config.base_url}/anomalies",
    )


def _group(head: Several, lines: Sequence[Line], config: NotifyConfig) -> _Parts:
    shared = "; ".join(map(words, head.shared[:SHARED_LIMIT])) or "one incident"
    more = f" and {len(head.shared) - SHARED_LIMIT} more" if len(head.shared) > SHARED_LIMIT else ""
    mark = "✅" if head.over else "🔴" if "critical" in head.counts else "🟠" if "warning" in head.counts else "🔵"
    many = f"{head.in_all:,} anomalies share" if head.in_all > 1 else "1 anomaly opened again:"
    title = f"{mark} {'Resolved: all' if head.over else ''} {many} {one_line(shared, 120)}{more}"
    on = f", of which {head.going_on:,} go on" if head.going_on else ""
    if head.over:
        intro = "The last of it has ended:"
    elif head.in_all <= len(lines):
        intro = f"They opened together ({_counted(head.counts)}):"
    else:
        intro = f"News of it: {_counted(head.counts)}. In all {head.in_all:,}{on}:"
    return _Parts(
        title=" ".join(title.split()),
        intro=intro,
        lines=tuple(lines),
        footer=_footer(head),
        link=f"{config.base_url}/anomalies",
    )


def _footer(head: Several) -> str:
    shared = "; ".join(map(words, head.shared)) or "one incident"
    return f"All share: {one_line(shared, 600)} | Since {minute(instant(head.since_s))}"


def _reminder(head: Several, lines: Sequence[Line], config: NotifyConfig) -> _Parts:
    newest = max(lines, key=lambda line: line.at_s)
    after = duration(max(1.0, newest.at_s - head.since_s))
    mark = "🔴" if newest.severity == "critical" else "🟠" if newest.severity == "warning" else "🔵"
    return _Parts(
        title=f"{mark} Still going on after {after}: {newest.title}",
        intro="Nobody has acknowledged them. This is said again until somebody does, or they have ended.",
        lines=(),
        footer=_footer(head),
        link=f"{config.base_url}/anomalies",
    )


_PARTS: dict[str, Callable[[Several, Sequence[Line], NotifyConfig], _Parts]] = {
    "digest": _digest,
    "group": _group,
    "reminder": _reminder,
}


def _more(count: int) -> str:
    return f"• … and {count:,} more on the dashboard"


def _rows(lines: Sequence[Line], limit: int) -> list[str]:
    rows = [f"• {line.title}" for line in lines[:limit]]
    return [*rows, _more(len(lines) - limit)] if len(lines) > limit else rows


def _text(parts: _Parts, limit: int) -> str:
    rows = ["", *_rows(parts.lines, limit)] if parts.lines else []
    return "\n".join([parts.title, "", parts.intro, *rows, "", parts.footer, f"Dashboard: {parts.link}"])


def _fitted(parts: _Parts, room: int) -> str:
    """As many lines as fit `room` characters, escaped; what does not fit is counted."""
    rows, used = [], len(_more(len(parts.lines)))
    for line in parts.lines:
        row = f"• {fit(line.title, 300)}"
        if used + len(row) + 1 > room:
            break
        rows.append(row)
        used += len(row) + 1
    left = len(parts.lines) - len(rows)
    return "\n".join([*rows, _more(left)] if left else rows)


def _slack_text(parts: _Parts) -> str:
    top = [fit(parts.title, 250), "", fit(parts.intro, 300)]
    bottom = ["", fit(parts.footer, 800), for_slack(f"Dashboard: {parts.link}")]
    room = TEXT_LIMIT - sum(len(row) + 1 for row in top + bottom) - 1
    rows = ["", _fitted(parts, room)] if parts.lines else []
    return "\n".join([*top, *rows, *bottom])


def _blocks(parts: _Parts) -> list[dict[str, Any]]:
    return [
        header(parts.title),
        section(fit(parts.intro, TEXT_LIMIT)),
        *([section(_fitted(parts, TEXT_LIMIT))] if parts.lines else []),
        context(fit(parts.footer, FIELD_LIMIT)),
        link_block(parts.link, "View dashboard"),
    ]


def _html(parts: _Parts) -> str:
    rows = [(line.title, line.link) for line in parts.lines[:MAIL_LINES]]
    left = len(parts.lines) - len(rows)
    rest = [_more(left).removeprefix("• ")] if left else []
    return mail_page(parts.title, parts.title, [parts.intro], rows, parts.link, "View Dashboard", [*rest, parts.footer])

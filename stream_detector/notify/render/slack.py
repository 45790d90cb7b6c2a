"""Slack: `text` for the notification and old clients, blocks for the channel, both within Slack's limits.

All text is `plain_text` or sent with `mrkdwn` off, and escaped: nothing from an event can mention, link or format.
"""

from typing import Any

from stream_detector.events import Anomaly
from stream_detector.notify.config import SLACK, NotifyConfig
from stream_detector.notify.message import Message
from stream_detector.notify.render.alert import Alert, alert, plain
from stream_detector.notify.render.changes import (
    INTRO,
    Changes,
    batch,
    changes_of,
    footer,
    heading,
    one_line_form,
)
from stream_detector.notify.render.escape import for_slack
from stream_detector.notify.subject import Subject

TEXT_LIMIT = 3_000
"""Of a text object (docs.slack.dev, Block Kit, text object)."""
HEADER_LIMIT = 150
FIELD_LIMIT = 2_000
"""A message has five blocks at most, far from the fifty that are allowed."""


SHORT = {"title": 250, "description": 600, "step": 150}
"""Characters, escaped, where the whole would be over `TEXT_LIMIT`."""
MOST_STEPS = 5


def render_slack(subject: Subject, config: NotifyConfig, message_id: str) -> Message:
    """S16 to S20 for score changes, W27 for everything else."""
    changes = changes_of(subject, config)
    if changes:
        return _about_changes(changes, config, message_id)
    assert isinstance(subject, Anomaly)  # a run always has its changes
    facts = alert(subject, config)
    return Message(
        id=message_id,
        channel=SLACK,
        severity=subject.severity,
        title=facts.title,
        text=_within(facts),
        blocks=_alert_blocks(facts),
        link=facts.link,
        incident_id=subject.incident_id,
        anomaly_id=subject.id,
        run_id=subject.run_id,
    )


def _about_changes(changes: Changes, config: NotifyConfig, message_id: str) -> Message:
    """One change: `text` is its one-line form. Several: the whole batch, what is over the limit counted."""
    first = one_line_form(changes.changes[0])
    several = batch(changes, config, limit=TEXT_LIMIT, escape=for_slack)
    head = several.split("\n\n")[2] if len(changes.changes) > 1 else fit(first, TEXT_LIMIT)
    return Message(
        id=message_id,
        channel=SLACK,
        severity=changes.severity,
        title=heading(config),
        text=several if len(changes.changes) > 1 else fit(first, TEXT_LIMIT),
        blocks=[
            header(heading(config)),
            section(fit(INTRO, TEXT_LIMIT)),
            section(head),
            context(fit(footer(changes)[0], FIELD_LIMIT)),
            link_block(changes.link, "View dashboard"),
        ],
        link=changes.link,
        incident_id=changes.incident_id,
        anomaly_id=changes.anomaly_id,
        run_id=changes.run_id,
    )


def fit(value: str, limit: int) -> str:
    """The value escaped, cut so that it has at most `limit` characters then; never in the middle of an entity.

    >>> fit("a & b", 5), fit("a & b", 9)
    ('a …', 'a &amp; b')
    """
    escaped = for_slack(value)
    if len(escaped) <= limit:
        return escaped
    kept, room = [], limit - 1
    for character in value:
        room -= len(for_slack(character))
        if room < 0:
            break
        kept.append(for_slack(character))
    return "".join(kept) + "…"


def _within(facts: Alert) -> str:
    """The alert as text; a long description and all but the first steps are shortened where it would be too long."""
    whole = for_slack(plain(facts))
    if len(whole) <= TEXT_LIMIT:
        return whole
    lines = [f"{facts.mark} {fit(facts.title, SHORT['title'])}", "", fit(facts.description, SHORT["description"]), ""]
    lines += [for_slack(f"{name}: {value}") for name, value in facts.facts]
    if facts.steps:
        lines += ["", "What to look at:"]
        lines += [f"{number}. {fit(step, SHORT['step'])}" for number, step in enumerate(facts.steps[:MOST_STEPS], 1)]
        if len(facts.steps) > MOST_STEPS:
            lines.append(f"… and {len(facts.steps) - MOST_STEPS} more steps behind the link")
    return "\n".join([*lines, "", f"Details: {for_slack(facts.link)}"])


def _alert_blocks(facts: Alert) -> list[dict[str, Any]]:
    steps = "\n".join(["What to look at:", *(f"{number}. {step}" for number, step in enumerate(facts.steps, 1))])
    return [
        header(f"{facts.mark} {facts.title}"),
        *([section(fit(facts.description, TEXT_LIMIT))] if facts.description else []),
        {"type": "section", "fields": [_text(fit(f"{name}\n{value}", FIELD_LIMIT)) for name, value in facts.facts]},
        *([section(fit(steps, TEXT_LIMIT))] if facts.steps else []),
        link_block(facts.link, "Open the details"),
    ]


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

"""Messages as people read them: what they say (`rendering`), in the layout of their channel (`channels.registry`).

Pure: the same subject gives the same message, byte for byte.
"""

from collections.abc import Sequence

from stream_detector.events import Anomaly
from stream_detector.notify.channels.registry import layout_of
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.message import Message
from stream_detector.notify.message_lines import most_severe_first, newest_of_each_incident
from stream_detector.notify.rendering.action_links import links_of_anomaly, links_of_group
from stream_detector.notify.rendering.alert import alert
from stream_detector.notify.rendering.combined import combined_content
from stream_detector.notify.rendering.escape import one_line
from stream_detector.notify.rendering.layout import TITLE_LIMIT
from stream_detector.notify.rendering.score_changes import changes_of
from stream_detector.notify.rendering.words import link_of
from stream_detector.notify.state.state_models import Combined, Due, Line, Notice
from stream_detector.notify.subject import Subject, severity_of


def render(
    channel: str, subject: Subject, config: NotifyConfig, message_id: str, *, note: str = "", at_s: float = 0.0
) -> Message:
    """The message about `subject` as that channel shows it.

    Args:
        note: what is new about something that had a message before; it stands first.
        at_s: when it was decided to send it; links that expire count from then.
    """
    layout, note = layout_of(channel), one_line(note, TITLE_LIMIT)
    anomaly = subject if isinstance(subject, Anomaly) else None
    facts, changes = alert(anomaly, config) if anomaly else None, changes_of(subject, config)
    if changes:
        shown = layout.show_score_changes(changes, facts, config)
    else:
        assert facts  # a run always has its changes
        shown = layout.show_alert(facts, config)
    if anomaly and (links := links_of_anomaly(anomaly, channel, config, at_s)):
        shown = layout.add_links(shown, links)
    if note:
        shown = layout.add_note(shown, note)
    return Message(
        id=message_id,
        channel=channel,
        severity=severity_of(subject),
        title=shown.title,
        text=shown.text,
        html=shown.html,
        blocks=shown.blocks,
        link=link_of(config.base_url, subject),
        incident_id=anomaly.incident_id if anomaly else None,
        anomaly_id=anomaly.id if anomaly else None,
        run_id=subject.run_id,
        state=anomaly.state if anomaly else "run",
        note=note,
    )


def render_combined(entry: Due, head: Combined, lines: Sequence[Line], config: NotifyConfig) -> Message:
    """The digest, group or reminder of a delivery as its channel shows it."""
    layout = layout_of(entry.channel)
    shown_lines = most_severe_first(newest_of_each_incident(lines))
    content = combined_content(head, shown_lines, config)
    shown = layout.show_combined(content, config)
    can_act = head.kind != "digest" and not head.all_resolved
    if can_act and (links := links_of_group(head, shown_lines, entry.channel, config, entry.first_at_s)):
        shown = layout.add_links(shown, links)
    return Message(
        id=entry.message_id,
        channel=entry.channel,
        severity=entry.severity,
        title=shown.title,
        text=shown.text,
        html=shown.html,
        blocks=shown.blocks,
        link=content.link,
        incident_id=shown_lines[0].incident_id if len(shown_lines) == 1 else None,
        state=head.kind,
    )


def render_notice(channel: str, notice: Notice, severity: str, config: NotifyConfig, message_id: str) -> Message:
    """Something about ourselves."""
    title = one_line(notice.title, TITLE_LIMIT)
    text = "\n".join(one_line(row, 1_000) for row in notice.text.splitlines())
    link = f"{config.base_url}/anomalies"
    shown = layout_of(channel).show_notice(title, text, link, config)
    return Message(
        id=message_id,
        channel=channel,
        severity=severity,
        title=shown.title,
        text=shown.text,
        html=shown.html,
        blocks=shown.blocks,
        link=link,
        state="notice",
    )

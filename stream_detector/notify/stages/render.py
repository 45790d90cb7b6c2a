"""What is due, as the messages that people read: what they say (`rendering`), in the layout of their channel.

Pure: the same delivery gives the same message, byte for byte.
"""

from collections.abc import Container, Sequence

from msgspec.structs import replace

from stream_detector.events import Anomaly
from stream_detector.events.anomaly import severity_rank
from stream_detector.notify.channels.registry import layout_of, updates_messages
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.message import LONGEST_WAIT_S, Delivery, Message
from stream_detector.notify.message_lines import newest_of_each_incident
from stream_detector.notify.rendering.action_links import Links, links_of_anomaly, links_of_group
from stream_detector.notify.rendering.alert import Alert
from stream_detector.notify.rendering.combined import combined_content
from stream_detector.notify.rendering.escape import one_line
from stream_detector.notify.rendering.layout import TITLE_LIMIT
from stream_detector.notify.rendering.score_changes import changes_of
from stream_detector.notify.rendering.words import link_of
from stream_detector.notify.stages.isolation import OnFailure, raise_again
from stream_detector.notify.state.deliveries import delivery_of, message_reference, stored_deliveries
from stream_detector.notify.state.keys import State, due_key
from stream_detector.notify.state.line_order import most_severe_first, reading_rank
from stream_detector.notify.state.run_parts import assemble_run
from stream_detector.notify.state.state_models import Due, Line
from stream_detector.notify.state.stored_lines import incidents_in_message, stored_lines
from stream_detector.notify.subject import RESOLVED, Subject, severity_of

_STATE_ORDER: dict[str, int] = {"ongoing": 1, RESOLVED: 2}


def due_deliveries(
    state: State,
    now_s: float,
    config: NotifyConfig,
    busy: Container[str] = frozenset(),
    failed: OnFailure = raise_again,
) -> list[Delivery]:
    """What is to be delivered now, rendered: of each channel that is not busy the first, `critical` before the oldest.

    Of one incident or group only the oldest on a channel, so that nobody reads of an end before the beginning. Changes
    nothing: until it is settled a delivery is due each time.

    Args:
        failed: told of each delivery that cannot be read or rendered, which is left out.
    """
    entries = [entry for entry in stored_deliveries(state, failed) if entry.channel not in busy]
    entries.sort(key=lambda entry: (entry.first_at_s, _order_within_incident(entry)))
    ready = [entry for entry in _first_of_each_thread(state, entries, failed) if _is_due(entry, now_s)]
    ready.sort(key=lambda entry: (-severity_rank(entry.severity), entry.first_at_s))
    deliveries: dict[str, Delivery] = {}
    for entry in ready:
        if entry.channel in deliveries:
            continue
        try:
            delivery = _rendered(state, entry, config)
        except Exception as error:
            failed(due_key(entry.message_id, entry.channel), error)
            continue
        if delivery is not None:
            deliveries[entry.channel] = delivery
    return list(deliveries.values())


def _is_due(entry: Due, now_s: float) -> bool:
    """Whether its time has come. One so far ahead was set by another clock, or by a version that took any wait."""
    return not now_s < entry.next_at_s <= now_s + LONGEST_WAIT_S


def _rendered(state: State, entry: Due, config: NotifyConfig) -> Delivery | None:
    """The delivery; None while a part of its run is missing."""
    subject = entry.anomaly or (assemble_run(state, entry.run_id, entry.parts) if entry.parts else None)
    if not (subject or entry.combined or entry.notice):
        return None
    lines = stored_lines(state, entry.message_id, entry.channel) if entry.combined else ()
    message = render(entry, config, subject, lines)
    if updates_messages(entry.channel) and (shown := message_reference(state, entry.channel, entry.thread)):
        message = replace(message, reference=shown.name)
    return Delivery(message=message, tries=entry.tries, first_at_s=entry.first_at_s)


def render(entry: Due, config: NotifyConfig, subject: Subject | None = None, lines: Sequence[Line] = ()) -> Message:
    """The message of a delivery as its channel shows it.

    Args:
        subject: the anomaly or run that it is about; None where it is a notice or a combined message.
        lines: of a combined message.
    """
    layout, note = layout_of(entry.channel), one_line(entry.note, TITLE_LIMIT)
    anomaly = subject if isinstance(subject, Anomaly) else None
    link, state, incident_id = f"{config.base_url}/anomalies", "notice", None
    links: Links = []
    if anomaly and entry.combined:
        head, lines = entry.combined, most_severe_first(newest_of_each_incident(lines))
        shown = layout.show_alert(
            Alert(anomaly, config.base_url, [line.anomaly_type for line in sorted(lines, key=reading_rank)]), config
        )
        link, state = link_of(config.base_url, anomaly), head.kind
        if anomaly.state != RESOLVED:
            links = links_of_group(head, lines, entry.channel, config, entry.first_at_s)
    elif subject:
        alert, changes = Alert(anomaly, config.base_url) if anomaly else None, changes_of(subject, config)
        link, state = link_of(config.base_url, subject), anomaly.state if anomaly else "run"
        if changes:
            shown = layout.show_score_changes(changes, alert, config)
            shown = layout.add_note(shown, changes.remark) if changes.remark else shown
        else:
            assert alert  # a run always has its changes
            shown = layout.show_alert(alert, config)
        if anomaly:
            incident_id, links = anomaly.incident_id, links_of_anomaly(anomaly, entry.channel, config, entry.first_at_s)
    elif entry.combined:
        head, lines = entry.combined, most_severe_first(newest_of_each_incident(lines))
        shown, state = layout.show_combined(combined_content(head, lines, config), config), head.kind
        incident_id = lines[0].incident_id if len(lines) == 1 else None
        if head.kind != "digest" and not head.all_resolved:
            links = links_of_group(head, lines, entry.channel, config, entry.first_at_s)
    else:
        assert entry.notice
        text = "\n".join(one_line(row, 1_000) for row in entry.notice.text.splitlines())
        if entry.notice.link:
            link, text = entry.notice.link, f"{text}\nDashboard: {entry.notice.link}"
        shown = layout.show_notice(one_line(entry.notice.title, TITLE_LIMIT), text, link, config)
    shown = layout.add_links(shown, links) if links else shown
    shown = layout.add_note(shown, note) if note else shown
    return Message(
        id=entry.message_id,
        channel=entry.channel,
        severity=severity_of(subject) if subject else entry.severity,  # of a run without what was silenced meanwhile
        title=shown.title,
        text=shown.text,
        html=shown.html,
        blocks=shown.blocks,
        link=link,
        incident_id=incident_id,
        anomaly_id=anomaly.id if anomaly and not entry.combined else None,
        run_id=subject.run_id if subject else None,
        state=state,
        note=note,
    )


def message_about(
    channel: str, subject: Subject, config: NotifyConfig, message_id: str, *, note: str = "", at_s: float = 0.0
) -> Message:
    """The message about a subject that no delivery in the state is for: the inbox's own, a test or a preview.

    Args:
        note: what is new about it; it stands first.
        at_s: when it is sent; links that expire count from then. 0: no such links.
    """
    entry = replace(delivery_of(channel, subject, "", at_s), message_id=message_id, note=note)
    return render(entry, config, subject)


def _first_of_each_thread(state: State, entries: list[Due], failed: OnFailure) -> list[Due]:
    """Those that wait for no earlier one about the same on their channel."""
    has_combined = {entry.channel for entry in entries if entry.combined}
    earlier: dict[str, set[str]] = {}
    found = []
    for entry in entries:
        about = {entry.thread or entry.message_id}
        if entry.channel in has_combined:  # lines are looked at only where their order may matter
            try:
                about |= incidents_in_message(state, entry.message_id, entry.channel)
            except Exception as error:
                failed(due_key(entry.message_id, entry.channel), error)
                continue
        before = earlier.setdefault(entry.channel, set())
        if not about & before:
            found.append(entry)
        before |= about
    return found


def _order_within_incident(entry: Due) -> int:
    """0 for a beginning, 2 for an end: of what was decided at the same moment the beginning is sent first."""
    return _STATE_ORDER.get(entry.anomaly.state, 0) if entry.anomaly else 0

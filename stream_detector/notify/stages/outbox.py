"""Deliveries in the state: left there by the stages before, given out rendered when they are due."""

from collections.abc import Container, Sequence

from msgspec.structs import replace

from stream_detector.events import Anomaly
from stream_detector.events.anomaly import severity_rank
from stream_detector.notify.channels.registry import CHANNELS
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.message import Delivery, Message
from stream_detector.notify.stages.render import render, render_combined, render_notice
from stream_detector.notify.state.keys import DUE, REFERENCE, State, due_key, keys_of, read, write
from stream_detector.notify.state.run_parts import assemble_run
from stream_detector.notify.state.state_models import Due, Line, Reference
from stream_detector.notify.state.stored_lines import incidents_in_message, store_lines, stored_lines
from stream_detector.notify.subject import RESOLVED, Run, Subject, message_id, severity_of

_STATE_ORDER: dict[str, int] = {"ongoing": 1, RESOLVED: 2}


def new_delivery(channel: str, subject: Subject, reason: str, now_s: float) -> Due:
    """The delivery of one anomaly or one run."""
    return Due(
        message_id=message_id(subject),
        channel=channel,
        severity=severity_of(subject),
        first_at_s=now_s,
        next_at_s=now_s,
        reason=reason,
        anomaly=subject if isinstance(subject, Anomaly) else None,
        run_id=subject.run_id or "",
        parts=subject.parts if isinstance(subject, Run) else 0,
        thread=subject.incident_id if isinstance(subject, Anomaly) else "",
    )


def enqueue(state: State, entry: Due, lines: Sequence[Line] = ()) -> None:
    """Leave the delivery; the lines of a combined message lie beside it."""
    if entry.combined:
        store_lines(state, entry.message_id, entry.channel, lines)
    write(state, due_key(entry.message_id, entry.channel), entry)


def due_deliveries(
    state: State, now_s: float, config: NotifyConfig, busy: Container[str] = frozenset()
) -> list[Delivery]:
    """What is to be delivered now, rendered: of each channel that is not busy the first, `critical` before the oldest.

    Of one incident or group only the oldest on a channel, so that nobody reads of an end before the beginning. Changes
    nothing: until it is settled a delivery is due each time.
    """
    entries = [entry for key in keys_of(state, DUE) if (entry := read(state, key, Due)) and entry.channel not in busy]
    entries.sort(key=lambda entry: (entry.first_at_s, _order_within_incident(entry)))
    ready = [entry for entry in _first_of_each_thread(state, entries) if entry.next_at_s <= now_s]
    ready.sort(key=lambda entry: (-severity_rank(entry.severity), entry.first_at_s))
    deliveries: dict[str, Delivery] = {}
    for entry in ready:
        if entry.channel not in deliveries and (message := _rendered(state, entry, config)):
            deliveries[entry.channel] = Delivery(message=message, tries=entry.tries, first_at_s=entry.first_at_s)
    return list(deliveries.values())


def message_reference(state: State, channel: str, thread: str) -> Reference | None:
    """What the provider calls the message about that incident or group."""
    return read(state, f"{REFERENCE}{channel}:{thread}", Reference) if thread else None


def _first_of_each_thread(state: State, entries: list[Due]) -> list[Due]:
    """Those that wait for no earlier one about the same on their channel."""
    has_combined = {entry.channel for entry in entries if entry.combined}
    earlier: dict[str, set[str]] = {}
    found = []
    for entry in entries:
        about = {entry.thread or entry.message_id}
        if entry.channel in has_combined:  # lines are looked at only where their order may matter
            about |= incidents_in_message(state, entry.message_id, entry.channel)
        before = earlier.setdefault(entry.channel, set())
        if not about & before:
            found.append(entry)
        before |= about
    return found


def _order_within_incident(entry: Due) -> int:
    """0 for a beginning, 2 for an end: of what was decided at the same moment the beginning is sent first."""
    return _STATE_ORDER.get(entry.anomaly.state, 0) if entry.anomaly else 0


def _rendered(state: State, entry: Due, config: NotifyConfig) -> Message | None:
    """The message as the channel shows it; None while a part of its run is missing."""
    if entry.combined:
        lines = stored_lines(state, entry.message_id, entry.channel)
        message = render_combined(entry, entry.combined, lines, config)
    elif entry.notice:
        message = render_notice(entry.channel, entry.notice, entry.severity, config, entry.message_id)
    else:
        subject: Subject | None = entry.anomaly or assemble_run(state, entry.run_id, entry.parts)
        if subject is None:
            return None
        message = render(entry.channel, subject, config, entry.message_id, note=entry.note, at_s=entry.first_at_s)
    spec = CHANNELS.get(entry.channel)
    reference = message_reference(state, entry.channel, entry.thread) if spec and spec.updates_messages else None
    return replace(message, reference=reference.name) if reference else message

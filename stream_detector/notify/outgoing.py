"""What is to be delivered now, and what becomes of a channel's answer."""

from collections.abc import Container

from msgspec.structs import replace

from stream_detector.events import Notification, Outcome
from stream_detector.notify.config import RANK, UPDATING, NotifyConfig
from stream_detector.notify.group import forget, whole
from stream_detector.notify.kept import Due, Incident, Reference
from stream_detector.notify.message import Delivered, Delivery, Message, Result, RetryAfter
from stream_detector.notify.record import of_line, of_message
from stream_detector.notify.render import render
from stream_detector.notify.render.several import render_notice, render_several
from stream_detector.notify.retry import GIVE_UP_AFTER_S, wait_s
from stream_detector.notify.send import due_key, forget_lines, incidents_told, lines_of, thread_reference
from stream_detector.notify.state import DUE, INCIDENT, REFERENCE, State, keys, read, write
from stream_detector.notify.subject import Subject
from stream_detector.notify.watch import heed


def due(state: State, now_s: float, config: NotifyConfig, busy: Container[str] = frozenset()) -> list[Delivery]:
    """What is to be delivered now, rendered: of each channel that is not busy the first, `critical` before the oldest.

    Of one incident or group only the oldest on a channel, so that nobody reads of an end before the beginning. Changes
    nothing: until it is settled a delivery is due each time.
    """
    entries = [entry for key in keys(state, DUE) if (entry := read(state, key, Due)) and entry.channel not in busy]
    entries.sort(key=lambda entry: (entry.first_at_s, _stage_of(entry)))
    ready = [entry for entry in _in_turn(state, entries) if entry.next_at_s <= now_s]
    ready.sort(key=lambda entry: (-RANK[entry.severity], entry.first_at_s))
    deliveries: dict[str, Delivery] = {}
    for entry in ready:
        if entry.channel not in deliveries and (message := _message(state, entry, config)):
            deliveries[entry.channel] = Delivery(message=message, tries=entry.tries, first_at_s=entry.first_at_s)
    return list(deliveries.values())


def _in_turn(state: State, entries: list[Due]) -> list[Due]:
    """Those that wait for no earlier one about the same on their channel."""
    crowded = {entry.channel for entry in entries if entry.several}
    earlier: dict[str, set[str]] = {}
    found = []
    for entry in entries:
        about = {entry.thread or entry.message_id}
        if entry.channel in crowded:  # lines are looked at only where their order may matter
            about |= incidents_told(state, entry.message_id, entry.channel)
        before = earlier.setdefault(entry.channel, set())
        if not about & before:
            found.append(entry)
        before |= about
    return found


def _stage_of(entry: Due) -> int:
    """0 for a beginning, 2 for an end: of what was decided at the same moment the beginning is told first."""
    return {"ongoing": 1, "resolved": 2}.get(entry.anomaly.state, 0) if entry.anomaly else 0


def settle(state: State, delivery: Delivery, result: Result, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Take a channel's answer: done, given up, or due again later. An answer that comes twice changes nothing."""
    entry = read(state, delivery.key, Due)
    if entry is None or entry.tries != delivery.tries:
        return []
    tries = entry.tries + 1
    said = heed(state, entry.channel, result, now_s, config)
    outcome: Outcome
    if isinstance(result, Delivered):
        outcome, reason = "delivered", f"{entry.reason}; {result.detail}"
    elif isinstance(result, RetryAfter):
        next_at_s = now_s + wait_s(entry.message_id, entry.channel, tries, result.after_s)
        if next_at_s <= entry.first_at_s + GIVE_UP_AFTER_S:
            write(state, delivery.key, replace(entry, tries=tries, next_at_s=next_at_s))
            reason = f"{result.reason}; try {tries + 1} in {next_at_s - now_s:.0f} s"
            return [of_message(delivery.message, "retrying", reason, now_s, tries), *said]
        outcome, reason = "failed", f"given up after {tries} tries in {now_s - entry.first_at_s:.0f} s: {result.reason}"
    else:
        outcome, reason = "failed", result.reason
    said += _of_lines(state, entry, outcome, reason, now_s, tries)
    if isinstance(result, Delivered) and result.reference and entry.thread:
        _refer(state, entry, result.reference, now_s)
    _remove(state, entry, delivered=outcome == "delivered", config=config)
    return [of_message(delivery.message, outcome, reason, now_s, tries), *said]


def _refer(state: State, entry: Due, reference: str, now_s: float) -> None:
    """Keep what the provider calls the message, for as long as there may be news of what it is about."""
    key = f"{REFERENCE}{entry.channel}:{entry.thread}"
    if entry.anomaly and entry.anomaly.state == "resolved":
        state.pop(key, None)
    else:
        write(state, key, Reference(at_s=now_s, name=reference, anomaly=entry.anomaly))


def _of_lines(state: State, entry: Due, outcome: Outcome, reason: str, now_s: float, tries: int) -> list[Notification]:
    """What became of each thing that a message told."""
    if entry.several is None:
        return []
    told = (
        f"told in {'a digest' if entry.several.kind == 'digest' else 'one message'} of {entry.several.count}: {reason}"
    )
    return [
        of_line(line, entry.channel, outcome, told, now_s, tries)
        for line in lines_of(state, entry.message_id, entry.channel)
    ]


def _message(state: State, entry: Due, config: NotifyConfig) -> Message | None:
    reference = thread_reference(state, entry.channel, entry.thread) if entry.channel in UPDATING else None
    if entry.several:
        lines = lines_of(state, entry.message_id, entry.channel)
        made = render_several(
            entry.channel, entry.several, lines, entry.severity, config, entry.message_id, at_s=entry.first_at_s
        )
    elif entry.notice:
        made = render_notice(entry.channel, entry.notice, entry.severity, config, entry.message_id)
    else:
        subject: Subject | None = entry.anomaly or whole(state, entry.run_id, entry.parts)
        if subject is None:
            return None
        made = render(entry.channel, subject, config, entry.message_id, note=entry.note, at_s=entry.first_at_s)
    return replace(made, reference=reference.name) if reference else made


def _remove(state: State, entry: Due, *, delivered: bool, config: NotifyConfig) -> None:
    name, channel = entry.message_id, entry.channel
    del state[due_key(name, channel)]
    if entry.parts and not any(due_key(name, other) in state for other in config.channels):
        forget(state, entry.run_id, entry.parts)
    ids = {entry.anomaly.incident_id} if entry.anomaly and entry.anomaly.state != "resolved" else set()
    if entry.several:
        ids = incidents_told(state, name, channel)
        forget_lines(state, name, channel)
    for incident_id in () if delivered or entry.note else ids:
        incident = read(state, INCIDENT + incident_id, Incident)
        if incident:
            told = [other for other in incident.told if other != channel]
            write(state, INCIDENT + incident_id, replace(incident, told=told))

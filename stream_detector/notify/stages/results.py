"""A channel's answer, settled: delivered, due again later, or given up."""

from msgspec.structs import replace

from stream_detector.events import Notification, Outcome
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.message import Delivered, Delivery, Result, RetryAfter
from stream_detector.notify.stages.outcomes import outcome_of_line, outcome_of_message
from stream_detector.notify.stages.retry import GIVE_UP_AFTER_S, wait_before_retry_s
from stream_detector.notify.stages.self_monitoring import record_delivery_result
from stream_detector.notify.state.keys import INCIDENT, REFERENCE, State, due_key, read, write
from stream_detector.notify.state.run_parts import delete_run_parts
from stream_detector.notify.state.state_models import Due, Incident, Reference
from stream_detector.notify.state.stored_lines import delete_lines, incidents_in_message, stored_lines
from stream_detector.notify.subject import RESOLVED


def settle(state: State, delivery: Delivery, result: Result, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Take a channel's answer: done, given up, or due again later. An answer that comes twice changes nothing."""
    entry = read(state, delivery.key, Due)
    if entry is None or entry.tries != delivery.tries:
        return []
    tries = entry.tries + 1
    asked = f"{entry.message_id} {tries}"
    outcomes = record_delivery_result(state, entry.channel, result, now_s, config, asked)
    outcome: Outcome
    if isinstance(result, Delivered):
        outcome, reason = "delivered", f"{entry.reason}; {result.detail}"
    elif isinstance(result, RetryAfter):
        next_at_s = now_s + wait_before_retry_s(entry.message_id, entry.channel, tries, result.after_s)
        if next_at_s <= entry.first_at_s + GIVE_UP_AFTER_S:
            write(state, delivery.key, replace(entry, tries=tries, next_at_s=next_at_s))
            reason = f"{result.reason}; try {tries + 1} in {next_at_s - now_s:.0f} s"
            return [outcome_of_message(delivery.message, "retrying", reason, now_s, tries), *outcomes]
        outcome, reason = "failed", f"given up after {tries} tries in {now_s - entry.first_at_s:.0f} s: {result.reason}"
    else:
        outcome, reason = "failed", result.reason
    outcomes += _outcomes_of_lines(state, entry, outcome, reason, now_s, tries)
    if isinstance(result, Delivered) and result.reference and entry.thread:
        _store_reference(state, entry, result.reference, now_s)
    _remove(state, entry, delivered=outcome == "delivered", config=config)
    return [outcome_of_message(delivery.message, outcome, reason, now_s, tries), *outcomes]


def _store_reference(state: State, entry: Due, reference: str, now_s: float) -> None:
    """Keep what the provider calls the message, for as long as there may be news of what it is about."""
    key = f"{REFERENCE}{entry.channel}:{entry.thread}"
    if entry.anomaly and entry.anomaly.state == RESOLVED:
        state.pop(key, None)
    else:
        write(state, key, Reference(at_s=now_s, name=reference, anomaly=entry.anomaly))


def _outcomes_of_lines(
    state: State, entry: Due, outcome: Outcome, reason: str, now_s: float, tries: int
) -> list[Notification]:
    """What became of each thing that a combined message shows."""
    if entry.combined is None:
        return []
    what = "a digest" if entry.combined.kind == "digest" else "one message"
    why = f"told in {what} of {entry.combined.count}: {reason}"
    return [
        outcome_of_line(line, entry.channel, outcome, why, now_s, tries)
        for line in stored_lines(state, entry.message_id, entry.channel)
    ]


def _remove(state: State, entry: Due, *, delivered: bool, config: NotifyConfig) -> None:
    """Drop the delivery and what lies beside it. What was not delivered, nobody was notified of."""
    message_id, channel = entry.message_id, entry.channel
    del state[due_key(message_id, channel)]
    if entry.parts and not any(due_key(message_id, other) in state for other in config.channels):
        delete_run_parts(state, entry.run_id, entry.parts)
    ids = {entry.anomaly.incident_id} if entry.anomaly and entry.anomaly.state != RESOLVED else set()
    if entry.combined:
        ids = incidents_in_message(state, message_id, channel)
        delete_lines(state, message_id, channel)
    for incident_id in () if delivered or entry.note else ids:
        incident = read(state, INCIDENT + incident_id, Incident)
        if incident:
            notified = [other for other in incident.notified if other != channel]
            write(state, INCIDENT + incident_id, replace(incident, notified=notified))

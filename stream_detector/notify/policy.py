"""The policy, in order: route -> silence -> group -> deduplicate -> throttle -> render -> deliver -> record.

The first five are pure and answer with their reason; the reasons together say why somebody was, or was not, told.
`accept` runs them for each channel and leaves what is to be delivered in the state. `due` renders what it is time
for, `settle` takes the channel's answer. Both `accept` and `settle` return outcomes to append to `notifications`.

Order of effects for the caller, so that a crash between any two loses nothing and repeats at most one delivery:
1. `accept` every item that was read; append its outcomes and await their acknowledgement.
2. Write the changed state and await it. 3. Commit what was read. 4. Deliver what `due` returns.
5. `settle` each answer; append its outcomes and await them before the state without the delivery is written.
Outcomes carry ids made from message, channel, outcome and try, so an outcome that is appended twice is one.
"""

from collections.abc import Container

from msgspec.structs import replace

from stream_detector.events import Action, Anomaly, Notification, Outcome, RunSummary
from stream_detector.events.ids import derived_id
from stream_detector.notify.act import act, silences
from stream_detector.notify.config import INBOX, RANK, NotifyConfig
from stream_detector.notify.deduplicate import deduplicate, learn, routed_severity
from stream_detector.notify.group import collect, forget, group, hide, whole
from stream_detector.notify.message import Delivered, Delivery, Message, Result, RetryAfter
from stream_detector.notify.render import render
from stream_detector.notify.retry import GIVE_UP_AFTER_S, wait_s
from stream_detector.notify.route import route
from stream_detector.notify.silence import hidden_in, silence
from stream_detector.notify.state import (
    DUE,
    INCIDENT,
    KEEP_S,
    PART,
    SEEN,
    SENT,
    SILENCES,
    Due,
    Incident,
    Part,
    Seen,
    Sent,
    Silences,
    State,
    keys,
    read,
    write,
)
from stream_detector.notify.subject import Run, Subject, instant, message_id, severity_of
from stream_detector.notify.throttle import throttle, within
from stream_detector.notify.verdict import Verdict

__all__ = ["accept", "due", "expire", "settle"]


def accept(state: State, item: Anomaly | RunSummary | Action, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Decide about one item. What is to be delivered is in the state afterwards, under `due:`.

    A repeat changes nothing and gives the outcomes of the first time again, in case they were lost with a crash.

    Returns:
        The outcomes that are final already: suppressed, held, and delivered to the inbox.
    """
    if isinstance(item, Action):
        act(state, item, now_s)
        return []
    name = derived_id("message", "run", item.run_id) if isinstance(item, RunSummary) else message_id(item)
    seen = read(state, SEEN + name, Seen)
    subject: Subject | None = item if isinstance(item, Anomaly) else None
    if isinstance(item, RunSummary) and not seen:
        subject = collect(state, item, now_s)
    elif isinstance(item, RunSummary):
        subject = Run(run_id=item.run_id, ended_at=item.ended_at, anomalies=tuple(item.anomalies))
    if subject is None:
        return []
    if not seen:
        seen = _decide(state, subject, now_s, config)
        write(state, SEEN + name, seen)
    return _immediate(subject, seen, config)


def _decide(state: State, subject: Subject, now_s: float, config: NotifyConfig) -> Seen:
    """Run the stages for every channel; leave deliveries, counts and what people now know in the state."""
    incident_key = INCIDENT + subject.incident_id if isinstance(subject, Anomaly) else ""
    incident = read(state, incident_key, Incident) if incident_key else None
    said: list[tuple[str, Outcome, str]] = []
    told: list[str] = []
    for channel in config.channels:
        sent = read(state, SENT + channel, Sent) or Sent()
        verdict = _stages(state, channel, subject, incident, sent, now_s, config)
        if not verdict.goes:
            if verdict.outcome:
                said.append((channel, verdict.outcome, verdict.reason))
            continue
        told.append(channel)
        if channel == INBOX:
            said.append((channel, "delivered", verdict.reason))
            continue
        write(state, SENT + channel, Sent(times=[*within(sent.times, now_s, config), now_s]))
        entry = _due_entry(channel, subject, verdict.reason, now_s)
        write(state, _due_key(entry.message_id, channel), entry)
    if isinstance(subject, Anomaly):
        known = learn(incident, subject, told, now_s)
        if known:
            write(state, incident_key, known)
        else:
            state.pop(incident_key, None)
    elif told:
        hide(state, subject, hidden_in(subject, silences(state), now_s), now_s)
    else:
        forget(state, subject.run_id, subject.parts)
    return Seen(at_s=now_s, severity=severity_of(subject), said=said)


def _stages(
    state: State,
    channel: str,
    subject: Subject,
    incident: Incident | None,
    sent: Sent,
    now_s: float,
    config: NotifyConfig,
) -> Verdict:
    """The pure part of the pipeline, for one channel: the first stage that stops decides."""
    reasons = []
    for stage in (
        lambda: route(channel, routed_severity(subject, incident), config),
        lambda: silence(subject, silences(state), now_s),
        lambda: group(channel, subject),
        lambda: deduplicate(channel, subject, incident),
        lambda: throttle(channel, sent.times, now_s, config),
    ):
        verdict = stage()
        if not verdict.goes:
            return verdict
        reasons.append(verdict.reason)
    return Verdict(True, "; ".join(reasons))


def due(state: State, now_s: float, config: NotifyConfig, under_way: Container[str] = frozenset()) -> list[Delivery]:
    """What is to be delivered now, rendered; `critical` first, then the oldest.

    Of one incident only the oldest on a channel, so that nobody reads of an end before the beginning. Changes
    nothing: until it is settled a delivery is due each time, but for those whose key is in `under_way`.
    """
    entries = [entry for key in keys(state, DUE) if (entry := read(state, key, Due))]
    entries.sort(key=lambda entry: (entry.first_at_s, entry.anomaly is not None and entry.anomaly.state == "resolved"))
    first: dict[tuple[str, str], Due] = {}
    for entry in entries:
        thread = entry.anomaly.incident_id if entry.anomaly else entry.message_id
        first.setdefault((entry.channel, thread), entry)
    ready = [
        entry
        for entry in first.values()
        if entry.next_at_s <= now_s and _due_key(entry.message_id, entry.channel) not in under_way
    ]
    ready.sort(key=lambda entry: (-RANK[entry.severity], entry.first_at_s))
    deliveries = []
    for entry in ready:
        message = _message(state, entry, config)
        if message:
            deliveries.append(Delivery(message=message, tries=entry.tries, first_at_s=entry.first_at_s))
    return deliveries


def settle(state: State, delivery: Delivery, result: Result, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Take a channel's answer: done, given up, or due again later. An answer that comes twice changes nothing."""
    entry = read(state, delivery.key, Due)
    if entry is None or entry.tries != delivery.tries:
        return []
    tries = entry.tries + 1
    outcome: Outcome
    if isinstance(result, Delivered):
        outcome, reason = "delivered", f"{entry.reason}; {result.detail}"
    elif isinstance(result, RetryAfter):
        next_at_s = now_s + wait_s(entry.message_id, entry.channel, tries, result.after_s)
        if next_at_s <= entry.first_at_s + GIVE_UP_AFTER_S:
            write(state, delivery.key, replace(entry, tries=tries, next_at_s=next_at_s))
            reason = f"{result.reason}; try {tries + 1} in {next_at_s - now_s:.0f} s"
            return [_notification(delivery.message, "retrying", reason, now_s, tries)]
        outcome, reason = "failed", f"given up after {tries} tries in {now_s - entry.first_at_s:.0f} s: {result.reason}"
    else:
        outcome, reason = "failed", result.reason
    _remove(state, delivery, entry, delivered=outcome == "delivered", config=config)
    return [_notification(delivery.message, outcome, reason, now_s, tries)]


def expire(state: State, now_s: float) -> None:
    """Drop what is no longer needed, by the table in `state`. Goes through the whole state: once a minute will do."""
    oldest_s = now_s - KEEP_S
    dated: tuple[tuple[str, type[Seen | Incident | Part]], ...] = ((SEEN, Seen), (INCIDENT, Incident), (PART, Part))
    for prefix, kind in dated:
        for key in keys(state, prefix):
            value = read(state, key, kind)
            if value is not None and value.at_s < oldest_s:
                del state[key]
    for key in keys(state, SENT):
        sent = read(state, key, Sent)
        if sent is not None and (not sent.times or sent.times[-1] < oldest_s):
            del state[key]
    kept = silences(state)
    left = [one for one in kept if one.until_s > now_s]
    if not left:
        state.pop(SILENCES, None)
    elif len(left) < len(kept):
        write(state, SILENCES, Silences(silences=left))


def _due_key(name: str, channel: str) -> str:
    return f"{DUE}{name}:{channel}"


def _due_entry(channel: str, subject: Subject, reason: str, now_s: float) -> Due:
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
    )


def _message(state: State, entry: Due, config: NotifyConfig) -> Message | None:
    subject: Subject | None = entry.anomaly or whole(state, entry.run_id, entry.parts)
    return render(entry.channel, subject, config, entry.message_id) if subject else None


def _remove(state: State, delivery: Delivery, entry: Due, *, delivered: bool, config: NotifyConfig) -> None:
    del state[delivery.key]
    if entry.parts and not any(_due_key(entry.message_id, channel) in state for channel in config.channels):
        forget(state, entry.run_id, entry.parts)
    if delivered or not entry.anomaly or entry.anomaly.state == "resolved":
        return
    key = INCIDENT + entry.anomaly.incident_id
    incident = read(state, key, Incident)
    if incident:
        told = [channel for channel in incident.told if channel != entry.channel]
        write(state, key, replace(incident, told=told))


def _immediate(subject: Subject, seen: Seen, config: NotifyConfig) -> list[Notification]:
    """The outcomes that were final at once. Of a repeated run only a part may be at hand, so nothing hangs on more."""
    if not seen.said:
        return []
    message = replace(render(INBOX, subject, config, message_id(subject)), severity=seen.severity)
    return [
        _notification(replace(message, channel=channel), outcome, reason, seen.at_s, 0)
        for channel, outcome, reason in seen.said
    ]


def _notification(message: Message, outcome: Outcome, reason: str, at_s: float, tries: int) -> Notification:
    return Notification(
        schema_version=1,
        id=derived_id("notification", message.id, message.channel, outcome, str(tries)),
        channel=message.channel,
        outcome=outcome,
        reason=reason[:1_000],
        at=instant(at_s),
        incident_id=message.incident_id,
        anomaly_id=message.anomaly_id,
        run_id=message.run_id,
        severity=message.severity,
        title=message.title[:1_000],
        body=message.text if message.channel == INBOX else "",
        link=message.link,
    )

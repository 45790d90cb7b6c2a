"""The policy, in order: route -> silence -> group -> deduplicate -> throttle -> render -> deliver -> record.

Each stage is pure and answers with its reason; the reasons together say why somebody was, or was not, told. `accept`
runs them for each channel; `tick` does what only time brings: groups whose wait is over, digests of what was held
back, ends that waited for quiet, reminders. Both leave what is to be delivered in the state. `due` renders what it is
time for, `settle` takes the channel's answer. `accept`, `tick` and `settle` return outcomes for `notifications`.

Order of effects for the caller, so that a crash between any two loses nothing and repeats at most one delivery:
1. `accept` every item that was read, `tick`; append their outcomes and await their acknowledgement.
2. Write the changed state and await it. 3. Commit what was read. 4. Deliver what `due` returns.
5. `settle` each answer; append its outcomes and await them before the state without the delivery is written.
Outcomes carry ids made from message, channel, outcome and try, so an outcome that is appended twice is one.
"""

from collections.abc import Container

from msgspec.structs import replace

from stream_detector.events import Action, Anomaly, Notification, Outcome, RunSummary
from stream_detector.events.ids import derived_id
from stream_detector.notify.act import act, silences
from stream_detector.notify.config import INBOX, RANK, UPDATING, NotifyConfig, Route
from stream_detector.notify.deduplicate import deduplicate, learn, routed_severity
from stream_detector.notify.digest import digests
from stream_detector.notify.flap import ENDING, ended, flap_key, opened, quiet
from stream_detector.notify.group import collect, forget, group, hide, whole
from stream_detector.notify.message import Delivered, Delivery, Message, Result, RetryAfter
from stream_detector.notify.pool import flush, wait, waits
from stream_detector.notify.record import of_line, of_message
from stream_detector.notify.remind import REPEAT, remind, reminded
from stream_detector.notify.render import render
from stream_detector.notify.render.line import line_of
from stream_detector.notify.render.several import render_notice, render_several
from stream_detector.notify.retry import GIVE_UP_AFTER_S, wait_s
from stream_detector.notify.route import route, route_of
from stream_detector.notify.send import due_key, entry_of, forget_lines, lines_of, send, thread_reference
from stream_detector.notify.silence import facts_of, facts_of_run, hidden_in, silence
from stream_detector.notify.state import (
    DUE,
    FLAP,
    GROUP,
    INCIDENT,
    KEEP_S,
    PART,
    REFERENCE,
    SEEN,
    SENT,
    SILENCES,
    TIMER,
    Due,
    Flap,
    Group,
    Incident,
    Line,
    Part,
    Pooled,
    Reference,
    Seen,
    Sent,
    Silences,
    State,
    keys,
    oldest,
    read,
    write,
)
from stream_detector.notify.subject import Run, Subject, message_id, severity_of
from stream_detector.notify.verdict import Verdict
from stream_detector.notify.watch import heed, watch

__all__ = ["accept", "due", "expire", "settle", "tick", "watch"]

EXPIRE_LOOKS = 100
"""`expire` goes through each kind from the oldest on, and stops after so many in a row that are kept."""


def accept(state: State, item: Anomaly | RunSummary | Action, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Decide about one item. What is to be delivered is in the state afterwards, under `due:`.

    A repeat changes nothing and gives the outcomes of the first time again, in case they were lost with a crash.

    Returns:
        The outcomes that are final already: suppressed, held, and delivered to the inbox.
    """
    if isinstance(item, Action):
        act(state, item, now_s, config)
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
    known = _Known.of(state, subject)
    facts = facts_of(subject) if isinstance(subject, Anomaly) else facts_of_run(subject)
    facts["severity"] = routed_severity(subject, known.incident)
    said: list[tuple[str, Outcome, str]] = []
    told: dict[str, str] = {}
    for channel in config.channels:
        taken = route_of(channel, facts, config, known.told_by(channel))
        verdict = _stages(state, channel, subject, known, taken, now_s, config)
        if verdict.goes and taken is not None:
            told[channel] = taken.name
            verdict = _leave(state, channel, taken, subject, known, verdict.reason, now_s, config)
        if verdict.outcome:
            said.append((channel, verdict.outcome, verdict.reason))
    if isinstance(subject, Anomaly):
        _learn(state, subject, known, told, now_s, config)
    elif any(due_key(message_id(subject), channel) in state for channel in told):
        hide(state, subject, hidden_in(subject, silences(state), now_s), now_s)
    else:
        forget(state, subject.run_id, subject.parts)
    return Seen(at_s=now_s, severity=severity_of(subject), said=said)


class _Known:
    """What people knew before this item."""

    def __init__(self, incident: Incident | None = None, key: str = "", flap: Flap | None = None) -> None:
        self.incident, self.flap_key, self.flap = incident, key, flap
        self._line: Line | None = None

    def line(self, subject: Subject, config: NotifyConfig, now_s: float) -> Line:
        """The item in one line, made when first asked for."""
        self._line = self._line or line_of(subject, config, now_s)
        return self._line

    @classmethod
    def of(cls, state: State, subject: Subject) -> "_Known":
        if not isinstance(subject, Anomaly):
            return cls()
        key = flap_key(subject)
        return cls(read(state, INCIDENT + subject.incident_id, Incident), key, read(state, key, Flap))

    def told_by(self, channel: str) -> str | None:
        """The route by which the channel was told of the incident, None where it was not."""
        return self.incident.routes.get(channel) if self.incident and channel in self.incident.told else None


def _learn(
    state: State, anomaly: Anomaly, known: _Known, told: dict[str, str], now_s: float, config: NotifyConfig
) -> None:
    incident, flap = known.incident, known.flap
    window_s = max([config.fallback.flap_window_s, *(one.flap_window_s for one in config.routes)])
    if anomaly.state == "resolved" and incident and incident.told:
        ended(state, known.flap_key, flap, incident, anomaly, window_s, now_s)
    elif anomaly.state != "resolved" and incident is None:
        flap = opened(state, known.flap_key, flap, anomaly, window_s, now_s)
    after = learn(incident, anomaly, told, now_s, flap)
    if after:
        write(state, INCIDENT + anomaly.incident_id, after)
    else:
        state.pop(INCIDENT + anomaly.incident_id, None)


def _leave(
    state: State,
    channel: str,
    taken: Route,
    subject: Subject,
    known: _Known,
    reason: str,
    now_s: float,
    config: NotifyConfig,
) -> Verdict:
    """It goes: into the inbox, to those that wait for others, or out; unless the limit holds it back."""
    if channel == INBOX:
        return Verdict(True, f"{reason}; the inbox has no limit", "delivered")
    if isinstance(subject, Anomaly) and waits(taken):
        wait(state, channel, taken, subject, known.incident.groups if known.incident else {}, reason, now_s)
        return Verdict(True, reason)
    verdict = send(state, taken, entry_of(channel, subject, reason, now_s), [known.line(subject, config, now_s)], now_s)
    if verdict.goes and isinstance(subject, Anomaly):
        remind(state, channel, taken, subject, now_s)
    return verdict


def _stages(
    state: State,
    channel: str,
    subject: Subject,
    known: _Known,
    taken: Route | None,
    now_s: float,
    config: NotifyConfig,
) -> Verdict:
    """The pure part of the pipeline up to the throttle, for one channel: the first stage that stops decides."""
    reasons = []
    for stage in (
        lambda: route(channel, routed_severity(subject, known.incident), taken, config),
        lambda: silence(subject, silences(state), now_s),
        lambda: group(channel, subject),
        lambda: deduplicate(channel, subject, known.incident, known.flap, taken or config.fallback, now_s),
    ):
        verdict = stage()
        if not verdict.goes:
            return verdict
        reasons.append(verdict.reason)
    return Verdict(True, "; ".join(reasons))


def tick(state: State, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Do what only time brings. Repeating it at the same time changes nothing more.

    Returns:
        The outcomes that are final already: held back, and silenced meanwhile.
    """
    said: list[Notification] = []
    for key in sorted(key for key in keys(state, TIMER) if float(key.split(":", 2)[1]) <= now_s):
        _, _, kind, what = key.split(":", 3)
        waiting = read(state, key, Pooled) if kind == REPEAT else None
        del state[key]
        if waiting:
            said += reminded(state, what, waiting, now_s, config)
        elif kind == ENDING and (flap := quiet(state, what, now_s)):
            said += _tell_end(state, flap, now_s, config)
    said += flush(state, now_s, config)
    digests(state, now_s)
    return said


def _tell_end(state: State, flap: Flap, now_s: float, config: NotifyConfig) -> list[Notification]:
    """The end of what flapped, now that it has been quiet; wherever an opening was told."""
    said: list[Notification] = []
    anomaly = flap.ending
    if anomaly is None:
        return []
    line = line_of(anomaly, config, now_s)
    for channel in flap.told:
        if channel == INBOX or not config.channels.get(channel):
            continue
        taken = route_of(channel, facts_of(anomaly), config, flap.routes.get(channel, "")) or config.fallback
        reason = f"it flapped {flap.times} times and has been quiet for {flap.window_s:g} s"
        verdict = silence(anomaly, silences(state), now_s)
        if verdict.goes and waits(taken):
            wait(state, channel, taken, anomaly, flap.groups, reason, now_s)
        elif verdict.goes:
            verdict = send(state, taken, entry_of(channel, anomaly, reason, now_s), [line], now_s)
        if verdict.outcome:
            said.append(of_line(line, channel, verdict.outcome, verdict.reason, now_s, tries=1))
    return said


def due(state: State, now_s: float, config: NotifyConfig, under_way: Container[str] = frozenset()) -> list[Delivery]:
    """What is to be delivered now, rendered; `critical` first, then the oldest.

    Of one incident or group only the oldest on a channel, so that nobody reads of an end before the beginning. Changes
    nothing: until it is settled a delivery is due each time, but for those whose key is in `under_way`.
    """
    entries = [entry for key in keys(state, DUE) if (entry := read(state, key, Due))]
    entries.sort(key=lambda entry: (entry.first_at_s, _stage_of(entry)))
    ready = [
        entry
        for entry in _in_turn(state, entries)
        if entry.next_at_s <= now_s and due_key(entry.message_id, entry.channel) not in under_way
    ]
    ready.sort(key=lambda entry: (-RANK[entry.severity], entry.first_at_s))
    deliveries = []
    for entry in ready:
        message = _message(state, entry, config)
        if message:
            deliveries.append(Delivery(message=message, tries=entry.tries, first_at_s=entry.first_at_s))
    return deliveries


def _in_turn(state: State, entries: list[Due]) -> list[Due]:
    """Those that wait for no earlier one about the same on their channel."""
    crowded = {entry.channel for entry in entries if entry.several}
    earlier: dict[str, set[str]] = {}
    found = []
    for entry in entries:
        about = {entry.thread or entry.message_id}
        if entry.channel in crowded:  # lines are looked at only where their order may matter
            about |= {line.incident_id or "" for line in lines_of(state, entry.message_id, entry.channel)} - {""}
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
        kept = Reference(at_s=now_s, name=result.reference, anomaly=entry.anomaly)
        write(state, f"{REFERENCE}{entry.channel}:{entry.thread}", kept)
    _remove(state, entry, delivered=outcome == "delivered", config=config)
    return [of_message(delivery.message, outcome, reason, now_s, tries), *said]


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


def expire(state: State, now_s: float) -> None:
    """Drop what is no longer needed, by the table in `state`. Once a minute will do."""
    oldest_s = now_s - KEEP_S
    for prefix, kind in ((SEEN, Seen), (INCIDENT, Incident), (PART, Part), (GROUP, Group), (REFERENCE, Reference)):
        _expire(state, prefix, kind, oldest_s)
    for key in keys(state, FLAP):
        flap = read(state, key, Flap)
        if flap is not None and flap.ending is None and flap.ended_s + max(flap.window_s, 86_400) < now_s:
            del state[key]
    for key in keys(state, SENT):
        sent = read(state, key, Sent)
        if sent is not None and not sent.held and (not sent.times or sent.times[-1] < oldest_s):
            del state[key]
    kept = silences(state)
    left = [one for one in kept if one.until_s > now_s]
    if not left:
        state.pop(SILENCES, None)
    elif len(left) < len(kept):
        write(state, SILENCES, Silences(silences=left))


def _expire(state: State, prefix: str, kind: type[Seen | Incident | Part | Group | Reference], oldest_s: float) -> None:
    old, young = [], 0
    for key in oldest(state, prefix):
        value = read(state, key, kind)
        if value is not None and value.at_s < oldest_s:
            old.append(key)
            young = 0
        elif (young := young + 1) >= EXPIRE_LOOKS:
            break
    for key in old:
        del state[key]


def _message(state: State, entry: Due, config: NotifyConfig) -> Message | None:
    reference = thread_reference(state, entry.channel, entry.thread) if entry.channel in UPDATING else None
    if entry.several:
        lines = lines_of(state, entry.message_id, entry.channel)
        made = render_several(entry.channel, entry.several, lines, entry.severity, config, entry.message_id)
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
    ids = [entry.anomaly.incident_id] if entry.anomaly and entry.anomaly.state != "resolved" else []
    if entry.several:
        ids = [line.incident_id for line in lines_of(state, name, channel) if line.incident_id]
        forget_lines(state, name, channel)
    for incident_id in () if delivered or entry.note else ids:
        incident = read(state, INCIDENT + incident_id, Incident)
        if incident:
            told = [other for other in incident.told if other != channel]
            write(state, INCIDENT + incident_id, replace(incident, told=told))


def _immediate(subject: Subject, seen: Seen, config: NotifyConfig) -> list[Notification]:
    """The outcomes that were final at once. Of a repeated run only a part may be at hand, so nothing hangs on more."""
    if not seen.said:
        return []
    message = replace(render(INBOX, subject, config, message_id(subject)), severity=seen.severity)
    return [
        of_message(replace(message, channel=channel), outcome, reason, seen.at_s, 0)
        for channel, outcome, reason in seen.said
    ]

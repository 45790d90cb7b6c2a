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

from msgspec.structs import replace

from stream_detector.events import Action, Anomaly, Notification, Outcome, RunSummary
from stream_detector.notify import groups
from stream_detector.notify.act import act, silences
from stream_detector.notify.config import INBOX, NotifyConfig, Route
from stream_detector.notify.deduplicate import deduplicate, learn, routed_severity
from stream_detector.notify.digest import digests
from stream_detector.notify.expire import expire
from stream_detector.notify.flap import ENDING, ended, flap_key, opened, quiet
from stream_detector.notify.group import collect, forget, group, hide
from stream_detector.notify.outgoing import due, settle
from stream_detector.notify.pool import flush, wait, waits
from stream_detector.notify.record import of_line, of_message
from stream_detector.notify.remind import REPEAT, REPEAT_GROUP, remind, reminded, reminded_of_group
from stream_detector.notify.render import render
from stream_detector.notify.render.line import line_of
from stream_detector.notify.route import route, route_of
from stream_detector.notify.seen import is_seen, note
from stream_detector.notify.send import due_key, entry_of, send
from stream_detector.notify.silence import facts_of, facts_of_run, hidden_in, silence
from stream_detector.notify.state import (
    INCIDENT,
    TIMER,
    Flap,
    Incident,
    Line,
    State,
    keys,
    read,
    write,
)
from stream_detector.notify.subject import Subject, message_id
from stream_detector.notify.verdict import Verdict
from stream_detector.notify.watch import watch

__all__ = ["accept", "due", "expire", "settle", "tick", "watch"]


def accept(state: State, item: Anomaly | RunSummary | Action, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Decide about one item. What is to be delivered is in the state afterwards, under `due:`.

    A repeat changes nothing and says nothing: its outcomes were acknowledged before the state that knows it.

    Returns:
        The outcomes that are final already: suppressed, held, and delivered to the inbox.
    """
    if isinstance(item, Action):
        act(state, item, now_s, config)
        return []
    name = message_id(item)
    if is_seen(state, name):
        return []
    subject: Subject | None = item if isinstance(item, Anomaly) else collect(state, item, now_s)
    if subject is None:
        return []
    note(state, name, now_s)
    return _decide(state, subject, now_s, config)


def _decide(state: State, subject: Subject, now_s: float, config: NotifyConfig) -> list[Notification]:
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
    if not said:
        return []
    message = render(INBOX, subject, config, message_id(subject))
    return [of_message(replace(message, channel=name), outcome, why, now_s, 0) for name, outcome, why in said]


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
    window_s = _flap_window_s(incident, flap, told, config)
    if anomaly.state == "resolved" and incident:
        groups.ended(state, incident.groups, now_s, taken=bool(incident.acknowledged_by))
        if incident.told:
            ended(state, known.flap_key, flap, incident, anomaly, window_s, now_s)
    elif anomaly.state != "resolved" and incident is None:
        flap = opened(state, known.flap_key, flap, anomaly, window_s, now_s)
        groups.reopened(state, flap.groups if flap else {})
    after = learn(incident, anomaly, told, now_s, flap)
    if after:
        write(state, INCIDENT + anomaly.incident_id, after)
    else:
        state.pop(INCIDENT + anomaly.incident_id, None)


def _flap_window_s(incident: Incident | None, flap: Flap | None, told: dict[str, str], config: NotifyConfig) -> float:
    """The longest of the routes by which people hear of it; the inbox, which gets each flap, does not count."""
    by = {**(flap.routes if flap else {}), **(incident.routes if incident else {}), **told}
    names = {name for channel, name in by.items() if channel != INBOX}
    windows = [one.flap_window_s for one in (*config.routes, config.fallback) if one.name in names]
    return max(windows, default=config.fallback.flap_window_s)


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
        del state[key]
        if kind == REPEAT:
            said += reminded(state, what, now_s, config)
        elif kind == REPEAT_GROUP:
            said += reminded_of_group(state, what, now_s, config)
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

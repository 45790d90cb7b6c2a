"""The policy, in order: route -> silence -> group -> deduplicate -> throttle -> render -> deliver -> record.

`accept` takes an item through the first five, for each channel by itself; the first that stops it decides, and each
says why: the reasons together answer why somebody was, or was not, told. What passes lies in the state, where it waits
for others or is due. `tick` does what only time brings. `due` renders what it is time for, the caller delivers it, and
`settle` records what the channel answered. Nothing here knows a clock, a network or the settings.

Order of effects for the caller, so that a crash between any two loses nothing and repeats one delivery a channel at
most:
1. `accept` every item that was read, `tick`; append their outcomes and await their acknowledgement.
2. Write the changed state, whole, and await it. 3. Commit what was read. 4. Deliver what `due` returns.
5. `settle` each answer; append its outcomes and await them before the state without the delivery is written, and
   deliver the channel's next only then.
Outcomes carry ids made from message, channel, outcome and try, so an outcome that is appended twice is one.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from stream_detector.events import Action, Anomaly, Notification, Outcome, RunSummary
from stream_detector.notify.act import act, silences
from stream_detector.notify.config import INBOX, NotifyConfig, Route
from stream_detector.notify.deduplicate import deduplicate
from stream_detector.notify.expire import expire
from stream_detector.notify.group import collect, forget, group, hide
from stream_detector.notify.kept import Line
from stream_detector.notify.known import Known, learn
from stream_detector.notify.outgoing import due, settle
from stream_detector.notify.pool import wait, waits
from stream_detector.notify.record import of_message
from stream_detector.notify.remind import remind
from stream_detector.notify.render import render
from stream_detector.notify.render.line import line_of
from stream_detector.notify.route import route, route_of, routes_of
from stream_detector.notify.seen import is_seen, note
from stream_detector.notify.send import due_key, entry_of, send
from stream_detector.notify.silence import facts_of, facts_of_run, hidden_in, silence
from stream_detector.notify.state import State
from stream_detector.notify.subject import Subject, message_id
from stream_detector.notify.tick import tick
from stream_detector.notify.verdict import Verdict
from stream_detector.notify.watch import watch

__all__ = ["accept", "due", "expire", "settle", "tick", "watch"]


def accept(state: State, item: Anomaly | RunSummary | Action, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Decide about one item. What is to be delivered is in the state afterwards.

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
        return []  # parts of its run are still to come
    note(state, name, now_s)
    return _Case(state, subject, now_s, config).decide()


class _Case:
    """One item on its way to every channel."""

    def __init__(self, state: State, subject: Subject, now_s: float, config: NotifyConfig) -> None:
        self._state, self._subject, self._now_s, self._config = state, subject, now_s, config
        self._known = Known.of(state, subject)
        self._severity = self._known.severity(subject)
        self._line: Line | None = None
        self._silence: Verdict | None = None

    def decide(self) -> list[Notification]:
        """Take it through the stages for each channel; leave deliveries and what people now know in the state."""
        subject, config = self._subject, self._config
        facts = facts_of(subject) if isinstance(subject, Anomaly) else facts_of_run(subject)
        facts["severity"] = self._severity
        taking = routes_of(facts, config)
        told: dict[str, str] = {}
        said: list[tuple[str, Outcome, str]] = []
        for channel in config.channels:
            taken = route_of(channel, taking, config, self._known.told_by(channel))
            verdict = _first_that_stops(self._stages(channel, taken))
            if verdict.goes and taken is not None:
                told[channel] = taken.name
                verdict = self._hand_on(channel, taken, verdict.reason)
            if verdict.outcome:
                said.append((channel, verdict.outcome, verdict.reason))
        self._remember(told)
        if not said:
            return []
        message = render(INBOX, subject, config, message_id(subject))
        return [of_message(replace(message, channel=name), outcome, why, self._now_s, 0) for name, outcome, why in said]

    def _stages(self, channel: str, taken: Route | None) -> Iterator[Verdict]:
        """The pure part, in order; a stage is asked only where those before it let the item pass."""
        subject, known, now_s = self._subject, self._known, self._now_s
        yield route(channel, self._severity, taken, self._config)
        self._silence = self._silence or silence(subject, silences(self._state), now_s)  # the same for each channel
        yield self._silence
        yield group(channel, subject)
        yield deduplicate(channel, subject, known.incident, known.flap, taken or self._config.fallback, now_s)

    def _hand_on(self, channel: str, taken: Route, reason: str) -> Verdict:
        """Into the inbox, to those that wait for others, or out; unless the throttle holds it back."""
        state, subject, now_s = self._state, self._subject, self._now_s
        if channel == INBOX:
            return Verdict(True, f"{reason}; the inbox has no limit", "delivered")
        if isinstance(subject, Anomaly) and waits(taken):
            wait(state, channel, taken, subject, self._known.told_in, reason, now_s)
            return Verdict(True, reason)
        self._line = self._line or line_of(subject, self._config, now_s)
        verdict = send(state, taken, entry_of(channel, subject, reason, now_s), [self._line], now_s)
        if verdict.goes and isinstance(subject, Anomaly):
            remind(state, channel, taken, subject, now_s)
        return verdict

    def _remember(self, told: dict[str, str]) -> None:
        state, subject, now_s = self._state, self._subject, self._now_s
        if isinstance(subject, Anomaly):
            learn(state, subject, self._known, told, now_s, self._config)
        elif any(due_key(message_id(subject), channel) in state for channel in told):
            hide(state, subject, hidden_in(subject, silences(state), now_s), now_s)
        else:
            forget(state, subject.run_id, subject.parts)


def _first_that_stops(stages: Iterator[Verdict]) -> Verdict:
    """The verdict of the first stage that stops the item; else it goes, with all their reasons."""
    reasons = []
    for verdict in stages:
        if not verdict.goes:
            return verdict
        reasons.append(verdict.reason)
    return Verdict(True, "; ".join(reasons))

"""One message for one cause: runs of one source that did not come.

The first three have a message each. From the fourth within an hour of each other they are on one message for a day,
which is brought up to date where its channel can change a message, and else sent again at 10, 30, 100 and so on. It
ends when the last of them has ended. Where the whole source is silent (`silent_sources`) that has the one message.

Everything is decided by when the runs were due, which the detector's records say.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from msgspec.structs import replace

from stream_detector.events import Anomaly, Notification
from stream_detector.events.ids import derived_id
from stream_detector.events.source_census import PLAIN_SOURCE
from stream_detector.notify.channels.registry import updates_messages
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.message_lines import combine, combined_message_id, newest_of_each_incident, worst_severity
from stream_detector.notify.rendering.alert import anomaly_name
from stream_detector.notify.rendering.line import line_of
from stream_detector.notify.rendering.missed_runs import joined_steps
from stream_detector.notify.shared_facets import MISSED_RUNS
from stream_detector.notify.stages import group_life, silent_sources
from stream_detector.notify.stages.candidate import Candidate
from stream_detector.notify.stages.group_members import stored_incidents, with_new_members, without_silenced
from stream_detector.notify.stages.incidents import forget_notified
from stream_detector.notify.stages.matching import facts_of, matching_routes, route_to
from stream_detector.notify.stages.outcomes import outcome_of_line
from stream_detector.notify.stages.reminders import schedule_group_reminder
from stream_detector.notify.stages.throttle import throttle
from stream_detector.notify.state.keys import (
    GROUP,
    INCIDENT,
    JOINED,
    MISSED,
    State,
    channel_of_bucket,
    keys_of,
    read,
    write,
)
from stream_detector.notify.state.pending import PendingEntry, delete_pending
from stream_detector.notify.state.state_models import Bond, Due, Group, JoinedRuns, Line, MissedRun
from stream_detector.notify.subject import RESOLVED, SUPERSEDED, Subject, is_missed_run

WAIT_S = 10.0
"""A missed run waits so long for others and for the census of its source: it is minutes late already."""
ALONE = 3
"""So many have a message of their own."""
WITHIN_S = 3_600.0
"""Four of them within it are one message."""
OPEN_S = 86_400.0
"""What is due so long after the first of a joined message is not part of it."""
SEND_AGAIN_AT: tuple[int, ...] = tuple(step * int(10**power) for power in range(1, 7) for step in (1, 3))
"""Where a message cannot be changed, it is sent again when so many are missed: 10, 30, 100, 300, ..."""


@dataclass(frozen=True)
class Ready:
    """What becomes of those that waited in a bucket."""

    others: list[PendingEntry] = field(default_factory=list)
    """What is sent as anything else: what is no missed run, and those that have a message of their own."""
    outcomes: list[Notification] = field(default_factory=list)
    later_s: list[float] = field(default_factory=list)
    """When those that still wait are ready."""
    joinings: list["_Joining"] = field(default_factory=list)

    def send_joined(self) -> None:
        """Send the joined messages; after those of `others`, which came before them."""
        for joining in self.joinings:
            joining.send()


def source_of(anomaly: Anomaly) -> str:
    """The source whose event is missing."""
    return anomaly.source or PLAIN_SOURCE


def is_news(subject: Subject) -> TypeGuard[Anomaly]:
    """Whether it is a missed run, or the end of one."""
    return isinstance(subject, Anomaly) and is_missed_run(subject)


def channels_of_silence(candidate: Candidate) -> set[str]:
    """The channels that are notified where the run's source is silent: that is critical, whatever one run is."""
    subject, config = candidate.subject, candidate.config
    if not is_news(subject) or subject.state == RESOLVED or not candidate.silence.passed or candidate.history.taken_by:
        return set()
    matching = matching_routes(facts_of(subject) | {"severity": "critical"}, config)
    return {name for name, is_on in config.channels.items() if is_on and route_to(name, matching, config)}


def note_missed_run(
    state: State, anomaly: Anomaly, channels: Collection[str], now_s: float, config: NotifyConfig
) -> None:
    """Keep which runs are missed now.

    Args:
        channels: those that are notified where its source is silent.
    """
    source, key = source_of(anomaly), MISSED + anomaly.incident_id
    known, line = read(state, key, MissedRun), line_of(anomaly, config, now_s)
    if anomaly.state != RESOLVED:
        due_s = anomaly.detected_at.timestamp()
        both = sorted({*channels, *(known.channels if known else ())})
        groups = known.groups if known else []
        name = anomaly_name(anomaly)
        write(
            state,
            key,
            MissedRun(at_s=now_s, source=source, due_s=due_s, name=name, line=line, channels=both, groups=groups),
        )
        return
    if anomaly.published_at is not None and anomaly.end_reason in ("recovered", SUPERSEDED):
        silent_sources.note_event(state, source, anomaly.published_at.timestamp(), now_s)
    if known and known.groups:
        write(state, key, replace(known, line=line, is_over=True))
    elif known:
        del state[key]


def sort_out(
    state: State, bucket: str, entries: Sequence[PendingEntry], route: Route, now_s: float, config: NotifyConfig
) -> Ready:
    """Tell those that are to be on a joined message from the others, and hold them where their source is silent."""
    ready, by_source = Ready(), dict[str, list[PendingEntry]]()
    for key, one in entries:
        if is_missed_run(one.anomaly) and (not one.group or _is_joined(state, one.group)):
            by_source.setdefault(source_of(one.anomaly), []).append((key, one))
        else:
            ready.others.append((key, one))
    for source, waiting in by_source.items():
        at_s = min(_ready_at_s(state, entry) for entry in waiting)
        if at_s > now_s:
            ready.later_s.append(at_s)
            continue
        left, silenced = without_silenced(state, bucket, waiting, now_s, config)
        ready.outcomes.extend(silenced)
        ready.outcomes.extend(silent_sources.look_at(state, source, now_s, config))
        left = _hold(state, bucket, source, left, now_s, config, ready)
        ready.joinings.append(_Joining(state, bucket, source, route, now_s, config, ready).take(left))
    return ready


def _ready_at_s(state: State, entry: PendingEntry) -> float:
    """With ends alone when all of the message's have ended."""
    _, one = entry
    group = read(state, one.group, Group) if one.group else None
    return group.next_at_s if group and not group.active and one.anomaly.state == RESOLVED else one.ready_at_s


def _is_joined(state: State, name: str) -> bool:
    group = read(state, name, Group)
    return group is not None and any(facet[0] == MISSED_RUNS for facet in group.shared)


def _hold(
    state: State,
    bucket: str,
    source: str,
    waiting: Sequence[PendingEntry],
    now_s: float,
    config: NotifyConfig,
    ready: Ready,
) -> list[PendingEntry]:
    """Those that the message about their source does not stand for."""
    left, channel = [], channel_of_bucket(bucket)
    for key, one in waiting:
        why = silent_sources.cause_of(state, source, one.anomaly.detected_at.timestamp())
        if not why:
            left.append((key, one))
            continue
        ready.outcomes.append(
            outcome_of_line(line_of(one.anomaly, config, one.at_s), channel, "suppressed", why, now_s)
        )
        forget_notified(state, one.anomaly.incident_id, channel)
        delete_pending(state, [(key, one)])
    if len(left) < len(waiting):
        ready.outcomes.extend(silent_sources.notify_also(state, source, channel, now_s, config))
    return left


class _Joining:
    """The messages about the missed runs of one source, on one channel and route."""

    def __init__(
        self,
        state: State,
        bucket: str,
        source: str,
        route: Route,
        now_s: float,
        config: NotifyConfig,
        ready: Ready,
    ) -> None:
        self._state, self._bucket, self._source, self._route = state, bucket, source, route
        self._now_s, self._config, self._ready = now_s, config, ready
        self._channel, self._key = channel_of_bucket(bucket), f"{JOINED}{bucket}:{source}"
        self._joined = read(state, self._key, JoinedRuns) or JoinedRuns()
        self._by_group: dict[str, list[PendingEntry]] = {}

    def take(self, waiting: Sequence[PendingEntry]) -> "_Joining":
        """Those that have a message of their own go on with the others; the rest is on the joined one."""
        placed: dict[str, str] = {}
        for key, one in sorted(waiting, key=lambda entry: (entry[1].anomaly.detected_at, entry[0])):
            name = one.group or placed.get(one.anomaly.incident_id, "")
            if not name and one.anomaly.state != RESOLVED and one.anomaly.incident_id not in placed:
                name = placed[one.anomaly.incident_id] = self._place(one.anomaly)
            if name:
                self._by_group.setdefault(name, []).append((key, one))
            else:
                self._ready.others.append((key, replace(one, ready_at_s=self._now_s)))
        if waiting:
            write(self._state, self._key, replace(self._joined, at_s=self._now_s))
        return self

    def send(self) -> None:
        """Send the joined messages that are due."""
        for name, members in self._by_group.items():
            self._tell(name, members)
        if self._by_group:
            write(self._state, self._key, replace(self._joined, at_s=self._now_s))

    def _place(self, anomaly: Anomaly) -> str:
        """The joined message that it is part of; empty: it has a message of its own."""
        due_s, joined = anomaly.detected_at.timestamp(), self._joined
        if joined.group and due_s < joined.until_s:
            return joined.group
        near = sum(abs(due_s - other) < WITHIN_S for other in joined.due_s)
        if near < ALONE:
            self._joined = JoinedRuns(due_s=[*joined.due_s[1 - ALONE :], due_s])
            return ""
        name = f"{GROUP}{self._bucket}:{derived_id('group', 'missed runs', anomaly.id)}"
        self._joined = JoinedRuns(group=name, alone=near, until_s=due_s + OPEN_S)
        return name

    def _tell(self, name: str, members: list[PendingEntry]) -> None:
        group = self._admit(name, members)
        has_news = any(one.anomaly.state != RESOLVED for _, one in members)
        is_over = not group.active and not group.non_resolving
        is_open = name == self._joined.group
        total = group.members + (self._joined.alone if is_open else 0)
        if updates_messages(self._channel):
            at_s = group.next_at_s if has_news or is_over else min(one.ready_at_s for _, one in members)
        elif is_over or not group.messages or (is_open and total >= _next_at(self._joined.sent_at)):
            at_s = group.next_at_s
        else:
            self._leave(members, total)
            return
        if at_s > self._now_s:
            for key, one in members:
                write(self._state, key, replace(one, group=name, is_new=False, ready_at_s=at_s))
            self._ready.later_s.append(at_s)
            return
        self._send(name, group, members, total, is_over=is_over)

    def _admit(self, name: str, members: list[PendingEntry]) -> Group:
        """The group with those that are new to it, and what they are known by."""
        state, incidents = self._state, stored_incidents(self._state, members)
        facet = (MISSED_RUNS, self._source)
        known = read(state, name, Group) or Group(
            at_s=self._now_s,
            since_s=min(one.anomaly.detected_at.timestamp() for _, one in members),
            shared=[facet],
            bond=Bond(joins=[facet], steps=joined_steps(self._source)),
        )
        group = with_new_members(known, [one for _, one in members], incidents)
        write(state, name, group)
        for incident_id in {one.anomaly.incident_id for _, one in members if one.is_new}:
            if incident := incidents.get(incident_id):
                groups = {**incident.groups, self._bucket: name}
                write(state, INCIDENT + incident_id, replace(incident, groups=groups))
            key = MISSED + incident_id
            if (run := read(state, key, MissedRun)) and name not in run.groups:
                write(state, key, replace(run, groups=[*run.groups, name]))
        return group

    def _leave(self, members: list[PendingEntry], total: int) -> None:
        """They are counted, and no message is sent for them."""
        for _, one in members:
            if one.anomaly.state == RESOLVED:
                why = f"its end is sent with that of the other missed runs of {self._source}"
            else:
                again = f"; it is sent again at {_next_at(self._joined.sent_at)}" if self._joined.group else ""
                why = f"one message for the missed runs of {self._source}, {total} so far{again}"
            line = line_of(one.anomaly, self._config, one.at_s)
            self._ready.outcomes.append(outcome_of_line(line, self._channel, "suppressed", why, self._now_s))
        delete_pending(self._state, members)

    def _send(self, name: str, group: Group, members: list[PendingEntry], total: int, *, is_over: bool) -> None:
        state, now_s = self._state, self._now_s
        lines = self._lines(name, members)
        newest = newest_of_each_incident(lines)
        entry = Due(
            message_id=combined_message_id("group", name, str(group.messages + 1)),
            channel=self._channel,
            severity=worst_severity(newest),
            first_at_s=now_s,
            next_at_s=now_s,
            reason=f"{members[-1][1].reason}; one message for the missed runs of {self._source}",
            combined=combine(
                "group",
                newest,
                shared=group.shared,
                bond=group.bond,
                since_s=group.since_s,
                members=total,
                active=group.active,
                all_resolved=is_over,
            ),
            thread=name,
        )
        group = schedule_group_reminder(state, name, group, self._route, now_s)
        verdict = throttle(state, self._route, entry, newest, now_s)
        if not verdict.passed:
            held = [line_of(one.anomaly, self._config, one.at_s) for _, one in members]
            self._ready.outcomes.extend(
                outcome_of_line(line, self._channel, "held", verdict.reason, now_s) for line in held
            )
        group_life.record_group_message(state, name, group, self._route, now_s)
        if name == self._joined.group:
            self._joined = JoinedRuns() if is_over else replace(self._joined, sent_at=total)
        delete_pending(state, members)
        if is_over:
            _forget_members(state, name)

    def _lines(self, name: str, members: list[PendingEntry]) -> list[Line]:
        """Of everything on the message, also what an earlier version of it showed."""
        found = [read(self._state, key, MissedRun) for key in keys_of(self._state, MISSED)]
        runs = [run for run in found if run and name in run.groups]
        lines = [run.line for run in sorted(runs, key=lambda run: run.due_s)]
        listed = {line.incident_id for line in lines}
        own = [line_of(one.anomaly, self._config, one.at_s) for _, one in members]
        return [*lines, *(line for line in own if line.incident_id not in listed)]


def _next_at(sent_at: int) -> int:
    return next((step for step in SEND_AGAIN_AT if step > sent_at), SEND_AGAIN_AT[-1] + sent_at)


def _forget_members(state: State, name: str) -> None:
    """The message of them has ended."""
    for key in keys_of(state, MISSED):
        if (run := read(state, key, MissedRun)) and name in run.groups:
            groups = [other for other in run.groups if other != name]
            if run.is_over and not groups:
                del state[key]
            else:
                write(state, key, replace(run, groups=groups))

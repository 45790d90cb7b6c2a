"""One message about a group: what is said, and what the group and its members are from then on."""

from collections.abc import Mapping

from msgspec.structs import replace

from stream_detector.events import Notification
from stream_detector.notify import groups
from stream_detector.notify.config import RANK, NotifyConfig, Route
from stream_detector.notify.kept import Due, Group, Incident, Line, Pooled
from stream_detector.notify.record import of_line
from stream_detector.notify.remind import remind, remind_of_group
from stream_detector.notify.render.line import line_of
from stream_detector.notify.send import entry_of, merged, send, several, several_id, worst_of
from stream_detector.notify.share import words
from stream_detector.notify.state import INCIDENT, State, read, write
from stream_detector.notify.subject import has_end

RESOLVED = "resolved"
Waiting = tuple[str, Pooled]
"""Its key in the state, and what waits."""


def tell(
    state: State, name: str, group: Group, members: list[Waiting], route: Route, now_s: float, config: NotifyConfig
) -> list[Notification]:
    """Tell these members of the group now. Returns the outcomes that are final already."""
    channel = groups.channel_of(name)
    known = _incidents(state, members)
    group = _with_new(group, [one for _, one in members], known)
    lines = [line_of(one.anomaly, config, one.at_s) for _, one in members]
    newest = members[-1][1]
    said: list[Notification] = []
    alone = group.in_all <= 1 and len({line.incident_id for line in lines}) == 1
    if alone:
        for line in lines[:-1]:  # opened, and ended or worse while it waited: the newest tells both
            reason = f"goes with what became of it: {lines[-1].title}"
            said.append(of_line(line, channel, "suppressed", reason, now_s))
        lines = lines[-1:]
        entry = entry_of(channel, newest.anomaly, newest.reason, now_s)
    else:
        entry = _entry(name, group, lines, newest.reason, now_s)
        group = remind_of_group(state, name, group, route, now_s)
    verdict = send(state, route, entry, lines, now_s)
    if not verdict.goes:
        said += [of_line(line, channel, "held", verdict.reason, now_s) for line in lines]
    elif alone:
        remind(state, channel, route, newest.anomaly, now_s)
    if not alone or verdict.goes or group.number:  # among 10,000 held back alone, as many groups would be of no use
        groups.told(state, name, group, route, now_s)
        bucket = groups.bucket_of(name)
        for incident_id, incident in known.items():
            write(state, INCIDENT + incident_id, replace(incident, groups={**incident.groups, bucket: name}))
    for key, _ in members:
        del state[key]
    return said


def _incidents(state: State, members: list[Waiting]) -> dict[str, Incident]:
    """What people know of their incidents; what has ended while it waited is not among them."""
    ids = {one.anomaly.incident_id for _, one in members}
    return {name: incident for name in ids if (incident := read(state, INCIDENT + name, Incident))}


def _with_new(group: Group, members: list[Pooled], known: Mapping[str, Incident]) -> Group:
    """The group with those that are told for the first time."""
    new = {one.anomaly.incident_id: one.anomaly for one in members if one.joins and one.anomaly.state != RESOLVED}
    going_on = untaken = endless = 0
    for incident_id, anomaly in new.items():
        if not has_end(anomaly):
            endless += 1
        elif incident := known.get(incident_id):  # else it has ended while it waited
            going_on += 1
            untaken += not incident.acknowledged_by
    return replace(
        group,
        in_all=group.in_all + len(new),
        going_on=group.going_on + going_on,
        untaken=group.untaken + untaken,
        endless=group.endless + endless,
        worst=max(group.worst, *(one.anomaly.severity for one in members), key=RANK.__getitem__),
    )


def _entry(name: str, group: Group, lines: list[Line], reason: str, now_s: float) -> Due:
    shared = group.shared if group.in_all > 1 else []
    words_ = "; ".join(map(words, shared)) or "one incident"
    head = several(
        "group",
        lines,
        shared=shared,
        since_s=group.since_s,
        in_all=group.in_all,
        going_on=group.going_on,
        over=group.in_all > 1 and not group.going_on and not group.endless,
    )
    return Due(
        message_id=several_id("group", name, str(group.number + 1)),
        channel=groups.channel_of(name),
        severity=worst_of(merged(lines)),
        first_at_s=now_s,
        next_at_s=now_s,
        reason=f"{reason}; with {len(lines) - 1} others that share {words_[:200]}",
        several=head,
        thread=name,
    )

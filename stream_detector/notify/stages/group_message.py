"""One message about a group: what it shows, and what the group and its members are from then on."""

from collections.abc import Mapping

from msgspec.structs import replace

from stream_detector.events import Notification
from stream_detector.events.anomaly import severity_rank
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.message_lines import combine, combined_message_id, newest_of_each_incident, worst_severity
from stream_detector.notify.rendering.line import line_of
from stream_detector.notify.shared_facets import facet_words
from stream_detector.notify.stages import group_life
from stream_detector.notify.stages.outbox import new_delivery
from stream_detector.notify.stages.outcomes import outcome_of_line
from stream_detector.notify.stages.reminders import schedule_group_reminder, schedule_reminder
from stream_detector.notify.stages.throttle import throttle
from stream_detector.notify.state.keys import INCIDENT, State, read, write
from stream_detector.notify.state.state_models import Due, Group, Incident, Line, Pending
from stream_detector.notify.subject import RESOLVED, will_resolve

PendingEntry = tuple[str, Pending]
"""Its key in the state, and what waits."""


def send_group(
    state: State, name: str, group: Group, members: list[PendingEntry], route: Route, now_s: float, config: NotifyConfig
) -> list[Notification]:
    """Send these members of the group now. Returns the outcomes that are final already."""
    channel = group_life.channel_of_group(name)
    incidents = _stored_incidents(state, members)
    group = _with_new_members(group, [one for _, one in members], incidents)
    lines = [line_of(one.anomaly, config, one.at_s) for _, one in members]
    newest = members[-1][1]
    outcomes: list[Notification] = []
    alone = group.members <= 1 and len({line.incident_id for line in lines}) == 1
    if alone:
        for line in lines[:-1]:  # opened, and ended or worse while it waited: the newest shows both
            reason = f"goes with what became of it: {lines[-1].title}"
            outcomes.append(outcome_of_line(line, channel, "suppressed", reason, now_s))
        lines = lines[-1:]
        entry = new_delivery(channel, newest.anomaly, newest.reason, now_s)
    else:
        entry = _combined_delivery(name, group, lines, newest.reason, now_s)
        group = schedule_group_reminder(state, name, group, route, now_s)
    verdict = throttle(state, route, entry, lines, now_s)
    if not verdict.passed:
        outcomes += [outcome_of_line(line, channel, "held", verdict.reason, now_s) for line in lines]
    elif alone:
        schedule_reminder(state, channel, route, newest.anomaly, now_s)
    if not alone or verdict.passed or group.messages:  # of 10,000 held back alone, as many groups would be of no use
        group_life.record_group_message(state, name, group, route, now_s)
        bucket = group_life.bucket_of_group(name)
        for incident_id, incident in incidents.items():
            write(state, INCIDENT + incident_id, replace(incident, groups={**incident.groups, bucket: name}))
    for key, _ in members:
        del state[key]
    return outcomes


def _stored_incidents(state: State, members: list[PendingEntry]) -> dict[str, Incident]:
    """What people know of their incidents; what has ended while it waited is not among them."""
    ids = {one.anomaly.incident_id for _, one in members}
    return {name: incident for name in ids if (incident := read(state, INCIDENT + name, Incident))}


def _with_new_members(group: Group, members: list[Pending], incidents: Mapping[str, Incident]) -> Group:
    """The group with those that are sent for the first time."""
    new = {one.anomaly.incident_id: one.anomaly for one in members if one.is_new and one.anomaly.state != RESOLVED}
    active = unacknowledged = non_resolving = 0
    for incident_id, anomaly in new.items():
        if not will_resolve(anomaly):
            non_resolving += 1
        elif incident := incidents.get(incident_id):  # else it has ended while it waited
            active += 1
            unacknowledged += not incident.acknowledged_by
    return replace(
        group,
        members=group.members + len(new),
        active=group.active + active,
        unacknowledged=group.unacknowledged + unacknowledged,
        non_resolving=group.non_resolving + non_resolving,
        worst=max(group.worst, *(one.anomaly.severity for one in members), key=severity_rank),
    )


def _combined_delivery(name: str, group: Group, lines: list[Line], reason: str, now_s: float) -> Due:
    shared = group.shared if group.members > 1 else []
    words = "; ".join(map(facet_words, shared)) or "one incident"
    return Due(
        message_id=combined_message_id("group", name, str(group.messages + 1)),
        channel=group_life.channel_of_group(name),
        severity=worst_severity(newest_of_each_incident(lines)),
        first_at_s=now_s,
        next_at_s=now_s,
        reason=f"{reason}; with {len(lines) - 1} others that share {words[:200]}",
        combined=combine(
            "group",
            lines,
            shared=shared,
            since_s=group.since_s,
            members=group.members,
            active=group.active,
            all_resolved=group.members > 1 and not group.active and not group.non_resolving,
        ),
        thread=name,
    )

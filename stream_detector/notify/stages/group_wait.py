"""What waited for others is sent: a group is what opened together and shares a facet, or a lone incident.

A group (`group_life`) lies in the state, so what joins it later, gets worse or ends goes into its next message, not
sooner than `group_interval` after the last one.
"""

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from stream_detector.events import Anomaly, Notification
from stream_detector.events.ids import derived_id
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.message_lines import (
    combine,
    combined_message_id,
    is_one_reading,
    newest_of_each_incident,
    worst_severity,
)
from stream_detector.notify.rendering.escape import one_line
from stream_detector.notify.rendering.line import line_of
from stream_detector.notify.rendering.shared_steps import common_steps, shared_steps
from stream_detector.notify.shared_facets import Cluster, cluster_by_facet, facet_words, facets_of, joins_by_name
from stream_detector.notify.stages import group_life, missed_runs
from stream_detector.notify.stages.group_members import stored_incidents, with_new_members, without_silenced
from stream_detector.notify.stages.matching import route_of_bucket
from stream_detector.notify.stages.outcomes import outcome_of_line
from stream_detector.notify.stages.reminders import schedule_group_reminder, schedule_reminder
from stream_detector.notify.stages.throttle import throttle
from stream_detector.notify.state.deliveries import delivery_of
from stream_detector.notify.state.keys import GROUP, INCIDENT, State, read, write
from stream_detector.notify.state.line_order import reading_rank
from stream_detector.notify.state.pending import PendingEntry, delete_pending, set_ready_at, stored_pending
from stream_detector.notify.state.state_models import Bond, Due, Group, Line, Pending
from stream_detector.notify.subject import RESOLVED

MAX_FACETS = 16
"""A group remembers so many of the things that its members share."""


def send_ready_groups(
    state: State, bucket: str, now_s: float, config: NotifyConfig, waiting: Collection[str]
) -> list[Notification]:
    """Send what has waited long enough in this bucket, of what lies under the keys `waiting`.

    What belongs to no group yet joins one that it shares something with, or is one from now on; then each group that
    is ready is sent.

    Returns:
        Outcomes that are final already: what the rate limit held back, and what was silenced meanwhile.
    """
    route = route_of_bucket(bucket, config)
    missed = missed_runs.sort_out(state, bucket, stored_pending(state, waiting), route, now_s, config)
    groups, ungrouped = _by_group(state, missed.others)
    waited = {one.anomaly.incident_id for _, one in ungrouped if one.ready_at_s <= now_s}
    later_s = [one.ready_at_s for _, one in ungrouped if one.anomaly.incident_id not in waited]
    ready = [(key, one) for key, one in ungrouped if one.anomaly.incident_id in waited]
    ready, outcomes = without_silenced(state, bucket, ready, now_s, config)
    counts = [one.counts for _, one in ready]
    for cluster in cluster_by_facet([one.anomaly for _, one in ready], route.group_by, counts, route.match):
        anomalies = [ready[n][1].anomaly for n in cluster.numbers]
        name, group = join_or_start_group(state, bucket, route, anomalies, cluster, now_s)
        at_s = max(now_s, group.next_at_s)
        members = [(ready[n][0], replace(ready[n][1], group=name, ready_at_s=at_s)) for n in cluster.numbers]
        for key, one in members if at_s > now_s else ():  # else it is sent at once, and gone
            write(state, key, one)
        groups[name] = group, [*groups.get(name, (group, []))[1], *members]
    for name, (group, members) in groups.items():
        ready_at_s = _ready_at_s(group, members)
        if ready_at_s > now_s:
            later_s.append(ready_at_s)
            continue
        left, silenced = without_silenced(state, bucket, members, now_s, config)
        outcomes += silenced
        if left:
            outcomes += send_group(state, name, group, left, route, now_s, config)
    missed.send_joined()
    set_ready_at(state, bucket, min([*later_s, *missed.later_s], default=None))
    return outcomes + missed.outcomes


def join_or_start_group(
    state: State, bucket: str, route: Route, anomalies: Sequence[Anomaly], cluster: Cluster, now_s: float
) -> tuple[str, Group]:
    """The group, with its name, that others join by one of the facets of these anomalies; else a new one.

    What all of a group share is from then on no more than what they share with these. A new group is in the state once
    it is sent.

    Args:
        cluster: what all of the anomalies share; nothing for an incident that belongs to no others.
    """
    first = anomalies[0]
    own = cluster.shared or facets_of(first, route.group_by)
    for facet in own:
        name = state.get(group_life.facet_key(bucket, facet), b"").decode()
        group = read(state, name, Group) if name else None
        if group and facet in group.shared and facet in group.bond.joins and now_s < group.joins_until_s:
            gone = [one for one in group.shared if one not in own]
            group_life.unlink_facets(state, bucket, name, gone)
            group = group_life.without_facets(group, gone)
            write(state, name, group)
            return name, group
    name = f"{GROUP}{bucket}:{derived_id('group', first.id)}"
    return name, Group(
        at_s=now_s,
        since_s=min(one.detected_at.timestamp() for one in anomalies),
        shared=own[:MAX_FACETS],
        bond=Bond(
            joins=list(cluster.joins) or [facet for facet in own[:MAX_FACETS] if joins_by_name(facet, route.group_by)],
            causes=list(cluster.causes),
            steps=shared_steps(cluster, anomalies),
        ),
    )


def send_group(
    state: State, name: str, group: Group, members: list[PendingEntry], route: Route, now_s: float, config: NotifyConfig
) -> list[Notification]:
    """Send these members of the group now, in one message. Returns the outcomes that are final already."""
    channel = group_life.channel_of_group(name)
    incidents = stored_incidents(state, members)
    group = with_new_members(group, [one for _, one in members], incidents)
    lines = [line_of(one.anomaly, config, one.at_s) for _, one in members]
    newest = members[-1][1]
    outcomes: list[Notification] = []
    alone = group.members <= 1 and len({line.incident_id for line in lines}) == 1
    if alone:
        for line in lines[:-1]:  # opened, and ended or worse while it waited: the newest shows both
            reason = f"goes with what became of it: {lines[-1].title}"
            outcomes.append(outcome_of_line(line, channel, "suppressed", reason, now_s))
        lines = lines[-1:]
        entry = delivery_of(channel, newest.anomaly, newest.reason, now_s)
    else:
        entry = _combined_delivery(name, group, [one for _, one in members], lines, now_s)
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
    delete_pending(state, members)
    return outcomes


def _by_group(
    state: State, entries: Sequence[PendingEntry]
) -> tuple[dict[str, tuple[Group, list[PendingEntry]]], list[PendingEntry]]:
    """Those that wait for the interval of their group, by its name; and those that belong to none."""
    groups: dict[str, tuple[Group, list[PendingEntry]]] = {}
    ungrouped: list[PendingEntry] = []
    for key, one in entries:
        if one.group and one.group not in groups and (group := read(state, one.group, Group)):
            groups[one.group] = group, []
        (groups[one.group][1] if one.group in groups else ungrouped).append((key, one))
    return groups, ungrouped


def _ready_at_s(group: Group, members: list[PendingEntry]) -> float:
    """When the group's next message is due: with news at once, with ends alone when all of it has ended."""
    all_ended = not group.active
    times = [group.next_at_s if all_ended and one.anomaly.state == RESOLVED else one.ready_at_s for _, one in members]
    return max(group.next_at_s, min(times))


def _combined_delivery(name: str, group: Group, members: list[Pending], lines: list[Line], now_s: float) -> Due:
    """What several share in one message; anomalies that are one reading, by its own form."""
    is_group = group.members > 1
    shared = group.shared if is_group else []
    bond = group.bond if is_group else Bond()
    words = "; ".join(map(facet_words, group.bond.joins or shared)) or "one incident"
    anomalies = [one.anomaly for one in members]
    first = min(lines, key=reading_rank)
    others = "1 other that shares" if len(lines) == 2 else f"{len(lines) - 1} others that share"
    shown = next(one for one in anomalies if one.id == first.anomaly_id)
    is_whole_group = group.members == len({one.incident_id for one in anomalies})
    return Due(
        message_id=combined_message_id("group", name, str(group.messages + 1)),
        channel=group_life.channel_of_group(name),
        severity=worst_severity(newest_of_each_incident(lines)),
        first_at_s=now_s,
        next_at_s=now_s,
        reason=f"{members[-1].reason}; with {others} {one_line(words, 200)}",
        anomaly=shown if is_whole_group and is_one_reading(lines) else None,
        combined=combine(
            "group",
            lines,
            shared=shared,
            bond=replace(bond, steps=[*dict.fromkeys([*bond.steps, *common_steps(anomalies)])]),
            since_s=group.since_s,
            members=group.members,
            active=group.active,
            all_resolved=group.members > 1 and not group.active and not group.non_resolving,
        ),
        thread=name,
    )

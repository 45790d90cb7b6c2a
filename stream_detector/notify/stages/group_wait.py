"""Waiting for others: what opens within `group_wait` is sent together, and a group not again within `group_interval`.

A group (`group_life`) is what shares a facet, or a lone incident. It lies in the state, so what joins it later, gets
worse or ends goes into its next message.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from stream_detector.events import Anomaly, Notification
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.rendering.line import line_of
from stream_detector.notify.shared_facets import Facet, cluster_by_facet, facets_of
from stream_detector.notify.stages import group_life
from stream_detector.notify.stages.group_message import PendingEntry, send_group
from stream_detector.notify.stages.matching import route_of_bucket, silence_of, stored_silences
from stream_detector.notify.stages.outcomes import outcome_of_line
from stream_detector.notify.stages.verdict import silenced_reason
from stream_detector.notify.state.keys import (
    PENDING,
    PENDING_BUCKET,
    State,
    bucket_name,
    channel_of_bucket,
    keys_of,
    read,
    write,
)
from stream_detector.notify.state.state_models import Group, Pending, PendingBucket
from stream_detector.notify.subject import RESOLVED


def has_group_wait(route: Route) -> bool:
    """Whether anomalies on this route wait for others."""
    return bool(route.group_by or route.group_wait_s or route.group_interval_s)


def add_pending(
    state: State, channel: str, route: Route, anomaly: Anomaly, groups: Mapping[str, str], reason: str, now_s: float
) -> None:
    """Put it among those that wait. `groups`: bucket -> the group that its incident was sent with."""
    bucket = bucket_name(channel, route.name)
    pending = read(state, PENDING_BUCKET + bucket, PendingBucket) or PendingBucket()
    name = groups.get(bucket, "")
    group = read(state, name, Group) if name else None
    wait_ends_s = pending.group_wait_ends_s
    if group is None:
        wait_ends_s = ready_at_s = wait_ends_s if wait_ends_s >= now_s else now_s + route.group_wait_s
    elif anomaly.state == RESOLVED and group.active:
        ready_at_s = now_s + group_life.ENDS_WAIT_S
    else:
        ready_at_s = max(now_s, group.next_at_s)
    entry = Pending(
        at_s=now_s,
        ready_at_s=ready_at_s,
        reason=reason,
        anomaly=anomaly,
        group=name if group else "",
        is_new=not group,
    )
    write(state, f"{PENDING}{bucket}:{pending.next_number:012}", entry)
    first_s = min(ready_at_s, pending.ready_at_s or ready_at_s)
    write(
        state,
        PENDING_BUCKET + bucket,
        PendingBucket(next_number=pending.next_number + 1, ready_at_s=first_s, group_wait_ends_s=wait_ends_s),
    )


def send_ready_groups(state: State, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Send what has waited long enough. Returns what the rate limit held back, and what was silenced meanwhile."""
    outcomes: list[Notification] = []
    for key in keys_of(state, PENDING_BUCKET):
        pending = read(state, key, PendingBucket)
        if pending is not None and pending.ready_at_s <= now_s:
            outcomes += _Bucket(state, key.removeprefix(PENDING_BUCKET), now_s, config).send_ready()
    return outcomes


class _Bucket:
    """What of one bucket is to be sent now."""

    def __init__(self, state: State, bucket: str, now_s: float, config: NotifyConfig) -> None:
        self._state, self._bucket, self._now_s, self._config = state, bucket, now_s, config
        self._channel, self._route = channel_of_bucket(bucket), route_of_bucket(bucket, config)
        self._outcomes: list[Notification] = []
        self._ready_later_s: list[float] = []

    def send_ready(self) -> list[Notification]:
        """Form groups of those whose wait is over, send each group that is ready."""
        state = self._state
        groups: dict[str, tuple[Group, list[PendingEntry]]] = {}
        ungrouped: list[PendingEntry] = []
        for key in sorted(keys_of(state, f"{PENDING}{self._bucket}:")):
            one = read(state, key, Pending)
            if one is None:
                continue
            if one.group and one.group not in groups and (group := read(state, one.group, Group)):
                groups[one.group] = group, []
            (groups[one.group][1] if one.group in groups else ungrouped).append((key, one))
        for name, group, members in self._form_groups(ungrouped):
            groups[name] = group, [*groups.get(name, (group, []))[1], *members]
        for name, (group, members) in groups.items():
            if self._is_ready(_ready_at_s(group, members)) and (left := self._without_silenced(members)):
                self._outcomes += send_group(state, name, group, left, self._route, self._now_s, self._config)
        self._store_next_time()
        return self._outcomes

    def _form_groups(self, ungrouped: list[PendingEntry]) -> list[tuple[str, Group, list[PendingEntry]]]:
        """Those without a group whose wait is over: each cluster joins a group that it shares something with, or is
        one from now on."""
        state, bucket, now_s = self._state, self._bucket, self._now_s
        now = {one.anomaly.incident_id for _, one in ungrouped if one.ready_at_s <= now_s}
        self._ready_later_s += [one.ready_at_s for _, one in ungrouped if one.anomaly.incident_id not in now]
        ready = self._without_silenced([(key, one) for key, one in ungrouped if one.anomaly.incident_id in now])
        formed = []
        for shared, numbers in self._cluster_incidents([one.anomaly for _, one in ready]):
            first = ready[numbers[0]][1].anomaly
            found = group_life.join_group(state, bucket, shared or facets_of(first, self._route.group_by), now_s)
            name, group = found or group_life.new_group(bucket, self._route, first, shared, now_s)
            at_s = max(now_s, group.next_at_s)
            members = [(ready[n][0], replace(ready[n][1], group=name, ready_at_s=at_s)) for n in numbers]
            for key, one in members if at_s > now_s else ():  # else it is sent at once, and gone
                write(state, key, one)
            formed.append((name, group, members))
        return formed

    def _is_ready(self, at_s: float) -> bool:
        if at_s > self._now_s:
            self._ready_later_s.append(at_s)
        return at_s <= self._now_s

    def _cluster_incidents(self, anomalies: list[Anomaly]) -> list[tuple[list[Facet], list[int]]]:
        """Of different incidents alone: two records of one incident share everything, and are no group."""
        numbers: dict[str, list[int]] = {}
        for number, anomaly in enumerate(anomalies):
            numbers.setdefault(anomaly.incident_id, []).append(number)
        heads = [found[0] for found in numbers.values()]
        found = cluster_by_facet([anomalies[number] for number in heads], self._route.group_by)
        return [
            (shared, [n for member in members for n in numbers[anomalies[heads[member]].incident_id]])
            for shared, members in found
        ]

    def _without_silenced(self, members: list[PendingEntry]) -> list[PendingEntry]:
        """Those that nobody has silenced meanwhile; the outcome of the others is noted."""
        silences = stored_silences(self._state)
        left = []
        for key, one in members:
            silence = silence_of(one.anomaly, silences, self._now_s)
            if silence is None:
                left.append((key, one))
                continue
            line, reason = line_of(one.anomaly, self._config, self._now_s), silenced_reason(silence)
            self._outcomes.append(outcome_of_line(line, self._channel, "suppressed", reason, self._now_s))
            del self._state[key]
        return left

    def _store_next_time(self) -> None:
        state, key = self._state, PENDING_BUCKET + self._bucket
        pending = read(state, key, PendingBucket)
        if not self._ready_later_s or pending is None:
            state.pop(key, None)
        else:
            write(state, key, replace(pending, ready_at_s=min(self._ready_later_s)))


def _ready_at_s(group: Group, members: list[PendingEntry]) -> float:
    """When the group's next message is due: with news at once, with ends alone when all of it has ended."""
    all_ended = not group.active
    times = [group.next_at_s if all_ended and one.anomaly.state == RESOLVED else one.ready_at_s for _, one in members]
    return max(group.next_at_s, min(times))

"""The life of a group: what opened together and shares a facet, sent as one until the last of it has ended.

Its members' ends wait for each other, so that a group is sent when it opens, when there is news of it, and when all
of it has ended; not each time that one more of its members has. An incident alone is a group of one.
"""

from collections.abc import Container, Iterable, Mapping

from msgspec.structs import replace

from stream_detector.events.ids import derived_id
from stream_detector.notify.config import Route
from stream_detector.notify.shared_facets import Facet
from stream_detector.notify.state.keys import (
    FACET,
    GROUP,
    PENDING_BUCKET,
    REFERENCE,
    State,
    channel_of_bucket,
    read,
    write,
)
from stream_detector.notify.state.state_models import Group, PendingBucket

JOINABLE_S = 3_600.0
"""What opens so long after a group's last message is not part of it any more."""
ENDS_WAIT_S = 14_400.0
"""An end waits so long for the others of its group, unless there is news to go with."""


def record_group_message(state: State, name: str, group: Group, route: Route, now_s: float) -> None:
    """Note a message of the group: no other before `group_interval_s` is over, and what shares with it may join."""
    for facet in group.bond.joins if group.members else ():
        state[facet_key(bucket_of_group(name), facet)] = name.encode()
    after = replace(
        group,
        at_s=now_s,
        messages=group.messages + 1,
        next_at_s=now_s + route.group_interval_s,
        joins_until_s=now_s + max(JOINABLE_S, route.group_interval_s),
    )
    write(state, name, replace(after, kept_until_s=after.joins_until_s))


def record_group_reminder(state: State, name: str, route: Route, now_s: float) -> None:
    """Note a message of the group that is no news: it counts for the interval alone."""
    if group := read(state, name, Group):
        next_s = now_s + route.group_interval_s
        write(state, name, replace(group, next_at_s=next_s, kept_until_s=max(group.kept_until_s, next_s)))


def record_member_end(state: State, groups: Mapping[str, str], now_s: float, *, acknowledged: bool) -> None:
    """A member has ended. When it was the last one, the ends that waited for it go with the next message.

    Args:
        groups: bucket -> group, of the member's incident.
        acknowledged: whether somebody had acknowledged it.
    """
    for bucket, name in groups.items():
        group = read(state, name, Group)
        if group is None:
            continue
        active, unacknowledged = max(0, group.active - 1), max(0, group.unacknowledged - (not acknowledged))
        at_s = max(now_s, group.next_at_s)
        kept_until_s = max(group.kept_until_s, at_s + JOINABLE_S)  # its end is still to be sent
        write(state, name, replace(group, active=active, unacknowledged=unacknowledged, kept_until_s=kept_until_s))
        pending = read(state, PENDING_BUCKET + bucket, PendingBucket)
        if not active and pending:
            write(state, PENDING_BUCKET + bucket, replace(pending, ready_at_s=min(at_s, pending.ready_at_s)))


def record_member_acknowledged(state: State, groups: Mapping[str, str]) -> None:
    """Somebody has acknowledged a member: nobody need be reminded of it."""
    for name in groups.values():
        if group := read(state, name, Group):
            write(state, name, replace(group, unacknowledged=max(0, group.unacknowledged - 1)))


def record_member_reopened(state: State, groups: Mapping[str, str]) -> None:
    """A member that flaps is active again."""
    for name in groups.values():
        if group := read(state, name, Group):
            write(state, name, replace(group, active=group.active + 1, unacknowledged=group.unacknowledged + 1))


def bucket_of_group(name: str) -> str:
    """The bucket of a group."""
    return name.removeprefix(GROUP).rpartition(":")[0]


def channel_of_group(name: str) -> str:
    """The channel of a group."""
    return channel_of_bucket(bucket_of_group(name))


def is_finished(group: Group, now_s: float) -> bool:
    """Whether nothing will be sent of it any more, and nothing joins it."""
    return group.active == 0 and group.kept_until_s < now_s


def delete_group(state: State, name: str) -> None:
    """Forget it, and what led to it."""
    group = read(state, name, Group)
    if group:
        unlink_facets(state, bucket_of_group(name), name, group.shared)
        state.pop(f"{REFERENCE}{channel_of_group(name)}:{name}", None)
        del state[name]


def unlink_facets(state: State, bucket: str, name: str, gone: Iterable[Facet]) -> None:
    """What has one of these facets joins the group no more."""
    for facet in gone:
        key = facet_key(bucket, facet)
        if state.get(key) == name.encode():
            del state[key]


def without_facets(group: Group, gone: Container[Facet]) -> Group:
    """The group when a member has joined that does not share these."""
    joins, causes = ([one for one in facets if one not in gone] for facets in (group.bond.joins, group.bond.causes))
    shared = [one for one in group.shared if one not in gone]
    return replace(group, shared=shared, bond=replace(group.bond, joins=joins, causes=causes))


def facet_key(bucket: str, facet: Facet) -> str:
    """Where the name of the group lies that what has this facet joins."""
    return f"{FACET}{bucket}:{derived_id('facet', *facet)}"

"""The life of a group: what opened together and shares a facet, told as one until the last of it has ended.

Its members' ends wait for each other, so that a group is told when it opens, when there is news of it, and when it is
over; not each time that one more of its members is well again. An incident alone is a group of one.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from stream_detector.events import Anomaly
from stream_detector.events.ids import derived_id
from stream_detector.notify.config import Route
from stream_detector.notify.kept import Group, Pool
from stream_detector.notify.share import Facet, facets
from stream_detector.notify.state import FACET, GROUP, POOL, REFERENCE, State, channel_of_bucket, read, write

LIFE_S = 3_600.0
"""What opens so long after a group's last message is not part of it any more."""
ENDS_WAIT_S = 14_400.0
"""An end waits so long for the others of its group, unless there is news to go with."""
MOST_FACETS = 16


def join(state: State, bucket: str, own: Sequence[Facet], now_s: float) -> tuple[str, Group] | None:
    """The group whose members all have one of these facets, with its name; None where there is none.

    What all of them share is from then on no more than what they share with these.
    """
    for facet in own:
        name = state.get(_facet_key(bucket, facet), b"").decode()
        group = read(state, name, Group) if name else None
        if group and facet in group.shared and now_s < group.joins_until_s:
            left = [shared for shared in group.shared if shared in own]
            _unlink(state, bucket, name, set(group.shared) - set(left))
            group = replace(group, shared=left)
            write(state, name, group)
            return name, group
    return None


def start(bucket: str, route: Route, first: Anomaly, shared: Sequence[Facet], now_s: float) -> tuple[str, Group]:
    """A new group with its name, in the state once it is told. `shared` is empty for an incident told alone."""
    both = list(shared) or facets(first, route.group_by)
    return f"{GROUP}{bucket}:{derived_id('group', first.id)}", Group(
        at_s=now_s, since_s=now_s, shared=both[:MOST_FACETS]
    )


def told(state: State, name: str, group: Group, route: Route, now_s: float) -> None:
    """Note a message of the group: no other before `group_interval_s` is over, and what shares with it may join."""
    for facet in group.shared if group.in_all else ():
        state[_facet_key(bucket_of(name), facet)] = name.encode()
    after = replace(
        group,
        at_s=now_s,
        number=group.number + 1,
        next_at_s=now_s + route.group_interval_s,
        joins_until_s=now_s + max(LIFE_S, route.group_interval_s),
    )
    write(state, name, replace(after, kept_until_s=after.joins_until_s))


def spoken(state: State, name: str, route: Route, now_s: float) -> None:
    """Note that something was said of it which is no news: it counts for the interval alone."""
    if group := read(state, name, Group):
        next_s = now_s + route.group_interval_s
        write(state, name, replace(group, next_at_s=next_s, kept_until_s=max(group.kept_until_s, next_s)))


def ended(state: State, told_in: Mapping[str, str], now_s: float, *, taken: bool) -> None:
    """A member has ended. When it was the last one, the ends that waited for it go with the next message.

    Args:
        told_in: bucket -> group, of the member's incident.
        taken: whether somebody had acknowledged it.
    """
    for bucket, name in told_in.items():
        group = read(state, name, Group)
        if group is None:
            continue
        left, untaken = max(0, group.going_on - 1), max(0, group.untaken - (not taken))
        at_s = max(now_s, group.next_at_s)
        kept_until_s = max(group.kept_until_s, at_s + LIFE_S)  # its end is still to be told
        write(state, name, replace(group, going_on=left, untaken=untaken, kept_until_s=kept_until_s))
        pool = read(state, POOL + bucket, Pool)
        if not left and pool:
            write(state, POOL + bucket, replace(pool, ready_at_s=min(at_s, pool.ready_at_s)))


def taken(state: State, told_in: Mapping[str, str]) -> None:
    """Somebody has acknowledged a member: nobody need be reminded of it."""
    for name in told_in.values():
        if group := read(state, name, Group):
            write(state, name, replace(group, untaken=max(0, group.untaken - 1)))


def reopened(state: State, told_in: Mapping[str, str]) -> None:
    """A member that flaps goes on again."""
    for name in told_in.values():
        if group := read(state, name, Group):
            write(state, name, replace(group, going_on=group.going_on + 1, untaken=group.untaken + 1))


def bucket_of(name: str) -> str:
    """The bucket of a group."""
    return name.removeprefix(GROUP).rpartition(":")[0]


def channel_of(name: str) -> str:
    """The channel of a group."""
    return channel_of_bucket(bucket_of(name))


def is_over(group: Group, now_s: float) -> bool:
    """Whether nothing will be told of it any more, and nothing joins it."""
    return group.going_on == 0 and group.kept_until_s < now_s


def drop(state: State, name: str) -> None:
    """Forget it, and what led to it."""
    group = read(state, name, Group)
    if group:
        _unlink(state, bucket_of(name), name, group.shared)
        state.pop(f"{REFERENCE}{channel_of(name)}:{name}", None)
        del state[name]


def _unlink(state: State, bucket: str, name: str, gone: Iterable[Facet]) -> None:
    for facet in gone:
        key = _facet_key(bucket, facet)
        if state.get(key) == name.encode():
            del state[key]


def _facet_key(bucket: str, facet: Facet) -> str:
    return f"{FACET}{bucket}:{derived_id('facet', *facet)}"

"""Waiting for others: what opens within `group_wait` is told together, and a group not again within `group_interval`.

A group (`groups`) is what shares a facet, or a lone incident. It lies in the state, so what joins it later, gets worse
or ends goes into its next message.
"""

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from stream_detector.events import Anomaly, Notification
from stream_detector.notify import groups
from stream_detector.notify.act import silences
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.kept import Group, Pool, Pooled
from stream_detector.notify.record import of_line
from stream_detector.notify.render.line import line_of
from stream_detector.notify.route import route_of_bucket
from stream_detector.notify.share import Facet, cluster, facets
from stream_detector.notify.silence import silence
from stream_detector.notify.state import POOL, POOLED, State, bucket_of, channel_of_bucket, keys, read, write
from stream_detector.notify.tell import RESOLVED, Waiting, tell


def waits(route: Route) -> bool:
    """Whether anomalies on this route wait for others."""
    return bool(route.group_by or route.group_wait_s or route.group_interval_s)


def wait(
    state: State, channel: str, route: Route, anomaly: Anomaly, told_in: Mapping[str, str], reason: str, now_s: float
) -> None:
    """Put it among those that wait. `told_in`: bucket -> the group that its incident was told with."""
    bucket = bucket_of(channel, route.name)
    pool = read(state, POOL + bucket, Pool) or Pool()
    key = told_in.get(bucket, "")
    group = read(state, key, Group) if key else None
    wave_at_s = pool.wave_at_s
    if group is None:
        wave_at_s = ready_at_s = wave_at_s if wave_at_s >= now_s else now_s + route.group_wait_s
    elif anomaly.state == RESOLVED and group.going_on:
        ready_at_s = now_s + groups.ENDS_WAIT_S
    else:
        ready_at_s = max(now_s, group.next_at_s)
    entry = Pooled(
        at_s=now_s, ready_at_s=ready_at_s, reason=reason, anomaly=anomaly, group=key if group else "", joins=not group
    )
    write(state, f"{POOLED}{bucket}:{pool.next_number:012}", entry)
    first_s = min(ready_at_s, pool.ready_at_s or ready_at_s)
    write(state, POOL + bucket, Pool(next_number=pool.next_number + 1, ready_at_s=first_s, wave_at_s=wave_at_s))


def flush(state: State, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Tell what has waited long enough. Returns what the rate limit held back, and what was silenced meanwhile."""
    said: list[Notification] = []
    for key in keys(state, POOL):
        pool = read(state, key, Pool)
        if pool is not None and pool.ready_at_s <= now_s:
            said += _Flush(state, key.removeprefix(POOL), now_s, config).run()
    return said


class _Flush:
    """What of one bucket is to be told now."""

    def __init__(self, state: State, bucket: str, now_s: float, config: NotifyConfig) -> None:
        self._state, self._bucket, self._now_s, self._config = state, bucket, now_s, config
        self._channel, self._route = channel_of_bucket(bucket), route_of_bucket(bucket, config)
        self._said: list[Notification] = []
        self._next_s: list[float] = []

    def run(self) -> list[Notification]:
        state = self._state
        of_group: dict[str, tuple[Group, list[Waiting]]] = {}
        rest: list[Waiting] = []
        for key in sorted(keys(state, f"{POOLED}{self._bucket}:")):
            one = read(state, key, Pooled)
            if one is None:
                continue
            if one.group and one.group not in of_group and (group := read(state, one.group, Group)):
                of_group[one.group] = group, []
            (of_group[one.group][1] if one.group in of_group else rest).append((key, one))
        for name, group, members in self._wave(rest):
            _, together = of_group.get(name, (group, []))
            together.extend(members)
            of_group[name] = group, together
        for name, (group, members) in of_group.items():
            if self._is_time(_told_at(group, members)) and (heard := self._heard(members)):
                self._said += tell(state, name, group, heard, self._route, self._now_s, self._config)
        self._note_next()
        return self._said

    def _wave(self, rest: list[Waiting]) -> Iterator[tuple[str, Group, list[Waiting]]]:
        """Those without a group whose wait is over: each cluster joins a group that it shares something with, or is
        one from now on."""
        state, bucket, now_s = self._state, self._bucket, self._now_s
        now = {one.anomaly.incident_id for _, one in rest if one.ready_at_s <= now_s}
        self._next_s += [one.ready_at_s for _, one in rest if one.anomaly.incident_id not in now]
        ready = self._heard([(key, one) for key, one in rest if one.anomaly.incident_id in now])
        for common, numbers in self._clusters([one.anomaly for _, one in ready]):
            first = ready[numbers[0]][1].anomaly
            found = groups.join(state, bucket, common or facets(first, self._route.group_by), now_s)
            name, group = found or groups.start(bucket, self._route, first, common, now_s)
            at_s = max(now_s, group.next_at_s)
            members = [(ready[n][0], replace(ready[n][1], group=name, ready_at_s=at_s)) for n in numbers]
            for key, one in members if at_s > now_s else ():  # else it is told at once, and gone
                write(state, key, one)
            yield name, group, members

    def _is_time(self, at_s: float) -> bool:
        if at_s > self._now_s:
            self._next_s.append(at_s)
        return at_s <= self._now_s

    def _clusters(self, anomalies: list[Anomaly]) -> list[tuple[list[Facet], list[int]]]:
        """Of different incidents alone: two records of one incident share everything, and are no group."""
        numbers: dict[str, list[int]] = {}
        for number, anomaly in enumerate(anomalies):
            numbers.setdefault(anomaly.incident_id, []).append(number)
        heads = [found[0] for found in numbers.values()]
        found = cluster([anomalies[number] for number in heads], self._route.group_by)
        return [
            (common, [n for member in members for n in numbers[anomalies[heads[member]].incident_id]])
            for _, common, members in found
        ]

    def _heard(self, members: list[Waiting]) -> list[Waiting]:
        """Without those that somebody has asked meanwhile not to hear of; their outcome is noted."""
        asked = silences(self._state)
        heard = []
        for key, one in members:
            verdict = silence(one.anomaly, asked, self._now_s)
            if verdict.goes:
                heard.append((key, one))
                continue
            line = line_of(one.anomaly, self._config, self._now_s)
            self._said.append(of_line(line, self._channel, "suppressed", verdict.reason, self._now_s))
            del self._state[key]
        return heard

    def _note_next(self) -> None:
        state, key = self._state, POOL + self._bucket
        pool = read(state, key, Pool)
        if not self._next_s or pool is None:
            state.pop(key, None)
        else:
            write(state, key, replace(pool, ready_at_s=min(self._next_s)))


def _told_at(group: Group, members: list[Waiting]) -> float:
    """When the group's next message is due: with news at once, with ends alone when it is over."""
    over = not group.going_on
    times = [group.next_at_s if over and one.anomaly.state == RESOLVED else one.ready_at_s for _, one in members]
    return max(group.next_at_s, min(times))

"""Waiting for others: what opens within `group_wait` is told together, and a group not again within `group_interval`.

A group is what shares a facet (`share`), or a lone incident. Its key lies in the state, so what joins it later, gets
worse or ends goes into its next message.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from stream_detector.events import Anomaly, Notification
from stream_detector.events.ids import derived_id
from stream_detector.notify.act import silences
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.record import of_line
from stream_detector.notify.remind import remind
from stream_detector.notify.render.line import line_of
from stream_detector.notify.route import route_of
from stream_detector.notify.send import entry_of, merged, send, several, several_id, worst_of
from stream_detector.notify.share import Facet, cluster, facets
from stream_detector.notify.silence import facts_of, silence
from stream_detector.notify.state import (
    GROUP,
    INCIDENT,
    POOL,
    POOLED,
    Due,
    Group,
    Incident,
    Pool,
    Pooled,
    State,
    bucket_of,
    keys,
    read,
    write,
)

GROUP_LIFE_S = 3_600.0
"""What opens so long after a group's last message is not part of it any more."""


def waits(route: Route) -> bool:
    """Whether anomalies on this route wait for others."""
    return bool(route.group_by or route.group_wait_s or route.group_interval_s)


def wait(
    state: State, channel: str, route: Route, anomaly: Anomaly, groups: Mapping[str, str], reason: str, now_s: float
) -> None:
    """Put it among those that wait. `groups` says with which group its incident was told before."""
    bucket = bucket_of(channel, route.name)
    pool = read(state, POOL + bucket, Pool) or Pool()
    group = groups.get(bucket, "") or _living(state, bucket, route, anomaly, now_s)
    known = read(state, group, Group) if group else None
    wave_at_s = pool.wave_at_s
    if known:
        ready_at_s = max(now_s, known.at_s + route.group_interval_s)
    else:
        group = ""
        wave_at_s = ready_at_s = pool.wave_at_s if pool.wave_at_s >= now_s else now_s + route.group_wait_s
    entry = Pooled(at_s=now_s, ready_at_s=ready_at_s, reason=reason, anomaly=anomaly, group=group)
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
    """One bucket's wave."""

    def __init__(self, state: State, bucket: str, now_s: float, config: NotifyConfig) -> None:
        self._state, self._bucket, self._now_s, self._config = state, bucket, now_s, config
        self._channel, _, name = bucket.partition("/")
        self._route = next((one for one in config.routes if one.name == name), config.fallback)
        self._said: list[Notification] = []

    def run(self) -> list[Notification]:
        state = self._state
        waiting = {
            key: found for key in sorted(keys(state, f"{POOLED}{self._bucket}:")) if (found := read(state, key, Pooled))
        }
        now = {one.anomaly.incident_id for one in waiting.values() if one.ready_at_s <= self._now_s}
        ready = {key: one for key, one in waiting.items() if one.anomaly.incident_id in now}
        joined: dict[str, list[tuple[str, Pooled]]] = {}
        rest: list[tuple[str, Pooled]] = []
        for key, one in ready.items():
            if one.group and read(state, one.group, Group):
                joined.setdefault(one.group, []).append((key, one))
            elif self._heard(key, one):
                rest.append((key, one))
        for group, members in joined.items():
            self._tell(group, [], [member for member in members if self._heard(*member)])
        for facet, common, numbers in self._clusters([one.anomaly for _, one in rest]):
            members = [rest[number] for number in numbers]
            own = facet or ("incident", members[0][1].anomaly.incident_id)
            self._tell(_group_key(self._bucket, own), common, members)
        self._note_next()
        return self._said

    def _clusters(self, anomalies: list[Anomaly]) -> list[tuple[Facet | None, list[Facet], list[int]]]:
        """Of different incidents alone: two records of one incident share everything, and are no group."""
        numbers: dict[str, list[int]] = {}
        for number, anomaly in enumerate(anomalies):
            numbers.setdefault(anomaly.incident_id, []).append(number)
        heads = [found[0] for found in numbers.values()]
        found = cluster([anomalies[number] for number in heads], self._route.group_by)
        return [
            (facet, common, [n for member in members for n in numbers[anomalies[heads[member]].incident_id]])
            for facet, common, members in found
        ]

    def _heard(self, key: str, one: Pooled) -> bool:
        """False, and the outcome noted, where somebody has asked meanwhile not to hear of it."""
        verdict = silence(one.anomaly, silences(self._state), self._now_s)
        if not verdict.goes:
            line = line_of(one.anomaly, self._config, self._now_s)
            self._said.append(of_line(line, self._channel, "suppressed", verdict.reason, self._now_s))
            del self._state[key]
        return verdict.goes

    def _tell(self, group: str, common: list[Facet], members: list[tuple[str, Pooled]]) -> None:
        state, now_s = self._state, self._now_s
        if not members:
            return
        known = read(state, group, Group)
        if known and now_s < known.at_s + self._route.group_interval_s:
            for key, one in members:
                write(state, key, replace(one, group=group, ready_at_s=known.at_s + self._route.group_interval_s))
            return
        anomalies = [one.anomaly for _, one in members]
        continues = known and (members[0][1].group == group or now_s < known.at_s + GROUP_LIFE_S)
        before = known if known and continues else Group(at_s=now_s, since_s=now_s, number=known.number if known else 0)
        opened = {a.incident_id for a in anomalies if a.state == "opened"}
        ended = {a.incident_id for a in anomalies if a.state == "resolved"}
        after = replace(
            before,
            at_s=now_s,
            number=before.number + 1,
            shared=before.shared or [_words(facet) for facet in common],
            in_all=before.in_all + len(opened),
            ended=before.ended + len(ended),
        )
        write(state, group, after)
        self._send(group, after, members)
        for key, _ in members:
            del state[key]
        for anomaly in anomalies:
            incident = read(state, INCIDENT + anomaly.incident_id, Incident)
            if incident:
                groups = {**incident.groups, self._bucket: group}
                write(state, INCIDENT + anomaly.incident_id, replace(incident, groups=groups))

    def _send(self, group: str, after: Group, members: list[tuple[str, Pooled]]) -> None:
        state, now_s, channel = self._state, self._now_s, self._channel
        lines = [line_of(one.anomaly, self._config, one.at_s) for _, one in members]
        newest = members[-1][1]
        if not after.shared and len({one.anomaly.incident_id for _, one in members}) == 1:
            reason = newest.reason
            for line in lines[:-1]:  # opened, and ended or worse while it waited: the newest tells both
                told = f"goes with what became of it: {lines[-1].title}"
                self._said.append(of_line(line, channel, "suppressed", told, now_s))
            entry = entry_of(channel, newest.anomaly, reason, now_s)
            lines = lines[-1:]
            remind(state, channel, self._route, newest.anomaly, now_s)
        else:
            shared = after.shared or ["one incident"]
            entry = Due(
                message_id=several_id("group", group, str(after.number)),
                channel=channel,
                severity=worst_of(merged(lines)),
                first_at_s=now_s,
                next_at_s=now_s,
                reason=f"{newest.reason}; with {len(lines) - 1} others that share {'; '.join(shared)[:200]}",
                several=several(
                    "group", lines, shared=shared, since_s=after.since_s, in_all=after.in_all, ended=after.ended
                ),
                thread=f"{group}:{after.since_s:.0f}",
            )
        verdict = send(state, self._route, entry, lines, now_s)
        if not verdict.goes:
            self._said += [of_line(line, channel, "held", verdict.reason, now_s) for line in lines]

    def _note_next(self) -> None:
        state, key = self._state, POOL + self._bucket
        pool = read(state, key, Pool)
        left = [
            one.ready_at_s for name in keys(state, f"{POOLED}{self._bucket}:") if (one := read(state, name, Pooled))
        ]
        if not left or pool is None:
            state.pop(key, None)
        else:
            write(state, key, replace(pool, ready_at_s=min(left)))


def _living(state: State, bucket: str, route: Route, anomaly: Anomaly, now_s: float) -> str:
    """The group that it belongs to by what it shares, or nothing."""
    own: list[Facet] = [*facets(anomaly, route.group_by), ("incident", anomaly.incident_id)]
    for facet in own:
        key = _group_key(bucket, facet)
        known = read(state, key, Group)
        if known and now_s < known.at_s + max(route.group_interval_s, GROUP_LIFE_S):
            return key
    return ""


def _group_key(bucket: str, facet: Facet) -> str:
    return f"{GROUP}{bucket}:{derived_id('group', *facet)}"


def _words(facet: Facet) -> str:
    name, value = facet
    if name == "workflow":
        return value.replace(":", " ", 1)
    return f"{name} {value}" if name in ("step", "execution") else f"{name}={value}"


def route_by(state: State, channel: str, anomaly: Anomaly, config: NotifyConfig, told_by: str | None) -> Route:
    """The route for what must be told here whatever the routes say by now: an end, a reminder."""
    return route_of(channel, facts_of(anomaly), config, told_by) or config.fallback

"""Reminders: an incident that goes on is told again after `repeat_interval`, until it ends or somebody takes it."""

from msgspec.structs import replace

from stream_detector.events import Anomaly, Notification
from stream_detector.notify import groups
from stream_detector.notify.act import silences
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.flap import timer
from stream_detector.notify.kept import Due, Group, Incident, Line, Pooled
from stream_detector.notify.record import of_line
from stream_detector.notify.render.escape import one_line
from stream_detector.notify.render.line import line_of
from stream_detector.notify.render.words import duration
from stream_detector.notify.route import route_of, route_of_bucket, routes_of
from stream_detector.notify.send import entry_of, send, several, several_id
from stream_detector.notify.share import words
from stream_detector.notify.silence import facts_of, silence
from stream_detector.notify.state import AGAIN, INCIDENT, State, bucket_of, read, write
from stream_detector.notify.subject import has_end

REPEAT, REPEAT_GROUP = "repeat", "repeat-group"


def remind(state: State, channel: str, route: Route, anomaly: Anomaly, now_s: float) -> None:
    """Note that people are to be told again, where the route says so and there is an end to wait for."""
    if route.repeat_interval_s <= 0 or anomaly.state == "resolved" or not has_end(anomaly):
        return
    at_s, what = _next(route, now_s), f"{channel}:{anomaly.incident_id}"
    write(state, AGAIN + what, Pooled(at_s=now_s, ready_at_s=at_s, reason="", anomaly=anomaly))
    state[timer(at_s, REPEAT, what)] = b"-"


def remind_of_group(state: State, name: str, group: Group, route: Route, now_s: float) -> Group:
    """The same for a group; returns it with the time of its next reminder."""
    if route.repeat_interval_s <= 0 or not group.untaken:
        return group
    at_s = _next(route, now_s)
    state[timer(at_s, REPEAT_GROUP, name)] = b"-"
    return replace(group, remind_at_s=at_s)


def reminded(state: State, what: str, now_s: float, config: NotifyConfig) -> list[Notification]:
    """A reminder's time has come: tell it, unless the incident has ended, was taken, or is silenced."""
    channel, _, incident_id = what.partition(":")
    waiting = read(state, AGAIN + what, Pooled)
    if waiting is None or waiting.ready_at_s > now_s:
        return []  # something was told since: a later timer is for that
    anomaly = waiting.anomaly
    incident = read(state, INCIDENT + incident_id, Incident)
    if incident is None or incident.acknowledged_by or channel not in incident.told:
        del state[AGAIN + what]
        return []
    taking = routes_of(facts_of(anomaly), config)
    route = route_of(channel, taking, config, incident.routes.get(channel)) or config.fallback
    remind(state, channel, route, anomaly, now_s)
    groups.spoken(state, incident.groups.get(bucket_of(channel, route.name), ""), route, now_s)
    if not silence(anomaly, silences(state), now_s).goes or not config.channels.get(channel):
        return []
    note = f"Still going on after {duration(max(1.0, now_s - (incident.opened_s or waiting.at_s)))}"
    name = several_id("repeat", incident_id, f"{waiting.ready_at_s:.3f}")
    line = replace(line_of(anomaly, config, now_s), message_id=name)
    entry = replace(entry_of(channel, anomaly, "reminder: it goes on", now_s), message_id=name, note=note)
    verdict = send(state, route, entry, [line], now_s)
    return [] if verdict.goes else [of_line(line, channel, "held", verdict.reason, now_s)]


def reminded_of_group(state: State, name: str, now_s: float, config: NotifyConfig) -> list[Notification]:
    """The same for a group: how many of it go on that nobody has taken."""
    group, channel = read(state, name, Group), groups.channel_of(name)
    if group is None or group.remind_at_s > now_s or not group.untaken or not config.channels.get(channel):
        return []
    route = route_of_bucket(groups.bucket_of(name), config)
    message_id = several_id("repeat", name, f"{group.remind_at_s:.3f}")
    write(state, name, remind_of_group(state, name, group, route, now_s))
    groups.spoken(state, name, route, now_s)
    shared = one_line("; ".join(map(words, group.shared)), 200)
    line = Line(
        at_s=now_s,
        message_id=message_id,
        severity=group.worst,
        state="ongoing",
        title=f"{group.untaken:,} of {group.in_all:,} anomalies that share {shared} go on",
        link=f"{config.base_url}/anomalies",
    )
    several_ = several(
        "reminder", [line], shared=group.shared, since_s=group.since_s, in_all=group.in_all, going_on=group.untaken
    )
    entry = Due(
        message_id=message_id,
        channel=channel,
        severity=group.worst,
        first_at_s=now_s,
        next_at_s=now_s,
        reason="reminder: it goes on",
        several=several_,
        thread=name,
    )
    verdict = send(state, route, entry, [line], now_s)
    return [] if verdict.goes else [of_line(line, channel, "held", verdict.reason, now_s)]


def _next(route: Route, now_s: float) -> float:
    return now_s + max(route.repeat_interval_s, route.group_interval_s)

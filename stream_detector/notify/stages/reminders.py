"""Reminders: an active incident is sent again after `repeat_interval`, until it ends or somebody acknowledges it."""

from msgspec.structs import replace

from stream_detector.events import Anomaly, Notification
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.message_lines import combine, combined_message_id
from stream_detector.notify.rendering.escape import one_line
from stream_detector.notify.rendering.line import line_of
from stream_detector.notify.rendering.words import duration
from stream_detector.notify.shared_facets import MISSED_RUNS, facet_words
from stream_detector.notify.stages import group_life
from stream_detector.notify.stages.matching import (
    facts_of,
    matching_routes,
    route_of_bucket,
    route_to,
    silence_of,
    stored_silences,
)
from stream_detector.notify.stages.outcomes import outcome_of_line
from stream_detector.notify.stages.throttle import throttle
from stream_detector.notify.state.deliveries import delivery_of
from stream_detector.notify.state.keys import INCIDENT, REMINDER, State, bucket_name, read, timer_key, write
from stream_detector.notify.state.state_models import Due, Group, Incident, Line, Pending
from stream_detector.notify.subject import RESOLVED, will_resolve

REPEAT, REPEAT_GROUP = "repeat", "repeat-group"
"""The kinds of their timers."""


def schedule_reminder(state: State, channel: str, route: Route, anomaly: Anomaly, now_s: float) -> None:
    """Note that people are to be reminded, where the route says so and there is an end to wait for."""
    if route.repeat_interval_s <= 0 or anomaly.state == RESOLVED or not will_resolve(anomaly):
        return
    at_s, what = _next_reminder_s(route, now_s), f"{channel}:{anomaly.incident_id}"
    write(state, REMINDER + what, Pending(at_s=now_s, ready_at_s=at_s, reason="", anomaly=anomaly))
    state[timer_key(at_s, REPEAT, what)] = b"-"


def schedule_group_reminder(state: State, name: str, group: Group, route: Route, now_s: float) -> Group:
    """The same for a group; returns it with the time of its next reminder."""
    if route.repeat_interval_s <= 0 or not group.unacknowledged:
        return group
    at_s = _next_reminder_s(route, now_s)
    state[timer_key(at_s, REPEAT_GROUP, name)] = b"-"
    return replace(group, remind_at_s=at_s)


def send_reminder(state: State, what: str, now_s: float, config: NotifyConfig) -> list[Notification]:
    """A reminder's time has come: send it, unless the incident has ended, was acknowledged, or is silenced."""
    channel, _, incident_id = what.partition(":")
    waiting = read(state, REMINDER + what, Pending)
    if waiting is None or waiting.ready_at_s > now_s:
        return []  # something was sent since: a later timer is for that
    anomaly = waiting.anomaly
    incident = read(state, INCIDENT + incident_id, Incident)
    if incident is None or incident.acknowledged_by or channel not in incident.notified:
        del state[REMINDER + what]
        return []
    routes = matching_routes(facts_of(anomaly), config)
    route = route_to(channel, routes, config, incident.routes.get(channel)) or config.fallback
    schedule_reminder(state, channel, route, anomaly, now_s)
    group = incident.groups.get(bucket_name(channel, route.name), "")
    group_life.record_group_reminder(state, group, route, now_s)
    if silence_of(anomaly, stored_silences(state), now_s) or not config.channels.get(channel):
        return []
    note = f"Still going on after {duration(max(1.0, now_s - (incident.opened_at_s or waiting.at_s)))}"
    message_id = combined_message_id("repeat", incident_id, f"{waiting.ready_at_s:.3f}")
    line = replace(line_of(anomaly, config, now_s), message_id=message_id)
    entry = delivery_of(channel, anomaly, "reminder: it goes on", now_s)
    return _send(state, route, replace(entry, message_id=message_id, note=note), line, now_s)


def send_group_reminder(state: State, name: str, now_s: float, config: NotifyConfig) -> list[Notification]:
    """The same for a group: how many of it are active that nobody has acknowledged."""
    group, channel = read(state, name, Group), group_life.channel_of_group(name)
    if group is None or group.remind_at_s > now_s or not group.unacknowledged or not config.channels.get(channel):
        return []
    route = route_of_bucket(group_life.bucket_of_group(name), config)
    message_id = combined_message_id("repeat", name, f"{group.remind_at_s:.3f}")
    write(state, name, schedule_group_reminder(state, name, group, route, now_s))
    group_life.record_group_reminder(state, name, route, now_s)
    facets = group.bond.causes or group.bond.joins or group.shared
    shared = one_line("; ".join(map(facet_words, facets)), 200)
    what = shared if facets and facets[0][0] == MISSED_RUNS else f"anomalies that share {shared}"
    line = Line(
        at_s=now_s,
        message_id=message_id,
        severity=group.worst,
        state="ongoing",
        title=f"{group.unacknowledged:,} of {group.members:,} {what} are ongoing",
        link=f"{config.base_url}/anomalies",
    )
    entry = Due(
        message_id=message_id,
        channel=channel,
        severity=group.worst,
        first_at_s=now_s,
        next_at_s=now_s,
        reason="reminder: it goes on",
        combined=combine(
            "reminder",
            [line],
            shared=group.shared,
            bond=group.bond,
            since_s=group.since_s,
            members=group.members,
            active=group.unacknowledged,
        ),
        thread=name,
    )
    return _send(state, route, entry, line, now_s)


def _send(state: State, route: Route, entry: Due, line: Line, now_s: float) -> list[Notification]:
    verdict = throttle(state, route, entry, [line], now_s)
    return [] if verdict.passed else [outcome_of_line(line, entry.channel, "held", verdict.reason, now_s)]


def _next_reminder_s(route: Route, now_s: float) -> float:
    return now_s + max(route.repeat_interval_s, route.group_interval_s)

"""Reminders: an incident that goes on is told again after `repeat_interval`, until it ends or somebody takes it."""

from msgspec.structs import replace

from stream_detector.events import Anomaly, Notification
from stream_detector.notify.act import silences
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.flap import timer
from stream_detector.notify.record import of_line
from stream_detector.notify.render.line import line_of
from stream_detector.notify.render.words import duration
from stream_detector.notify.route import route_of
from stream_detector.notify.send import entry_of, send, several_id
from stream_detector.notify.silence import facts_of, silence
from stream_detector.notify.state import INCIDENT, Incident, Pooled, State, read, write

REPEAT = "repeat"

WITHOUT_END = ("UnusualExecutionTime", "PerformanceDegradation", "SignificantScoreChange")
"""In profile `classic` each reading of these is an incident of its own that nothing ends."""


def has_end(anomaly: Anomaly) -> bool:
    """Whether detection will say when it is over."""
    if anomaly.anomaly_type == "SignificantScoreChange":
        return False
    return anomaly.profile == "robust" or anomaly.anomaly_type not in WITHOUT_END


def remind(state: State, channel: str, route: Route, anomaly: Anomaly, now_s: float) -> None:
    """Note that people are to be told again, where the route says so and there is an end to wait for."""
    if route.repeat_interval_s <= 0 or anomaly.state == "resolved" or not has_end(anomaly):
        return
    at_s = now_s + max(route.repeat_interval_s, route.group_interval_s)
    waiting = Pooled(at_s=now_s, ready_at_s=at_s, reason="", anomaly=anomaly)
    write(state, timer(at_s, REPEAT, f"{channel}:{anomaly.incident_id}"), waiting)


def reminded(state: State, what: str, waiting: Pooled, now_s: float, config: NotifyConfig) -> list[Notification]:
    """A reminder's time has come: tell it, unless the incident has ended, was taken, or is silenced."""
    channel, _, incident_id = what.partition(":")
    anomaly = waiting.anomaly
    incident = read(state, INCIDENT + incident_id, Incident)
    if incident is None or incident.acknowledged_by or channel not in incident.told:
        return []
    route = route_of(channel, facts_of(anomaly), config, incident.routes.get(channel)) or config.fallback
    remind(state, channel, route, anomaly, now_s)
    if not silence(anomaly, silences(state), now_s).goes or not config.channels.get(channel):
        return []
    note = f"Still going on after {duration(max(1.0, now_s - (incident.opened_s or waiting.at_s)))}"
    name = several_id("repeat", incident_id, f"{waiting.ready_at_s:.3f}")
    line = replace(line_of(anomaly, config, now_s), message_id=name)
    entry = replace(entry_of(channel, anomaly, "reminder: it goes on", now_s), message_id=name, note=note)
    verdict = send(state, route, entry, [line], now_s)
    return [] if verdict.goes else [of_line(line, channel, "held", verdict.reason, now_s)]

"""What people know of an incident: before an item comes, and after it was decided about."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from stream_detector.events import Anomaly
from stream_detector.events.decisions import Decided, who_took
from stream_detector.events.variant import names_of_incident
from stream_detector.notify.config import INBOX, NotifyConfig
from stream_detector.notify.stages import group_life
from stream_detector.notify.stages.flapping import flap_key, record_end, record_opening
from stream_detector.notify.state.keys import INCIDENT, TAKEN, TAKEN_ALL, State, read, read_if_sound, write
from stream_detector.notify.state.state_models import Decisions, Flap, Incident
from stream_detector.notify.subject import RESOLVED, Subject, key_of_anomaly, severity_of, will_resolve, worst_of


@dataclass(frozen=True)
class History:
    """The incident that an anomaly belongs to and the past of its kind, each None where there is none."""

    incident: Incident | None = None
    flap_key: str = ""
    flap: Flap | None = None
    taken_by: str = ""
    """Who took an incident of which nothing was known before; empty: nobody."""

    def route_notified_by(self, channel: str) -> str | None:
        """The route by which the channel was notified of the incident, None where it was not."""
        return self.incident.routes.get(channel) if self.incident and channel in self.incident.notified else None

    @property
    def groups(self) -> Mapping[str, str]:
        """Bucket -> the group with which the incident was sent."""
        return self.incident.groups if self.incident else {}

    def severity(self, subject: Subject) -> str:
        """What the threshold is compared with: an end is as important as what it ends."""
        if isinstance(subject, Anomaly) and subject.state == RESOLVED and self.incident is not None:
            return self.incident.severity
        return severity_of(subject)


def read_history(state: State, subject: Subject) -> History:
    """What is known of it; of a run nothing ever is."""
    if not isinstance(subject, Anomaly):
        return History()
    key, incident = flap_key(subject), read(state, INCIDENT + subject.incident_id, Incident)
    taken = None
    if incident is None and subject.state != RESOLVED:
        taken = taken_by(state, subject.incident_id, key_of_anomaly(subject), subject.detected_at.timestamp())
    return History(incident, key, read(state, key, Flap), (taken.by or "somebody") if taken else "")


def taken_by(state: State, incident_id: str, entity: str, opened_s: float) -> Decided | None:
    """The decision by which an incident was taken, whether it came before or after the incident."""
    about_it = read(state, TAKEN + incident_id, Decisions)
    found = [read(state, TAKEN_ALL + name, Decisions) for name in names_of_incident(entity)]
    about_entity = [each for one in found if one for each in one.records]
    return who_took(about_it.records if about_it else (), about_entity, opened_s)


def update_incident(
    state: State, anomaly: Anomaly, history: History, notified: dict[str, str], now_s: float, config: NotifyConfig
) -> None:
    """Note what people know from now on. `notified`: channel -> the route by which they are notified now."""
    incident, flap, key = history.incident, history.flap, INCIDENT + anomaly.incident_id
    window_s = _flap_window_s(incident, flap, notified, config)
    if anomaly.state == RESOLVED:
        if incident:
            acknowledged = bool(incident.acknowledged_by)
            group_life.record_member_end(state, incident.groups, now_s, acknowledged=acknowledged)
            if incident.notified:
                record_end(state, history.flap_key, flap, incident, anomaly, window_s, now_s)
            del state[key]
    elif incident is None:
        flap = record_opening(state, history.flap_key, flap, anomaly, window_s, now_s)
        group_life.record_member_reopened(state, flap.groups if flap else {})
        if history.taken_by:
            group_life.record_member_acknowledged(state, flap.groups if flap else {})
        write(state, key, replace(_opened(anomaly, notified, flap, now_s), acknowledged_by=history.taken_by))
    else:
        worst = worst_of(incident.severity, anomaly.severity)
        both, by = sorted({*incident.notified, *notified}), {**incident.routes, **notified}
        # An incident that opened before its workflow had variants goes on under the key of one.
        entity = key_of_anomaly(anomaly)
        write(state, key, replace(incident, at_s=now_s, entity=entity, severity=worst, notified=both, routes=by))


def forget_notified(state: State, incident_id: str, channel: str) -> None:
    """Nobody was notified of the incident there, so nobody gets its end."""
    incident = read_if_sound(state, INCIDENT + incident_id, Incident)
    if incident and channel in incident.notified:
        notified = [other for other in incident.notified if other != channel]
        write(state, INCIDENT + incident_id, replace(incident, notified=notified))


def _opened(anomaly: Anomaly, notified: dict[str, str], flap: Flap | None, now_s: float) -> Incident:
    """One that `flap` shows to be an earlier one opened again keeps that one's beginning and who was notified of it."""
    return Incident(
        at_s=now_s,
        entity=key_of_anomaly(anomaly),
        severity=anomaly.severity,
        notified=sorted({*notified, *(flap.notified if flap else ())}),
        opened_at_s=flap.opened_at_s if flap else now_s,
        routes={**(flap.routes if flap else {}), **notified},
        groups=flap.groups if flap else {},
        non_resolving=not will_resolve(anomaly),
        detected_at_s=anomaly.detected_at.timestamp(),
    )


def _flap_window_s(
    incident: Incident | None, flap: Flap | None, notified: dict[str, str], config: NotifyConfig
) -> float:
    """The longest of the routes by which people hear of it; the inbox, which gets each flap, does not count."""
    by = {**(flap.routes if flap else {}), **(incident.routes if incident else {}), **notified}
    names = {name for channel, name in by.items() if channel != INBOX}
    windows = [route.flap_window_s for route in (*config.routes, config.fallback) if route.name in names]
    return max(windows, default=config.fallback.flap_window_s)

"""What people know of an incident: before an item comes, and after it was decided about."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from stream_detector.events import Anomaly, SeverityName
from stream_detector.notify import groups
from stream_detector.notify.config import INBOX, RANK, NotifyConfig
from stream_detector.notify.flap import ended, flap_key, opened
from stream_detector.notify.kept import Flap, Incident
from stream_detector.notify.state import INCIDENT, State, read, write
from stream_detector.notify.subject import Subject, has_end, severity_of, state_key


@dataclass(frozen=True)
class Known:
    """The incident that an anomaly belongs to and the past of its kind, each None where there is none."""

    incident: Incident | None = None
    flap_key: str = ""
    flap: Flap | None = None

    @classmethod
    def of(cls, state: State, subject: Subject) -> "Known":
        """What is known of it; of a run nothing ever is."""
        if not isinstance(subject, Anomaly):
            return cls()
        key = flap_key(subject)
        return cls(read(state, INCIDENT + subject.incident_id, Incident), key, read(state, key, Flap))

    def told_by(self, channel: str) -> str | None:
        """The route by which the channel was told of the incident, None where it was not."""
        return self.incident.routes.get(channel) if self.incident and channel in self.incident.told else None

    @property
    def told_in(self) -> Mapping[str, str]:
        """Bucket -> the group with which the incident was told."""
        return self.incident.groups if self.incident else {}

    def severity(self, subject: Subject) -> SeverityName:
        """What the threshold is held against: an end is as important as what it ends."""
        if isinstance(subject, Anomaly) and subject.state == "resolved" and self.incident is not None:
            return self.incident.severity
        return severity_of(subject)


def learn(
    state: State, anomaly: Anomaly, known: Known, told: dict[str, str], now_s: float, config: NotifyConfig
) -> None:
    """Note what people know from now on. `told`: channel -> the route by which they are told now."""
    incident, flap, key = known.incident, known.flap, INCIDENT + anomaly.incident_id
    window_s = _flap_window_s(incident, flap, told, config)
    if anomaly.state == "resolved":
        if incident:
            groups.ended(state, incident.groups, now_s, taken=bool(incident.acknowledged_by))
            if incident.told:
                ended(state, known.flap_key, flap, incident, anomaly, window_s, now_s)
            del state[key]
    elif incident is None:
        flap = opened(state, known.flap_key, flap, anomaly, window_s, now_s)
        groups.reopened(state, flap.groups if flap else {})
        write(state, key, _opened(anomaly, told, flap, now_s))
    else:
        worst = max(incident.severity, anomaly.severity, key=RANK.__getitem__)
        both, by = sorted({*incident.told, *told}), {**incident.routes, **told}
        write(state, key, replace(incident, at_s=now_s, severity=worst, told=both, routes=by))


def _opened(anomaly: Anomaly, told: dict[str, str], flap: Flap | None, now_s: float) -> Incident:
    """One that `flap` shows to be an earlier one opened again keeps that one's beginning and who was told of it."""
    return Incident(
        at_s=now_s,
        entity=state_key(anomaly),
        severity=anomaly.severity,
        told=sorted({*told, *(flap.told if flap else ())}),
        opened_s=flap.opened_s if flap else now_s,
        routes={**(flap.routes if flap else {}), **told},
        groups=flap.groups if flap else {},
        endless=not has_end(anomaly),
    )


def _flap_window_s(incident: Incident | None, flap: Flap | None, told: dict[str, str], config: NotifyConfig) -> float:
    """The longest of the routes by which people hear of it; the inbox, which gets each flap, does not count."""
    by = {**(flap.routes if flap else {}), **(incident.routes if incident else {}), **told}
    names = {name for channel, name in by.items() if channel != INBOX}
    windows = [one.flap_window_s for one in (*config.routes, config.fallback) if one.name in names]
    return max(windows, default=config.fallback.flap_window_s)

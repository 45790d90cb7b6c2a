"""What is told once: an incident is opened, may get worse, and ends; whatever else comes of it is news to nobody."""

from msgspec.structs import replace

from stream_detector.events import Anomaly, Severity
from stream_detector.notify.config import RANK
from stream_detector.notify.state import Incident
from stream_detector.notify.subject import Subject, severity_of, state_key
from stream_detector.notify.verdict import Verdict, passes, stops


def deduplicate(channel: str, subject: Subject, incident: Incident | None) -> Verdict:
    """Stops what this channel already knows. `incident` is what people knew before this record."""
    if not isinstance(subject, Anomaly):
        return passes("first message of this run")
    if subject.state == "resolved":
        if incident is None or channel not in incident.told:
            return stops("suppressed", "its opening was not sent here")
        return passes("its opening was sent here")
    if incident is None:
        return passes("first notice of its incident")
    if incident.acknowledged_by:
        return stops("suppressed", f"acknowledged by {incident.acknowledged_by}")
    if RANK[subject.severity] <= RANK[incident.severity]:
        return stops("suppressed", f"goes on, no more severe than before ({incident.severity})")
    return passes(f"rises from {incident.severity} to {subject.severity}")


def routed_severity(subject: Subject, incident: Incident | None) -> Severity:
    """The severity that the threshold is held against: an end is as important as what it ends."""
    if isinstance(subject, Anomaly) and subject.state == "resolved" and incident is not None:
        return incident.severity
    return severity_of(subject)


def learn(incident: Incident | None, anomaly: Anomaly, told: list[str], now_s: float) -> Incident | None:
    """What people know afterwards; None once it has ended."""
    if anomaly.state == "resolved":
        return None
    if incident is None:
        return Incident(at_s=now_s, entity=state_key(anomaly), severity=anomaly.severity, told=told)
    worst = max(incident.severity, anomaly.severity, key=RANK.__getitem__)
    return replace(incident, at_s=now_s, severity=worst, told=sorted({*incident.told, *told}))

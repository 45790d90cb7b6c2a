"""What is told once: an incident is opened, may get worse, and ends; whatever else comes of it is news to nobody."""

from stream_detector.events import Anomaly
from stream_detector.notify.config import INBOX, RANK, Route
from stream_detector.notify.flap import again_within
from stream_detector.notify.kept import Flap, Incident
from stream_detector.notify.subject import Subject
from stream_detector.notify.verdict import Verdict, passes, stops


def deduplicate(
    channel: str, subject: Subject, incident: Incident | None, flap: Flap | None, route: Route, now_s: float
) -> Verdict:
    """Stops what this channel already knows. `incident` is what people knew before this record, `flap` its past."""
    if not isinstance(subject, Anomaly):
        return passes("first message of this run")
    if subject.state == "resolved":
        if incident is None or channel not in incident.told:
            return stops("suppressed", "its opening was not sent here")
        if channel != INBOX and flap is not None and flap.times:
            quiet = f"{flap.window_s:g} s"
            return stops("held", f"flapping: its end is told once it has been quiet for {quiet}, if it is then")
        return passes("its opening was sent here")
    if incident is None:
        return _first(channel, subject, flap, route, now_s)
    if incident.acknowledged_by:
        return stops("suppressed", f"acknowledged by {incident.acknowledged_by}")
    if RANK[subject.severity] <= RANK[incident.severity]:
        return stops("suppressed", f"goes on, no more severe than before ({incident.severity})")
    return passes(f"rises from {incident.severity} to {subject.severity}")


def _first(channel: str, anomaly: Anomaly, flap: Flap | None, route: Route, now_s: float) -> Verdict:
    again = flap is not None and channel in flap.told and again_within(flap, now_s, route.flap_window_s)
    if channel == INBOX or not again or flap is None:
        return passes("first notice of its incident")
    if RANK[anomaly.severity] > RANK[flap.severity]:
        return passes(f"opened again, now {anomaly.severity} instead of {flap.severity}")
    if flap.times == 0:
        return passes(f"opened again {now_s - flap.ended_s:.0f} s after its end: the same incident from now on")
    return stops("suppressed", f"flapping: opened again for the {flap.times + 1}. time, still the same incident")

"""Flapping: what opens again soon after its end is one incident, sent as opened, resolved, opened again, resolved.

The first end is sent at once. When it opens again within the route's `flap_window_s` that is sent too, and from then
on it flaps: more openings are no news, and its end is sent when it has been quiet for the window, with the time since
the very first opening.
"""

from msgspec.structs import replace

from stream_detector.events import Anomaly
from stream_detector.events.ids import derived_id
from stream_detector.notify.config import INBOX
from stream_detector.notify.state.keys import FLAP, State, read, timer_key, write
from stream_detector.notify.state.state_models import Flap, Incident
from stream_detector.notify.subject import SUPERSEDED, key_of_anomaly, worst_of

END_OF_FLAPPING = "ending"
"""The kind of timer that ends the wait for quiet."""


def flap_key(anomaly: Anomaly) -> str:
    """The same for every incident of one key, detector and subject."""
    subject = sorted(f"{one.kind} {one.id}" for one in anomaly.affected_entities if one.kind in ("step", "resource"))
    return FLAP + derived_id("flap", key_of_anomaly(anomaly), anomaly.detector, *subject)


def reopens(flap: Flap, now_s: float, window_s: float) -> bool:
    """Whether its last end is so near that an opening is no new incident."""
    return now_s < flap.ended_at_s + window_s


def record_opening(
    state: State, key: str, flap: Flap | None, anomaly: Anomaly, window_s: float, now_s: float
) -> Flap | None:
    """Note an opening. Returns the past that it continues, None where it is a new incident."""
    if flap is None:
        return None
    if not reopens(flap, now_s, window_s):
        del state[key]
        return None
    worst = worst_of(flap.severity, anomaly.severity)
    state.pop(timer_key(flap.ended_at_s + flap.window_s, END_OF_FLAPPING, key.removeprefix(FLAP)), None)
    write(state, key, replace(flap, reopened=flap.reopened + 1, ending=None, severity=worst, window_s=window_s))
    return flap


def record_end(
    state: State, key: str, flap: Flap | None, incident: Incident, anomaly: Anomaly, window_s: float, now_s: float
) -> None:
    """Note an end. Where it flaps, the end itself is kept until it has been quiet."""
    flaps = flap is not None and flap.reopened > 0 and anomaly.end_reason != SUPERSEDED
    kept = Flap(
        ended_at_s=now_s,
        opened_at_s=incident.opened_at_s or now_s,
        notified=incident.notified,
        routes=incident.routes,
        groups=incident.groups,
        reopened=flap.reopened if flap else 0,
        severity=worst_of(incident.severity, flap.severity if flap else "info"),
        window_s=window_s,
        ending=anomaly if flaps and any(channel != INBOX for channel in incident.notified) else None,
    )
    write(state, key, kept)
    if kept.ending:
        state[timer_key(now_s + window_s, END_OF_FLAPPING, key.removeprefix(FLAP))] = b"-"


def take_quiet_end(state: State, name: str, now_s: float) -> Flap | None:
    """The past whose end is to be sent now, forgotten by this; None where it opened again meanwhile."""
    flap = read(state, FLAP + name, Flap)
    if flap is None or flap.ending is None or now_s < flap.ended_at_s + flap.window_s:
        return None
    del state[FLAP + name]
    lasted_s = max(0.0, flap.ended_at_s - flap.opened_at_s)
    return replace(flap, ending=replace(flap.ending, duration_s=max(lasted_s, flap.ending.duration_s or 0.0)))

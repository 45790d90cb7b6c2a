"""Flapping: what opens again soon after its end is one incident, told as opened, resolved, opened again, resolved.

The first end is told at once. When it opens again within the route's `flap_window_s` that is told too, and from then
on it flaps: more openings are no news, and its end is told when it has been quiet for the window, with the time since
the very first opening.
"""

from msgspec.structs import replace

from stream_detector.events import Anomaly
from stream_detector.events.ids import derived_id
from stream_detector.notify.config import INBOX, RANK
from stream_detector.notify.kept import Flap, Incident
from stream_detector.notify.state import FLAP, TIMER, State, read, write
from stream_detector.notify.subject import state_key

ENDING = "ending"


def flap_key(anomaly: Anomaly) -> str:
    """The same for every incident of one key, detector and subject."""
    subject = sorted(f"{one.kind} {one.id}" for one in anomaly.affected_entities if one.kind in ("step", "resource"))
    return FLAP + derived_id("flap", state_key(anomaly), anomaly.detector, *subject)


def again_within(flap: Flap, now_s: float, window_s: float) -> bool:
    """Whether its last end is so near that an opening is no new incident."""
    return now_s < flap.ended_s + window_s


def opened(state: State, key: str, flap: Flap | None, anomaly: Anomaly, window_s: float, now_s: float) -> Flap | None:
    """Note an opening. Returns the past that it continues, None where it is a new incident."""
    if flap is None:
        return None
    if not again_within(flap, now_s, window_s):
        del state[key]
        return None
    worst = max(flap.severity, anomaly.severity, key=RANK.__getitem__)
    state.pop(timer(flap.ended_s + flap.window_s, ENDING, key.removeprefix(FLAP)), None)
    write(state, key, replace(flap, times=flap.times + 1, ending=None, severity=worst, window_s=window_s))
    return flap


def ended(
    state: State, key: str, flap: Flap | None, incident: Incident, anomaly: Anomaly, window_s: float, now_s: float
) -> None:
    """Note an end. Where it flaps, the end itself is kept until it has been quiet."""
    flaps = flap is not None and flap.times > 0
    told = incident.told
    kept = Flap(
        ended_s=now_s,
        opened_s=incident.opened_s or now_s,
        told=told,
        routes=incident.routes,
        groups=incident.groups,
        times=flap.times if flap else 0,
        severity=max(incident.severity, flap.severity if flap else "info", key=RANK.__getitem__),
        window_s=window_s,
        ending=anomaly if flaps and any(channel != INBOX for channel in told) else None,
    )
    write(state, key, kept)
    if kept.ending:
        state[timer(now_s + window_s, ENDING, key.removeprefix(FLAP))] = b"-"


def quiet(state: State, name: str, now_s: float) -> Flap | None:
    """The past whose end is to be told now, forgotten by this; None where it opened again meanwhile."""
    flap = read(state, FLAP + name, Flap)
    if flap is None or flap.ending is None or now_s < flap.ended_s + flap.window_s:
        return None
    del state[FLAP + name]
    lasted_s = max(0.0, flap.ended_s - flap.opened_s)
    return replace(flap, ending=replace(flap.ending, duration_s=max(lasted_s, flap.ending.duration_s or 0.0)))


def timer(at_s: float, kind: str, what: str) -> str:
    """The key of something that is due then; keys in order of time."""
    return f"{TIMER}{at_s:016.3f}:{kind}:{what}"

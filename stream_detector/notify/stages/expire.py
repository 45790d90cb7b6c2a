"""Forgetting what is no longer needed, so that the state stays bounded."""

from stream_detector.notify.links import LINK_LIFETIME_S
from stream_detector.notify.stages import group_life
from stream_detector.notify.stages.matching import stored_silences
from stream_detector.notify.state.keys import (
    FLAP,
    GROUP,
    INCIDENT,
    KEEP_S,
    RATE,
    REFERENCE,
    RUN_PART,
    SILENCES,
    State,
    keys_of,
    next_keys,
    read,
    write,
)
from stream_detector.notify.state.state_models import Flap, Group, Incident, RateWindow, Reference, RunPart, Silences

LOOKS = 1_000
"""So many keys of each kind are looked at in one go, so that nothing waits for it."""
FLAP_S = 86_400.0


def expire(state: State, now_s: float) -> None:
    """Drop what is no longer needed, by the table in `state.keys`. Once a minute will do."""
    oldest_s = now_s - KEEP_S
    for key in next_keys(state, INCIDENT, LOOKS):
        incident = read(state, key, Incident)
        if incident and incident.at_s < (now_s - LINK_LIFETIME_S if incident.non_resolving else oldest_s):
            del state[key]
    for key in next_keys(state, GROUP, LOOKS):
        group = read(state, key, Group)
        if group and (group_life.is_finished(group, now_s) or group.at_s < oldest_s):
            group_life.delete_group(state, key)
    for key in next_keys(state, FLAP, LOOKS):
        flap = read(state, key, Flap)
        if flap and flap.ending is None and flap.ended_at_s + max(flap.window_s, FLAP_S) < now_s:
            del state[key]
    _expire_old(state, RUN_PART, RunPart, oldest_s)
    _expire_old(state, REFERENCE, Reference, oldest_s)
    for key in keys_of(state, RATE):
        rate = read(state, key, RateWindow)
        if rate and not rate.held and (not rate.times or rate.times[-1] < oldest_s):
            del state[key]
    _expire_silences(state, now_s)


def _expire_old(state: State, prefix: str, kind: type[RunPart] | type[Reference], oldest_s: float) -> None:
    for key in next_keys(state, prefix, LOOKS):
        value = read(state, key, kind)
        if value and value.at_s < oldest_s:
            del state[key]


def _expire_silences(state: State, now_s: float) -> None:
    kept = stored_silences(state)
    left = [one for one in kept if one.until_s > now_s]
    if not left:
        state.pop(SILENCES, None)
    elif len(left) < len(kept):
        write(state, SILENCES, Silences(silences=left))

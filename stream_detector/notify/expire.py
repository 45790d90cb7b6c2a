"""Forgetting what is no longer needed, so that the state stays bounded."""

from stream_detector.notify import groups
from stream_detector.notify.act import silences
from stream_detector.notify.kept import Flap, Group, Incident, Reference, RunPart, Sent, Silences
from stream_detector.notify.links import LASTS_S
from stream_detector.notify.state import (
    FLAP,
    GROUP,
    INCIDENT,
    KEEP_S,
    PART,
    REFERENCE,
    SENT,
    SILENCES,
    State,
    keys,
    read,
    turn,
    write,
)

LOOKS = 1_000
"""So many keys of each kind are looked at in one go, so that nothing waits for it."""
FLAP_S = 86_400.0


def expire(state: State, now_s: float) -> None:
    """Drop what is no longer needed, by the table in `state`. Once a minute will do."""
    oldest_s = now_s - KEEP_S
    for key in turn(state, INCIDENT, LOOKS):
        incident = read(state, key, Incident)
        if incident and incident.at_s < (now_s - LASTS_S if incident.endless else oldest_s):
            del state[key]
    for key in turn(state, GROUP, LOOKS):
        group = read(state, key, Group)
        if group and (groups.is_over(group, now_s) or group.at_s < oldest_s):
            groups.drop(state, key)
    for key in turn(state, FLAP, LOOKS):
        flap = read(state, key, Flap)
        if flap and flap.ending is None and flap.ended_s + max(flap.window_s, FLAP_S) < now_s:
            del state[key]
    for key in turn(state, PART, LOOKS):
        part = read(state, key, RunPart)
        if part and part.at_s < oldest_s:
            del state[key]
    for key in turn(state, REFERENCE, LOOKS):
        reference = read(state, key, Reference)
        if reference and reference.at_s < oldest_s:
            del state[key]
    for key in keys(state, SENT):
        sent = read(state, key, Sent)
        if sent and not sent.held and (not sent.times or sent.times[-1] < oldest_s):
            del state[key]
    _expire_silences(state, now_s)


def _expire_silences(state: State, now_s: float) -> None:
    kept = silences(state)
    left = [one for one in kept if one.until_s > now_s]
    if not left:
        state.pop(SILENCES, None)
    elif len(left) < len(kept):
        write(state, SILENCES, Silences(silences=left))

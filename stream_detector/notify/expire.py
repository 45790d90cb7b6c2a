"""Forgetting what is no longer needed, so that the state stays bounded."""

from stream_detector.notify import groups
from stream_detector.notify.act import silences
from stream_detector.notify.state import (
    FLAP,
    GROUP,
    INCIDENT,
    KEEP_S,
    PART,
    REFERENCE,
    SEEN,
    SENT,
    SILENCES,
    Flap,
    Group,
    Incident,
    Part,
    Reference,
    Seen,
    Sent,
    Silences,
    State,
    keys,
    oldest,
    read,
    write,
)

EXPIRE_LOOKS = 100
"""Each kind is gone through from the oldest on, until so many in a row are kept."""


def expire(state: State, now_s: float) -> None:
    """Drop what is no longer needed, by the table in `state`. Once a minute will do."""
    oldest_s = now_s - KEEP_S
    for prefix, kind in ((SEEN, Seen), (INCIDENT, Incident), (PART, Part), (REFERENCE, Reference)):
        _expire(state, prefix, kind, oldest_s)
    for key in keys(state, GROUP):
        group = read(state, key, Group)
        if group is not None and (groups.is_over(group, now_s) or group.at_s < oldest_s):
            groups.drop(state, key)
    for key in keys(state, FLAP):
        flap = read(state, key, Flap)
        if flap is not None and flap.ending is None and flap.ended_s + max(flap.window_s, 86_400) < now_s:
            del state[key]
    for key in keys(state, SENT):
        sent = read(state, key, Sent)
        if sent is not None and not sent.held and (not sent.times or sent.times[-1] < oldest_s):
            del state[key]
    kept = silences(state)
    left = [one for one in kept if one.until_s > now_s]
    if not left:
        state.pop(SILENCES, None)
    elif len(left) < len(kept):
        write(state, SILENCES, Silences(silences=left))


def _expire(state: State, prefix: str, kind: type[Seen | Incident | Part | Reference], oldest_s: float) -> None:
    old, young = [], 0
    for key in oldest(state, prefix):
        value = read(state, key, kind)
        if value is not None and value.at_s < oldest_s:
            old.append(key)
            young = 0
        elif (young := young + 1) >= EXPIRE_LOOKS:
            break
    for key in old:
        del state[key]

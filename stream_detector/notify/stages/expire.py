"""Forgetting what is no longer needed, so that the state stays bounded."""

from functools import partial

from stream_detector.notify.links import LINK_LIFETIME_S
from stream_detector.notify.stages import group_life
from stream_detector.notify.stages.isolation import OnFailure, raise_again, undo_on_error
from stream_detector.notify.stages.matching import stored_silences
from stream_detector.notify.state.keys import (
    FLAP,
    GROUP,
    INCIDENT,
    JOINED,
    KEEP_ACTIONS_S,
    KEEP_S,
    MISSED,
    RATE,
    REFERENCE,
    RETIRED,
    RUN_PART,
    SILENCE,
    SILENCES,
    SILENT,
    TAKEN,
    TAKEN_ALL,
    State,
    keys_of,
    next_keys,
    read,
    write,
)
from stream_detector.notify.state.state_models import (
    Decisions,
    Flap,
    Group,
    Incident,
    JoinedRuns,
    MissedRun,
    RateWindow,
    Reference,
    RunPart,
    Silences,
    SilentSource,
    TargetSilences,
)

LOOKS = 1_000
"""So many keys of each kind are looked at in one go, so that nothing waits for it."""
FLAP_S = 86_400.0
KEEP_MISSED_S = 8 * 86_400.0
"""Longer than a weekly workflow's run can be missed, unless it is missed again."""


def expire(state: State, now_s: float, failed: OnFailure = raise_again) -> None:
    """Drop what is no longer needed, by the table in `state.keys`. Once a minute will do.

    Args:
        failed: told of each key that raises, which is left as it is: a later version may be able to read it.
    """
    oldest_s = now_s - KEEP_S
    kinds = (
        (next_keys(state, INCIDENT, LOOKS), _expire_incident),
        (next_keys(state, GROUP, LOOKS), _expire_group),
        (next_keys(state, FLAP, LOOKS), _expire_flap),
        (next_keys(state, RUN_PART, LOOKS), partial(_expire_old, kind=RunPart)),
        (next_keys(state, REFERENCE, LOOKS), partial(_expire_old, kind=Reference)),
        (next_keys(state, MISSED, LOOKS), partial(_expire_old, kind=MissedRun, kept_s=KEEP_MISSED_S)),
        (next_keys(state, JOINED, LOOKS), partial(_expire_old, kind=JoinedRuns, kept_s=KEEP_MISSED_S)),
        (keys_of(state, SILENT), _expire_silent),
        (keys_of(state, RATE), _expire_rate),
        ([SILENCES], _expire_silences),
        (next_keys(state, SILENCE, LOOKS), partial(_expire_decided, kind=TargetSilences)),
        (next_keys(state, RETIRED, LOOKS), partial(_expire_decided, kind=Decisions)),
        (next_keys(state, TAKEN, LOOKS), partial(_expire_decided, kind=Decisions)),
        (next_keys(state, TAKEN_ALL, LOOKS), partial(_expire_decided, kind=Decisions)),
    )
    for keys, expire_one in kinds:
        for key in keys:
            try:
                with undo_on_error(state):
                    expire_one(state, key, now_s=now_s, oldest_s=oldest_s)
            except Exception as error:
                failed(key, error)


def _expire_incident(state: State, key: str, *, now_s: float, oldest_s: float) -> None:
    incident = read(state, key, Incident)
    if incident and incident.at_s < (now_s - LINK_LIFETIME_S if incident.non_resolving else oldest_s):
        del state[key]


def _expire_group(state: State, key: str, *, now_s: float, oldest_s: float) -> None:
    group = read(state, key, Group)
    if group and (group_life.is_finished(group, now_s) or group.at_s < oldest_s):
        group_life.delete_group(state, key)


def _expire_flap(state: State, key: str, *, now_s: float, oldest_s: float) -> None:
    flap = read(state, key, Flap)
    if flap and flap.ending is None and flap.ended_at_s + max(flap.window_s, FLAP_S) < now_s:
        del state[key]


def _expire_rate(state: State, key: str, *, now_s: float, oldest_s: float) -> None:
    rate = read(state, key, RateWindow)
    if rate and not rate.held and (not rate.times or rate.times[-1] < oldest_s):
        del state[key]


def _expire_old(
    state: State,
    key: str,
    *,
    now_s: float,
    oldest_s: float,
    kind: type[RunPart] | type[Reference] | type[MissedRun] | type[JoinedRuns],
    kept_s: float = KEEP_S,
) -> None:
    value = read(state, key, kind)
    if value and value.at_s < now_s - kept_s:
        del state[key]


def _expire_silent(state: State, key: str, *, now_s: float, oldest_s: float) -> None:
    silent = read(state, key, SilentSource)
    if silent and (silent.over_s or silent.first_due_s + KEEP_MISSED_S) + FLAP_S < now_s:
        del state[key]


def _expire_silences(state: State, key: str, *, now_s: float, oldest_s: float) -> None:
    kept = stored_silences(state)
    left = [one for one in kept if one.until_s > now_s]
    if not left:
        state.pop(key, None)
    elif len(left) < len(kept):
        write(state, key, Silences(silences=left))


def _expire_decided(
    state: State, key: str, *, now_s: float, oldest_s: float, kind: type[TargetSilences] | type[Decisions]
) -> None:
    known = read(state, key, kind)
    if known and all(max(one.at_s, one.until_s) < now_s - KEEP_ACTIONS_S for one in known.records):
        del state[key]

"""What people decided, applied to the policy's memory: acknowledge, resolve, silence, retire."""

from msgspec.structs import replace

from stream_detector.events import Action
from stream_detector.events.ids import derived_id
from stream_detector.notify import groups
from stream_detector.notify.config import UPDATING, NotifyConfig
from stream_detector.notify.kept import Due, Incident, Reference, Silence, Silences
from stream_detector.notify.state import DUE, INCIDENT, REFERENCE, SILENCES, State, keys, read, write

SILENCE_S = 24 * 3600.0
"""A silence that names no end lasts so long: one that never ends is forgotten, and then it hides the next outage."""


def act(state: State, action: Action, now_s: float, config: NotifyConfig) -> None:
    """Apply it. Applying it twice is the same as once; the kinds that only detection knows change nothing here.

    acknowledge, resolve: no more about that incident but its end. silence: nothing about what it matches until it
    ends; one with the same target takes the place of the earlier, and one whose end has passed lifts it. retire: the
    entity's incidents and its silences are forgotten.
    """
    if action.kind in ("acknowledge", "resolve") and action.incident_id:
        _acknowledge(state, action, now_s, config)
    elif action.kind == "silence":
        _silence(state, action, now_s)
    elif action.kind == "retire" and action.entity:
        _retire(state, action.entity, now_s)


def silences(state: State) -> list[Silence]:
    """Every silence that is kept; some may have ended."""
    kept = read(state, SILENCES, Silences)
    return kept.silences if kept else []


def _acknowledge(state: State, action: Action, now_s: float, config: NotifyConfig) -> None:
    incident_id = action.incident_id or ""
    incident = read(state, INCIDENT + incident_id, Incident)
    if incident is None:
        return
    by = action.by or "somebody"
    if not incident.acknowledged_by:
        groups.taken(state, incident.groups)
    for channel in incident.told if not incident.acknowledged_by else ():
        if channel in UPDATING and config.channels.get(channel):
            _show(
                state,
                channel,
                incident_id,
                f"{'Acknowledged' if action.kind == 'acknowledge' else 'Resolved'} by {by}",
                now_s,
            )
    write(state, INCIDENT + incident_id, replace(incident, acknowledged_by=by))


def _show(state: State, channel: str, incident_id: str, note: str, now_s: float) -> None:
    """Change the message about it, where the channel can: everybody sees that somebody has it."""
    shown = read(state, f"{REFERENCE}{channel}:{incident_id}", Reference)
    if shown is None or shown.anomaly is None:
        return
    name = derived_id("message", "acknowledged", incident_id)
    entry = Due(
        message_id=name,
        channel=channel,
        severity=shown.anomaly.severity,
        first_at_s=now_s,
        next_at_s=now_s,
        reason="changes the message about it",
        anomaly=shown.anomaly,
        note=note,
        thread=incident_id,
    )
    write(state, f"{DUE}{name}:{channel}", entry)


def _silence(state: State, action: Action, now_s: float) -> None:
    until_s = action.until.timestamp() if action.until else action.at.timestamp() + SILENCE_S
    new = Silence(
        entity=action.entity,
        incident_id=action.incident_id or "",
        matchers=action.matchers,
        until_s=until_s,
        by=action.by or "somebody",
    )
    kept = [s for s in silences(state) if _target(s) != _target(new) and s.until_s > now_s]
    write(state, SILENCES, Silences(silences=[*kept, new] if until_s > now_s else kept))


def _retire(state: State, entity: str, now_s: float) -> None:
    for key in keys(state, INCIDENT):
        incident = read(state, key, Incident)
        if incident and incident.entity == entity:
            groups.ended(state, incident.groups, now_s, taken=bool(incident.acknowledged_by))
            del state[key]
    kept = silences(state)
    left = [s for s in kept if s.entity != entity]
    if len(left) < len(kept):
        write(state, SILENCES, Silences(silences=left))


def _target(one: Silence) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    return one.entity, one.incident_id, tuple(sorted(one.matchers.items()))

"""What people decided, applied to the policy's state: acknowledge, resolve, silence, retire."""

from msgspec.structs import replace

from stream_detector.events import Action
from stream_detector.events.ids import derived_id
from stream_detector.notify.channels.registry import updates_messages
from stream_detector.notify.config import SILENCE_S, NotifyConfig
from stream_detector.notify.stages import group_life
from stream_detector.notify.stages.matching import stored_silences
from stream_detector.notify.state.deliveries import message_reference, store_delivery
from stream_detector.notify.state.keys import INCIDENT, SILENCES, State, keys_of, read, write
from stream_detector.notify.state.state_models import Due, Incident, Silence, Silences


def apply_action(state: State, action: Action, now_s: float, config: NotifyConfig) -> None:
    """Apply it. Applying it twice is the same as once; the kinds that only detection knows change nothing here.

    acknowledge, resolve: no more about that incident but its end. silence: nothing about what it matches until it
    ends; one with the same target takes the place of the earlier, and one whose end has passed lifts it. retire: the
    entity's incidents and its silences are forgotten.
    """
    if action.kind in ("acknowledge", "resolve") and action.incident_id:
        _acknowledge(state, action, action.incident_id, now_s, config)
    elif action.kind == "silence":
        _silence(state, action, now_s)
    elif action.kind == "retire" and action.entity:
        _retire(state, action.entity, now_s)


def _acknowledge(state: State, action: Action, incident_id: str, now_s: float, config: NotifyConfig) -> None:
    incident = read(state, INCIDENT + incident_id, Incident)
    if incident is None:
        return
    by = action.by or "somebody"
    if not incident.acknowledged_by:
        group_life.record_member_acknowledged(state, incident.groups)
        note = f"{'Acknowledged' if action.kind == 'acknowledge' else 'Resolved'} by {by}"
        for channel in incident.notified:
            if updates_messages(channel) and config.channels.get(channel):
                _update_message(state, channel, incident_id, note, now_s)
    write(state, INCIDENT + incident_id, replace(incident, acknowledged_by=by))


def _update_message(state: State, channel: str, incident_id: str, note: str, now_s: float) -> None:
    """Change the message about it, where the channel can: everybody sees that somebody has it."""
    shown = message_reference(state, channel, incident_id)
    if shown is None or shown.anomaly is None:
        return
    entry = Due(
        message_id=derived_id("message", "acknowledged", incident_id),
        channel=channel,
        severity=shown.anomaly.severity,
        first_at_s=now_s,
        next_at_s=now_s,
        reason="changes the message about it",
        anomaly=shown.anomaly,
        note=note,
        thread=incident_id,
    )
    store_delivery(state, entry)


def _silence(state: State, action: Action, now_s: float) -> None:
    until_s = action.until.timestamp() if action.until else action.at.timestamp() + SILENCE_S
    new = Silence(
        entity=action.entity,
        incident_id=action.incident_id or "",
        matchers=action.matchers,
        until_s=until_s,
        by=action.by or "somebody",
    )
    kept = [one for one in stored_silences(state) if _target(one) != _target(new) and one.until_s > now_s]
    write(state, SILENCES, Silences(silences=[*kept, new] if until_s > now_s else kept))


def _retire(state: State, entity: str, now_s: float) -> None:
    for key in keys_of(state, INCIDENT):
        incident = read(state, key, Incident)
        if incident and incident.entity == entity:
            acknowledged = bool(incident.acknowledged_by)
            group_life.record_member_end(state, incident.groups, now_s, acknowledged=acknowledged)
            del state[key]
    kept = stored_silences(state)
    left = [one for one in kept if one.entity != entity]
    if len(left) < len(kept):
        write(state, SILENCES, Silences(silences=left))


def _target(silence: Silence) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    return silence.entity, silence.incident_id, tuple(sorted(silence.matchers.items()))

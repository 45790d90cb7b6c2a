"""What people decided, applied to the policy's state: acknowledge, resolve, silence, retire."""

from msgspec.structs import replace

from stream_detector.events import Action
from stream_detector.events.decisions import (
    TAKES,
    Decided,
    Target,
    decided_by,
    first_of_each,
    is_about_entity,
    target_of,
)
from stream_detector.events.ids import derived_id
from stream_detector.events.variant import names_of, names_of_incident
from stream_detector.notify.channels.registry import updates_messages
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.stages import group_life
from stream_detector.notify.stages.incidents import taken_by
from stream_detector.notify.stages.matching import silence_of_target, stored_silences
from stream_detector.notify.state.deliveries import message_reference, store_delivery
from stream_detector.notify.state.keys import (
    INCIDENT,
    MISSED,
    RETIRED,
    SILENCE,
    SILENCES,
    TAKEN,
    TAKEN_ALL,
    State,
    keys_of,
    read,
    read_if_sound,
    write,
)
from stream_detector.notify.state.state_models import Decisions, Due, Incident, Silence, Silences, TargetSilences

_NOTES = {
    "acknowledge": "Acknowledged",
    "expected": "Marked as expected",
    "not_an_anomaly": "Marked as not an anomaly",
}
MOST_RECORDS = 200
"""So many decisions about one target are kept."""


def apply_action(state: State, action: Action, now_s: float, config: NotifyConfig) -> None:
    """Apply it. Applying it twice is the same as once; comments and edits of what is stored change nothing here.

    Those by which an incident is taken: no more about it but its end. silence: nothing about what it matches until it
    ends; which one is in force is decided by `events.decisions`, as for the list that people see (X14). retire: the
    entity's incidents and its earlier silences are forgotten.
    """
    if action.kind in TAKES:
        _take(state, action, now_s, config)
    if action.kind == "silence":
        _silence(state, action, now_s)
    elif action.kind == "retire" and action.entity:
        _retire(state, action, now_s)


def _take(state: State, action: Action, now_s: float, config: NotifyConfig) -> None:
    """Note it, also for incidents of which nothing is known yet: alerts are on another topic and may come later."""
    decided, of_entity = decided_by(action), is_about_entity(action)
    named = [action.incident_id] if action.incident_id else []
    for key in (*(TAKEN + each for each in named), *([TAKEN_ALL + action.entity] if of_entity else [])):
        known = read(state, key, Decisions) or Decisions()
        write(state, key, replace(known, records=_with_record(known.records, decided)))
    about = [name.removeprefix(INCIDENT) for name in keys_of(state, INCIDENT)] if of_entity else named
    for incident_id in about:
        incident = read(state, INCIDENT + incident_id, Incident)
        if incident is None or not (incident_id in named or action.entity in names_of_incident(incident.entity)):
            continue
        if taken := taken_by(state, incident_id, incident.entity, incident.detected_at_s):
            _acknowledge(state, action, incident_id, incident, taken.by or "somebody", now_s, config)


def _acknowledge(
    state: State, action: Action, incident_id: str, incident: Incident, by: str, now_s: float, config: NotifyConfig
) -> None:
    if not incident.acknowledged_by:
        group_life.record_member_acknowledged(state, incident.groups)
        note = f"{_NOTES.get(action.kind, 'Resolved')} by {by}"
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
    entity, incident_id, matchers = target = target_of(action)
    key = SILENCE + derived_id("silence", entity, incident_id, *(part for pair in matchers for part in pair))
    known = read(state, key, TargetSilences)
    known = known or TargetSilences(entity=entity, incident_id=incident_id, matchers=dict(matchers))
    records = _with_record(known.records, decided_by(action))
    write(state, key, replace(known, records=records))
    kept = [one for one in stored_silences(state) if _target(one) != target]
    _put_in_force(state, kept, [replace(known, records=records)], now_s)


def _retire(state: State, action: Action, now_s: float) -> None:
    entity = action.entity
    for key in keys_of(state, INCIDENT):
        incident = read(state, key, Incident)
        is_meant = incident is not None and entity in names_of_incident(incident.entity)
        if incident and is_meant and incident.detected_at_s <= action.at.timestamp():
            acknowledged = bool(incident.acknowledged_by)
            group_life.record_member_end(state, incident.groups, now_s, acknowledged=acknowledged)
            del state[key]
            state.pop(MISSED + key.removeprefix(INCIDENT), None)
    known = read(state, RETIRED + entity, Decisions) or Decisions()
    write(state, RETIRED + entity, replace(known, records=_with_record(known.records, decided_by(action))))
    kept = [one for one in stored_silences(state) if entity not in names_of(one.entity)]
    found = (read(state, key, TargetSilences) for key in keys_of(state, SILENCE))
    _put_in_force(state, kept, [one for one in found if one and entity in names_of(one.entity)], now_s)


def _with_record(records: list[Decided], one: Decided) -> list[Decided]:
    return sorted(first_of_each([*records, one]))[-MOST_RECORDS:]


def _put_in_force(state: State, kept: list[Silence], targets: list[TargetSilences], now_s: float) -> None:
    """Keep these silences, and of each target the one that is in force."""
    left = [one for one in kept if one.until_s > now_s]
    for target in targets:
        one = silence_of_target(state, target, now_s)
        if one is not None:
            left.append(one)
    unreadable = state.get(SILENCES) is not None and read_if_sound(state, SILENCES, Silences) is None
    if unreadable or left != stored_silences(state):
        write(state, SILENCES, Silences(silences=left))


def _target(silence: Silence) -> Target:
    return silence.entity, silence.incident_id, tuple(sorted(silence.matchers.items()))

"""Those that wait for a message: what people know of them, and what of them is not sent after all."""

from collections.abc import Mapping

from msgspec.structs import replace

from stream_detector.events import Notification
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.rendering.line import line_of
from stream_detector.notify.stages.matching import silence_of, stored_silences
from stream_detector.notify.stages.outcomes import outcome_of_line
from stream_detector.notify.stages.verdict import silenced_reason
from stream_detector.notify.state.keys import INCIDENT, State, channel_of_bucket, read
from stream_detector.notify.state.pending import PendingEntry, delete_pending
from stream_detector.notify.state.state_models import Group, Incident, Pending
from stream_detector.notify.subject import RESOLVED, will_resolve, worst_of


def without_silenced(
    state: State, bucket: str, members: list[PendingEntry], now_s: float, config: NotifyConfig
) -> tuple[list[PendingEntry], list[Notification]]:
    """Those that nobody has silenced meanwhile, and the outcomes of the others, which wait no more."""
    silences = stored_silences(state)
    left, outcomes = [], []
    for key, one in members:
        silence = silence_of(one.anomaly, silences, now_s)
        if silence is None:
            left.append((key, one))
            continue
        line, channel = line_of(one.anomaly, config, now_s), channel_of_bucket(bucket)
        outcomes.append(outcome_of_line(line, channel, "suppressed", silenced_reason(silence), now_s))
        delete_pending(state, [(key, one)])
    return left, outcomes


def stored_incidents(state: State, members: list[PendingEntry]) -> dict[str, Incident]:
    """What people know of their incidents; what has ended while it waited is not among them."""
    ids = {one.anomaly.incident_id for _, one in members}
    return {name: incident for name in ids if (incident := read(state, INCIDENT + name, Incident))}


def with_new_members(group: Group, members: list[Pending], incidents: Mapping[str, Incident]) -> Group:
    """The group with those that are sent for the first time."""
    new = {one.anomaly.incident_id: one.anomaly for one in members if one.is_new and one.anomaly.state != RESOLVED}
    active = unacknowledged = non_resolving = 0
    for incident_id, anomaly in new.items():
        if not will_resolve(anomaly):
            non_resolving += 1
        elif incident := incidents.get(incident_id):  # else it has ended while it waited
            active += 1
            unacknowledged += not incident.acknowledged_by
    return replace(
        group,
        members=group.members + len(new),
        active=group.active + active,
        unacknowledged=group.unacknowledged + unacknowledged,
        non_resolving=group.non_resolving + non_resolving,
        worst=worst_of(group.worst, *(one.anomaly.severity for one in members)),
    )

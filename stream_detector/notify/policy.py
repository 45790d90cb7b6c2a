"""The policy, in order; the one file to read first:

    receive -> route -> silence -> group -> deduplicate -> throttle -> render -> deliver -> settle

`accept` receives an item and takes it through the stages up to `throttle`, for each channel by itself. The first stage
that stops it decides, and each gives its reason: the reasons together answer why somebody was, or was not, notified.
What passes lies in the state, due or pending in its group wait; `tick.py` does what only time brings, such as sending
what has waited. `due_deliveries` renders what it is time for, the caller delivers it (`stages.deliver`), and `settle`
records what the channel answered. Nothing here knows a clock, a network or the settings.

Order of effects for the caller, so that a crash between any two loses nothing and repeats one delivery a channel at
most:
1. `accept` every item that was read, `tick`; append their outcomes and await their acknowledgement.
2. Write the changed state, whole, and await it. 3. Commit what was read. 4. Deliver what `due_deliveries` returns.
5. `settle` each answer; append its outcomes and await them before the state without the delivery is written, and
   deliver the channel's next only then.
Outcomes carry ids made from message, channel, outcome and try, so an outcome that is appended twice is one.
"""

from collections.abc import Callable
from dataclasses import replace as with_values

from msgspec.structs import replace

from stream_detector.events import Action, Anomaly, Notification, Outcome, RunSummary
from stream_detector.events.anomaly import severity_rank
from stream_detector.events.label_counts import LabelCounts
from stream_detector.notify.config import INBOX, NotifyConfig, Route
from stream_detector.notify.stages import missed_runs
from stream_detector.notify.stages.actions import apply_action
from stream_detector.notify.stages.candidate import NO_ROUTE, Candidate, gather
from stream_detector.notify.stages.expire import expire
from stream_detector.notify.stages.flapping import reopens
from stream_detector.notify.stages.group_life import ENDS_WAIT_S
from stream_detector.notify.stages.incidents import update_incident
from stream_detector.notify.stages.matching import silenced_in_run, stored_silences
from stream_detector.notify.stages.old_events import count_old, is_old
from stream_detector.notify.stages.outcomes import outcome_of_message
from stream_detector.notify.stages.reminders import schedule_reminder
from stream_detector.notify.stages.render import due_deliveries, message_about
from stream_detector.notify.stages.results import settle
from stream_detector.notify.stages.self_monitoring import report_unique_ids
from stream_detector.notify.stages.silent_sources import take_away, take_census, watch_topic
from stream_detector.notify.stages.throttle import throttle
from stream_detector.notify.stages.verdict import Verdict, passes, stops
from stream_detector.notify.state.decided_ids import is_decided, mark_decided
from stream_detector.notify.state.deliveries import delivery_of
from stream_detector.notify.state.keys import State, bucket_name, due_key, read
from stream_detector.notify.state.pending import pending_bucket, store_pending
from stream_detector.notify.state.run_parts import add_run_part, delete_run_parts, remove_from_run, run_key
from stream_detector.notify.state.state_models import Group, Pending
from stream_detector.notify.subject import (
    RESOLVED,
    SUPERSEDED,
    Run,
    Subject,
    is_in_run_summary,
    is_of_the_clock,
    message_id,
)

MOST_FOLLOW_UPS = 6
"""Of one run; what comes later still is on the page."""

__all__ = ["accept", "due_deliveries", "expire", "settle", "take_away", "take_census", "watch_topic"]


# -- receive ---------------------------------------------------------------------------------------------------------


def accept(
    state: State,
    item: Anomaly | RunSummary | Action,
    now_s: float,
    config: NotifyConfig,
    counts: LabelCounts | None = None,
) -> list[Notification]:
    """Decide about one item. What is to be delivered is in the state afterwards.

    A repeat changes nothing and says nothing: its outcomes were acknowledged before the state that knows it.

    Args:
        counts: how common the anomaly's labels are, as its record carries it.

    Returns:
        The outcomes that are final already: suppressed, held, and delivered to the inbox.
    """
    if isinstance(item, Action):
        apply_action(state, item, now_s, config)
        return report_unique_ids(state, item, now_s, config)
    name = message_id(item)
    if is_decided(state, name):
        return []
    subject: Subject | None = item if isinstance(item, Anomaly) else add_run_part(state, item, now_s)
    if subject is None:
        return []  # parts of its run are still to come
    mark_decided(state, name, now_s)
    candidate = with_values(gather(state, subject, now_s, config), counts=counts)
    notified: dict[str, str] = {}
    decided: list[tuple[str, Outcome, str]] = []
    for channel, chosen in candidate.routes.items():
        reasons: list[str] = []
        for stage in STAGES:
            verdict = stage(candidate, channel, chosen)
            if not verdict.passed:
                break  # the first that stops it decides
            reasons.append(verdict.reason)
        else:
            if is_old(subject, config):
                verdict = count_old(state, channel, subject, now_s, config)
            else:
                notified[channel] = chosen.name
                verdict = send_or_wait(state, candidate, channel, chosen, "; ".join(reasons))
        if verdict.outcome:
            decided.append((channel, verdict.outcome, verdict.reason))
    _remember(state, candidate, notified)
    if not decided:
        return []
    message = message_about(INBOX, subject, config, name)
    return [outcome_of_message(replace(message, channel=on), outcome, why, now_s, 0) for on, outcome, why in decided]


# -- route, silence, group, deduplicate ------------------------------------------------------------------------------


def route(candidate: Candidate, channel: str, chosen: Route) -> Verdict:
    """W29 and W30: below the threshold, or on a channel that is switched off, it is stored and shown, not sent."""
    severity = candidate.severity
    if not candidate.config.channels.get(channel, False):
        return stops("suppressed", f"{channel} is switched off")
    if chosen is NO_ROUTE:
        return stops("suppressed", f"no route that takes it leads to {channel}")
    where = f" of route {chosen.name}" if chosen.name else ""
    if severity_rank(severity) < severity_rank(chosen.threshold):
        return stops("suppressed", f"{severity} is below the threshold {chosen.threshold}{where}")
    return passes(f"{severity} reaches the threshold {chosen.threshold}{where}")


def silence(candidate: Candidate, channel: str, chosen: Route) -> Verdict:
    """Stops what a silence in force matches; a run only where each of its anomalies is silenced."""
    return candidate.silence


def group(candidate: Candidate, channel: str, chosen: Route) -> Verdict:
    """S14, S15, S22: score changes go by the summary of their run; the inbox gets each by itself instead.

    What came after the run's end goes by a follow-up, which shows what is new (X1).

    A drift (`PatternDeviation`) within a run goes alone: a summary lists steps from one score to the next, and a
    drift has none to show. Anomalies that share something meet later, in their group wait.
    """
    subject = candidate.subject
    if isinstance(subject, Run):
        if channel == INBOX:
            return stops(None, "each of its anomalies is in the inbox by itself")
        if not subject.anomalies and subject.revision > 1:
            return stops(None, "nothing in this revision of the run is new")
        if not subject.anomalies:
            return stops("suppressed", "the run has no anomaly")
        if subject.follow_up > MOST_FOLLOW_UPS:
            return stops("suppressed", f"{MOST_FOLLOW_UPS} follow-ups of the run were sent")
        if subject.revision > 1:
            return passes(f"follow-up {subject.follow_up}: {len(subject.anomalies)} anomalies after the run's end")
        return passes(f"one message for the run's {len(subject.anomalies)} anomalies")
    if channel != INBOX and is_in_run_summary(subject):
        return stops(None, "goes with the message of its run")
    return passes("by itself")


def deduplicate(candidate: Candidate, channel: str, chosen: Route) -> Verdict:
    """Stops what this channel already knows: an incident is opened, may get worse, and ends; the rest is no news."""
    subject, incident, flap = candidate.subject, candidate.history.incident, candidate.history.flap
    now_s = candidate.now_s
    if not isinstance(subject, Anomaly):
        return passes("first message of this run" if subject.revision == 1 else "no earlier message had them")
    if subject.state == RESOLVED:
        if subject.end_reason == SUPERSEDED and not is_of_the_clock(subject):
            return stops(
                "suppressed", "superseded: the incident that replaced it, or ended with it, is reported instead"
            )
        if incident is None or channel not in incident.notified:
            return stops("suppressed", "its opening was not sent here")
        if channel != INBOX and flap is not None and flap.reopened:
            quiet = f"{flap.window_s:g} s"
            return stops("held", f"flapping: its end is told once it has been quiet for {quiet}, if it is then")
        return passes("its opening was sent here")
    if incident is not None:
        if incident.acknowledged_by:
            return stops("suppressed", f"acknowledged by {incident.acknowledged_by}")
        if severity_rank(subject.severity) <= severity_rank(incident.severity):
            return stops("suppressed", f"goes on, no more severe than before ({incident.severity})")
        return passes(f"rises from {incident.severity} to {subject.severity}")
    if candidate.history.taken_by:
        return stops("suppressed", f"acknowledged by {candidate.history.taken_by} before it was read")
    was_notified = channel != INBOX and flap is not None and channel in flap.notified
    if flap is None or not was_notified or not reopens(flap, now_s, chosen.flap_window_s):
        return passes("first notice of its incident")
    if severity_rank(subject.severity) > severity_rank(flap.severity):
        return passes(f"opened again, now {subject.severity} instead of {flap.severity}")
    if flap.reopened == 0:
        return passes(f"opened again {now_s - flap.ended_at_s:.0f} s after its end: the same incident from now on")
    return stops("suppressed", f"flapping: opened again for the {flap.reopened + 1}. time, still the same incident")


STAGES: tuple[Callable[[Candidate, str, Route], Verdict], ...] = (route, silence, group, deduplicate)
"""Each is asked only where those before it let the item pass. Then `throttle`, at once or after the group wait."""


# -- throttle --------------------------------------------------------------------------------------------------------


def send_or_wait(state: State, candidate: Candidate, channel: str, chosen: Route, reason: str) -> Verdict:
    """Into the inbox, to those that wait for others, or out; unless the throttle holds it back."""
    subject, now_s = candidate.subject, candidate.now_s
    joins = missed_runs.is_news(subject)
    if channel == INBOX and not joins:
        return Verdict(True, f"{reason}; the inbox has no limit", "delivered")
    if isinstance(subject, Run) or not (joins or chosen.has_group_wait):
        entry = delivery_of(channel, subject, reason, now_s)
        verdict = throttle(state, chosen, entry, [candidate.line], now_s)
        if verdict.passed and isinstance(subject, Anomaly):
            schedule_reminder(state, channel, chosen, subject, now_s)
        return verdict
    bucket = bucket_name(channel, chosen.name)
    name = candidate.groups.get(bucket, "")
    known = read(state, name, Group) if name else None
    wait_ends_s = pending_bucket(state, bucket).group_wait_ends_s
    if known is None and joins:
        ready_at_s = now_s + max(missed_runs.WAIT_S, chosen.group_wait_s)
    elif known is None:
        ready_at_s = wait_ends_s = wait_ends_s if wait_ends_s >= now_s else now_s + chosen.group_wait_s
    elif subject.state == RESOLVED and known.active:
        ready_at_s = now_s + ENDS_WAIT_S
    else:
        ready_at_s = max(now_s, known.next_at_s)
    waiting = Pending(
        at_s=now_s,
        ready_at_s=ready_at_s,
        reason=reason,
        anomaly=subject,
        counts=candidate.counts,
        group=name if known else "",
        is_new=not known,
    )
    store_pending(state, bucket, waiting, wait_ends_s)
    return passes(reason)


def _remember(state: State, candidate: Candidate, notified: dict[str, str]) -> None:
    """Keep what people know from now on. `notified`: channel -> the route by which they are notified."""
    subject, now_s = candidate.subject, candidate.now_s
    if isinstance(subject, Anomaly):
        update_incident(state, subject, candidate.history, notified, now_s, candidate.config)
        if missed_runs.is_news(subject):
            channels = {*notified, *missed_runs.channels_of_silence(candidate)}
            missed_runs.note_missed_run(state, subject, channels, now_s, candidate.config)
    elif any(due_key(message_id(subject), channel) in state for channel in notified):
        remove_from_run(state, subject, silenced_in_run(subject, stored_silences(state), now_s), now_s)
    else:
        delete_run_parts(state, run_key(subject), subject.parts)

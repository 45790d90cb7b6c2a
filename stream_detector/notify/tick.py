"""What only time brings: groups whose wait is over, digests of what was held, ends after flapping, reminders."""

from dataclasses import replace

from stream_detector.events import Anomaly, Notification
from stream_detector.notify.config import INBOX, NotifyConfig
from stream_detector.notify.policy import send_or_wait
from stream_detector.notify.stages.candidate import gather
from stream_detector.notify.stages.digest import send_digests
from stream_detector.notify.stages.flapping import END_OF_FLAPPING, take_quiet_end
from stream_detector.notify.stages.group_wait import send_ready_groups
from stream_detector.notify.stages.matching import facts_of, matching_routes, route_to
from stream_detector.notify.stages.old_events import due_at_s, send_old
from stream_detector.notify.stages.outcomes import outcome_of_line
from stream_detector.notify.stages.reminders import REPEAT, REPEAT_GROUP, send_group_reminder, send_reminder
from stream_detector.notify.state.keys import DUE, OLD, PENDING_BUCKET, RATE, TIMER, State, keys_of, read
from stream_detector.notify.state.pending import ready_buckets
from stream_detector.notify.state.state_models import Due, Flap, OldEvents, PendingBucket, RateWindow


def tick(state: State, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Do it. Repeating it at the same time changes nothing more.

    Returns:
        The outcomes that are final already: held back, and silenced meanwhile.
    """
    outcomes: list[Notification] = []
    for key in sorted(key for key in keys_of(state, TIMER) if float(key.split(":", 2)[1]) <= now_s):
        _, _, kind, what = key.split(":", 3)
        del state[key]
        if kind == REPEAT:
            outcomes += send_reminder(state, what, now_s, config)
        elif kind == REPEAT_GROUP:
            outcomes += send_group_reminder(state, what, now_s, config)
        elif kind == END_OF_FLAPPING and (flap := take_quiet_end(state, what, now_s)) and flap.ending:
            outcomes += _send_end_of_flapping(state, flap, flap.ending, now_s, config)
    for bucket in ready_buckets(state, now_s):
        outcomes += send_ready_groups(state, bucket, now_s, config)
    send_digests(state, now_s)
    outcomes += send_old(state, now_s, config)
    return outcomes


def next_tick_s(state: State) -> float | None:
    """When time brings something next, as Unix time: a group, an end, a reminder, a digest, a retry; None: nothing."""
    times = [one.ready_at_s for key in keys_of(state, PENDING_BUCKET) if (one := read(state, key, PendingBucket))]
    times += [float(key.split(":", 2)[1]) for key in keys_of(state, TIMER)]
    times += [entry.next_at_s for key in keys_of(state, DUE) if (entry := read(state, key, Due))]
    for key in keys_of(state, RATE):
        sent = read(state, key, RateWindow)
        if sent and sent.held:
            full = len(sent.times) >= sent.limit
            over_s = sent.times[-sent.limit] + sent.window_s + 0.001 if full else sent.held_last_s
            times.append(over_s)  # a moment later, since the window's end is no whole number of seconds
    times += [due_at_s(old) for key in keys_of(state, OLD) if (old := read(state, key, OldEvents)) and old.counts]
    return min(times, default=None)


def _send_end_of_flapping(
    state: State, flap: Flap, ending: Anomaly, now_s: float, config: NotifyConfig
) -> list[Notification]:
    """The end of what flapped, now that it has been quiet; wherever an opening was sent."""
    outcomes: list[Notification] = []
    candidate = replace(gather(state, ending, now_s, config), groups=flap.groups)
    matching = matching_routes(facts_of(ending), config)
    for channel in flap.notified:
        if channel == INBOX or not config.channels.get(channel):
            continue
        chosen = route_to(channel, matching, config, flap.routes.get(channel, "")) or config.fallback
        reason = f"it flapped {flap.reopened} times and has been quiet for {flap.window_s:g} s"
        verdict = candidate.silence
        if verdict.passed:
            verdict = send_or_wait(state, candidate, channel, chosen, reason)
        if verdict.outcome:
            outcomes.append(outcome_of_line(candidate.line, channel, verdict.outcome, verdict.reason, now_s, tries=1))
    return outcomes

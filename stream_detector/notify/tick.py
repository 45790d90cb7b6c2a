"""What only time brings: groups whose wait is over, digests of what was held, ends after flapping, reminders."""

from dataclasses import replace
from functools import partial

from stream_detector.events import Anomaly, Notification
from stream_detector.notify.config import INBOX, NotifyConfig
from stream_detector.notify.message import Delivered
from stream_detector.notify.policy import due_deliveries, send_or_wait, settle
from stream_detector.notify.stages.candidate import gather
from stream_detector.notify.stages.digest import ready_digests, send_digest
from stream_detector.notify.stages.flapping import END_OF_FLAPPING, take_quiet_end
from stream_detector.notify.stages.group_wait import send_ready_groups
from stream_detector.notify.stages.isolation import OnFailure, isolate, isolate_each, raise_again
from stream_detector.notify.stages.matching import facts_of, matching_routes, route_to
from stream_detector.notify.stages.old_events import due_at_s, send_old
from stream_detector.notify.stages.outcomes import outcome_of_line
from stream_detector.notify.stages.reminders import REPEAT, REPEAT_GROUP, send_group_reminder, send_reminder
from stream_detector.notify.stages.set_aside import (
    mend_buckets,
    set_aside_away,
    set_aside_due,
    set_aside_held,
    set_aside_old,
    set_aside_pending,
    set_aside_timer,
)
from stream_detector.notify.stages.silent_sources import LOOK, look_at, send_away
from stream_detector.notify.state.keys import (
    AWAY,
    DUE,
    HELD,
    OLD,
    PENDING,
    PENDING_BUCKET,
    RATE,
    TIMER,
    State,
    keys_of,
    read,
)
from stream_detector.notify.state.pending import ready_buckets
from stream_detector.notify.state.state_models import AwaySpan, Due, Flap, OldEvents, PendingBucket, RateWindow


def tick(
    state: State, now_s: float, config: NotifyConfig, failed: OnFailure = raise_again, *, behind: bool = False
) -> list[Notification]:
    """Do it. Repeating it at the same time changes nothing more.

    Args:
        behind: whether records are published that are not decided yet, so that a pause is none of the publisher's.
        failed: told what raises, which is set aside by itself: everything else is done (`stages.isolation`).

    Returns:
        The outcomes that are final already: held back, silenced meanwhile, and what was set aside.
    """
    outcomes: list[Notification] = []
    for key, error in mend_buckets(state, now_s).items():
        failed(key, error)
    for key in sorted(key for key in keys_of(state, TIMER) if _is_due(key, now_s)):
        step, set_aside = partial(_run_timer, state, key, now_s, config), partial(set_aside_timer, state, key)
        outcomes += isolate(state, key, step, partial(set_aside, now_s=now_s), failed)
    for bucket in ready_buckets(state, now_s):
        outcomes += isolate_each(
            state,
            PENDING_BUCKET + bucket,
            sorted(keys_of(state, f"{PENDING}{bucket}:")),
            partial(send_ready_groups, state, bucket, now_s, config),
            partial(set_aside_pending, state, now_s=now_s),
            failed,
        )
    for key, reason in ready_digests(state, now_s, behind=behind).items():
        outcomes += isolate_each(
            state,
            key,
            sorted(keys_of(state, f"{HELD}{key.removeprefix(RATE)}:")),
            partial(send_digest, state, key, reason, now_s),
            partial(set_aside_held, state, now_s=now_s),
            failed,
        )
    for key in keys_of(state, OLD):
        step = partial(send_old, state, key, now_s, config)
        outcomes += isolate(state, key, step, partial(set_aside_old, state, key, now_s=now_s), failed)
    outcomes += isolate(
        state, AWAY, partial(send_away, state, now_s, config), partial(set_aside_away, state, now_s=now_s), failed
    )
    return outcomes + _deliver_to_inbox(state, now_s, config, failed)


def _deliver_to_inbox(state: State, now_s: float, config: NotifyConfig, failed: OnFailure) -> list[Notification]:
    """What waited for others is in the inbox as soon as it is sent: there is no provider that may be slow."""
    outcomes: list[Notification] = []
    while any(key.endswith(f":{INBOX}") for key in keys_of(state, DUE)):
        others = {channel for channel in config.channels if channel != INBOX}
        due = [one for one in due_deliveries(state, now_s, config, others, failed) if one.message.channel == INBOX]
        if not due:
            break
        for delivery in due:
            step = partial(settle, state, delivery, Delivered("it is in the inbox"), now_s, config)
            outcomes += isolate(
                state, delivery.key, step, partial(set_aside_due, state, delivery.key, now_s=now_s), failed
            )
    return outcomes


def _is_due(timer: str, now_s: float) -> bool:
    try:
        return float(timer.split(":", 2)[1]) <= now_s
    except ValueError:
        return True  # no timer of ours: it raises, and is set aside


def _run_timer(state: State, key: str, now_s: float, config: NotifyConfig) -> list[Notification]:
    _, _, kind, what = key.split(":", 3)
    del state[key]
    if kind == REPEAT:
        return send_reminder(state, what, now_s, config)
    if kind == REPEAT_GROUP:
        return send_group_reminder(state, what, now_s, config)
    if kind == LOOK:
        return look_at(state, what, now_s, config)
    if kind == END_OF_FLAPPING and (flap := take_quiet_end(state, what, now_s)) and flap.ending:
        return _send_end_of_flapping(state, flap, flap.ending, now_s, config)
    return []


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
    times += [span.ready_at_s] if (span := read(state, AWAY, AwaySpan)) else []
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

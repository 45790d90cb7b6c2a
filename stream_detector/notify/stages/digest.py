"""What the rate limit held back, sent in one message: as soon as the limit allows one, `critical` first.

A storm (`STORM_FROM` or more held back) is sent at once, once a window, beyond the limit: whoever has 10,000 failures
needs to hear of it now, and one message more is no flood.
"""

from collections.abc import Collection

from msgspec.structs import replace

from stream_detector.events import Notification
from stream_detector.notify.message_lines import (
    combine,
    combined_message_id,
    newest_of_each_incident,
    worst_severity,
)
from stream_detector.notify.stages.throttle import times_within
from stream_detector.notify.state.deliveries import store_delivery
from stream_detector.notify.state.keys import (
    PENDING_BUCKET,
    RATE,
    State,
    channel_of_bucket,
    keys_of,
    read,
    write,
)
from stream_detector.notify.state.state_models import Due, Line, PendingBucket, RateWindow

STORM_FROM = 50
"""Held back so many: it is not noise any more."""
STORM_LULL_S, STORM_LONGEST_S = 1.0, 20.0
"""A storm is sent when nothing was held back for the one, nothing is in its group wait and all that was published is
decided, at the latest after the other."""


def ready_digests(state: State, now_s: float, *, behind: bool = False) -> dict[str, str]:
    """The keys of the buckets that may have a digest now, and why the limit allows each.

    Args:
        behind: whether records are published that are not decided yet.
    """
    rates = ((key, read(state, key, RateWindow)) for key in keys_of(state, RATE))
    reasons = {key: _reason_to_send(state, key, rate, now_s, behind) for key, rate in rates if rate and rate.held}
    return {key: reason for key, reason in reasons.items() if reason}


def send_digest(state: State, key: str, reason: str, now_s: float, held: Collection[str]) -> list[Notification]:
    """Leave the digest of the lines under the keys `held`, which are held back no more. No outcome is final yet."""
    rate = read(state, key, RateWindow)
    if rate is None:
        return []
    times = times_within(rate.times, now_s, rate.window_s)
    storm_at_s = rate.storm_at_s if len(times) < rate.limit else now_s
    _send_digest(state, key.removeprefix(RATE), replace(rate, times=times, storm_at_s=storm_at_s), reason, now_s, held)
    return []


def _reason_to_send(state: State, key: str, rate: RateWindow, now_s: float, behind: bool) -> str:
    """Why the limit allows it now; empty where it does not."""
    used = len(times_within(rate.times, now_s, rate.window_s))
    if used < rate.limit:
        return f"message {used + 1} of {rate.limit} within {rate.window_s:g} s"
    if _is_storm(state, key.removeprefix(RATE), rate, now_s, behind):
        return f"{rate.held} were held back at once: one message beyond the limit"
    return ""


def _is_storm(state: State, bucket: str, rate: RateWindow, now_s: float, behind: bool) -> bool:
    if rate.held < STORM_FROM or rate.storm_at_s + rate.window_s > now_s:
        return False
    if now_s >= rate.held_from_s + STORM_LONGEST_S:
        return True
    return not behind and now_s >= rate.held_last_s + STORM_LULL_S and not _has_group_wait(state, bucket, now_s)


def _has_group_wait(state: State, bucket: str, now_s: float) -> bool:
    """Whether something that may be held back there, too, still waits for others."""
    channel = channel_of_bucket(bucket)
    return any(
        channel_of_bucket(key.removeprefix(PENDING_BUCKET)) == channel
        and (pending := read(state, key, PendingBucket))
        and pending.group_wait_ends_s > now_s
        for key in keys_of(state, PENDING_BUCKET)
    )


def _send_digest(state: State, bucket: str, rate: RateWindow, reason: str, now_s: float, held: Collection[str]) -> None:
    lines = []
    for key in held:
        line = read(state, key, Line)
        if line:
            lines.append(line)
        del state[key]
    write(state, RATE + bucket, replace(rate, times=[*rate.times, now_s], held=0))
    if not lines:
        return
    head = combine("digest", lines, since_s=lines[0].at_s)
    entry = Due(
        message_id=combined_message_id("digest", bucket, str(rate.next_number)),
        channel=channel_of_bucket(bucket),
        severity=worst_severity(newest_of_each_incident(lines)),
        first_at_s=now_s,
        next_at_s=now_s,
        reason=reason,
        combined=replace(head, limit=rate.limit, window_s=rate.window_s),
    )
    store_delivery(state, entry, lines)

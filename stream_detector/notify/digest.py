"""What the rate limit held back, told in one message: as soon as the limit allows one, `critical` first.

A storm (`STORM_FROM` or more held back) is told at once, once a window, beyond the limit: whoever has 10,000 failures
needs to hear of it now, and one message more is no flood.
"""

from msgspec.structs import replace

from stream_detector.notify.kept import Due, Line, Pool, Sent
from stream_detector.notify.send import merged, send_several, several, several_id, worst_of
from stream_detector.notify.state import HELD, POOL, SENT, State, channel_of_bucket, keys, read, write
from stream_detector.notify.throttle import within

STORM_FROM = 50
"""Held back so many: it is not noise any more."""
STORM_LULL_S, STORM_LONGEST_S = 1.0, 20.0
"""A storm is told when nothing was held back for the one and nothing waits for its group, at the latest after the
other."""


def digests(state: State, now_s: float) -> None:
    """Leave a digest for every bucket that may have one now. Its lines are held back no more."""
    for key in keys(state, SENT):
        sent = read(state, key, Sent)
        if sent is None or not sent.held:
            continue
        bucket = key.removeprefix(SENT)
        times = within(sent.times, now_s, sent.window_s)
        if len(times) < sent.limit:
            why = f"message {len(times) + 1} of {sent.limit} within {sent.window_s:g} s"
            _digest(state, bucket, replace(sent, times=times), why, now_s)
        elif _is_storm(state, bucket, sent, now_s):
            why = f"{sent.held} were held back at once: one message beyond the limit"
            _digest(state, bucket, replace(sent, times=times, storm_at_s=now_s), why, now_s)


def _is_storm(state: State, bucket: str, sent: Sent, now_s: float) -> bool:
    if sent.held < STORM_FROM or sent.storm_at_s + sent.window_s > now_s:
        return False
    if now_s >= sent.held_from_s + STORM_LONGEST_S:
        return True
    return now_s >= sent.held_last_s + STORM_LULL_S and not _gathers(state, bucket, now_s)


def _gathers(state: State, bucket: str, now_s: float) -> bool:
    """Whether something that may be held back there, too, still waits for others to be told with."""
    channel = channel_of_bucket(bucket)
    return any(
        channel_of_bucket(key.removeprefix(POOL)) == channel
        and (pool := read(state, key, Pool))
        and pool.wave_at_s > now_s
        for key in keys(state, POOL)
    )


def _digest(state: State, bucket: str, sent: Sent, why: str, now_s: float) -> None:
    channel = channel_of_bucket(bucket)
    lines = []
    for key in sorted(keys(state, f"{HELD}{bucket}:")):
        line = read(state, key, Line)
        if line:
            lines.append(line)
        del state[key]
    write(state, SENT + bucket, replace(sent, times=[*sent.times, now_s], held=0))
    if not lines:
        return
    entry = Due(
        message_id=several_id("digest", bucket, str(sent.next_number)),
        channel=channel,
        severity=worst_of(merged(lines)),
        first_at_s=now_s,
        next_at_s=now_s,
        reason=why,
        several=several("digest", lines, since_s=lines[0].at_s, limit=sent.limit, window_s=sent.window_s),
    )
    send_several(state, entry, lines)

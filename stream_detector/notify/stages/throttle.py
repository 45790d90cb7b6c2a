"""How many messages a channel may get: count and window are settings, the window slides, the inbox has no limit."""

from collections.abc import Sequence

from msgspec.structs import replace

from stream_detector.notify.config import INBOX, Route
from stream_detector.notify.stages.verdict import Verdict, passes, stops
from stream_detector.notify.state.deliveries import store_delivery
from stream_detector.notify.state.keys import HELD, RATE, State, bucket_name, read, write
from stream_detector.notify.state.line_order import ENDED
from stream_detector.notify.state.state_models import Due, Line, RateWindow


def throttle(state: State, route: Route, entry: Due, lines: Sequence[Line], now_s: float) -> Verdict:
    """W28: let the message through, or hold its lines back for the digest. `lines` say in short what it shows."""
    bucket = bucket_name(entry.channel, route.name if route.own_limit else "")
    rate = read(state, RATE + bucket, RateWindow) or RateWindow()
    rate = replace(rate, window_s=route.rate_limit_window_s, limit=route.rate_limit_count)
    has_end = any(line.state in ENDED for line in lines)
    verdict = check_rate(entry.channel, rate, now_s, route, has_end=has_end)
    if not verdict.passed:
        hold_back(state, bucket, lines, now_s, rate=rate)
        return verdict
    write(state, RATE + bucket, replace(rate, times=[*times_within(rate.times, now_s, rate.window_s), now_s]))
    reason = f"{entry.reason}; {verdict.reason}" if entry.reason else verdict.reason
    store_delivery(state, replace(entry, reason=reason), lines)
    return Verdict(True, reason)


def check_rate(channel: str, rate: RateWindow, now_s: float, route: Route, *, has_end: bool = False) -> Verdict:
    """Holds a message back where earlier ones fill the window. A run, a group and a digest count as one message.

    An end goes behind what is held back already, so that nobody reads of it before the beginning. What has been held
    back for a whole window is next in line: newer messages join it.
    """
    if channel == INBOX:
        return passes("the inbox has no limit")
    window_s = route.rate_limit_window_s
    used, limit = len(times_within(rate.times, now_s, window_s)), route.rate_limit_count
    if used >= limit:
        return stops("held", f"{channel} had its {limit} messages within {window_s:g} s")
    if rate.held and (has_end or rate.held_from_s + window_s <= now_s):
        return stops("held", f"{channel} gets it with the {rate.held} that were held back before")
    return passes(f"message {used + 1} of {limit} within {window_s:g} s")


def hold_back(state: State, bucket: str, lines: Sequence[Line], now_s: float, *, rate: RateWindow) -> None:
    """Put lines behind those that are held back already."""
    number = rate.next_number
    for line in lines:
        write(state, f"{HELD}{bucket}:{number:012}", line)
        number += 1
    first_s = rate.held_from_s if rate.held else now_s
    write(
        state,
        RATE + bucket,
        replace(rate, held=rate.held + len(lines), next_number=number, held_from_s=first_s, held_last_s=now_s),
    )


def times_within(times: Sequence[float], now_s: float, window_s: float) -> list[float]:
    """Those of `times` that still count: later than a window ago."""
    return [at_s for at_s in times if at_s > now_s - window_s]

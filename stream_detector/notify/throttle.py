"""How many messages a channel may get: count and window are settings, the window slides, the inbox has no limit."""

from collections.abc import Sequence

from stream_detector.notify.config import INBOX, Route
from stream_detector.notify.kept import Sent
from stream_detector.notify.verdict import Verdict, passes, stops


def throttle(channel: str, sent: Sent, now_s: float, route: Route, *, ends: bool = False) -> Verdict:
    """W28: holds a message back where earlier ones fill the window. A run, a group and a digest count as one message.

    An end goes behind what is held back already, so that nobody reads of it before the beginning. What has been held
    back for a whole window is next in line: newer messages join it.
    """
    if channel == INBOX:
        return passes("the inbox has no limit")
    window_s = route.rate_limit_window_s
    used, limit = len(within(sent.times, now_s, window_s)), route.rate_limit_count
    if used >= limit:
        return stops("held", f"{channel} had its {limit} messages within {window_s:g} s")
    if sent.held and (ends or sent.held_from_s + window_s <= now_s):
        return stops("held", f"{channel} gets it with the {sent.held} that were held back before")
    return passes(f"message {used + 1} of {limit} within {window_s:g} s")


def within(times: Sequence[float], now_s: float, window_s: float) -> list[float]:
    """Those of `times` that still count: later than a window ago."""
    return [at_s for at_s in times if at_s > now_s - window_s]

"""How many messages a channel may get: count and window are settings, the window slides, the inbox has no limit."""

from collections.abc import Sequence

from stream_detector.notify.config import INBOX, NotifyConfig
from stream_detector.notify.verdict import Verdict, passes, stops


def throttle(channel: str, times: Sequence[float], now_s: float, config: NotifyConfig) -> Verdict:
    """W28: holds a message back where `times`, its earlier ones, fill the window. A run counts as one message."""
    if channel == INBOX:
        return passes("the inbox has no limit")
    used, limit = len(within(times, now_s, config)), config.rate_limit_count
    if used >= limit:
        return stops("held", f"{channel} had its {limit} messages within {config.rate_limit_window_s:g} s")
    return passes(f"message {used + 1} of {limit} within {config.rate_limit_window_s:g} s")


def within(times: Sequence[float], now_s: float, config: NotifyConfig) -> list[float]:
    """Those of `times` that still count: later than a window ago."""
    return [at_s for at_s in times if at_s > now_s - config.rate_limit_window_s]

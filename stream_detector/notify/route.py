"""Which channels an item may go to: the channel's switch and the severity threshold."""

from stream_detector.events import Severity
from stream_detector.notify.config import RANK, NotifyConfig
from stream_detector.notify.verdict import Verdict, passes, stops


def route(channel: str, severity: Severity, config: NotifyConfig) -> Verdict:
    """W29 and W30: below the threshold, or on a channel that is switched off, it is stored and shown, not sent."""
    if not config.channels.get(channel, False):
        return stops("suppressed", f"{channel} is switched off")
    if RANK[severity] < RANK[config.severity]:
        return stops("suppressed", f"{severity} is below the threshold {config.severity}")
    return passes(f"{severity} reaches the threshold {config.severity}")

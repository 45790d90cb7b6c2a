"""Names and numbers as people read them."""

from datetime import UTC, datetime

from stream_detector.events import Completion


def name_of(event: Completion) -> str:
    """What people call the workflow."""
    return event.workflow_name or event.workflow_id


def duration(seconds: float) -> str:
    """A duration in the two units that matter.

    >>> [duration(s) for s in (0.0042, 0.25, 9.44, 125, 252.4, 7500, 200000)]
    ['4.2 ms', '250 ms', '9.44 s', '2 m 5 s', '4 m 12 s', '2 h 5 m', '2 d 7 h']
    """
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def share(ratio: float) -> str:
    """A ratio in percent.

    >>> share(0.6), share(0.0312), share(0.0004)
    ('60 %', '3.1 %', '0.04 %')
    """
    percent = ratio * 100
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.2g} %"


def instant(epoch_ms: int) -> str:
    """UTC to the minute.

    >>> instant(1769040300000)
    '2026-01-22 00:05 UTC'
    """
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(" ", "minutes")[:16] + " UTC"

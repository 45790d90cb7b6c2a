"""Names and numbers as people read them."""

from datetime import UTC, datetime

from stream_detector.events import Completion


def name_of(event: Completion) -> str:
    """What people call the workflow."""
    return event.workflow_name or event.workflow_id


def duration(seconds: float) -> str:
    """A duration in the two units that matter; the smaller one only where there is something of it.

    >>> [duration(s) for s in (0.0042, 0.25, 9.44, 125, 252.4, 900, 7500, 200000)]
    ['4.2 ms', '250 ms', '9.44 s', '2 m 5 s', '4 m 12 s', '15 m', '2 h 5 m', '2 d 7 h']
    """
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return _two_units(whole // 60, "m", whole % 60, "s")
    if whole < 86400:
        return _two_units(whole // 3600, "h", whole % 3600 // 60, "m")
    return _two_units(whole // 86400, "d", whole % 86400 // 3600, "h")


def _two_units(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"


def between(low_s: float, high_s: float) -> str:
    """Two durations as a range; one where both read the same.

    >>> between(100, 160), between(99.9, 100.2)
    ('1 m 40 s to 2 m 40 s', '1 m 40 s')
    """
    low, high = duration(low_s), duration(high_s)
    return low if low == high else f"{low} to {high}"


def share(ratio: float) -> str:
    """A ratio in percent.

    >>> share(0.6), share(0.0312), share(0.0004)
    ('60 %', '3.1 %', '0.04 %')
    >>> share(0.995), share(0.99996), share(1.0), share(1.004)
    ('99.5 %', '99.9 %', '100 %', '100 %')
    >>> share(0.0001), share(1.6e-7), share(0.0)
    ('0.01 %', 'under 0.01 %', '0 %')
    """
    percent = ratio * 100
    if 0 < percent < 0.0095:
        return "under 0.01 %"
    if 99.5 <= percent < 100:
        # Rounded down, since 100 % is the whole.
        return f"{int(percent * 10) / 10:.1f} %"
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.2g} %"


def instant(epoch_ms: int) -> str:
    """UTC to the minute.

    >>> instant(1769040300000)
    '2026-01-22 00:05 UTC'
    """
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(" ", "minutes")[:16] + " UTC"

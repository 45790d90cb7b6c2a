"""Numbers, times and links in words that every channel uses."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from urllib.parse import quote

from stream_detector.events import Anomaly, Metrics
from stream_detector.events.anomaly_types import TYPES
from stream_detector.notify.rendering.escape import one_line
from stream_detector.notify.subject import RESOLVED, Run, Subject

MAX_DECIMALS = 4
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
_MOST_DIGITS = 50

MARKS = {"info": "🔵", "warning": "🟠", "critical": "🔴", RESOLVED: "✅"}
UNKNOWN_MARK = "⚪"
"""Of a severity of a later version."""


def mark_of(kind: str) -> str:
    """The mark of a severity, or of `resolved`."""
    return MARKS.get(kind, UNKNOWN_MARK)


def known(word: str) -> str:
    """A type, severity or state that another program may have written, on one line; never blank.

    >>> known("critical"), known(" \\u200b\\t")
    ('critical', 'unknown')
    """
    return one_line(word, 128) or "unknown"


def type_words(anomaly_type: str) -> str:
    """A type for people; one of a later version by its name in words.

    >>> type_words("SpikeInFailures"), type_words("QueueGrowth"), type_words("queue_growth"), type_words(" _ ")
    ('Spike in failures', 'Queue growth', 'Queue growth', 'Unknown type')
    """
    if anomaly_type in TYPES:
        return TYPES[anomaly_type].title
    apart = _WORD_START.sub(" ", one_line(anomaly_type, 128)).replace("_", " ").strip()
    words = [word if word.isupper() and len(word) > 1 else word.lower() for word in apart.split()]
    readable = " ".join(words) or "unknown type"
    return readable[:1].upper() + readable[1:]


def decimals(values: Iterable[Decimal]) -> int:
    """As many as the longest of the published values has, 1 to 4.

    >>> decimals([Decimal("7.5"), Decimal("5.80")])
    2
    """
    longest = max((-int(value.as_tuple().exponent) for value in values), default=1)
    return min(MAX_DECIMALS, max(1, longest))


def points(value: Decimal, places: int, *, signed: bool = False) -> str:
    """A score with so many decimals, half rounded away from zero.

    >>> points(Decimal("0.8"), 1, signed=True), points(Decimal("-1.7"), 1, signed=True)
    ('+0.8', '-1.7')
    """
    if value.adjusted() >= _MOST_DIGITS:  # no score is so large; another program's number may be
        return f"{value:+.3e}" if signed else f"{value:.3e}"
    rounded = _EXACT.quantize(value, Decimal(1).scaleb(-places))
    return f"{rounded:+f}" if signed else f"{rounded:f}"


def exact(value: float) -> Decimal:
    """The decimal that was published: a float's shortest text is that decimal."""
    return Decimal(repr(value))


def difference(current: Decimal, previous: Decimal) -> Decimal:
    """Without rounding."""
    return _EXACT.subtract(current, previous)


def number(value: float) -> str:
    """For reading: three digits that say something, no exponent up to 1e15.

    >>> [number(x) for x in (130.0, 12.345, 0.04567, 1234567.8, -0.0)]
    ['130', '12.3', '0.0457', '1,234,568', '0']
    """
    if value == 0 or abs(value) < 1e-9:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    places = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else min(9, 2 - _exponent(value))
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def amount(metrics: Metrics, value: float, *, signed: bool = False) -> str:
    """A value of these metrics with its unit: seconds, runs, points, or a ratio in percent."""
    sign = "+" if signed and value > 0 else ""
    if metrics.unit == "ratio":
        if signed:
            return f"{sign}{number(value * 100)} percentage points"
        # Rounded, it would be the whole that it is not.
        return "99.9 %" if 0.9995 <= value < 1 else f"{number(value * 100)} %"
    if metrics.unit == "points":
        published = [exact(metrics.current_value), exact(metrics.baseline_value)]
        return points(exact(value), decimals(published), signed=signed)
    words = f"{sign}{number(value)} {one_line(metrics.unit, 32)}".rstrip()
    return f"{words} ({duration(value)})" if metrics.unit == "s" and value >= 120 else words


def percent(share: float) -> str:
    """A share of a whole.

    >>> percent(0.0312), percent(0.5), percent(0), percent(0.0004), percent(0.998)
    ('3 %', '50 %', '0 %', 'under 1 %', 'over 99 %')
    """
    if 0 < share < 0.01:
        return "under 1 %"
    return "over 99 %" if 0.99 < share < 1 else f"{share * 100:.0f} %"


def duration(seconds: float) -> str:
    """A length of time in its two largest units, named as in the descriptions that detection writes.

    >>> duration(45), duration(725), duration(90_000)
    ('45 s', '12 m 5 s', '1 d 1 h')
    """
    left = round(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
        elif parts:
            break
    return " ".join(parts[:2]) or f"{number(seconds)} s"


def minute(at: datetime) -> str:
    """`2026-01-22 00:05 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def day_range(first: datetime, last: datetime, seen_from: datetime) -> str:
    """Two days in UTC, with their year where it is not that of `seen_from`.

    >>> first, last, now = (datetime(2026, *day, tzinfo=UTC) for day in ((9, 1), (11, 20), (11, 30)))
    >>> day_range(first, last, now), day_range(first, first, now.replace(year=2027))
    ('1 Sep to 20 Nov', '1 Sep 2026')
    """
    days = [at.astimezone(UTC) for at in (first, last)]
    has_year = any(day.year != seen_from.astimezone(UTC).year for day in days)
    shown = [f"{day.day} {_MONTHS[day.month - 1]}{f' {day.year}' if has_year else ''}" for day in days]
    return " to ".join(dict.fromkeys(shown))


def link_of(base_url: str, subject: Subject) -> str:
    """Where the page shows it."""
    return anomaly_link(base_url, subject) if isinstance(subject, Anomaly) else run_link(base_url, subject)


def anomaly_link(base_url: str, anomaly: Anomaly) -> str:
    """Where the page shows one anomaly."""
    return f"{base_url}/anomalies/{quote(anomaly.id, safe='')}"


def run_link(base_url: str, run: Run) -> str:
    """Where the page shows a run's anomalies. Those of a minute without a run carry no run id to look for."""
    if run.named:
        return f"{base_url}/anomalies?run={quote(run.run_id, safe='')}"
    if len(run.anomalies) == 1:
        return f"{base_url}/anomalies/{quote(run.anomalies[0].id, safe='')}"
    return f"{base_url}/anomalies?type=SignificantScoreChange"


def _exponent(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])

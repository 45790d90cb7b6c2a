"""Reads MAX_DURATION_RULES and EXPECT_RULES: how long an execution may run, and when the next run is expected.

Both have the form of PROFILE_RULES: `PATTERN -> VALUE` or `LABEL=PATTERN -> VALUE`, comma-separated. An expectation is
`every 24h`, a day and time in a zone (`weekdays 02:00 Europe/Berlin`) or a cron expression of five fields and a zone,
each with a grace period (`grace 20m`), or `off`. Cron expressions and the days on which clocks change are cronsim's,
which follows Debian's cron: a run at a fixed time comes once on such a day, at the next minute that exists.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches
from typing import Final, NamedTuple, TypeVar
from zlib import crc32

_V = TypeVar("_V")
_UNITS: Final = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600}
_UNITS_OF_DAYS: Final = {"d": 86_400, "day": 86_400, "w": 604_800, "week": 604_800}
_SECONDS: Final = _UNITS | _UNITS_OF_DAYS | {f"{unit}s": size for unit, size in (_UNITS | _UNITS_OF_DAYS).items()}
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_WORDS: Final = {"daily": "*", "weekdays": "1-5", "weekends": "6-7"}
_MINUTE, _DAY = 60, 86_400
_LONGEST_INTERVAL_S: Final = 366 * _DAY
_LONGEST_S: Final = 30 * _DAY
"""A running execution is forgotten after it, and no grace period is longer."""
_GRACE_S: Final = 900
_EARLY_S: Final = 900
_MOST_KNOWN: Final = 256
_EXPECT_FORM: Final = (
    "must be PATTERN -> EXPECTATION or LABEL=PATTERN -> EXPECTATION, comma-separated; EXPECTATION is off, `every 24h`,"
    " `weekdays 02:00 Europe/Berlin` or a cron expression such as `0 2 * * 1-5 Europe/Berlin`, with `grace 20m` after"
    " it if needed"
)
_MAX_DURATION_FORM: Final = (
    "must be PATTERN -> LIMIT or LABEL=PATTERN -> LIMIT, comma-separated; LIMIT is off or a duration such as 90 min"
)


class MaxDurationRule(NamedTuple):
    """Workflows whose id, or whose label `label`, matches `pattern` may run for `limit_s` seconds; 0.0: any time."""

    label: str
    pattern: str
    limit_s: float


@dataclass(frozen=True, slots=True)
class Expectation:
    """When runs of a workflow are expected. Two are equal if they expect the same.

    Attributes:
        interval_s: the next run starts at most so long after the last one; 0: `cron` has the starts.
        cron: five fields; empty with `interval_s`, and in `OFF`.
        zone: the time zone of `cron`.
        grace_s: how long after the usual start the run is due.
        text: as the setting has it, without the grace period.
    """

    interval_s: int = 0
    cron: str = ""
    zone: str = "UTC"
    grace_s: int = 0
    text: str = field(default="", compare=False)
    _known: list[int] = field(init=False, repr=False, compare=False, default_factory=list)
    """Starts, each the next one after the one before it; the first may be any time."""

    @property
    def code(self) -> int:
        """Hash of when runs are expected, without the grace period; never 0. A state remembers a rule by it."""
        return crc32(f"{self.interval_s} {self.cron} {self.zone}".encode()) or 1

    def next_after(self, at_s: int) -> tuple[int, int]:
        """The first usual start after a time, and when that run is due; (0, 0): none in the next 50 years.

        Args:
            at_s: epoch seconds, as both numbers of the result.

        >>> expectation("weekdays 02:00 Europe/Berlin grace 20m").next_after(1_767_225_600)  # Thursday, 2026-01-01
        (1767229200, 1767230400)
        """
        usual_s = at_s + self.interval_s if self.interval_s else self._start_after(at_s)
        return (usual_s, usual_s + self.grace_s) if usual_s else (0, 0)

    def next_after_run(self, start_s: int) -> tuple[int, int]:
        """As `next_after` of a run that started then; one that starts a little early is the run expected next.

        A little is at most 15 minutes and a quarter of the gap to the start after it.
        """
        usual_s, due_s = self.next_after(start_s)
        if self.interval_s or usual_s - start_s > _EARLY_S or not usual_s:
            return usual_s, due_s
        following = self.next_after(usual_s)
        is_early = following[0] == 0 or 4 * (usual_s - start_s) <= following[0] - usual_s
        return following if is_early else (usual_s, due_s)

    def _start_after(self, at_s: int) -> int:
        known = self._known
        if not known or not known[0] <= at_s < known[-1] + _DAY:
            known[:] = [at_s]
        if known[-1] <= at_s:
            from cronsim import CronSim

            for start in CronSim(self.cron, datetime.fromtimestamp(known[-1], _zone(self.zone))):
                found_s = int(start.timestamp())
                if found_s > known[-1]:  # the hour that comes twice has its runs the first time
                    known.append(found_s)
                if found_s > at_s:
                    break
            else:
                return 0
            del known[:-_MOST_KNOWN]
        return known[bisect_right(known, at_s)]


OFF: Final = Expectation(text="off")
"""No run is expected of a workflow, whatever was learned."""


class ExpectRule(NamedTuple):
    """Of workflows whose id, or whose label `label`, matches `pattern`, runs are expected as `expectation` has them."""

    label: str
    pattern: str
    expectation: Expectation

    @property
    def workflow_id(self) -> str:
        """The one workflow that the rule names; empty where it has a label or a pattern that others could match."""
        return "" if self.label or self.expectation is OFF or set(self.pattern) & set("*?[") else self.pattern


def max_duration_rules(text: str) -> tuple[MaxDurationRule, ...]:
    """The rules of MAX_DURATION_RULES, the first that matches holds. Raises `ValueError`.

    >>> max_duration_rules("nightly-* -> 90 min, team=core -> off")[0]
    MaxDurationRule(label='', pattern='nightly-*', limit_s=5400.0)
    """
    return tuple(MaxDurationRule(*rule) for rule in _rules(text, _limit_s, _MAX_DURATION_FORM))


def expect_rules(text: str) -> tuple[ExpectRule, ...]:
    """The rules of EXPECT_RULES, the first that matches holds. Raises `ValueError`.

    >>> [rule.pattern for rule in expect_rules("a -> every 24h, b -> 0 2,14 * * 1-5 Europe/Berlin, c -> off")]
    ['a', 'b', 'c']
    """
    return tuple(ExpectRule(*rule) for rule in _rules(text, expectation, _EXPECT_FORM))


def _rules(text: str, read: Callable[[str], _V], form: str) -> Iterable[tuple[str, str, _V]]:
    """(label, pattern, value) of each rule. A part without an arrow belongs to the cron expression before it."""
    parts: list[str] = []
    for part in text.split(","):
        if parts and "->" not in part and "->" in parts[-1] and part.strip():
            parts[-1] += "," + part
        else:
            parts.append(part)
    for part in filter(None, map(str.strip, parts)):
        pattern, arrow, value = (word.strip() for word in part.rpartition("->"))
        label, equals, matched = (word.strip() for word in pattern.partition("="))
        if not arrow or not pattern or not value or "->" in pattern or (equals and not (label and matched)):
            raise ValueError(f"{form}; {part!r} is not")
        try:
            yield label if equals else "", matched if equals else pattern, read(value)
        except ValueError as error:
            raise ValueError(f"{part!r}: {error}") from None


def _limit_s(text: str) -> float:
    return 0.0 if text.lower() == "off" else float(_duration_s(text, 1, _LONGEST_S, "a limit"))


def expectation(text: str) -> Expectation:
    """What one rule expects; `OFF` itself for `off`. Raises `ValueError`.

    >>> expectation("every 24h").next_after(1_000_000)
    (1086400, 1095040)
    """
    if text.lower() == "off":
        return OFF
    starts, has_grace, grace = re.sub(r"\s+", " ", text).partition(" grace ")
    grace_s = _duration_s(grace, 0, _LONGEST_S, "a grace period") if has_grace else None
    words = starts.split(" ")
    if words[0].lower() == "every":
        interval_s = _duration_s(" ".join(words[1:]), _MINUTE, _LONGEST_INTERVAL_S, "an interval")
        return Expectation(interval_s, grace_s=interval_s // 10 if grace_s is None else grace_s, text=starts)
    cron, zone = _fields(words)
    found = Expectation(0, cron, _checked_zone(zone), _GRACE_S if grace_s is None else grace_s, starts)
    _check_cron(found)
    return found


def _duration_s(text: str, least_s: int, most_s: int, what: str) -> int:
    """Whole seconds of `90 min`, `24h` or `1h 30m`."""
    if not re.fullmatch(r"(?:\d{1,9}(?:\.\d{1,3})? ?[a-z]+ ?)+", text.lower()):
        raise ValueError(f"{text!r} is no duration; it has a number and a unit (s, min, h, d), for example 90 min")
    seconds = 0.0
    for number, unit in re.findall(r"([\d.]+) ?([a-z]+)", text.lower()):
        if unit not in _SECONDS:
            raise ValueError(f"{text!r} has an unknown unit {unit!r}; units are s, min, h, d and w")
        seconds += float(number) * _SECONDS[unit]
    if not least_s <= seconds <= most_s:
        raise ValueError(f"{what} is from {_shown(least_s)} to {_shown(most_s)}, not {text!r}")
    return round(seconds)


def _shown(seconds: int) -> str:
    if seconds >= _DAY:
        return f"{seconds // _DAY} d"
    return f"{seconds // _MINUTE} min" if seconds >= _MINUTE else f"{seconds} s"


def _fields(words: list[str]) -> tuple[str, str]:
    """The cron expression and the zone of `weekdays 02:00 Europe/Berlin` or of five fields and a zone."""
    days = _day_field(words[0].lower())
    if days is not None or re.fullmatch(r"\d+:\d+", words[0]):
        clock, *zone = words if days is None else words[1:] or [""]
        time = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", clock)
        if time is None or len(zone) > 1:
            wrong = f"{' '.join(zone)!r} is no time zone" if time else f"{clock!r} is no time of day"
            raise ValueError(f"{wrong}; after the days come a time and a zone, for example 02:00 Europe/Berlin")
        return f"{int(time[2])} {int(time[1])} * * {days or '*'}", (zone or ["UTC"])[0]
    if len(words) not in (5, 6):
        raise ValueError(
            f"{' '.join(words)!r} is no expectation; it is off, `every 24h`, `weekdays 02:00 Europe/Berlin`, or five"
            " fields of cron and a zone, such as `0 2 * * 1-5 Europe/Berlin`"
        )
    return " ".join(words[:5]).upper(), (words[5:] or ["UTC"])[0]


def _day_field(text: str) -> str | None:
    """The day of the week, for cron, of daily, weekdays, mon-fri or sat,sun; None if it is something else."""
    if text in _DAY_WORDS:
        return _DAY_WORDS[text]
    days: set[int] = set()
    for part in text.split(","):
        ends = [_DAYS.index(end[:3]) + 1 if _is_day(end) else 0 for end in part.split("-")]
        if not all(ends) or len(ends) > 2:
            return None
        days |= {(ends[0] - 1 + step) % 7 + 1 for step in range((ends[-1] - ends[0]) % 7 + 1)}
    ordered = sorted(days)
    is_range = len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1
    return f"{ordered[0]}-{ordered[-1]}" if is_range else ",".join(map(str, ordered))


def _is_day(word: str) -> bool:
    return re.fullmatch(r"(mon|tue(s)?|wed(nes)?|thu(rs)?|fri|sat(ur)?|sun)(days?)?", word) is not None


def _zone(name: str) -> tzinfo:
    """zoneinfo reads its search path when it is imported: only where a rule needs it."""
    if name.upper() == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def _checked_zone(name: str) -> str:
    try:
        _zone(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError; `Europe` is a folder
        from zoneinfo import available_timezones

        near = get_close_matches(name, available_timezones(), 1)
        hint = f" (is {near[0]} meant?)" if near else ""
        raise ValueError(f"{name!r} is no time zone; it is a name such as Europe/Berlin or UTC{hint}") from None
    return "UTC" if name.upper() == "UTC" else name


def _check_cron(found: Expectation) -> None:
    from cronsim import CronSimError

    try:
        comes = found.next_after(1_767_225_600)[0]
    except CronSimError as error:
        raise ValueError(f"{found.cron!r} is no cron expression: {str(error)[:1].lower()}{str(error)[1:]}") from None
    if not comes:
        raise ValueError(f"{found.cron!r} is a time that never comes")

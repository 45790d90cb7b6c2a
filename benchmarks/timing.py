"""Missed and hanging runs: how many are found, and how often an alarm is false.

    python -m benchmarks.timing [--data FOLDER] [--keys N] [--json]

Made histories have a known schedule and known misses; real ones have none, so every alarm there is false. The last
line of stdout is JSON.
"""

import csv
import math
import random
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks import injected
from benchmarks.command import note, parser_of, report
from benchmarks.hangs import still_running
from stream_detector.detect.statistics.schedule.schedule import Schedule

ZONES = tuple(map(ZoneInfo, ("UTC", "Europe/Berlin", "America/New_York")))
JITTER_MEDIAN_S = 40.0
JITTER_SIGMA = math.log(720 / 40) / 2.3263
TAKEN_OUT, LATE, BY_HAND, TWICE = 0.02, 0.03, 0.10, 0.02
RUN_SIGMA = 0.25
POLL_S = 3600
_FIRST = date(2024, 1, 1)


@dataclass(frozen=True)
class Kind:
    """A form of schedule: the usual gap and run time in seconds, and for how many months it is made."""

    name: str
    gap_s: int
    run_s: float
    months: int = 12
    often: bool = False


KINDS = (
    Kind("nightly", 86_400, 1200),
    Kind("weekdays", 86_400, 1200),
    Kind("hours_15", 900, 120, often=True),
    Kind("four_a_day", 21_600, 600, often=True),
    Kind("weekly", 7 * 86_400, 3600, 30),
    Kind("monthly", 30 * 86_400, 7200, 30),
    Kind("five_minutes", 300, 30, often=True),
)


@dataclass
class Slot:
    """A planned start; `start_s` 0 where it was taken out."""

    at_s: int
    start_s: float = 0.0


@dataclass
class Made:
    """One key: its slots, and its runs as (arrival, start, end) in the order of arrival."""

    slots: list[Slot]
    runs: list[tuple[float, float, float]]
    extra: list[float] = field(default_factory=list)
    polled: bool = False
    starts: list[float] = field(default_factory=list)
    planned: list[int] = field(default_factory=list)


def planned(kind: Kind, rng: random.Random) -> Iterator[int]:
    """The planned starts of one key, epoch s; moved by an hour once."""
    zone = ZONES[rng.randrange(len(ZONES))]
    days = int(kind.months * 30.44)
    moved_on, by = rng.randrange(days // 4, days * 3 // 4), rng.choice((-1, 1))
    hour, minute = rng.randrange(2, 22), rng.choice((0, 0, 15, 30, rng.randrange(60)))
    weekday, in_month = rng.randrange(7), rng.randrange(1, 29)
    for number in range(days):
        day = _FIRST + timedelta(number)
        shift = by if number >= moved_on else 0
        base = datetime(day.year, day.month, day.day, tzinfo=zone)
        match kind.name:
            case "weekdays":
                times = [(hour, minute)] if day.weekday() < 5 else []
            case "weekly":
                times = [(hour, minute)] if day.weekday() == weekday else []
            case "monthly":
                times = [(hour, minute)] if day.day == in_month else []
            case "four_a_day":
                times = [(at, minute) for at in (1, 7, 13, 19)]
            case "hours_15":
                times = (
                    [(at, quarter) for at in range(9, 18) for quarter in (0, 15, 30, 45)] if day.weekday() < 5 else []
                )
            case "five_minutes":
                times = [(at, five) for at in range(24) for five in range(0, 60, 5)]
                shift = 0
            case _:
                times = [(hour, minute)]
        for at, minutes in times:
            yield int(base.replace(hour=(at + shift) % 24, minute=minutes).timestamp())


def made(kind: Kind, seed: int) -> Made:
    """One key of a kind."""
    rng = random.Random(f"{kind.name}/{seed}")
    slots = [Slot(at) for at in sorted(set(planned(kind, rng)))]
    starts: list[float] = []
    extra: list[float] = []
    for slot in slots:
        if rng.random() < TAKEN_OUT:
            continue
        slot.start_s = slot.at_s + JITTER_MEDIAN_S * math.exp(rng.gauss(0, JITTER_SIGMA))
        if rng.random() < LATE:
            slot.start_s = slot.at_s + rng.uniform(600, 3600)
        starts.append(slot.start_s)
        if rng.random() < TWICE:
            extra.append(slot.start_s + rng.uniform(2, 60))
    extra += [rng.uniform(slots[0].at_s, slots[-1].at_s) for _ in range(int(BY_HAND * len(slots)))]
    polled = seed % 2 == 1
    runs = []
    late_s = JITTER_MEDIAN_S + max(kind.gap_s / 10, 900)
    stand_ins = extra + [slot.start_s for slot in slots if slot.start_s > slot.at_s + late_s]
    for start in starts + extra:
        end = start + kind.run_s * math.exp(rng.gauss(0, RUN_SIGMA))
        runs.append(((end // POLL_S + 1) * POLL_S if polled else end + 2, start, end))
    runs.sort()
    return Made(slots, runs, sorted(stand_ins), polled)


@dataclass
class Count:
    """What became of the due runs of a kind."""

    due: int = 0
    gone: int = 0
    found: int = 0
    late_found: int = 0
    stood_in: int = 0
    false: int = 0
    retired: int = 0
    keys: int = 0
    delays: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """The shares."""
        return {
            "keys": self.keys,
            "due": self.due,
            "taken_out": self.gone,
            "stood_in": self.stood_in,
            "found": round(self.found / self.gone, 4) if self.gone else None,
            "told_late": self.late_found,
            "false_per_1000": round(1000 * self.false / self.due, 3) if self.due else None,
            "retired": self.retired,
        }


def judge(kind: Kind, key: Made, count: Count, trace: bool = False) -> None:
    """Let the schedule see the runs of one key; count what it tells."""
    schedule = Schedule()
    told: list[tuple[int, int]] = []
    for arrival, start, end in key.runs:
        for missed in schedule.due(int(arrival)):
            told.append((missed.usual_s, missed.due_s))
        schedule.note(int(start), end - start, arrival - end)
    end_s = key.slots[-1].at_s
    last = schedule.due(int(end_s + 40 * 86_400 + 10 * kind.gap_s))
    over_s = end_s + min(kind.gap_s // 2, 3600)  # what is usual after it is that of no planned run
    told += [(one.usual_s, one.due_s) for one in last if one.usual_s <= over_s]
    retired = sum(one.usual_s > over_s for one in last)
    count.keys += 1
    count.retired += 2 <= retired <= 3
    _count(kind, key, told, count, trace)


def _count(kind: Kind, key: Made, told: list[tuple[int, int]], count: Count, trace: bool) -> None:
    tolerance = max(kind.gap_s / 10, 900)
    allowance = kind.run_s * math.exp(2.3263 * RUN_SIGMA) + (POLL_S if key.polled else 2)
    known_from = key.runs[9][0]
    key.starts = sorted(start for _, start, _ in key.runs)
    key.planned = [slot.at_s for slot in key.slots]
    if kind.often:
        known_from = max(known_from, key.slots[0].at_s + 8 * 86_400)
    free = sorted(told)
    open_slots = []
    for slot in key.slots:
        limit = slot.at_s + JITTER_MEDIAN_S + tolerance
        if slot.start_s and slot.start_s <= limit:
            count.due += slot.at_s >= known_from
        else:
            open_slots.append(slot)
    matched: dict[int, tuple[int, int]] = {}
    for within in (kind.gap_s / 2 if kind.gap_s <= tolerance else tolerance, tolerance):
        for slot in open_slots:
            if slot.at_s in matched:
                continue
            limit = slot.at_s + JITTER_MEDIAN_S + tolerance + allowance
            place = bisect_left(free, (int(slot.at_s - within), 0))
            near = [one for one in free[place : place + 8] if abs(one[0] - slot.at_s) <= within]
            match = min(near, key=lambda one: (one[1] > limit, abs(one[0] - slot.at_s)), default=None)
            if match is not None:
                matched[slot.at_s] = match
                free.remove(match)
    for slot in open_slots:
        if slot.start_s or slot.at_s < known_from:
            continue
        limit = slot.at_s + JITTER_MEDIAN_S + tolerance + allowance
        match = matched.get(slot.at_s)
        if (match is None or match[1] > limit) and _has_stand_in(key, slot.at_s, tolerance):
            count.stood_in += 1
            continue
        count.due += 1
        count.gone += 1
        if match is not None and match[1] <= limit:
            count.found += 1
        elif match is not None:
            count.late_found += 1
            count.delays.append(match[1] - limit)
            if trace:
                print("late", kind.name, datetime.fromtimestamp(slot.at_s, UTC), match[1] - limit)
        elif trace:
            print("not found", kind.name, datetime.fromtimestamp(slot.at_s, UTC))
    count.false += len(free)
    if trace:
        for usual, due in free:
            print("false", kind.name, datetime.fromtimestamp(usual, UTC), datetime.fromtimestamp(due, UTC))


def _has_stand_in(key: Made, at_s: int, tolerance: float) -> bool:
    """Whether another run took the place of the one that was taken out: within its limit, or as many as were planned
    within that limit either way."""
    extra = bisect_left(key.extra, at_s)
    if extra < len(key.extra) and key.extra[extra] <= at_s + JITTER_MEDIAN_S + tolerance:
        return True
    begin, end = at_s - tolerance, at_s + tolerance
    began = bisect_left(key.starts, end) - bisect_left(key.starts, begin)
    return began >= bisect_left(key.planned, end) - bisect_left(key.planned, begin)


def missed_made(keys: int, kinds: Sequence[Kind] = KINDS, trace: bool = False, seed: int = 0) -> dict[str, Any]:
    """Each kind of made history."""
    figures, total = {}, Count()
    for kind in kinds:
        count, began = Count(), time.perf_counter()
        for number in range(keys):
            judge(kind, made(kind, seed + number), count, trace)
        figures[kind.name] = count.figures()
        note(f"{kind.name}: {figures[kind.name]} {time.perf_counter() - began:.1f} s {sorted(count.delays)[-5:]}")
        for name in ("due", "gone", "found", "late_found", "stood_in", "false", "retired", "keys"):
            setattr(total, name, getattr(total, name) + getattr(count, name))
    figures["all"] = total.figures()
    return figures


def irregular(folder: Path) -> dict[str, list[float]]:
    """Real histories without a schedule: name -> starts, epoch s."""
    found: dict[str, list[float]] = {}
    for path in injected.ci_files(folder):
        for environment, builds in injected.builds(path).items():
            found[f"{path.name.partition('.')[0]}/{environment}"] = [at for at, _ in builds]
    for path in sorted(folder.rglob("poll_averages.csv*")):
        with injected.opened(path) as file:
            days = {(row["run_id"], row["date"]) for row in csv.DictReader(file)}
        found["polls"] = [datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() for _, day in days]
    for starts in found.values():
        starts.sort()
    return found


def missed_irregular(folder: Path, trace: bool = False) -> dict[str, Any]:
    """Alarms in histories without a schedule, also of every 10th run (each of the ten)."""
    figures: dict[str, Any] = {}
    for name, starts in irregular(folder).items():
        for every in (1, 10):
            runs = false = 0
            for first in range(every):
                schedule = Schedule()
                for start in starts[first::every]:
                    for one in schedule.due(int(start)):
                        false += 1
                        if trace:
                            print(
                                "false",
                                name,
                                every,
                                datetime.fromtimestamp(one.usual_s, UTC),
                                schedule.kind,
                                schedule.asked,
                                schedule.served,
                                schedule.times,
                            )
                    schedule.note(int(start), 0.0, 0.0)
                    runs += 1
            figures[f"{name} every {every}" if every > 1 else name] = {
                "runs": runs,
                "false": false,
                "per_1000": round(1000 * false / runs, 2),
            }
    return figures


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print the table, then one line of JSON."""
    parser = parser_of("timing", __doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of histories")
    parser.add_argument("--keys", type=int, default=50, help="keys a kind of made history")
    parser.add_argument("--seed", type=int, default=0, help="of the first key")
    parser.add_argument("--kinds", default="", help="only these kinds")
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args(given)
    kinds = [kind for kind in KINDS if not options.kinds or kind.name in options.kinds.split(",")]

    def figures() -> dict[str, Any]:
        result: dict[str, Any] = {"missed": missed_made(options.keys, kinds, options.trace, options.seed)}
        if options.data.is_dir():
            result["irregular"] = missed_irregular(options.data, options.trace)
            result["still_running"] = still_running(options.data)
        return result

    return report(figures)


if __name__ == "__main__":
    sys.exit(main())

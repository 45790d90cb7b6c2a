"""Anomalies put into real CI histories, and what a detector makes of them.

A key is one test of one environment with 300 runs or more and a median of 0.05 s or more. About every 90 runs, at
random, one run is made longer, or twenty in a row: by 3, 5, 8 (one run) or 1, 2, 3 (twenty) robust sigmas of
log(duration + 0.02), or times 1.5, 2, 3, 5 and 1.25, 1.5, 2. An injected run lasts at most a day. A hit is an alarm
within the injected runs; false is one elsewhere, but not within 10 runs (30 after a slow-down) after them; alarms
within 15 runs of a key are one. Bursts: 10 runs of which 60 % fail.
"""

import csv
import gzip
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TextIO

LEAST_RUNS, LEAST_MEDIAN_S = 300, 0.05
SPACING, LEARNED_FIRST = 90, 60
MERGED_RUNS = 15
_DAY_S = 86_400.0
_COLUMNS = {"environment", "build_id", "test_id", "ran_at", "duration_s", "failed"}


@dataclass(frozen=True)
class Run:
    """One run of a key."""

    at: datetime
    duration_s: float
    failed: bool


@dataclass(frozen=True)
class Injected:
    """Rows `start` to `end` (exclusive) were changed; alarms before `quiet_until` are nobody's fault."""

    start: int
    end: int
    quiet_until: int


@dataclass
class Lane:
    """The history of one key with its injections."""

    key: str
    runs: list[Run]
    injected: list[Injected] = field(default_factory=list)


def ci_files(folder: Path) -> Iterator[Path]:
    """The CI tables anywhere below a folder: those whose header names our columns."""
    for path in sorted([*folder.rglob("*.csv"), *folder.rglob("*.csv.gz")]):
        with opened(path) as file:
            if set(file.readline().strip().split(",")) >= _COLUMNS:
                yield path


def opened(path: Path) -> TextIO:
    """A table as text, packed or not."""
    return gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="")


def read(path: Path) -> dict[str, list[Run]]:
    """Each test's runs in the order of their times."""
    keys: dict[str, list[Run]] = defaultdict(list)
    with opened(path) as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["ran_at"])
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            keys[f"{row['environment']}/{row['test_id']}"].append(
                Run(at, float(row["duration_s"]), row["failed"] in ("1", "true", "True"))
            )
    for runs in keys.values():
        runs.sort(key=lambda run: run.at)
    return {key: runs for key, runs in keys.items() if len(runs) >= LEAST_RUNS}


def builds(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Of each environment when its builds began (epoch s), in order, and how long each took: as its tests together."""
    found: dict[str, dict[str, list[float]]] = defaultdict(dict)
    with opened(path) as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["ran_at"]).replace(tzinfo=UTC).timestamp()
            build = found[row["environment"]].setdefault(row["build_id"], [at, 0.0])
            build[0] = min(build[0], at)
            build[1] += float(row["duration_s"])
    return {name: sorted((at, took) for at, took in one.values()) for name, one in found.items()}


def with_durations(keys: dict[str, list[Run]], seed: int, *, multiplied: bool) -> list[Lane]:
    """Every key that qualifies, its injections drawn by `seed`."""
    rng = random.Random(seed)
    lanes = []
    for key, runs in keys.items():
        durations = [run.duration_s for run in runs]
        if median(durations) >= LEAST_MEDIAN_S:
            lanes.append(_longer(Lane(key, list(runs)), durations, rng, multiplied))
    return lanes


def _longer(lane: Lane, durations: Sequence[float], rng: random.Random, multiplied: bool) -> Lane:
    logs = [math.log(duration + 0.02) for duration in durations]
    middle = median(logs)
    sigma = max(0.05, 1.4826 * median(abs(x - middle) for x in logs))
    at = LEARNED_FIRST + rng.randrange(SPACING)
    while at + 50 < len(lane.runs):
        spike = rng.random() < 0.5
        if multiplied:
            factor = rng.choice([1.5, 2.0, 3.0, 5.0] if spike else [1.25, 1.5, 2.0])
            change: Callable[[float], float] = lambda d, f=factor: d * f  # noqa: E731
        else:
            shift = sigma * rng.choice([3.0, 5.0, 8.0] if spike else [1.0, 2.0, 3.0])
            change = lambda d, s=shift: (d + 0.02) * math.exp(s) - 0.02  # noqa: E731
        end = at + (1 if spike else 20)
        for row in range(at, end):
            run = lane.runs[row]
            lane.runs[row] = Run(run.at, min(change(run.duration_s), _DAY_S), run.failed)
        lane.injected.append(Injected(at, end, end + (10 if spike else 30)))
        at = lane.injected[-1].quiet_until + rng.randrange(SPACING // 2, SPACING * 3 // 2)
    return lane


def with_bursts(keys: dict[str, list[Run]], seed: int) -> list[Lane]:
    """Every key, with bursts of 10 runs that fail with a chance of 60 %."""
    rng = random.Random(seed)
    lanes = []
    for key, runs in keys.items():
        lane = Lane(key, list(runs))
        at = LEARNED_FIRST + rng.randrange(200)
        while at + 30 < len(runs):
            for row in range(at, at + 10):
                lane.runs[row] = Run(runs[row].at, runs[row].duration_s, rng.random() < 0.6)
            lane.injected.append(Injected(at, at + 10, at + 20))
            at += 20 + rng.randrange(100, 300)
        lanes.append(lane)
    return lanes


@dataclass
class Tally:
    """What became of one key's injections."""

    asked: int = 0
    found: int = 0
    false: int = 0
    runs: int = 0
    delays: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.asked + other.asked,
            self.found + other.found,
            self.false + other.false,
            self.runs + other.runs,
            self.delays + other.delays,
        )

    @property
    def precision(self) -> float:
        """Hits among hits and false alarms."""
        return self.found / max(1, self.found + self.false)

    @property
    def recall(self) -> float:
        """Injections that were found."""
        return self.found / max(1, self.asked)

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return 2 * self.precision * self.recall / max(1e-9, self.precision + self.recall)

    @property
    def per_1000(self) -> float:
        """False alarms per 1,000 runs."""
        return 1000 * self.false / max(1, self.runs)

    @property
    def delay(self) -> float:
        """Runs from the injection's first to its alarm, both counted."""
        return self.delays / max(1, self.found)


def tally(lane: Lane, alarms: Sequence[int]) -> Tally:
    """Judge the rows at which a detector raised an alarm."""
    result = Tally(asked=len(lane.injected), runs=len(lane.runs))
    hit: set[int] = set()
    last = -MERGED_RUNS - 1
    for row in alarms:
        owner = next((n for n, one in enumerate(lane.injected) if one.start <= row < one.quiet_until), None)
        if owner is None:
            if row - last > MERGED_RUNS:
                result.false += 1
                last = row
        elif row < lane.injected[owner].end and owner not in hit:
            hit.add(owner)
            result.delays += row - lane.injected[owner].start + 1
    result.found = len(hit)
    return result


def interval(tallies: Sequence[Tally], figure: Callable[[Tally], float], *, draws: int = 200) -> tuple[float, float]:
    """90 % of the bootstrap over keys: one tally a key, all seeds pooled."""
    rng = random.Random(0)
    figures = sorted(figure(sum(rng.choices(tallies, k=len(tallies)), Tally())) for _ in range(draws))
    return figures[round(draws * 0.05)], figures[round(draws * 0.95) - 1]

"""The Numenta Anomaly Benchmark, scored by its own published rules (Lavin and Ahmad 2015, arXiv:1510.03336).

A detector gives each row a score; one threshold for all files is chosen that is best for a profile of weights. In each
labelled window the earliest detection counts, more the earlier it is (a sigmoid from +1 at the window's left edge to 0
at its right one); a detection outside counts against, less just after a window; a window without detection costs its
full weight. The first 15 % of a file, 750 rows at most, are for learning and count nothing. 0 is the detector that says
nothing, 100 the perfect one.
"""

import csv
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PROFILES = {"standard": (1.0, 0.11, 1.0), "low_fp": (1.0, 0.22, 1.0), "low_fn": (1.0, 0.11, 2.0)}
"""Weights of a window found, of a false alarm, of a window missed."""
_PROBATION, _PROBATION_ROWS = 0.15, 5000


@dataclass(frozen=True)
class Series:
    """One file: times in epoch ms, values, and the row numbers of each window's first and last row."""

    name: str
    times_ms: list[int]
    values: list[float]
    windows: list[tuple[int, int]]

    @property
    def probation(self) -> int:
        """So many rows at the beginning count nothing."""
        return int(min(math.floor(_PROBATION * len(self.values)), _PROBATION * _PROBATION_ROWS))


def read(folder: Path) -> list[Series]:
    """Every series that `labels/combined_windows.json` names."""
    labels = json.loads((folder / "labels" / "combined_windows.json").read_text())
    return [_series(folder / name, name, windows) for name, windows in sorted(labels.items())]


def _series(path: Path, name: str, windows: Iterable[Sequence[str]]) -> Series:
    with path.open(newline="") as file:
        rows = [(row["timestamp"], float(row["value"])) for row in csv.DictReader(file)]
    first: dict[str, int] = {}
    for number, (timestamp, _) in enumerate(rows):
        first.setdefault(timestamp, number)
    times = [round(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() * 1000) for at, _ in rows]
    edges = [(first[start.partition(".")[0]], first[end.partition(".")[0]]) for start, end in windows]
    return Series(name, times, [value for _, value in rows], edges)


def sigmoid(position: float) -> float:
    """+1 far before 0, 0 at 0, -1 from 3 on; positions are counted in window widths from the window's right edge."""
    return -1.0 if position > 3.0 else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


@dataclass(frozen=True)
class Point:
    """One row after probation: its detector's score, what a detection there is worth, and its window (-1 for none)."""

    score: float
    worth: float
    window: int


def points(series: Series, scores: Sequence[float], first_window: int) -> list[Point]:
    """Every row of a series that counts; windows are numbered from `first_window`."""
    found: list[Point] = []
    at, inside, previous = 0, False, None
    for row, score in enumerate(scores):
        if not inside and at < len(series.windows) and row == series.windows[at][0]:
            inside = True
        if inside:
            start, end = series.windows[at]
            worth, window = sigmoid(-(end - row + 1) / (end - start + 1)), first_window + at
        else:
            worth, window = _outside(row, previous), -1
        if row >= series.probation:
            found.append(Point(score, worth, window))
        if inside and row == series.windows[at][1]:
            previous, inside, at = series.windows[at], False, at + 1
    return found


def _outside(row: int, previous: tuple[int, int] | None) -> float:
    if previous is None:
        return -1.0
    start, end = previous
    return sigmoid((row - end) / (end - start)) if end > start else -1.0


def score(corpus: Sequence[Series], detections: Sequence[Sequence[float]]) -> dict[str, float]:
    """The three published figures for one detector, each at its best single threshold over all files."""
    every: list[Point] = []
    windows = 0
    for series, scores in zip(corpus, detections, strict=True):
        every += points(series, scores, windows)
        windows += len(series.windows)
    every.sort(key=lambda point: -point.score)
    # A window that lies whole in the probationary part cannot be found and is not asked for.
    asked = len({point.window for point in every if point.window >= 0})
    return {name: _swept(every, asked, *weights) for name, weights in PROFILES.items()}


def _swept(
    every: Sequence[Point], windows: int, found_weight: float, false_weight: float, missed_weight: float
) -> float:
    most = sigmoid(-1.0)
    best_of = dict.fromkeys((point.window for point in every if point.window >= 0), -missed_weight)
    nothing = -missed_weight * windows
    total = best = nothing
    for number, point in enumerate(every):
        if point.window < 0:
            total += point.worth * false_weight
        else:
            worth = point.worth * found_weight / most
            if worth > best_of[point.window]:
                total += worth - best_of[point.window]
                best_of[point.window] = worth
        last = number + 1 == len(every) or every[number + 1].score != point.score
        if last and total > best:
            best = total
    return 100.0 * (best - nothing) / (found_weight * windows - nothing) if windows else 0.0


def windowed_gaussian(values: Sequence[float]) -> list[float]:
    """NAB's own simple detector, to hold the scorer to its published figures: 1 - Q(z) over the last 6,400 rows."""
    scores, window, waiting = [], [], []  # type: ignore[var-annotated]
    total = squares = 0.0
    mean, spread = 0.0, 1.0
    for value in values:
        scores.append(1.0 - 0.5 * math.erfc(abs(value - mean) / spread / 1.4142) if window else 0.0)
        if len(window) < 6400:
            window.append(value)
            total, squares = total + value, squares + value * value
        else:
            waiting.append(value)
            if len(waiting) < 100:
                continue
            window, waiting = window[100:] + waiting, []
            total, squares = math.fsum(window), math.fsum(v * v for v in window)
        mean = total / len(window)
        variance = squares / len(window) - mean * mean
        spread = math.sqrt(variance) if variance > 1e-18 else 1e-6
    return scores


def detect(corpus: Sequence[Series], scorer: Callable[[Series], list[float]]) -> list[list[float]]:
    """Each series through a scorer of its own."""
    return [scorer(series) for series in corpus]

"""Executions that hang, put into real histories: how many are reported, when, and how many that did end are.

Starts and ends of each series go through `step`, the clock's questions through `due_running`, as in a detector. About
every 90th execution never ends by itself: it is cancelled after 200 times the usual time. Each other one that is
reported while it runs is a false alarm. The histories have durations down to 0.05 s, and due times are whole seconds:
all durations are `SCALE` times longer here.
"""

import random
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks import injected
from benchmarks.command import note, parser_of, report
from stream_detector.detect import Config, WorkflowBaseline, running, step
from stream_detector.events import Anomaly, Completion, Start

SCALE = 3000.0
HANGS, WARM = 90, 30
"""About one in so many hangs, after so many executions."""
_HANGS_FOR = 200.0
_RECENT = 100
_CONFIG = Config()
Series = list[tuple[float, float]]
"""Start (epoch s) and duration (s) of executions, in order."""


class Counted(NamedTuple):
    """Of one series: executions that ended, how many of them were reported, hangs, and at how many times the usual
    time those that were found were reported; and the same false reports and times of a limit of twice the longest of
    the last 100 executions, thrice the usual at least."""

    runs: int
    false: int
    hangs: int
    found_at: list[float]
    plain_false: int
    plain_at: list[float]


def durations(folder: Path) -> dict[str, list[Series]]:
    """Real run times: tests of 300 runs or more with a median of 0.05 s or more, and the builds."""
    found: dict[str, list[Series]] = {}
    for path in injected.ci_files(folder):
        name = path.name.partition(".")[0]
        for runs in injected.read(path).values():
            times = [(run.at.timestamp(), run.duration_s) for run in runs if run.duration_s > 0]
            if len(runs) >= injected.LEAST_RUNS and median(run.duration_s for run in runs) >= injected.LEAST_MEDIAN_S:
                found.setdefault(name, []).append(times)
        if name in found:  # else the table has no durations
            builds = injected.builds(path).values()
            found[f"{name}, builds"] = [[(at, took) for at, took in one if took > 0] for one in builds]
    return found


def count(series: Series, rng: random.Random) -> Counted:
    """Let one series run, one execution after the other, as far apart as they were, at least."""
    baseline = WorkflowBaseline("workflow:w")
    false = plain_false = hangs = runs = 0
    found_at: list[float] = []
    plain_at: list[float] = []
    last: list[float] = []
    free_from = 0.0
    for number, (at, took_s) in enumerate(series):
        duration_s = took_s * SCALE
        begin_s = max(at, free_from)
        usual_s = median(last[-_RECENT:]) if last else duration_s
        is_hang = number >= WARM and rng.randrange(HANGS) == 0
        lasts_s = _HANGS_FOR * usual_s if is_hang else duration_s
        begun, ended = _instant(begin_s), _instant(begin_s + lasts_s)
        name, free_from = f"x{number}", begin_s + lasts_s + 1.0
        found: list[Anomaly] = []
        start = Start(state="started", execution_id=name, workflow_id="w", started_at=begun)
        status = "cancellation" if is_hang else "success"
        end = Completion(execution_id=name, workflow_id="w", status=status, started_at=begun, finished_at=ended)  # type: ignore[arg-type]
        for event, own in ((start, begun), (end, ended)):
            found += step(baseline, event, _CONFIG, int(own.timestamp() * 1000)).anomalies
            found += running.due_running(baseline, int(own.timestamp() * 1000))
        opened = [one for one in found if one.detector == "still_running" and one.state == "opened"]
        if is_hang:
            hangs += 1
            found_at += [one.metrics.current_value / usual_s for one in opened[:1]]
            continue
        if number >= WARM:
            runs += 1
            false += len(opened)
            plain_s = max(2 * max(last[-_RECENT:]), 3 * usual_s)
            plain_false += duration_s > plain_s
            plain_at.append(plain_s / usual_s)
        last.append(duration_s)
    return Counted(runs, false, hangs, found_at, plain_false, plain_at)


def _instant(at_s: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at_s)


def still_running(folder: Path) -> dict[str, Any]:
    """The figures of each history: false alarms in 1,000, hangs found, and at how many times the usual time."""
    figures: dict[str, Any] = {}
    for name, group in durations(folder).items():
        rng = random.Random(name)
        counted = [count(series, rng) for series in group]
        runs, hangs = sum(one.runs for one in counted), sum(one.hangs for one in counted)
        found_at = [ratio for one in counted for ratio in one.found_at]
        plain_at = [ratio for one in counted for ratio in one.plain_at]
        figures[name] = {
            "runs": runs,
            "false_per_1000": round(1000 * sum(one.false for one in counted) / runs, 2),
            "hangs": hangs,
            "found": round(len(found_at) / hangs, 4),
            "found_at_times_the_usual": round(median(found_at), 2),
            "twice_the_longest": [
                round(1000 * sum(one.plain_false for one in counted) / runs, 2),
                round(median(plain_at), 2),
            ],
        }
        note(f"still running, {name}: {figures[name]}")
    return figures


def main(given: Sequence[str] | None = None) -> int:
    """Measure, then one line of JSON."""
    parser = parser_of("hangs", __doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of histories")
    options = parser.parse_args(given)
    return report(lambda: {"still_running": still_running(options.data)})


if __name__ == "__main__":
    sys.exit(main())

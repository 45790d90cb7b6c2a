"""Detection quality on real histories: both profiles, every gate, one table.

    python -m benchmarks.quality [--data FOLDER] [--json] [--peers] [--seeds N]

Reads any folder with CI tables (environment, build_id, test_id, ran_at, duration_s, failed), score tables (run_id,
date, entity_name, score) and a copy of NAB (labels/combined_windows.json). The last line of stdout is JSON.
"""

import csv
import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks import injected, nab
from benchmarks.command import note, parser_of, report
from stream_detector.composition import detection_config
from stream_detector.detect import Baseline, step
from stream_detector.detect.statistics.series import Series
from stream_detector.events import Anomaly, Completion, Score
from stream_detector.events.anomaly_types import SEVERITIES, TYPES
from stream_detector.settings import Settings

PROFILES = ("classic", "robust")
DURATION_TYPES = frozenset(name for name, entry in TYPES.items() if entry.is_timing)
FAILURE_TYPES = frozenset({"SpikeInFailures"})
_POLLS = {"run_id", "date", "entity_name", "score"}
_SENT_FROM = SEVERITIES.index("warning")


def main(given: Sequence[str] | None = None) -> int:
    """Run every part whose data is there and print the table, then one line of JSON."""
    parser = parser_of("quality", __doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of histories")
    parser.add_argument("--seeds", type=int, default=5, help="injections are drawn so often and pooled")
    parser.add_argument("--peers", action="store_true", help="river's detectors beside ours; takes minutes more")
    options = parser.parse_args(given)
    if not options.data.is_dir():
        parser.error(f"{options.data} is no folder")

    def figures() -> dict[str, Any]:
        result = measure(options.data, seeds=options.seeds, peers=options.peers, tell=note)
        if not options.json:
            print(json.dumps(result, indent=1))
        return result

    return report(figures)


def measure(folder: Path, *, seeds: int, peers: bool, tell: Callable[[str], None]) -> dict[str, Any]:
    """Every figure that the folder's data allows."""
    result: dict[str, Any] = {"multiplied": {}, "bursts": {}}
    tables = list(injected.ci_files(folder))
    for path in tables:
        name, keys = path.name.partition(".")[0], injected.read(path)
        result[name] = durations(keys, seeds, multiplied=False, peers=peers)
        tell(f"{name}: {_short(result[name])}")
        result["multiplied"][name] = durations(keys, seeds, multiplied=True, peers=peers)
        tell(f"{name}, multiplied: {_short(result['multiplied'][name])}")
        result["bursts"][name] = bursts(keys, seeds)
        tell(f"{name}, bursts: {result['bursts'][name]}")
    for labels in sorted(folder.rglob("combined_windows.json")):
        corpus = nab.read(labels.parent.parent)
        result["nab"] = {
            name: round(value, 1) for name, value in nab.score(corpus, [surprises(s) for s in corpus]).items()
        }
        tell(f"NAB: {result['nab']}")
        if peers:
            from benchmarks.quality_peers import nab_peers

            result["nab"]["peers"] = nab_peers(corpus)
    if polls := [path for path in sorted(folder.rglob("*.csv*")) if _header(path) >= _POLLS]:
        result["scores"] = scores(polls, rounded=False)
        result["scores"]["rounded"] = scores(polls, rounded=True)
        tell(f"scores: {result['scores']}")
    if tables:
        result |= cost(injected.read(tables[0]))
        tell(f"cost {result['cost_us_per_event']} us an event, state {result['state_bytes_max']} bytes")
    return result


def _short(figures: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} F1 {one['f1']}, {one['false_alarms_per_1000']} false per 1,000" for name, one in figures.items()
    )


def completions(lane: injected.Lane, *, timed: bool, first: int = 0) -> list[Completion]:
    """One lane as events; without durations or without failures, so that one thing is measured at a time."""
    return [
        Completion(
            execution_id=str(number),
            workflow_id=lane.key,
            status="failure" if run.failed and not timed else "success",
            started_at=run.at,
            finished_at=run.at,
            duration_s=run.duration_s if timed else None,
        )
        for number, run in enumerate(lane.runs, first)
    ]


def alarms(events: Sequence[Completion], profile: str, types: frozenset[str]) -> list[int]:
    """The rows at which something would be sent by default: openings and rises, from `warning` on."""
    config, rows = detection_config(Settings(profile=profile)), []
    baseline = Baseline.new(f"workflow:{events[0].workflow_id}")
    told: dict[str, int] = {}
    for row, event in enumerate(events):
        found = step(baseline, event, config).anomalies
        if found and sum(_sent(one, told) for one in found if one.anomaly_type in types):
            rows.append(row)
    return rows


def _sent(anomaly: Anomaly, told: dict[str, int]) -> bool:
    rank = SEVERITIES.index(anomaly.severity)
    news = anomaly.state != "resolved" and rank > told.get(anomaly.incident_id, -1)
    if news:
        told[anomaly.incident_id] = rank
    return news and rank >= _SENT_FROM


def durations(keys: dict[str, list[injected.Run]], seeds: int, *, multiplied: bool, peers: bool) -> dict[str, Any]:
    """F1 and false alarms of each profile, all seeds pooled, with the interval over keys."""
    by_key: dict[str, dict[str, injected.Tally]] = {name: {} for name in PROFILES}
    for seed in range(seeds):
        for lane in injected.with_durations(keys, seed, multiplied=multiplied):
            events = completions(lane, timed=True)
            for name, tallies in by_key.items():
                judged = injected.tally(lane, alarms(events, name, DURATION_TYPES))
                tallies[lane.key] = tallies.get(lane.key, injected.Tally()) + judged
    result = {name: _figures(list(tallies.values())) for name, tallies in by_key.items()}
    if peers:
        from benchmarks.quality_peers import duration_peers

        lanes = injected.with_durations(keys, 0, multiplied=multiplied)
        result |= {name: _figures(tallies) for name, tallies in duration_peers(lanes).items()}
    return result


def _figures(tallies: Sequence[injected.Tally]) -> dict[str, Any]:
    whole = sum(tallies, injected.Tally())
    low, high = injected.interval(tallies, lambda one: one.f1)
    return {
        "f1": round(whole.f1, 3),
        "f1_interval": [round(low, 3), round(high, 3)],
        "false_alarms_per_1000": round(whole.per_1000, 2),
        "precision": round(whole.precision, 3),
        "recall": round(whole.recall, 3),
    }


def bursts(keys: dict[str, list[injected.Run]], seeds: int) -> dict[str, Any]:
    """Precision, recall and delay in runs of the failure spike: of `robust`, and of `classic` beside it."""
    totals = {name: injected.Tally() for name in PROFILES}
    for seed in range(seeds):
        for lane in injected.with_bursts(keys, seed):
            events = completions(lane, timed=False)
            for name in PROFILES:
                totals[name] += injected.tally(lane, alarms(events, name, FAILURE_TYPES))
    figures = {
        name: {"precision": round(one.precision, 3), "recall": round(one.recall, 3), "delay": round(one.delay, 2)}
        for name, one in totals.items()
    }
    return figures["robust"] | {"classic": figures["classic"]}


def surprises(series: nab.Series) -> list[float]:
    """NAB's series through the product's own level."""
    scorer = Series()
    return [scorer.score(value, at_ms) for value, at_ms in zip(series.values, series.times_ms, strict=True)]


def scores(paths: Sequence[Path], *, rounded: bool) -> dict[str, int]:
    """Score changes found, against those that the rule asks for: |score - previous| >= 0.5 within a cycle."""
    config = detection_config(Settings(profile="robust"))
    expected: set[tuple[str, str]] = set()
    found: set[tuple[str, str]] = set()
    for path in paths:
        last: dict[tuple[str, str], Decimal] = {}
        baselines: dict[str, Any] = {}
        for run_id, date, entity, text in _score_rows(path):
            value = Decimal(text).quantize(Decimal("0.1")) if rounded else Decimal(text)
            before = last.get((run_id[:4], entity))
            last[run_id[:4], entity] = value
            if before is not None and abs(value - before) >= Decimal("0.5"):
                expected.add((run_id, entity))
            event = Score(
                entity_id=f"{run_id[:4]} {entity}",
                entity_name=entity,
                score=value,
                scored_at=datetime.fromisoformat(date).replace(tzinfo=UTC),
                run_id=run_id,
            )
            baseline = baselines.setdefault(event.entity_id, None) or Baseline.new(f"score:{event.entity_id}")
            baselines[event.entity_id] = baseline
            if any(_sent(one, {}) for one in step(baseline, event, config).anomalies):
                found.add((run_id, entity))
    return {"expected": len(expected), "found": len(found & expected), "extra": len(found - expected)}


def _score_rows(path: Path) -> list[tuple[str, str, str, str]]:
    with injected.opened(path) as file:
        return [(row["run_id"], row["date"], row["entity_name"], row["score"]) for row in csv.DictReader(file)]


def _header(path: Path) -> set[str]:
    with injected.opened(path) as file:
        return set(file.readline().strip().split(","))


def cost(keys: dict[str, list[injected.Run]]) -> dict[str, float]:
    """CPU of `step` in profile `robust`, all detectors, the best of three passes; and the largest packed value.

    Events are made 1,000 at a time just before they are judged, as a worker has them, and that is not counted.
    """
    config = detection_config(Settings(profile="robust"))
    best, largest = float("inf"), 0
    for _ in range(3):
        spent, events = 0.0, 0
        for key, runs in keys.items():
            baseline = Baseline.new(f"workflow:{key}")
            for at in range(0, len(runs), 1000):
                chunk = completions(injected.Lane(key, runs[at : at + 1000]), timed=True, first=at)
                began = time.process_time()
                for event in chunk:
                    step(baseline, event, config)
                spent += time.process_time() - began
                events += len(chunk)
            largest = max(largest, len(baseline.pack()))
        best = min(best, spent / events)
    return {"cost_us_per_event": round(best * 1e6, 2), "state_bytes_max": largest}


if __name__ == "__main__":
    sys.exit(main())

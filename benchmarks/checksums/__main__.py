"""Checksums of everything that detection and the notifier's policy make of known histories: the same before and after.

    python -m benchmarks.checksums [--data FOLDER] [--parts ci,demo,made,runs,notifier] [--json] [--against FILE]

For a change that must change nothing. Save the last line of one run, and give it to a later one as `--against`.

Each history is judged by both profiles, by `mixed` (rules choose the profile) and by `switched` (`classic` first, from
the middle on `robust`) where events are made up, and in three ways:

kept      baselines, runs and rosters stay objects from the first event to the last (`Replayer`).
packed    each is bytes between two events. Must give what `kept` gives, bit for bit.
live      the detector's own `apply` on records in four partitions, with its changelog and checkpoints, and in the
          middle a new detector that recovers from the changelog and meets the last chunks again. Where every event
          lies on its owner's partition, alerts and packed baselines must be those of `kept`.

Histories: CI tables (each test by itself, and each build with its tests as steps), the demo's builds and scores, and
made-up workflows and score runs from a seed, which reach all seven types of anomalies, opened, ongoing and resolved.
Then the demo's and the made-up anomalies go through the notifier's policy on a fake clock, with channels that fail now
and then, and all that is rendered is summed up by channel.

A figure whose name ends in `_words` covers text for people too: description, investigation steps, explanations,
reasons, messages. The others do not, gates excepted. The notifier also gets everything with the `same words` in each
anomaly, where no figure ends in `_words`: there a difference is one of the notifier's own.

Exit code 1: two ways differ that must not, a type of anomalies did not occur, or a figure without `_words` is another
one than in `--against`. The last line on stdout is JSON.
"""

import argparse
import json
import logging
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import get_args
from unittest.mock import patch

from benchmarks import injected
from benchmarks.checksums.histories import HOUR_MS, History, Item, ci_items, config_of, demo_items
from benchmarks.checksums.live import Live
from benchmarks.checksums.made_runs import made_runs
from benchmarks.checksums.made_workflows import made_workflows
from benchmarks.checksums.notified import notified
from benchmarks.checksums.replays import Kept, Packed
from benchmarks.checksums.sums import WORDS, Figures, Found, WrongError, progress
from stream_detector.detect import Config
from stream_detector.detect.loading import load_detection
from stream_detector.events import Anomaly, AnomalyType, RunSummary, State

PARTS = ("ci", "demo", "made", "runs", "notifier")


def replayed(history: History, profile: str) -> tuple[dict[str, Figures], list[Anomaly | RunSummary]]:
    """What each way gives, and what was told in all. Raises `WrongError` where two ways differ that must not."""
    first, second = config_of(profile)
    kept, packed, live = Kept(first), Packed(first), Live(first)
    with patch("time.time", lambda: live.now_ms / 1000):
        said = _replay(history.items, second, kept, packed, live)
    found = {"kept": kept.figures(), "packed": packed.figures(), "live": live.figures()}
    del found["kept"]["explained_words"]
    _compare(f"{history.name}, {profile}", found, kept.told, live.told, lawful=history.lawful)
    return found, said


def _replay(items: list[Item], second: Config, kept: Kept, packed: Packed, live: Live) -> list[Anomaly | RunSummary]:
    said: list[Anomaly | RunSummary] = []
    for number, one in enumerate(items):
        if number == len(items) // 2:
            for way in (kept, packed, live):
                way.turn(second)
        said += kept.apply(one)
        packed.apply(one)
        live.apply(one)
    over_ms = items[-1].at_ms + HOUR_MS
    for ended in kept.end(over_ms):
        said += ended
    packed.end(over_ms)
    live.end(over_ms)
    return said


def _compare(where: str, found: dict[str, Figures], kept: Found, live: Found, *, lawful: bool) -> None:
    ours, others = found["kept"], found["packed"]
    wrong = [f"{name} of kept and packed" for name in ours if name != "count" and ours[name] != others[name]]
    if lawful and str(kept.alerts_unordered) != str(live.alerts_unordered):
        wrong.append("alerts of kept and live")
    if lawful and ours["baselines"] != found["live"]["baselines"]:
        wrong.append("baselines of kept and live")
    if wrong:
        raise WrongError(f"{where}: not the same: {', '.join(wrong)}")


def histories(folder: Path | None, parts: Sequence[str]) -> Iterator[History]:
    """Every history that is asked for and there."""
    if "ci" in parts and folder is not None:
        for path in injected.ci_files(folder):
            name = path.name.partition(".")[0]
            if name in ("retrofit", "dune_variants"):
                yield History(f"{name}, tests", ci_items(path, builds=False), real=True)
                yield History(f"{name}, builds", ci_items(path, builds=True), real=True)
    if "demo" in parts or "notifier" in parts:
        yield History("demo builds", demo_items("completion"))
        yield History("demo scores", demo_items("score", "score_run"))
    every = ("classic", "robust", "mixed", "switched")  # scores are judged alike by all
    if "made" in parts or "notifier" in parts:
        yield History("made workflows", made_workflows(), every, lawful=False)
    if "runs" in parts or "notifier" in parts:
        yield History("made score runs", made_runs(), lawful=False)


def measure(folder: Path | None, parts: Sequence[str]) -> tuple[dict[str, Figures], list[str]]:
    """All figures by their names, and what is wrong."""
    figures: dict[str, Figures] = {}
    wrong: list[str] = []
    said: dict[str, list[Anomaly | RunSummary]] = defaultdict(list)
    if "ci" in parts and folder is None:
        progress("ci: no folder of CI tables is there, so retrofit and Dune are left out; name it with --data")
    seen: Counter[str] = Counter()
    for history in histories(folder, parts):
        for profile in history.profiles:
            try:
                found, told = replayed(history, profile)
            except WrongError as error:
                wrong.append(str(error))
                progress(f"WRONG: {error}")
                continue
            figures |= {f"{history.name} | {profile} | {way}": one for way, one in found.items()}
            progress(f"{history.name}, {profile}: {len(history.items)} records, {found['kept']['count']}")
            if history.name.startswith("made"):
                seen.update({name: n for name, n in found["kept"]["count"].items() if " " in name})
            if not history.real:
                few = history.name.startswith("made")
                said[profile] += [one for one in told if not few or _is_chosen(one)]
    if seen or {"made", "runs"} <= {*parts}:
        wrong += _not_seen(seen, parts)
    if "notifier" in parts:
        for profile in ("robust", "classic"):
            try:
                found = notified(said[profile], whole=profile == "robust")
            except WrongError as error:
                wrong.append(str(error))
                continue
            figures |= {f"notifier | {profile} | {name}": one for name, one in found.items()}
    return figures, wrong


def _is_chosen(one: Anomaly | RunSummary) -> bool:
    """A third of the entities and runs that were made up, with all that is told of each; and every run of a kind."""
    name = one.entity_id if isinstance(one, Anomaly) else one.run_id
    if name.startswith("many-"):
        return len(name) < len("many-100")  # of 5,200 in one run a hundred are enough
    return name.startswith(("large", "kinds", "window~", "roster~")) or sha256(name.encode()).digest()[0] % 3 == 0


def _not_seen(seen: Counter[str], parts: Sequence[str]) -> list[str]:
    """Types and states that never occurred though the made-up events are there to reach them."""
    whole = {"made", "runs"} <= {*parts} or "notifier" in parts
    wanted = [f"{name} opened" for name in get_args(AnomalyType)] if whole else []
    lasting = ("SpikeInFailures", "ConsecutiveFailures", "UnusualExecutionTime", "PerformanceDegradation")
    if whole or "made" in parts:
        wanted += [f"{name} {state}" for name in (*lasting, "ResourceExhaustion") for state in get_args(State)]
    progress("seen in made-up events: " + ", ".join(f"{name} {seen[name]}" for name in sorted(seen)))
    return [f"no {name} occurred in the made-up events" for name in wanted if not seen[name]]


def differences(before: dict[str, Figures], now: dict[str, Figures]) -> tuple[list[str], list[str]]:
    """Figures that are others than before: what must be the same, and what covers words.

    Histories that one of both runs left out are not compared, and it says which.
    """
    real: list[str] = []
    worded: list[str] = []
    both = {name.split(" | ")[0] for name in before} & {name.split(" | ")[0] for name in now}
    names = before.keys() | now.keys()
    if left := sorted({name.split(" | ")[0] for name in names} - both):
        progress(f"not compared, since one run has not got them: {', '.join(left)}")
    for name in sorted(name for name in names if name.split(" | ")[0] in both):
        old, new = before.get(name), now.get(name)
        if old is None or new is None:
            real.append(f"{name}: only {'now' if old is None else 'before'}")
            continue
        for one in sorted(old.keys() | new.keys()):
            if old.get(one) != new.get(one):
                text = f"{name} | {one}: {old.get(one)} before, {new.get(one)} now"
                (worded if one.endswith(WORDS) else real).append(text)
    return real, worded


def lines(figures: dict[str, Figures]) -> Iterator[str]:
    """One line a sum, and one with the counts."""
    for name, found in figures.items():
        for one, value in found.items():
            shown = ", ".join(f"{what} {number}" for what, number in value.items()) if one == "count" else value
            yield f"{name} | {one}: {shown}"


def main(given: Sequence[str] | None = None) -> int:
    """Sum up and print. 0 all is as it must be, 1 something is not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checksums", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of CI tables (../shared/data/ci or /work/shared/data/ci)")
    parser.add_argument("--parts", default=",".join(PARTS), help="separated by commas")
    parser.add_argument("--against", type=Path, help="the output of an earlier run, to compare with")
    parser.add_argument("--json", action="store_true", help="only the JSON line on stdout")
    arguments = parser.parse_args(given)
    parts = arguments.parts.split(",")
    if unknown := {*parts} - {*PARTS}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if arguments.data is not None and not arguments.data.is_dir():
        parser.error(f"{arguments.data} is no folder")
    usual = (Path("../shared/data/ci"), Path("/work/shared/data/ci"))
    folder = arguments.data or next((path for path in usual if path.is_dir()), None)
    load_detection()
    ours = logging.getLogger("stream_detector")
    before, ours.disabled = ours.disabled, True  # the detector logs each event that it refuses
    try:
        figures, wrong = measure(folder, parts)
    finally:
        ours.disabled = before
    if not arguments.json:
        print("\n".join(lines(figures)))
    if arguments.against:
        before = json.loads(arguments.against.read_text("utf-8").splitlines()[-1])
        real, worded = differences(before, figures)
        for text in worded:
            progress(f"other words: {text}")
        for text in real:
            progress(f"DIFFERS: {text}")
        progress(f"{len(real)} figures differ, and {len(worded)} that cover words")
        wrong += real
    for text in wrong:
        progress(f"wrong: {text}")
    print(json.dumps(figures))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Events a second through one worker on one core, ours and its peers in turns, after checking what each found.

python -m benchmarks.throughput [--quick] [--kafka apache|embedded] [--systems ours_full,faust] [--events N]

The last line on stdout is one JSON object; everything else goes to stderr. Each run has a new broker, new topics and
a new worker; the worker has one core and the broker the others; the worker's start does not count.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from benchmarks import load, product, reference
from benchmarks.broker import new_broker, split_cores
from benchmarks.measure import Figures, WrongResultError, read_ids, run_peer
from benchmarks.orders import Orders
from benchmarks.peers import build
from stream_detector.settings import Settings
from stream_detector.stream.setup import make_topics
from stream_detector.stream.topics import ALERTS, COMPLETIONS

WHOLE = {"ours_full": "", "ours_robust": "robust"}
"""The product's detector, and the profile it runs with; the first has that of `--profile`."""
PEERS: dict[str, Callable[[], list[str]]] = {
    "ours_reference": lambda: [sys.executable, "-m", "benchmarks.peers.ours_reference", "worker"],
    "kafka_streams": lambda: ["java", *JVM, "-cp", build.kafka_streams_classpath(), "benchmarks.Reference"],
    "quix": lambda: [build.quix_python(), "-m", "benchmarks.peers.quix"],
    "faust": lambda: [sys.executable, "-m", "benchmarks.peers.naive_faust", "worker"],
    "aiokafka": lambda: [sys.executable, "-m", "benchmarks.peers.aiokafka_floor"],
}
"""Who does the reference job, and how it is started."""
JVM = ("-Xms512m", "-Xmx1g", "-XX:+UseSerialGC")
"""One core: a collector with threads of its own would take turns with the work."""
SYSTEMS = (*WHOLE, *PEERS)
COMPARED = ("ours_full", "ours_reference", "kafka_streams", "quix", "faust")
"""What runs unless `--systems` says otherwise."""
TIMEOUT_S = 300.0


class Contest:
    """What all runs share: how many events each system gets, and what each must find."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.keys, self.kafka, self.profile = arguments.keys, arguments.kafka, arguments.profile
        # The slow get fewer events, so that a run takes no longer than the others'; each event costs the same.
        few = {"faust": arguments.slow_events, "quix": arguments.slow_events * 3}
        self.events = {name: min(few.get(name, arguments.events), arguments.events) for name in SYSTEMS}
        self.jar_folder = Path(arguments.jars) if arguments.jars else None
        self.worker_cores, self.other_cores = split_cores()
        self._expected: dict[tuple[str, int], set[str]] = {}

    async def run(self, system: str) -> Figures:
        """One system, alone. Raises `WrongResultError` where it did not find exactly what it must."""
        events = self.events[system]
        with tempfile.TemporaryDirectory() as folder, self._broker(folder) as broker:
            alerts = await self._make_topics(system, broker)
            await load.publish(broker, COMPLETIONS, events, keys=self.keys)
            if system in WHOLE:
                options = {"profile": WHOLE[system] or self.profile, "cores": self.worker_cores, "timeout_s": TIMEOUT_S}
                figures = await product.run_detector(broker, "", events, log=Path(folder) / "detector.log", **options)
            else:
                orders = Orders(broker, COMPLETIONS, alerts, system, events, load.PARTITIONS, folder)
                figures = await run_peer(PEERS[system](), orders, cores=self.worker_cores, timeout_s=TIMEOUT_S)
            expected = self._expected_alerts(system, events)
            found = await read_ids(broker, alerts, len(expected))
        if found != expected:
            missing, extra = len(expected - found), len(found - expected)
            raise WrongResultError(f"{system}: of {len(expected)} alerts {missing} are missing, {extra} are too many")
        return replace(figures, alerts=len(found))

    def _broker(self, folder: str) -> AbstractContextManager[str]:
        return new_broker(self.kafka, Path(folder), jars=self.jar_folder, cores=self.other_cores)

    async def _make_topics(self, system: str, broker: str) -> str:
        """What the system needs; returns where its alerts go."""
        if system == "faust":
            await load.make_topics(broker, COMPLETIONS, ALERTS, compacted=(f"{system}-baselines-changelog",))
        elif system in PEERS and system != "ours_reference":
            await load.make_topics(broker, COMPLETIONS, ALERTS)
        else:
            await make_topics(Settings(broker=broker, partitions=load.PARTITIONS))
        return ALERTS

    def _expected_alerts(self, system: str, events: int) -> set[str]:
        job = (WHOLE[system] or self.profile) if system in WHOLE else ""
        if (job, events) not in self._expected:
            values = (value for _, value in load.events(events, keys=self.keys))
            found = product.expected_alerts(values, profile=job) if job else reference.expected_alerts(values)
            self._expected[job, events] = found
        return self._expected[job, events]


def spread(runs: list[Figures]) -> dict[str, float | int]:
    """Events a second: median, least and most; and the processor time of an event."""
    speeds = [run.events_per_s for run in runs]
    cpu_us = statistics.median(run.cpu_s / run.events * 1e6 for run in runs)
    return {
        "events_per_s": round(statistics.median(speeds)),
        "least": round(min(speeds)),
        "most": round(max(speeds)),
        "cpu_us_per_event": round(cpu_us, 2),
        "alerts": runs[0].alerts,
        "runs": len(runs),
    }


def ratio(runs: dict[str, list[Figures]], system: str, other: str) -> float:
    """Median over the rounds of how many times faster `system` was in the same round."""
    pairs = zip(runs[system], runs[other], strict=True)
    return round(statistics.median(ours.events_per_s / theirs.events_per_s for ours, theirs in pairs), 1)


def cpu_ratio(runs: dict[str, list[Figures]], system: str, other: str) -> float:
    """The same of processor time an event, which a busy machine blurs less."""
    pairs = zip(runs[system], runs[other], strict=True)
    ratios = [(theirs.cpu_s / theirs.events) / (ours.cpu_s / ours.events) for ours, theirs in pairs]
    return round(statistics.median(ratios), 1)


async def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """All rounds: in each, every system once."""
    contest = Contest(arguments)
    runs: dict[str, list[Figures]] = {system: [] for system in arguments.systems}
    for number in range(arguments.rounds):
        for system in arguments.systems:
            figures = await contest.run(system)
            runs[system].append(figures)
            _tell(f"round {number + 1}: {system:<15} {figures.events_per_s:>10,.0f} events/s, alerts as expected")
    answer: dict[str, object] = {system: round(spread(found)["events_per_s"]) for system, found in runs.items()}
    ours = "ours_reference", "ours_full", "ours_robust"
    for peer in ("kafka_streams", "quix", "faust"):
        for system, name in zip(ours, (f"ratio_{peer}", f"ratio_full_{peer}", f"ratio_robust_{peer}"), strict=True):
            if system in runs and peer in runs:
                answer[name] = ratio(runs, system, peer)
                answer[f"{name}_cpu"] = cpu_ratio(runs, system, peer)
    answer["spread"] = {system: spread(found) for system, found in runs.items()}
    conditions = {"kafka": arguments.kafka, "keys": arguments.keys, "event_bytes": load.EVENT_BYTES}
    answer["conditions"] = conditions | {"pinned": contest.worker_cores is not None, "profile": arguments.profile}
    return answer


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.throughput", description=__doc__.splitlines()[0])
    parser.add_argument("--systems", default=",".join(COMPARED), help="separated by commas, of: " + ", ".join(SYSTEMS))
    parser.add_argument("--events", type=int, help="events in a run (1,000,000; quick 200,000)")
    parser.add_argument(
        "--slow-events", type=int, help="events in a run of naive Faust, a third of Quix's (60,000; quick 15,000)"
    )
    parser.add_argument("--keys", type=int, default=10_000, help="workflows that the events are of")
    parser.add_argument("--rounds", type=int, help="how often each system runs (5; quick 1)")
    parser.add_argument("--kafka", choices=("apache", "embedded"), default="apache", help="the broker")
    parser.add_argument("--jars", help="folder of Kafka's jars; else the cache folder, filled by Maven")
    parser.add_argument("--profile", choices=("classic", "robust"), default="classic", help="ours: detection profile")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--json", action="store_true", help="accepted for scripts; the last line is JSON in any case")
    arguments = parser.parse_args(given)
    arguments.systems = arguments.systems.split(",")
    if unknown := set(arguments.systems) - set(SYSTEMS):
        parser.error(f"no such system: {', '.join(sorted(unknown))}")
    arguments.events = arguments.events or (200_000 if arguments.quick else 1_000_000)
    arguments.slow_events = arguments.slow_events or (15_000 if arguments.quick else 60_000)
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 5)
    return arguments


def main(given: list[str] | None = None) -> int:
    """Run and print. 0 measured, 1 a system's result was wrong or a peer cannot be built here."""
    try:
        answer = asyncio.run(measure(_arguments(given)))
    except build.BuildError as error:
        _tell(f"a peer is missing: {error}")
        return 1
    except WrongResultError as error:
        _tell(f"wrong result, so no figure: {error}")
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())

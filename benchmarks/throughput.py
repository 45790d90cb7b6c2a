"""Events a second through one worker on one core, ours and its peers in turns, after checking what each found.

python -m benchmarks.throughput [--quick] [--kafka apache|embedded] [--systems ours_full,faust] [--events N] [--keys K]

The last line on stdout is one JSON object; everything else goes to stderr. One broker serves all; each run has new
topics with the same events and a new worker; the worker has one core and the broker the others; the worker's start does
not count. In each round every system runs once, beginning with another one each time.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import history, load
from benchmarks.broker import new_broker, split_cores
from benchmarks.command import note, parser_of, report
from benchmarks.measure import Figures
from benchmarks.systems import SYSTEMS, run

QUICK = ("ours_reference", "ours_full", "kafka_streams", "quix", "faust")
COMPARED = (*QUICK, "ours_classic", "ours_full_steps", "aiokafka")
"""What runs unless `--systems` says otherwise."""
OURS = {"ours_reference": "ratio", "ours_full": "ratio_full", "ours_classic": "ratio_classic"}
"""Which of ours is compared with each peer, and under what name."""
EVENTS_A_KEY = 20
"""At least so many events has a workflow, also where a slow system gets few: with none judged there is no alert."""


class Contest:
    """What all runs share: how many events each system gets, and what each must find."""

    def __init__(self, arguments: argparse.Namespace, broker: str) -> None:
        self.broker, self._keys = broker, arguments.keys
        self.events = {
            # The slow get fewer events, so that a run takes no longer than the others'; each event costs the same.
            name: min(system.slow * arguments.slow_events or arguments.events, arguments.events)
            for name, system in SYSTEMS.items()
        }
        self._newest = datetime.now(UTC)
        self._expected: dict[tuple[str, load.Shape, int], list[str]] = {}

    def keys(self, name: str) -> int:
        """How many workflows the system's events are of."""
        return min(self._keys, self.events[name] // EVENTS_A_KEY)

    async def run(self, name: str, number: int) -> Figures:
        """One system, alone. Raises `WrongResultError` where it did not find exactly what it must."""
        system, keys, prefix = SYSTEMS[name], self.keys(name), f"r{number}-{name}-"
        values = list(load.events(self.events[name], keys=keys, shape=system.shape, newest=self._newest))
        job = system.profile, system.shape, len(values)
        if job not in self._expected:
            self._expected[job] = system.expected_alerts(values)
        return await run(name, self.broker, prefix, values, self._expected[job], keys=keys)


def spread(runs: list[Figures]) -> dict[str, float | int]:
    """Events a second: median, least and most; of the second half; and the processor time of an event."""
    speeds = [run.events_per_s for run in runs]
    return {
        "events_per_s": round(statistics.median(speeds)),
        "least": round(min(speeds)),
        "most": round(max(speeds)),
        "warm_events_per_s": round(statistics.median(run.warm_events_per_s for run in runs)),
        "cpu_us_per_event": round(statistics.median(run.cpu_us for run in runs), 2),
        "warm_cpu_us_per_event": round(statistics.median(run.warm_cpu_us for run in runs), 2),
        "events": runs[0].events,
        "alerts": runs[0].alerts,
        "runs": len(runs),
    }


def ratios(ours: list[Figures], theirs: list[Figures]) -> dict[str, float]:
    """How many times faster ours was in the same round, the median over the rounds.

    Of the whole run, of its second half (`_warm`), and of both in processor time an event (`_cpu`), which a busy
    machine blurs less.
    """
    pairs = list(zip(ours, theirs, strict=True))
    every = {
        "": [one.events_per_s / other.events_per_s for one, other in pairs],
        "_warm": [one.warm_events_per_s / other.warm_events_per_s for one, other in pairs],
        "_cpu": [other.cpu_us / one.cpu_us for one, other in pairs],
        "_warm_cpu": [other.warm_cpu_us / one.warm_cpu_us for one, other in pairs],
    }
    return {name: round(statistics.median(found), 2) for name, found in every.items()}


def compared(runs: dict[str, list[Figures]]) -> dict[str, float]:
    """Each of ours against each peer: `ratio_<peer>` the reference job, `ratio_full_<peer>` the whole detection."""
    answer: dict[str, float] = {}
    for ours, prefix in OURS.items():
        for peer in ("kafka_streams", "quix", "faust"):
            if ours in runs and peer in runs:
                found = ratios(runs[ours], runs[peer])
                answer |= {f"{prefix}_{peer}{name}": figure for name, figure in found.items()}
    # The plain ratios of the reference job first, then the rest.
    return dict(sorted(answer.items(), key=lambda item: item[0].removeprefix("ratio_") not in QUICK))


async def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """All rounds: in each, every system once."""
    runs: dict[str, list[Figures]] = {name: [] for name in arguments.systems}
    jars = Path(arguments.jars) if arguments.jars else None
    for name in arguments.systems:
        SYSTEMS[name].command()  # built before anything is measured
    _, other_cores = split_cores()
    with (
        tempfile.TemporaryDirectory() as folder,
        new_broker(arguments.kafka, Path(folder), jars=jars, cores=other_cores) as broker,
    ):
        contest = Contest(arguments, broker)
        for number in range(arguments.rounds):
            first = number % len(arguments.systems)
            for name in arguments.systems[first:] + arguments.systems[:first]:
                figures = await contest.run(name, number + 1)
                runs[name].append(figures)
                speeds = f"{figures.events_per_s:>10,.0f} events/s, second half {figures.warm_events_per_s:>10,.0f}"
                note(f"round {number + 1}: {name:<18} {speeds}, {figures.cpu_us:6.2f} us, {figures.alerts} alerts")
    answer: dict[str, object] = {name: round(spread(found)["events_per_s"]) for name, found in runs.items()}
    answer |= compared(runs)
    answer["spread"] = {name: spread(found) for name, found in runs.items()}
    conditions = {"kafka": arguments.kafka, "keys": arguments.keys, "history": history.EXECUTIONS}
    answer["conditions"] = conditions | {"pinned": split_cores()[0] is not None}
    return answer


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = parser_of("throughput", __doc__, kafka="apache")
    parser.add_argument("--systems", help="separated by commas, of: " + ", ".join(SYSTEMS))
    parser.add_argument("--events", type=int, help="events in a run (1,000,000; quick 150,000)")
    parser.add_argument(
        "--slow-events", type=int, help="events in a run of naive Faust, a third of Quix's (60,000; quick 8,000)"
    )
    parser.add_argument("--keys", type=int, default=10_000, help="workflows that the events are of")
    parser.add_argument("--rounds", type=int, help="how often each system runs (5; quick 1)")
    parser.add_argument("--quick", action="store_true", help="one short round")
    arguments = parser.parse_args(given)
    arguments.systems = (
        arguments.systems.split(",") if arguments.systems else [*(QUICK if arguments.quick else COMPARED)]
    )
    if unknown := set(arguments.systems) - set(SYSTEMS):
        parser.error(f"no such system: {', '.join(sorted(unknown))}")
    arguments.events = arguments.events or (150_000 if arguments.quick else 1_000_000)
    arguments.slow_events = arguments.slow_events or (8_000 if arguments.quick else 60_000)
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 5)
    return arguments


def main(given: list[str] | None = None) -> int:
    """Run and print. 0 measured, 1 a system's result was wrong or a peer cannot be built here."""
    arguments = _arguments(given)
    return report(lambda: asyncio.run(measure(arguments)))


if __name__ == "__main__":
    sys.exit(main())

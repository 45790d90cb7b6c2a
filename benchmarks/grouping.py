"""How many messages people get of real CI histories: each anomaly by itself, and told together.

    python -m benchmarks.grouping [--data FOLDER] [--profiles robust,classic] [--group-by step,build,*] [--draw N]

Every test of every environment is a workflow (labels: environment, build); what detection finds goes through the
notifier's policy on the clock of the data, to one channel without a rate limit. Counted are messages: of openings,
where one tells at least one opening, and in all, with rises and ends. The last line of stdout is JSON; `fewer` is how
many times fewer messages there are together than alone, `fewer_openings_by_build` what the openings would come to if
each build were one message. A message that is lost or told twice gives no figure.
"""

import argparse
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import injected
from benchmarks.command import parser_of, report
from benchmarks.measure import WrongResultError
from stream_detector.composition import detection_config
from stream_detector.detect.replay import Replayer
from stream_detector.devstack.demo import demo_events
from stream_detector.events import Anomaly, Completion
from stream_detector.events.decode import decode_completion
from stream_detector.events.files import read_history
from stream_detector.events.label_counts import LabelCounts
from stream_detector.kafka.topics import COMPLETIONS
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.forecast import Forecast
from stream_detector.notify.message import Message
from stream_detector.notify.shared_facets import GROUP_BY
from stream_detector.settings import Settings

UNLIMITED = 10**9
DEMO_ENDS = datetime(2026, 11, 30, tzinfo=UTC)


@dataclass
class Told:
    """What one route made of one history, or of several."""

    messages: int = 0
    openings: int = 0
    """Messages that tell at least one opening."""
    opened: int = 0
    """Openings that were told."""
    lone: int = 0
    """Openings that were told by themselves: nothing opened with them."""

    def __add__(self, other: "Told") -> "Told":
        return Told(*(getattr(self, name) + getattr(other, name) for name in asdict(self)))


Found = tuple[Anomaly, LabelCounts | None]
"""An anomaly, and how common its labels were among all executions when it was found."""


def found_in(events: Iterable[Any], profile: str) -> list[Found]:
    """Every anomaly of these events, in the order in which a live detector would have found it."""
    replayer = Replayer(detection_config(Settings(profile=profile)))
    found = [
        (anomaly, replayer.label_counts(anomaly)) for event in events for anomaly in replayer.apply(event).anomalies
    ]
    return sorted(found, key=lambda one: one[0].detected_at)


def events_of(path: Path) -> Iterator[Any]:
    """The executions of a CI table, each test a workflow."""
    history = read_history(path, record_ms=int(time.time() * 1000), builds=False)
    return (line.event for line in history if line.event is not None)


def demo_completions() -> list[Completion]:
    """The executions of the demo."""
    decoded = (decode_completion(one.value, (), -1) for one in demo_events(DEMO_ENDS) if one.topic == COMPLETIONS)
    return list(decoded)


def tell(found_anomalies: Sequence[Found], route: Route) -> Told:
    """Count what this route sends. Raises `WrongResultError` where an anomaly was lost or sent twice."""
    forecast = Forecast(NotifyConfig(routes=(route,)))
    for anomaly, counts in found_anomalies:
        forecast.accept(anomaly, anomaly.detected_at.timestamp(), counts)
    forecast.finish()
    anomalies = [anomaly for anomaly, _ in found_anomalies]
    states, told = {one.id: one.state for one in anomalies}, Told()
    for _, outcomes in forecast.messages:
        opened = sum(states.get(one.anomaly_id or "") == "opened" for one in outcomes)
        told += Told(messages=1, openings=opened > 0, opened=opened, lone=opened == 1)
    found: dict[str, list[str]] = {one.id: [] for one in anomalies}
    for one in forecast.outcomes:
        if one.anomaly_id:
            found[one.anomaly_id].append(one.outcome)
    lost = [name for name, outcomes in found.items() if not set(outcomes) & {"delivered", "suppressed"}]
    twice = [name for name, outcomes in found.items() if outcomes.count("delivered") > 1]
    if lost or twice:
        raise WrongResultError(f"{len(lost)} anomalies were told nobody without a reason, {len(twice)} twice")
    return told


def figures(alone: Told, together: Told, builds: int) -> dict[str, Any]:
    """Both counts, how many times fewer messages there are together, and how many if each build were one message."""
    return {
        "alone": asdict(alone),
        "together": asdict(together),
        "fewer": round(alone.messages / together.messages, 2),
        "fewer_openings": round(alone.openings / together.openings, 2),
        "fewer_openings_by_build": round(alone.opened / builds, 2),
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every CI table below the folder, with every profile."""
    alone = Route(name="alone", rate_limit_count=UNLIMITED)
    together = replace(
        alone,
        name="together",
        group_by=tuple(arguments.group_by.split(",")),
        group_wait_s=arguments.wait,
        group_interval_s=arguments.interval,
    )
    result: dict[str, Any] = {}
    for profile in arguments.profiles.split(","):
        sums, all_builds = (Told(), Told()), 0
        for path in injected.ci_files(arguments.data):
            anomalies = found_in(events_of(path), profile)
            both = tell(anomalies, alone), tell(anomalies, together)
            sums = sums[0] + both[0], sums[1] + both[1]
            name = f"{path.name.partition('.')[0]}, {profile}"
            builds = len(
                {one.labels["build"] for one, _ in anomalies if one.state == "opened" and one.severity != "info"}
            )
            all_builds += builds
            result[name] = figures(*both, builds)
            print(f"{name}: {result[name]}", file=sys.stderr, flush=True)
        result[f"all, {profile}"] = figures(*sums, all_builds)
    return result


def draw(arguments: argparse.Namespace) -> dict[str, Any]:
    """Groups of retrofit and of the demo, drawn at random, as people would read them; then what there is to judge by.

    Whoever judges asks of each: does the heading name what a person who saw all of that hour would call the cause?
    """
    route = Route(
        name="together",
        rate_limit_count=UNLIMITED,
        group_by=tuple(arguments.group_by.split(",")),
        group_wait_s=arguments.wait,
        group_interval_s=arguments.interval,
    )
    groups: list[tuple[str, Message]] = []
    every: dict[str, list[Any]] = {}
    for path in injected.ci_files(arguments.data):
        if path.name.startswith("retrofit"):
            every["retrofit"] = list(events_of(path))
    every["demo"] = demo_completions()
    for profile in arguments.profiles.split(","):
        for name, events in every.items():
            groups += [(f"{name}, {profile}", one) for one in opening_groups(found_in(events, profile), route)]
    hours: dict[str, Counter[str]] = {name: Counter() for name in every}
    for name, events in every.items():
        hours[name].update(f"{event.finished_at:%Y-%m-%d %H}" for event in events)
    drawn = random.Random(arguments.seed).sample(groups, min(arguments.draw, len(groups)))
    for number, (name, message) in enumerate(drawn, 1):
        since = message.text.rpartition("Since ")[2][:13] or message.text.rpartition("Detected: ")[2][:13]
        ran = hours[name.partition(",")[0]][since]
        print(f"==== {number}: {name}; {ran} executions in the hour {since}\n{message.text}\n", file=sys.stderr)
    headings = Counter(re.sub(r"[\d,]+", "n", one.text.splitlines()[0]) for _, one in groups)
    return {"groups": len(groups), "drawn": len(drawn), "headings": dict(headings.most_common(12))}


def opening_groups(found: Sequence[Found], route: Route) -> list[Message]:
    """The first messages of several executions that opened together."""
    forecast = Forecast(NotifyConfig(channels={"apprise": True}, routes=(route,)))
    for anomaly, counts in found:
        forecast.accept(anomaly, anomaly.detected_at.timestamp(), counts)
    forecast.finish()
    return [one for one in forecast.sent if one.state == "group" and one.text.count("•") > 1 and "together" in one.text]


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print. 0 measured, 1 a result was wrong."""
    parser = parser_of("grouping", __doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ci"), help="folder of CI tables")
    parser.add_argument("--profiles", default="robust,classic")
    parser.add_argument("--group-by", default=",".join(GROUP_BY), help="as in a route")
    parser.add_argument("--wait", type=float, default=30.0, help="group_wait_s")
    parser.add_argument("--interval", type=float, default=300.0, help="group_interval_s")
    parser.add_argument("--draw", type=int, default=0, metavar="N", help="print N groups instead, drawn at random")
    parser.add_argument("--seed", type=int, default=16)
    arguments = parser.parse_args(given)
    if not arguments.data.is_dir():
        parser.error(f"{arguments.data} is no folder")
    return report(lambda: (draw if arguments.draw else measure)(arguments))


if __name__ == "__main__":
    sys.exit(main())

"""How many messages people get of real CI histories: each anomaly by itself, and told together.

    python -m benchmarks.grouping [--data FOLDER] [--profiles robust,classic] [--group-by step,build,*]

Every test of every environment is a workflow (labels: environment, build); what detection finds goes through the
notifier's policy on the clock of the data, to one channel without a rate limit. Counted are messages: of openings,
where one tells at least one opening, and in all, with rises and ends. The last line of stdout is JSON; `fewer` is how
many times fewer messages there are together than alone, `fewer_openings_by_build` what the openings would come to if
each build were one message. A message that is lost or told twice gives no figure.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import injected
from benchmarks.command import parser_of, report
from benchmarks.measure import WrongResultError
from stream_detector.composition import detection_config
from stream_detector.detect.replay import Replayer
from stream_detector.events import Anomaly
from stream_detector.events.files import read_history
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.forecast import Forecast
from stream_detector.notify.shared_facets import GROUP_BY
from stream_detector.settings import Settings

UNLIMITED = 10**9


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


def found_in(path: Path, profile: str) -> list[Anomaly]:
    """Every anomaly of a CI table, in the order in which a live detector would have said it."""
    fold = Replayer(detection_config(Settings(profile=profile)))
    history = read_history(path, record_ms=int(time.time() * 1000), builds=False)
    events = (line.event for line in history if line.event is not None)
    anomalies = [one for event in events for one in fold.apply(event).anomalies]  # type: ignore[arg-type]
    return sorted(anomalies, key=lambda one: one.detected_at)


def tell(anomalies: Sequence[Anomaly], route: Route) -> Told:
    """Count what this route sends. Raises `WrongResultError` where an anomaly was lost or sent twice."""
    forecast = Forecast(NotifyConfig(routes=(route,)))
    for anomaly in anomalies:
        forecast.accept(anomaly, anomaly.detected_at.timestamp())
    forecast.finish()
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
            anomalies = found_in(path, profile)
            both = tell(anomalies, alone), tell(anomalies, together)
            sums = sums[0] + both[0], sums[1] + both[1]
            name = f"{path.name.partition('.')[0]}, {profile}"
            builds = len({one.labels["build"] for one in anomalies if one.state == "opened" and one.severity != "info"})
            all_builds += builds
            result[name] = figures(*both, builds)
            print(f"{name}: {result[name]}", file=sys.stderr, flush=True)
        result[f"all, {profile}"] = figures(*sums, all_builds)
    return result


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print. 0 measured, 1 a result was wrong."""
    parser = parser_of("grouping", __doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ci"), help="folder of CI tables")
    parser.add_argument("--profiles", default="robust,classic")
    parser.add_argument("--group-by", default=",".join(GROUP_BY), help="as in a route")
    parser.add_argument("--wait", type=float, default=30.0, help="group_wait_s")
    parser.add_argument("--interval", type=float, default=300.0, help="group_interval_s")
    arguments = parser.parse_args(given)
    if not arguments.data.is_dir():
        parser.error(f"{arguments.data} is no folder")
    return report(lambda: measure(arguments))


if __name__ == "__main__":
    sys.exit(main())

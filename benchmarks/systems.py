"""The compared systems: how the worker of each is started, what it needs on the broker, what it must find."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks import history, load, reference
from benchmarks.broker import split_cores
from benchmarks.measure import Figures, check_alerts, run_peer
from benchmarks.orders import Orders
from benchmarks.peers import build
from stream_detector.kafka import create_topics
from stream_detector.kafka.topics import ALERTS, COMPLETIONS
from stream_detector.settings import Settings

Values = list[tuple[str, bytes]]
"""Workflow id and value of each event."""

JVM = ("-Xms512m", "-Xmx1g", "-XX:+UseSerialGC")
"""One core: a collector with threads of its own would take turns with the work."""


@dataclass(frozen=True)
class System:
    """One compared system."""

    command: Callable[[], list[str]]
    profile: str = ""
    """Of the whole detection; empty means the reference job."""
    shape: load.Shape = load.PLAIN
    slow: int = 0
    """In `throughput` it gets so many times the events of the slowest; 0 means all."""

    def kinds(self) -> tuple[bytes, ...] | None:
        """What the whole detection knows at the start; None for the reference job, which starts with nothing."""
        return history.learned(self.profile, self.shape) if self.profile else None

    def expected_alerts(self, values: Values) -> list[str]:
        """The ids of the alerts that it must emit, sorted."""
        if self.profile:
            return sorted(history.expected_alerts(iter(values), profile=self.profile, kinds=self.kinds()))
        return sorted(reference.expected_alerts(value for _, value in values))


def _python(module: str, *arguments: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-m", f"benchmarks.peers.{module}", *arguments]


def _whole(profile: str, shape: load.Shape = load.PLAIN) -> System:
    return System(_python("ours_full", profile), profile, shape)


def _java(*options: str) -> Callable[[], list[str]]:
    return lambda: ["java", *JVM, *options, "-cp", build.kafka_streams_classpath(), "benchmarks.Reference"]


SYSTEMS = {
    "ours_reference": System(_python("ours_reference", "worker")),
    "ours_full": _whole("robust"),
    "ours_classic": _whole("classic"),
    "ours_full_steps": _whole("robust", load.DETAILED),
    "ours_classic_steps": _whole("classic", load.DETAILED),
    "kafka_streams": System(_java()),
    "quix": System(lambda: [build.quix_python(), "-m", "benchmarks.peers.quix"], slow=3),
    "faust": System(_python("naive_faust", "worker"), slow=1),
    "aiokafka": System(_python("aiokafka_floor")),
}


async def run(
    name: str, broker: str, prefix: str, values: Values, expected: list[str], *, keys: int, timeout_s: float = 600.0
) -> Figures:
    """One system alone on the worker's core, in new topics, which are gone afterwards.

    Raises `WrongResultError` where it did not find exactly the `expected` alerts.
    """
    orders = await prepare(name, broker, prefix, keys=keys, events=len(values))
    await load.publish(broker, orders.source, values)
    figures = await run_peer(SYSTEMS[name].command(), orders, cores=split_cores()[0], timeout_s=timeout_s)
    alerts = await check_alerts(orders, expected)
    await load.delete_topics(broker, prefix)
    return replace(figures, alerts=alerts)


async def prepare(name: str, broker: str, prefix: str, *, keys: int, events: int) -> Orders:
    """New topics for one run of a system, with the history of its workflows; returns its orders."""
    system, group = SYSTEMS[name], prefix + name
    orders = Orders(broker, prefix, prefix + COMPLETIONS, prefix + ALERTS, group, events, load.PARTITIONS, "")
    if name.startswith("ours"):
        await create_topics.make_topics(Settings(broker=broker, topic_prefix=prefix, partitions=load.PARTITIONS))
    else:
        changelogs = (f"{group}-baselines-changelog",) if name == "faust" else ()
        await load.make_topics(broker, orders.source, orders.alerts, compacted=changelogs)
    if kinds := system.kinds():
        await history.write(broker, prefix, keys, kinds)
    return orders

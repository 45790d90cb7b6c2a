"""The notifier end to end: an event to its Slack request, 10,000 anomalies at once, and what it holds in memory.

    python -m benchmarks.notifier [--parts latency,burst,memory] [--kafka embedded|apache]

Detector and notifier run as a user starts them, before a real broker, a Slack-shaped server and a mail server.

latency: the third failure of a workflow, from when it was meant to be sent to when Slack has the request, without a
wait for others.
burst: 10,000 workflows fail for the third time at once. On two routes with a limit of five messages each route and
channel gets five and one digest of the rest; on the settings' own route they share an image and are told together.
Detection is timed with and without a notifier, on a core of its own.
memory: 10,000 incidents open and end again and again; resident memory after each time.

What was told must be right, else there is no figure and the exit code is 1. The last line on stdout is JSON.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks import load, product
from benchmarks.broker import new_broker, split_cores
from benchmarks.command import parser_of, report
from benchmarks.latency import percentile
from benchmarks.measure import WrongResultError
from stream_detector.devstack.owned import Owned, start_owned
from stream_detector.devstack.ports import free_port
from stream_detector.events.encode import encode
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.end_offsets import EndOffsets, total_lag
from stream_detector.kafka.topics import ALERTS, COMPLETIONS
from stream_detector.settings import Settings, environ_of
from tests.events_made import anomaly
from tests.servers.slack import SlackServer
from tests.servers.smtp import MailServer

MANY = 10_000
LIMIT = 5
PATIENCE_S = 120.0
SLACK_IN_10_S = 10
"""Slack takes one message a second to a channel, and short bursts above it (docs.slack.dev, rate limits)."""
ROUTES = """
[[route]]
name = "even"
match = { workflow = "even-*" }
group_by = []
rate_limit = { count = 5, window_s = 3600 }

[[route]]
name = "odd"
match = { workflow = "odd-*" }
group_by = []
rate_limit = { count = 5, window_s = 3600 }
"""


class TimedSlack(SlackServer):
    """Slack, and when it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    async def _post(self, request: web.Request) -> web.Response:
        self.times.append(time.time())
        return await super()._post(request)

    @property
    def most_in_10_s(self) -> int:
        """The most requests within any ten seconds."""
        return max((sum(at <= other < at + 10 for other in self.times) for at in self.times), default=0)


@dataclass
class Scene:
    """Broker, providers and folder of one part."""

    broker: str
    folder: Path
    slack: TimedSlack
    mail: MailServer
    roles: list[Owned] = field(default_factory=list)

    def settings(self, prefix: str, **changes: Any) -> Settings:
        values = {
            "slack_webhook_url": self.slack.url,
            "smtp_url": self.mail.url,
            "email_from": "a@example.org",
            "email_to": "b@example.org",
            "session_timeout_s": 6.0,
            "log_level": "warning",
        }
        return Settings(broker=self.broker, topic_prefix=prefix, partitions=load.PARTITIONS, **(values | changes))

    @contextlib.asynccontextmanager
    async def notifier(self, settings: Settings) -> AsyncIterator[Owned]:
        """A running notifier, ended afterwards."""
        port = free_port()
        environ = environ_of(settings) | {"STREAM_DETECTOR_METRICS_PORT": str(port)}
        command = [sys.executable, "-m", "stream_detector", "notifier"]
        role = start_owned("the notifier", command, log_path=self.folder / "notifier.log", environ=environ)
        try:
            await until(lambda: product.scrape(port, "readyz"), "the notifier to be ready", role)
            yield role
        finally:
            role.stop()


async def until(done: Callable[[], Any], what: str, *roles: Owned) -> None:
    """Return once `done` says so. Raises `WrongResultError` when patience or a role ends."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        found = done()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        if dead := next((role for role in roles if not role.alive()), None):
            raise WrongResultError(f"{dead.name} ended: {dead.last_lines(5)}")
        if time.monotonic() > deadline_s:
            raise WrongResultError(f"waited {PATIENCE_S:.0f} s for {what}")
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def scene(arguments: argparse.Namespace) -> AsyncIterator[Scene]:
    """A new broker and providers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with new_broker(arguments.kafka, folder / "kafka", jars=None, cores=split_cores()[1]) as broker:
            slack, mail = TimedSlack(), MailServer(folder=folder)
            await slack.start()
            await mail.start()
            try:
                yield Scene(broker, folder, slack, mail)
            finally:
                await slack.stop()
                await mail.stop()


def failures(names: list[str], number: int, **labels: str) -> Iterator[tuple[str, bytes]]:
    """The `number`-th failure of each of these workflows."""
    end = datetime.now(UTC).replace(microsecond=0)
    for name in names:
        value = {
            "execution_id": f"{name}/{number}",
            "workflow_id": name,
            "status": "failure",
            "started_at": (end - timedelta(seconds=60)).isoformat(),
            "finished_at": end.isoformat(),
            "labels": labels,
        }
        yield name, json.dumps(value).encode()


@contextlib.asynccontextmanager
async def alerts(broker: str, prefix: str) -> AsyncIterator[dict[str, float]]:
    """Execution -> when its first alert arrived, filled meanwhile."""
    seen: dict[str, float] = {}
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, fetch_max_wait_ms=100)
    await consumer.start()
    consumer.assign([TopicPartition(prefix + ALERTS, number) for number in range(load.PARTITIONS)])
    await consumer.seek_to_end()
    receiving = asyncio.create_task(_note(consumer, seen))
    try:
        yield seen
    finally:
        receiving.cancel()
        await consumer.stop()


async def _note(consumer: AIOKafkaConsumer, seen: dict[str, float]) -> None:
    async for record in consumer:
        alert = json.loads(record.value)
        seen.setdefault(alert.get("execution_id", alert["id"]), time.time())


async def measure_latency(on: Scene, arguments: argparse.Namespace) -> dict[str, Any]:
    """From the event to Slack's having the request, one after the other at a steady rate."""
    prefix = "latency."
    alone = {"group_by": "none", "group_wait_s": 0.0, "group_interval_s": 0.0}
    settings = on.settings(prefix, rate_limit_count=100_000, smtp_url="", email_from="", email_to="", **alone)
    await make_topics(settings)
    names = [f"wf-{number:05}" for number in range(round(arguments.rate * arguments.seconds))]
    for number in (1, 2):
        await load.publish(on.broker, prefix + COMPLETIONS, failures(names, number))
    async with detecting(on, prefix, 2 * len(names)), on.notifier(settings) as notifier:
        intended: list[float] = []
        began = time.time() + 0.2
        async with AIOKafkaProducer(bootstrap_servers=on.broker, acks="all") as producer:
            for number, (name, value) in enumerate(failures(names, 3)):
                intended.append(began + number / arguments.rate)
                await asyncio.sleep(max(0.0, intended[-1] - time.time()))
                await producer.send(prefix + COMPLETIONS, value, key=name.encode(), partition=load.partition_of(name))
        await until(lambda: len(on.slack.accepted) >= len(names), "every message", notifier)
    arrived: dict[str, float] = {}
    for at, payload in zip(on.slack.times, on.slack.accepted, strict=True):
        arrived.setdefault(re.search(r"wf-\d{5}", payload["text"])[0], at)  # type: ignore[index]
    if set(arrived) != set(names) or len(on.slack.accepted) != len(names):
        raise WrongResultError(f"{len(on.slack.accepted)} messages about {len(arrived)} of {len(names)} workflows")
    took_ms = sorted((arrived[name] - at) * 1000 for name, at in zip(names, intended, strict=True))
    return {f"p{share * 100:g}_ms": round(percentile(took_ms, share), 1) for share in (0.5, 0.99)} | {
        "max_ms": round(took_ms[-1], 1),
        "messages": len(names),
    }


@contextlib.asynccontextmanager
async def detecting(on: Scene, prefix: str, applied: int) -> AsyncIterator[product.Detector]:
    """A running detector that has applied so many events."""
    options = {"profile": "classic", "cores": split_cores()[0], "timeout_s": 4 * PATIENCE_S}
    async with product.started(on.broker, prefix, log=on.folder / "detector.log", **options) as detector:  # type: ignore[arg-type]
        await detector.applied(applied)
        yield detector


@dataclass
class Burst:
    """What one took from its first event on, in s."""

    detected_s: float
    """Until the last alert was on `alerts`."""
    cpu_s: float
    """Of the detector, until then."""
    told_s: float
    """Until people had what they were to have."""
    notifier_cpu_s: float
    """Of the notifier, until then."""


async def one_burst(
    on: Scene, settings: Settings, names: list[str], enough: Callable[[], bool] | None, **labels: str
) -> Burst:
    """Every workflow fails for the third time at once; with a notifier where there is something to wait for."""
    prefix = settings.topic_prefix
    await make_topics(settings)
    for number in (1, 2):
        await load.publish(on.broker, prefix + COMPLETIONS, failures(names, number, **labels))
    async with contextlib.AsyncExitStack() as stack:
        detector = await stack.enter_async_context(detecting(on, prefix, 2 * len(names)))
        roles = [await stack.enter_async_context(on.notifier(settings))] if enough else []
        seen = await stack.enter_async_context(alerts(on.broker, prefix))
        _, before_s = await detector.counters()
        began = time.time()
        await load.publish(on.broker, prefix + COMPLETIONS, failures(names, 3, **labels))
        cpu_s = await detector.applied(3 * len(names)) - before_s
        told_s = notifier_cpu_s = 0.0
        if enough:
            idle_s = _cpu_s(roles[0].pid)
            await until(enough, "the messages", *roles)
            told_s, notifier_cpu_s = time.time() - began, _cpu_s(roles[0].pid) - idle_s
        await until(lambda: len(seen) >= len(names), "every alert", *roles)
    return Burst(max(seen.values()) - began, cpu_s, told_s, notifier_cpu_s)


async def measure_burst(on: Scene, arguments: argparse.Namespace) -> dict[str, Any]:
    """10,000 at once: what detection takes with and without a notifier, and what people get when."""
    count, slack, mail = arguments.anomalies, on.slack, on.mail
    names = [f"{('even', 'odd')[number % 2]}-{number:05}" for number in range(count)]
    without = await one_burst(on, on.settings("without."), names, None)
    routes = on.folder / "routes.toml"
    routes.write_text(ROUTES)
    most = 2 * (LIMIT + 1)
    with_routes = on.settings("routes.", routes_file=str(routes))
    limited = await one_burst(on, with_routes, names, lambda: len(slack.accepted) >= most and len(mail.mails) >= most)
    held = f"{count // 2 - LIMIT:,} messages were held back"
    for channel, texts in (("Slack", _texts(slack)), ("mail", [str(one["Subject"]) for one in mail.mails])):
        if len(texts) != most or sum(held in text for text in texts) != 2:
            raise WrongResultError(f"{channel} got {len(texts)} messages, wanted {most} and in two of them: {held}")
    most_in_10_s = slack.most_in_10_s
    if most_in_10_s > SLACK_IN_10_S * 2:
        raise WrongResultError(f"Slack got {most_in_10_s} requests in ten seconds")
    slack.accepted.clear()
    slack.times.clear()
    shared = f"{count:,} anomalies with build=9"
    together = await one_burst(
        on, on.settings("together."), names, lambda: shared in " ".join(_texts(slack)), build="9"
    )
    return {
        "digests_s": round(limited.told_s, 2),
        "digests_cpu_s": round(limited.notifier_cpu_s, 2),
        "slack_most_in_10_s": most_in_10_s,
        "together_first_s": round(slack.times[0] - (slack.times[-1] - together.told_s), 2),
        "together_messages": len(slack.accepted),
        "together_cpu_s": round(together.notifier_cpu_s, 2),
        "detection_ratio": round(limited.detected_s / without.detected_s, 2),
        "detection_cpu_ratio": round(limited.cpu_s / without.cpu_s, 2),
        "detected_s": round(limited.detected_s, 2),
    }


def _texts(slack: SlackServer) -> list[str]:
    return [payload["text"] for payload in slack.accepted]


async def measure_memory(on: Scene, arguments: argparse.Namespace) -> dict[str, Any]:
    """10,000 incidents open and end, again and again, each time others of the same workflows."""
    settings = on.settings("memory.")
    await make_topics(settings)
    sizes: list[int] = []
    async with on.notifier(settings) as notifier, EndOffsets(settings) as ends:

        async def rested() -> bool:
            return not total_lag(await ends.lags(), "notifier")

        await until(rested, "the notifier to rest", notifier)
        sizes.append(notifier.memory_bytes())
        for cycle in range(arguments.cycles):
            for state in ("opened", "resolved"):
                await load.publish(on.broker, "memory." + ALERTS, _incidents(arguments.anomalies, cycle, state))
                await until(rested, f"the notifier to take what {state}", notifier)
            sizes.append(notifier.memory_bytes())
            print(f"cycle {cycle + 1}: {sizes[-1] / 2**20:.0f} MB", file=sys.stderr, flush=True)
        peak_mb = _peak_mb(notifier.pid)
    return {
        "start_mb": round(sizes[0] / 2**20, 1),
        "after_mb": [round(size / 2**20, 1) for size in sizes[1:]],
        "peak_mb": peak_mb,
        "last_to_second": round(sizes[-1] / sizes[min(2, arguments.cycles)], 2),
    }


def _cpu_s(pid: int) -> float:
    """The processor time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    """The most resident memory that the process ever had."""
    found = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
    return round(int(found[1]) / 2**10, 1) if found else 0.0


def _incidents(count: int, cycle: int, state: str) -> Iterator[tuple[str, bytes]]:
    for number in range(count):
        given: dict[str, Any] = {
            "entity_id": f"wf-{number:05}",
            "entity_name": f"wf-{number:05}",
            "anomaly_type": "SpikeInFailures",
            "profile": "robust",
            "detector": "spike_in_failures",
            "incident": f"{cycle} {number}",
            "state": state,
            "severity": "warning" if state == "opened" else "info",
            "execution_id": f"{cycle}/{number}",
        }
        yield f"wf-{number:05}", encode(anomaly(f"{cycle} {number} {state}", **given))


PARTS = {"latency": measure_latency, "burst": measure_burst, "memory": measure_memory}


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every part that is asked for, each on a broker of its own."""
    found: dict[str, Any] = {}
    for name in arguments.parts.split(","):
        async with scene(arguments) as on:
            found[name] = await PARTS[name](on, arguments)
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    return found


def main(given: list[str] | None = None) -> int:
    """Measure and print. 0 measured, 1 a result was wrong."""
    parser = parser_of("notifier", __doc__, kafka="embedded")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--anomalies", type=int, default=MANY, help="at once")
    parser.add_argument("--rate", type=float, default=5.0, help="latency: messages a second")
    parser.add_argument("--seconds", type=float, default=40.0, help="latency: for so long")
    parser.add_argument("--cycles", type=int, default=4, help="memory: so often")
    arguments = parser.parse_args(given)
    return report(lambda: asyncio.run(measure(arguments)))


if __name__ == "__main__":
    sys.exit(main())

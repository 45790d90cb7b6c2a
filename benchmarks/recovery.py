"""How long a worker needs to recover its keys from the changelog, ours and Kafka Streams in turns.

python -m benchmarks.recovery [--keys 10000,100000,1000000] [--rounds N] [--kafka apache|embedded]

The changelog holds one record of each workflow. On the source topic lies one event of a known workflow in every
partition, ten times as long as usual: it raises an alert only where that workflow was recovered. The clock runs from
the start of the process until a consumer has all four alerts. What the start takes with `FEW` keys is subtracted:
`recovery_s`. Kafka Streams keeps its store in memory, as we do; `ours_reference` has the same 20 bytes a key as it,
`ours_full` whole baselines with a history. The last line on stdout is one JSON object, medians over the rounds.
"""

import argparse
import asyncio
import statistics
import struct
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks import history, load, reference
from benchmarks.broker import new_broker, split_cores
from benchmarks.command import conditions, numbers, parser_of, report, words
from benchmarks.measure import WrongResultError, check_alerts, cpu_s, resident_bytes, running
from benchmarks.orders import Orders
from benchmarks.systems import SYSTEMS, Values, prepare
from stream_detector.delivery.state import changelog_record
from stream_detector.kafka.topics import BASELINES

COMPARED = ("ours_full", "ours_reference", "kafka_streams")
FEW = 1000
"""Keys of the start that the others are compared with."""
TIMEOUT_S = 300.0
_LAYOUTS = {"ours_reference": struct.Struct("<Idd"), "kafka_streams": struct.Struct(">idd")}
_ENDLESS = 1 << 40


@cache
def probes() -> tuple[tuple[str, bytes], ...]:
    """One event in each partition, of a workflow that is among the first `FEW`, ten times as long as usual."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    names = {load.partition_of(f"wf-{key:06d}"): key for key in range(FEW)}
    return tuple(
        (
            f"wf-{key:06d}",
            f'{{"execution_id":"probe-{key}","workflow_id":"wf-{key:06d}","status":"success","started_at":"{now}",'
            f'"finished_at":"{now}","duration_s":{10 * (30 + key % load.KINDS)}}}'.encode(),
        )
        for key in sorted(names.values())
    )


@cache
def learned() -> tuple[tuple[int, float, float], ...]:
    """The reference job's state of each kind of workflow after as many executions as the whole detection has seen."""
    usual = load.Workflows(load.KINDS, 7, load.Shape(outlier_every=1 << 30))
    kinds = []
    for kind in range(load.KINDS):
        state = (0, 0.0, 0.0)
        for number in range(history.EXECUTIONS):
            _, value = usual.execution(number, "2026-01-01T00:00:00Z", kind)
            state = reference.learn(*state, reference.decode(value).duration_s)
        kinds.append(state)
    return tuple(kinds)


async def write_states(name: str, orders: Orders, keys: int) -> None:
    """Put the reference job's state of each workflow on the changelog that `name` reads."""
    topic, head = orders.prefix + BASELINES, changelog_record.encode_header(1, {})
    if name == "kafka_streams":
        topic, head = f"{orders.group}-baselines-changelog", b""
        await load.make_topics(orders.broker, compacted=(topic,))
    values = [head + _LAYOUTS[name].pack(*state) for state in learned()]

    def records() -> Iterator[tuple[int, bytes, bytes]]:
        for key in range(keys):
            workflow = f"wf-{key:06d}"
            yield load.partition_of(workflow), workflow.encode(), values[key % load.KINDS]

    await load.publish_records(orders.broker, topic, records())


def expected_alerts(name: str) -> list[str]:
    """The ids of the probes' alerts, which every workflow's history makes certain."""
    values: Values = list(probes())
    if SYSTEMS[name].profile:
        return SYSTEMS[name].expected_alerts(values)
    readings = [reference.decode(value) for _, value in values]
    known = [learned()[int(reading.workflow_id[3:]) % load.KINDS] for reading in readings]
    found = (r.execution_id for r, state in zip(readings, known, strict=True) if reference.judge(*state, r.duration_s))
    return sorted(found)


async def measure(broker: str, name: str, number: int, keys: int) -> dict[str, float]:
    """One start of one system."""
    prefix, expected = f"r{number}-{keys}-{name}-", expected_alerts(name)
    if len(expected) < load.PARTITIONS:
        raise WrongResultError(f"{name} would find only {expected}")
    orders = await prepare(name, broker, prefix, keys=keys, events=_ENDLESS)
    if not SYSTEMS[name].profile:
        await write_states(name, orders, keys)
    await load.publish(broker, orders.source, probes())
    began = time.perf_counter()
    async with running(SYSTEMS[name].command(), orders, cores=split_cores()[0]) as process:
        await _alerted(orders, process, name, len(expected))
        took_s = time.perf_counter() - began
        used_s, resident = cpu_s(process), resident_bytes(process)
        await check_alerts(orders, expected)
    await load.delete_topics(broker, prefix)
    return {"first_alerts_s": took_s, "cpu_s": used_s, "resident_mb": resident / 1e6}


async def _alerted(orders: Orders, process: Process, name: str, count: int) -> None:
    """Return once so many alerts have come."""
    until, seen = time.monotonic() + TIMEOUT_S, 0
    async with AIOKafkaConsumer(bootstrap_servers=orders.broker, fetch_max_wait_ms=100) as consumer:
        consumer.assign([TopicPartition(orders.alerts, number) for number in range(load.PARTITIONS)])
        await consumer.seek_to_beginning()
        while seen < count:
            if process.returncode is not None:
                raise WrongResultError(f"{name} ended with {process.returncode}")
            if time.monotonic() > until:
                raise WrongResultError(f"{name} has raised {seen} of {count} alerts after {TIMEOUT_S:.0f} s")
            seen += sum(map(len, (await consumer.getmany(timeout_ms=200)).values()))


async def contest(arguments: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """Number of keys -> system -> the medians of all rounds."""
    jars = Path(arguments.jars) if arguments.jars else None
    _, other_cores = split_cores()
    found: dict[str, dict[str, dict[str, float]]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        new_broker(arguments.kafka, Path(folder), jars=jars, cores=other_cores) as broker,
    ):
        for keys in (FEW, *arguments.keys):
            runs: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.systems}
            for number in range(arguments.rounds):
                for name in arguments.systems:
                    runs[name].append(await measure(broker, name, number + 1, keys))
                    print(f"{keys:>8} keys: {name:<15} {_rounded(runs[name][-1])}", file=sys.stderr, flush=True)
            found[str(keys)] = {
                name: {figure: statistics.median(run[figure] for run in every) for figure in every[0]}
                for name, every in runs.items()
            }
    few = found[str(FEW)]
    return {
        keys: {name: _rounded(figures | _beyond(figures, few[name], int(keys))) for name, figures in of.items()}
        for keys, of in found.items()
    }


def _beyond(figures: dict[str, float], few: dict[str, float], keys: int) -> dict[str, float]:
    """What the keys took beyond a start with few."""
    if keys == FEW:
        return {}
    return {
        "recovery_s": figures["first_alerts_s"] - few["first_alerts_s"],
        "recovery_cpu_s": figures["cpu_s"] - few["cpu_s"],
        "bytes_a_key": (figures["resident_mb"] - few["resident_mb"]) * 1e6 / (keys - FEW),
    }


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(figure, 2) for name, figure in figures.items()}


def ratios(found: dict[str, dict[str, dict[str, float]]]) -> dict[str, float]:
    """`ratio_<ours>_<keys>`: the whole start of Kafka Streams in shares of ours; `_cpu`: what the keys cost of it.

    Above 1 where ours is sooner. What the keys take in seconds is a difference of two starts, which a busy machine
    blurs; their processor time is not.
    """
    answer = {}
    for keys, of in found.items():
        for name, ours in of.items():
            if name != "kafka_streams" and "kafka_streams" in of and int(keys) > FEW:
                theirs = of["kafka_streams"]
                answer[f"ratio_{name}_{keys}"] = round(theirs["first_alerts_s"] / ours["first_alerts_s"], 2)
                answer[f"ratio_{name}_{keys}_cpu"] = round(
                    theirs["recovery_cpu_s"] / max(0.01, ours["recovery_cpu_s"]), 2
                )
    return answer


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = parser_of("recovery", __doc__, kafka="apache")
    parser.add_argument("--keys", type=numbers, default="10000,100000,1000000", help="keys to recover")
    parser.add_argument("--rounds", type=int, default=3, help="how often each system starts with each number of keys")
    parser.add_argument("--systems", type=words, default=",".join(COMPARED), help="of: " + ", ".join(COMPARED))
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Measure and print. 0 measured, 1 a result was wrong."""
    arguments = _arguments(given)

    def figures() -> dict[str, Any]:
        for name in arguments.systems:
            SYSTEMS[name].command()  # built before anything is measured
        found = asyncio.run(contest(arguments))
        return {"keys": found, **ratios(found), "conditions": conditions(arguments)}

    return report(figures)


if __name__ == "__main__":
    sys.exit(main())

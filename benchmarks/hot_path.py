"""What one event costs the detector's process, without a broker: processor time, or instructions, which no load blurs.

python -m benchmarks.hot_path [--events N] [--keys K] [--profile classic|robust] [--chunk N] [--instructions] [--calls]

The records lie in real record batches and go through aiokafka's parser, the product's `Detector.handle`, its outbox and
the encoding at a checkpoint. Left out are sockets, Faust and the broker; `benchmarks.throughput` has them.

`--instructions` runs the same under callgrind (Debian's `valgrind`) with the even and the double number of events: the
difference is what an event costs. `--calls` prints Python's own profile. The last line on stdout is one JSON object.
"""

import argparse
import asyncio
import cProfile
import gc
import json
import pstats
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from faust.types import TP

from benchmarks import load
from stream_detector.detect import Config
from stream_detector.settings import Settings
from stream_detector.stream import topics
from stream_detector.stream.detector import Detector
from stream_detector.stream.outbox import Outbox
from stream_detector.stream.part import Codec, Part
from stream_detector.stream.transport import Chunk
from stream_detector.stream.worker import COLLECT_AT

EVENTS_A_KEY = 6
"""Events of a key between two checkpoints: a second's worth of 60,000 events/s of 10,000 workflows."""

_YARDSTICK = 200_000
"""Numbers added up before each chunk: how much longer that takes than at its best tells what the neighbours cost."""
_BASE_OFFSET = struct.Struct(">q")


class Producer:
    """Makes real batches and acknowledges each at once."""

    def create_batch(self) -> BatchBuilder:
        """As aiokafka's own producer does, with the worker's batch size."""
        return BatchBuilder(1 << 18, 0, is_transactional=False)

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> "asyncio.Future[None]":
        """Nothing leaves the process."""
        batch.close()
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent.set_result(None)
        return sent


class Table:
    """One table's parts, all ours."""

    def __init__(self, codec: Codec[Any], partitions: int) -> None:
        self.parts: list[Part[Any]] = [Part(codec) for _ in range(partitions)]
        self.data = self
        for part in self.parts:
            part.owned = True

    def owned(self, number: int) -> Part[Any]:
        """Where a partition's keys are."""
        return self.parts[number]


class App:
    """What of the Faust app the detector touches."""

    def __init__(self) -> None:
        self.settings, self.tables = Settings(), []
        self.partitions = {topic.name: load.PARTITIONS for topic in topics.TOPICS}
        self.on_rebalance_complete = SimpleNamespace(connect=lambda **_: lambda function: function)
        self.consumer = SimpleNamespace(
            follows=lambda chunk: True, advance=lambda chunk: None, release=lambda chunk: None
        )
        self.outbox = Outbox(Producer, self.fail)

    def state(self, name: str, codec: Codec[Any], partitions: int) -> Table:
        """A table."""
        self.tables.append(Table(codec, partitions))
        return self.tables[-1]

    def dispatch(self, number: int) -> None:
        """Send; nobody awaits it."""
        self.outbox.dispatch()

    def fail(self, why: Any) -> None:
        """A defect ends the measurement."""
        raise SystemExit(f"failed: {why}")


def fetched(values: Iterator[tuple[str, bytes]], size: int) -> Iterator[tuple[int, list[Any]]]:
    """The events as chunks of one partition each, parsed as the consumer's fetcher parses them."""
    builders: dict[int, Any] = {}
    waiting, ends = [0] * load.PARTITIONS, [0] * load.PARTITIONS
    now_ms = round(time.time() * 1000)

    def parsed(number: int) -> list[Any]:
        written = builders.pop(number).build()
        _BASE_OFFSET.pack_into(written, 0, ends[number])  # the broker fills it in
        ends[number] += waiting[number]
        batches, records = MemoryRecords(bytes(written)), []
        while (batch := batches.next_batch()) is not None:
            records += list(batch)
        waiting[number] = 0
        return records

    for workflow, value in values:
        number = load.partition_of(workflow)
        if number not in builders:
            builders[number] = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 64 << 20)
        builders[number].append(waiting[number], now_ms, workflow.encode(), value, [])
        waiting[number] += 1
        if waiting[number] == size:
            yield number, parsed(number)
    for number in sorted(builders):
        yield number, parsed(number)


async def run(arguments: argparse.Namespace) -> dict[str, float]:
    """Handle all events; microseconds of processor time an event, by stage."""
    app = App()
    detector = Detector(app, Config(profile=arguments.profile, score_threshold=Decimal("0.5")))  # type: ignore[arg-type]
    name, clock = topics.COMPLETIONS, time.process_time
    yardsticks: list[float] = []
    took = {"handle_us": 0.0, "checkpoint_us": 0.0}
    handled = alerts = at_checkpoint = 0
    applied = [0] * load.PARTITIONS
    put = app.outbox.put

    def counted(topic: str, *given: Any, **more: Any) -> None:
        nonlocal alerts
        alerts += topic == topics.ALERTS
        put(topic, *given, **more)

    app.outbox.put = counted  # type: ignore[method-assign]
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AT)
    chunks = fetched(load.events(arguments.events, keys=arguments.keys), arguments.chunk)
    for number, records in chunks:
        began = clock()
        sum(range(_YARDSTICK))
        yardsticks.append(clock() - began)
        began = clock()
        detector.handle(name, Chunk(TP(name, number), records, records[-1].offset + 1, 0, 0))
        took["handle_us"] += clock() - began
        await asyncio.sleep(0)
        handled, applied[number] = handled + len(records), records[-1].offset + 1
        if handled - at_checkpoint >= EVENTS_A_KEY * arguments.keys:
            began, at_checkpoint = clock(), handled
            for table in app.tables:
                for of, part in enumerate(table.parts):
                    part.take({name: applied[of]})
            took["checkpoint_us"] += clock() - began
    blur = statistics.median(yardsticks) / min(yardsticks)
    figures = {stage: round(seconds / handled * 1e6, 3) for stage, seconds in took.items() if seconds}
    total_us = sum(took.values()) / handled * 1e6
    figures |= {"total_us": round(total_us, 3), "blur": round(blur, 2), "quiet_us": round(total_us / blur, 3)}
    return figures | {"events": handled, "alerts": alerts}


def instructions(arguments: argparse.Namespace) -> dict[str, float]:
    """Instructions an event, by callgrind: with twice the events less with the events, so the start does not count."""
    options = ["--keys", str(arguments.keys), "--profile", arguments.profile, "--chunk", str(arguments.chunk)]
    counts = []
    for events in (arguments.events, arguments.events * 2):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "callgrind"
            command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
            subprocess.run(
                [*command, sys.executable, "-m", "benchmarks.hot_path", "--events", str(events), *options],
                check=True,
                capture_output=True,
            )
            counts.append(int(re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.MULTILINE)[1]))  # type: ignore[index]
    return {"instructions": round((counts[1] - counts[0]) / arguments.events), "events": arguments.events}


def main(given: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.hot_path", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, help="events (200,000; with --instructions 20,000)")
    parser.add_argument("--keys", type=int, help="workflows that the events are of (5,000; with --instructions 400)")
    parser.add_argument("--chunk", type=int, default=4000, help="records a chunk")
    parser.add_argument("--profile", choices=("classic", "robust"), default="classic")
    parser.add_argument("--instructions", action="store_true", help="count instructions with callgrind")
    parser.add_argument("--calls", action="store_true", help="print where Python spends the time")
    arguments = parser.parse_args(given)
    arguments.events = arguments.events or (20_000 if arguments.instructions else 200_000)
    arguments.keys = arguments.keys or (400 if arguments.instructions else 5000)
    if arguments.instructions:
        print(json.dumps(instructions(arguments)))
        return 0
    profiler = cProfile.Profile() if arguments.calls else None
    if profiler:
        profiler.enable()
    figures = asyncio.run(run(arguments))
    if profiler:
        profiler.disable()
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(30)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What one event costs the detector's process, without a broker: processor time, or instructions, which no load blurs.

python -m benchmarks.hot_path [--events N] [--keys K] [--profile classic|robust] [--chunk N] [--instructions] [--calls]

The records lie in real record batches and go through aiokafka's parser, the product's `Detector.apply`, its producer
and the encoding at a checkpoint. Left out are sockets, Faust and the broker; `benchmarks.throughput` has them.

`--instructions` counts the interpreter's instructions and its calls into C for events of workflows that have their
history; tests/unit/benchmarks holds an event to them. `--calls` prints Python's own profile. The last line on stdout is
one JSON object.
"""

import argparse
import asyncio
import cProfile
import gc
import pstats
import statistics
import struct
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import RecordMetadata, TopicPartition
from faust.types import TP

from benchmarks import load
from benchmarks.command import parser_of, report
from stream_detector.composition import detection_config
from stream_detector.delivery.batch_producer import BatchProducer
from stream_detector.delivery.broker_clock import BrokerClock
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.worker import COLLECT_AT
from stream_detector.kafka import topics
from stream_detector.roles.detector import Detector
from stream_detector.settings import Settings

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

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> "asyncio.Future[RecordMetadata]":
        """Nothing leaves the process."""
        batch.close()
        sent: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        sent.set_result(RecordMetadata(topic, partition, TopicPartition(topic, partition), 0, -1, 0, 0))
        return sent


class Table:
    """One table's partitions, all ours."""

    def __init__(self, codec: Codec[Any], partitions: int) -> None:
        self.partitions: list[StatePartition[Any]] = [StatePartition(codec) for _ in range(partitions)]
        for partition in self.partitions:
            partition.owned = True

    def get_owned(self, number: int) -> StatePartition[Any]:
        """Where a partition's keys are."""
        return self.partitions[number]


class App:
    """What of the Faust app the detector touches."""

    def __init__(self) -> None:
        self.settings, self.tables = Settings(), []
        self.partitions = {topic.name: load.PARTITIONS for topic in topics.TOPICS}
        self.on_rebalance_complete = SimpleNamespace(connect=lambda **_: lambda function: function)
        self.batch_producer, self.broker_clock = BatchProducer(Producer, self.fail), BrokerClock()

    def state_table(self, name: str, codec: Codec[Any], partitions: int) -> Table:
        """A table."""
        self.tables.append(Table(codec, partitions))
        return self.tables[-1]

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
    detector = Detector(app, detection_config(Settings(profile=arguments.profile)))
    name, clock = topics.COMPLETIONS, time.process_time
    yardsticks: list[float] = []
    took = {"handle_us": 0.0, "checkpoint_us": 0.0}
    handled = alerts = at_checkpoint = 0
    applied = [0] * load.PARTITIONS
    put = app.batch_producer.put

    def counted(topic: str, *given: Any, **more: Any) -> None:
        nonlocal alerts
        alerts += topic == topics.ALERTS
        put(topic, *given, **more)

    app.batch_producer.put = counted  # type: ignore[method-assign]
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AT)
    chunks = fetched(load.events(arguments.events, keys=arguments.keys), arguments.chunk)
    for number, records in chunks:
        began = clock()
        sum(range(_YARDSTICK))
        yardsticks.append(clock() - began)
        began = clock()
        await detector.apply(name, Chunk(TP(name, number), records, records[-1].offset + 1))
        app.batch_producer.dispatch()
        took["handle_us"] += clock() - began
        await asyncio.sleep(0)
        handled, applied[number] = handled + len(records), records[-1].offset + 1
        if handled - at_checkpoint >= EVENTS_A_KEY * arguments.keys:
            began, at_checkpoint = clock(), handled
            for table in app.tables:
                for number, partition in enumerate(table.partitions):
                    partition.begin_snapshot({name: applied[number]}).encode_for(float("inf"))
            took["checkpoint_us"] += clock() - began
    blur = statistics.median(yardsticks) / min(yardsticks)
    figures = {stage: round(seconds / handled * 1e6, 3) for stage, seconds in took.items() if seconds}
    total_us = sum(took.values()) / handled * 1e6
    figures |= {"total_us": round(total_us, 3), "blur": round(blur, 2), "quiet_us": round(total_us / blur, 3)}
    return figures | {"events": handled, "alerts": alerts}


async def instructions(arguments: argparse.Namespace) -> dict[str, float]:
    """The interpreter's instructions and calls into C an event, of the second half of the events."""
    app = App()
    detector = Detector(app, detection_config(Settings(profile=arguments.profile)))
    found = {"instructions": 0, "c_calls": 0}

    def trace(frame: Any, what: str, _: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        found["instructions"] += what == "opcode"
        return trace

    def called(frame: Any, what: str, _: Any) -> None:
        found["c_calls"] += what == "c_call"

    counted = 0
    for number, records in list(fetched(load.events(arguments.events, keys=arguments.keys), arguments.chunk)):
        chunk = Chunk(TP(topics.COMPLETIONS, number), records, records[-1].offset + 1)
        if warm := records[0].offset * load.PARTITIONS >= arguments.events / 2:
            sys.settrace(trace)
            sys.setprofile(called)
        await detector.apply(topics.COMPLETIONS, chunk)
        app.batch_producer.dispatch()
        sys.settrace(None)
        sys.setprofile(None)
        counted += len(records) * warm
        await asyncio.sleep(0)
    return {name: round(count / counted, 1) for name, count in found.items()} | {"events": counted}


def main(given: list[str] | None = None) -> int:
    """Measure and print."""
    parser = parser_of("hot_path", __doc__)
    parser.add_argument("--events", type=int, help="events (200,000; with --instructions 8,000)")
    parser.add_argument("--keys", type=int, help="workflows that the events are of (5,000; with --instructions 80)")
    parser.add_argument("--chunk", type=int, default=4000, help="records a chunk")
    parser.add_argument("--profile", choices=("classic", "robust"), default="classic")
    parser.add_argument("--instructions", action="store_true", help="count instructions, not time")
    parser.add_argument("--calls", action="store_true", help="print where Python spends the time")
    arguments = parser.parse_args(given)
    arguments.events = arguments.events or (8000 if arguments.instructions else 200_000)
    arguments.chunk = min(arguments.chunk, arguments.events // 16)
    arguments.keys = arguments.keys or (80 if arguments.instructions else 5000)
    if arguments.instructions:
        return report(lambda: asyncio.run(instructions(arguments)))
    if not arguments.calls:
        return report(lambda: asyncio.run(run(arguments)))
    with cProfile.Profile() as profiler:
        code = report(lambda: asyncio.run(run(arguments)))
    pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(30)
    return code


if __name__ == "__main__":
    sys.exit(main())

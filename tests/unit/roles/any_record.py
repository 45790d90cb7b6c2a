"""Records of any kind against every role, without sockets: `python -m tests.unit.roles.any_record --inputs N --seed S`.

A record is made of a key, headers, a timestamp and a value: right ones, right ones with something changed in them, and
plain bytes. It is written into a real batch, read by the fetcher's own parser with the product's patches, and given to
the role. After it a good record must be applied, what changed must be written, read again and, for the notifier,
rendered.
"""

import argparse
import asyncio
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.util import calc_crc32c
from faust.types import TP

from benchmarks.hot_path import App, Producer, Table
from stream_detector.composition import detection_config
from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.batch_producer import BatchProducer
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.repartition import Origin
from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.contents import CLAIM_KEY, WATERMARKS_KEY, Codec
from stream_detector.delivery.state.journaled_partition import PAGE, JournaledPartition
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.detect import Baseline
from stream_detector.detect.runs import Run
from stream_detector.events.encode import encode
from stream_detector.events.examples import EXAMPLES
from stream_detector.events.run_part import RunPart
from stream_detector.kafka import aiokafka_patches, topics
from stream_detector.kafka.aiokafka_patches import FETCHED_AGAIN
from stream_detector.notify import policy
from stream_detector.notify.tick import tick
from stream_detector.roles.detector import BASELINE, DECODE, Detector
from stream_detector.roles.notifier import SLOTS, Notifier
from stream_detector.roles.recorder import READ, Recorder
from stream_detector.roles.run_table import VALUE
from stream_detector.settings import Settings
from stream_detector.store.write import _ABOUT_A_VALUE, TABLES
from tests.record_batches import CODECS, Written, batch_of

NOW_MS = round(time.time() * 1000)
CHECKED_FROM = 21
"""Behind the checksum of a batch."""
MOST_SHRINKS = 200
DEEP = b'{"a":' * 2_000 + b"1" + b"}" * 2_000
PARTS = [
    RunPart(run_id="r1", kind=kind, at=datetime.now(UTC), entity_id="lido", entity_name="Lido", expected=2)  # type: ignore[arg-type]
    for kind in ("scored", "failed", "run_started", "run_completed", "run_failed", "roster", "run_closed")
]
RIGHT: dict[str, list[Any]] = {
    topics.COMPLETIONS: [EXAMPLES["workflow-completion"], EXAMPLES["workflow-start"]],
    topics.SCORES: [EXAMPLES["score"]],
    topics.SCORE_RUNS: [EXAMPLES["score-run"]],
    topics.ALERTS: [EXAMPLES["anomaly"]],
    topics.RUN_SUMMARIES: [EXAMPLES["run-summary"]],
    topics.ACTIONS: [EXAMPLES["action"]],
    topics.NOTIFICATIONS: [EXAMPLES["notification"]],
    topics.RUN_PARTS: PARTS,
}
TIMES = [NOW_MS] * 6 + [-1, 0, 1, -(2**62), 2**62, 2**63 - 1, -(2**63), NOW_MS * 1000, NOW_MS // 1000]
ODD: list[Any] = [
    None, True, 0, -1, 2**31, 2**63, 10**30, 1e308, "", "\x00", "\u202e", "x" * 300, "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00", "2026-01-22T12:00:00", [], {}, [[]], {"": None}, ["a"] * 200, {"a": {"b": {}}},
    "\ud83d",
]  # fmt: skip
NAMES = [
    b"mode",
    b"content-type",
    b"ce_type",
    b"ce_time",
    b"ce_id",
    b"\xff\xfe",
    b"",
    b"x" * 3_000,
    b"k\xc3\xa9",
    b"baggage",
]
NAMES += [
    b"stream-detector-origin",
    b"stream-detector-label-counts",
    b"stream-detector-renamed",
    b"stream-detector-unreadable",
    b"__connect.errors.topic",
]
NAMES += [b"__connect.errors." + name for name in (b"partition", b"offset", b"timestamp", b"stage", b"cut.value.bytes")]
WORDS = [
    None,
    b"",
    b"backfill",
    b"restored",
    b"\xff",
    b"application/cloudevents+json",
    b"9" * 5_000,
    b"-1",
    b"1",
    b"scores/0/1",
]
WORDS += [
    b"scores/0/7/1",
    b"alerts/0/3/99999999999999999999999",
    b"moved/0/7/1",
    b"from-workflow-completions/0/7/1",
    b'["workflow-completions","app"]',
    b"alerts/-1/2/3",
    b"alerts/999999/5/-5",
    DEEP,
    b"x" * 40_000,
]
KEYS = [
    None,
    b"",
    b"\xff",
    b"workflow:nightly",
    b"score:lido",
    b"weird",
    CLAIM_KEY,
    WATERMARKS_KEY,
    PAGE + b"0",
    b"r1",
    b"0",
    b"k" * 9_000,
]


class Role(Protocol):
    """One role with what it keeps."""

    topics: tuple[str, ...]

    async def take(self, topic: str, records: list[Any]) -> None:
        """Give it the records of one fetch of a topic."""

    async def check(self) -> None:
        """A good record is applied; what changed can be written and read."""


class OwnedTable(Table):
    """A table all of which is ours."""

    def find_owned(self, number: int) -> StatePartition[Any]:
        """Where a partition's keys are."""
        return self.partitions[number]

    @property
    def owned_partitions(self) -> dict[int, StatePartition[Any]]:
        """All of them."""
        return dict(enumerate(self.partitions))


class FakeApp(App):
    """The app without a broker: dead letters as the product writes them, each end of the process noted."""

    send_to_dlq, _dead_letter, now_s = WorkerApp.send_to_dlq, WorkerApp._dead_letter, WorkerApp.now_s

    def __init__(self) -> None:
        super().__init__()
        self.failure = ""
        self.settings = Settings(base_url="http://localhost")
        self.batch_producer = BatchProducer(Producer, self.fail)  # type: ignore[arg-type]
        self.checkpoint, self.rebalancing = SimpleNamespace(begun=0, completed=0), False

    def fail(self, why: Any) -> None:
        """The role would end."""
        self.failure = self.failure or repr(why)

    async def sent(self) -> None:
        """What was put is acknowledged."""
        if (acknowledged := self.batch_producer.dispatch()) is not None:
            await acknowledged
        assert not self.failure, f"the role would have ended: {self.failure}"

    def state_table(self, name: str, codec: Codec[Any], partitions: int, kind: type[Any] = StatePartition) -> Any:
        """A table of partitions of that kind."""
        table = OwnedTable(codec, partitions)
        table.partitions = [kind(codec) for _ in table.partitions]
        for partition in table.partitions:
            partition.owned, partition.name = True, name
        self.tables.append(table)
        return table


def written_and_read(partition: StatePartition[Any], codec: Codec[Any], kind: type[StatePartition[Any]]) -> None:
    """A checkpoint of the partition, and a recovery from it."""
    snapshot = partition.begin_snapshot({})
    snapshot.encode_for(float("inf"))
    records = [
        SimpleNamespace(offset=offset, key=key, value=value)
        for offset, (key, value) in enumerate(snapshot.records + snapshot.watermarks)
    ]
    if records:
        again = kind(codec)
        again.apply_changelog(records)
        again.finish_recovery(len(records))
        for key in [*again.keys()]:
            again.get(key)


class DetectorRole:
    """Events, parts of runs and its two state tables."""

    topics = (*DECODE, topics.REKEYED, topics.RUN_PARTS, topics.BASELINES, topics.RUNS_STATE)

    def __init__(self) -> None:
        self.app = FakeApp()
        self.detector = Detector(self.app, detection_config(self.app.settings))  # type: ignore[arg-type]
        self.tables = {topics.BASELINES: (0, BASELINE), topics.RUNS_STATE: (1, VALUE)}
        self.good = 0

    async def take(self, topic: str, records: list[Any]) -> None:
        if topic in self.tables:
            partition = self.app.tables[self.tables[topic][0]].partitions[0]
            partition.apply_changelog(records)
            return
        chunk = Chunk(TP(topic, 0), records, records[-1].offset + 1)
        apply = self.detector.apply_run_parts if topic == topics.RUN_PARTS else self.detector.apply
        outcomes = await apply(topic, chunk)
        assert outcomes is not None and sum(outcomes.values()) >= len(records)
        await self.app.sent()

    async def check(self) -> None:
        self.good += 1
        value = encode(EXAMPLES["workflow-completion"]).replace(b'"execution_id":"', b'"execution_id":"%d-' % self.good)
        for record in read(topics.COMPLETIONS, [Written(None, value, [], NOW_MS)]):
            outcomes = await self.detector.apply(topics.COMPLETIONS, Chunk(TP(topics.COMPLETIONS, 0), [record], 1))
            assert not {"refused", "ignored"} & outcomes.keys(), outcomes
        for number, codec in self.tables.values():
            written_and_read(self.app.tables[number].partitions[0], codec, StatePartition)


class RecorderRole:
    """Rows up to where PostgreSQL would have them, which takes what is wrong with one of them row by row."""

    topics = tuple(READ)

    def __init__(self) -> None:
        self.app = FakeApp()
        self.recorder = Recorder(self.app)  # type: ignore[arg-type]

    async def take(self, topic: str, records: list[Any]) -> None:
        chunk = Chunk(TP(topic, 0), records, records[-1].offset + 1)
        rows, errors, failed = self.recorder._decode(topic, chunk)
        assert len(errors) + len(failed) <= len(records)
        for name, listed in rows.lists():
            for row in listed:
                try:
                    TABLES[name].values(TABLES[name].distinct([row]))
                except _ABOUT_A_VALUE:
                    errors[row.offset] = errors.get(row.offset)  # type: ignore[assignment]
        self.recorder._send_to_dlq(topic, chunk, failed)
        await self.app.sent()

    async def check(self) -> None:
        (record,) = read(topics.ALERTS, [Written(None, encode(EXAMPLES["anomaly"]), [], NOW_MS)])
        rows, errors, failed = self.recorder._decode(topics.ALERTS, Chunk(TP(topics.ALERTS, 0), [record], 1))
        assert len(rows) == 1 and not errors and not failed


class NotifierRole:
    """Copying, deciding, what time brings, rendering, and its state table."""

    topics = (topics.ALERTS, topics.RUN_SUMMARIES, topics.ACTIONS, topics.NOTIFIER_IN, topics.NOTIFIER_STATE)

    def __init__(self) -> None:
        self.app = FakeApp()
        self.notifier = Notifier(self.app)  # type: ignore[arg-type]
        self.partition = self.app.tables[0].partitions[0]
        self.offset = 0

    async def take(self, topic: str, records: list[Any]) -> None:
        if topic == topics.NOTIFIER_STATE:
            self.partition.apply_changelog(records)
            self.partition.epoch += 1  # as after a recovery: the index is made anew
            return
        chunk = Chunk(TP(topic, 0), records, records[-1].offset + 1)
        apply = self.notifier.decide if topic == topics.NOTIFIER_IN else self.notifier.repartition
        outcomes = await apply(topic, chunk)
        assert sum(outcomes.values()) == len(records)
        await self.app.sent()

    async def check(self) -> None:
        self.offset += 1
        origin = Origin(topics.RUN_SUMMARIES, 77, self.offset, NOW_MS).header()
        good = Written(None, encode(EXAMPLES["run-summary"]), [(origin[0].encode(), origin[1])], NOW_MS)
        outcomes = await self.notifier.decide(
            topics.NOTIFIER_IN, Chunk(TP(topics.NOTIFIER_IN, 0), read(topics.NOTIFIER_IN, [good]), 1)
        )
        assert outcomes == {"applied": 1}, outcomes
        state, config = self.notifier._store_of(self.partition), self.notifier._config
        for later_s in (0.0, 3600.0, 90 * 86_400.0):
            now_s, failed = time.time() + later_s, self.notifier._on_failure  # as the notifier asks
            tick(state, now_s, config, failed)
            for _ in policy.due_deliveries(state, now_s, config, set(), failed):
                pass
            policy.expire(state, now_s, failed)
        written_and_read(self.partition, SLOTS, JournaledPartition)


ROLES: tuple[type[Any], ...] = (DetectorRole, RecorderRole, NotifierRole)


class Batch(NamedTuple):
    """What a producer or a disk may make of some records."""

    topic: str
    records: list[Written]
    codec: str = "none"
    changed: tuple[tuple[int, int], ...] = ()
    """Bytes behind the checksum that have another value: where, as a number of any size, and which."""
    is_checked: bool = True
    """The checksum is that of the changed bytes."""

    def data(self, offset: int) -> bytes:
        """Its bytes."""
        raw = bytearray(batch_of(self.records, offset, self.codec))
        for at, byte in self.changed:
            raw[CHECKED_FROM + at % (len(raw) - CHECKED_FROM)] = byte
        if self.changed and self.is_checked:
            raw[CHECKED_FROM - 4 : CHECKED_FROM] = calc_crc32c(bytes(raw[CHECKED_FROM:])).to_bytes(4, "big")
        return bytes(raw)

    def read(self, offset: int = 0) -> list[Any]:
        """The records as the fetcher's parser gives them, and each offset once."""
        data, found = self.data(offset), []
        for _ in range(FETCHED_AGAIN):  # what has a wrong checksum comes as often
            parsed = fetcher.MemoryRecords(data)
            place = TopicPartition(self.topic, 0)
            found = list(fetcher.PartitionRecords(place, parsed, [], offset, None, None, True, 0))
            if found or not self.changed:
                break
        offsets = [record.offset for record in found]
        if self.changed:
            assert offsets == sorted({*offsets}) and all(at >= offset for at in offsets), offsets
        else:
            assert offsets == [*range(offset, offset + len(self.records))], offsets
        return found

    def simpler(self) -> Iterator["Batch"]:
        """The same with something left out, the most first."""
        for at in range(len(self.records)):
            if len(self.records) > 1:
                yield self._replace(records=[self.records[at]])
                yield self._replace(records=self.records[:at] + self.records[at + 1 :])
        for at in range(len(self.changed)):
            yield self._replace(changed=self.changed[:at] + self.changed[at + 1 :])
        if self.codec != "none":
            yield self._replace(codec="none")
        for at, record in enumerate(self.records):
            plainer = [
                record._replace(headers=record.headers[:n] + record.headers[n + 1 :])
                for n in range(len(record.headers))
            ]
            plainer += [record._replace(key=None)] if record.key is not None else []
            plainer += [record._replace(timestamp=NOW_MS)] if record.timestamp != NOW_MS else []
            plainer += [record._replace(value=record.value[: len(record.value) // 2])] if record.value else []
            yield from (self._replace(records=[*self.records[:at], one, *self.records[at + 1 :]]) for one in plainer)


def read(topic: str, records: list[Written], offset: int = 0) -> list[Any]:
    """The records as the fetcher's parser gives them."""
    return Batch(topic, records).read(offset)


async def fails(kind: type[Any], batch: Batch) -> bool:
    """Whether a new role of that kind cannot take this batch alone."""
    role = kind()
    try:
        if records := batch.read():
            await role.take(batch.topic, records)
        await role.check()
    except BaseException:
        return True
    return False


async def shrunk(kind: type[Any], batch: Batch) -> Batch | None:
    """The least that a new role cannot take either; None where it can take all of it."""
    if not await fails(kind, batch):
        return None
    for _ in range(MOST_SHRINKS):
        for simpler in batch.simpler():
            if await fails(kind, simpler):
                batch = simpler
                break
        else:
            break
    return batch


class Maker:
    """Makes records from a seed."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def batch(self, topics: Sequence[str]) -> Batch:
        """One in eight is damaged, and one of four of those without a checksum that knows of it."""
        draw, topic = self.draw, self.draw.choice(topics)
        records = [self.record(topic) for _ in range(draw.randrange(1, 9))]
        codec = draw.choice(("none", "none", "none", *CODECS))
        if draw.random() > 0.12:
            return Batch(topic, records, codec)
        changed = tuple(
            (draw.randrange(40) if draw.random() < 0.3 else draw.randrange(10**6), draw.randrange(256))
            for _ in range(draw.randrange(1, 4))
        )
        return Batch(topic, records, codec, changed, draw.random() < 0.75)

    def record(self, topic: str) -> Written:
        draw = self.draw
        headers = [(draw.choice(NAMES), draw.choice(WORDS)) for _ in range(draw.choice((0, 0, 1, 2, 5)))]
        if topic in (topics.REKEYED, topics.NOTIFIER_IN) and draw.random() < 0.8:
            sources = DECODE if topic == topics.REKEYED else (topics.ALERTS, topics.RUN_SUMMARIES, topics.ACTIONS)
            origin = Origin(draw.choice([*sources]), draw.randrange(4), draw.randrange(10**9), draw.choice(TIMES))
            name, value = origin.header()
            headers.append((name.encode(), value))
        return Written(self.key(), self.value(topic), headers, draw.choice(TIMES))

    def key(self) -> bytes | None:
        return self.draw.choice(KEYS)

    def value(self, topic: str) -> bytes | None:
        draw = self.draw
        kind = draw.randrange(10)
        if kind == 0:
            return draw.choice(
                (None, b"", b"\x07", b"\xff", DEEP, b"[" * 2_000, b"null", b"{}", b"1" * 5_000, draw.randbytes(80))
            )
        if topic in (topics.BASELINES, topics.RUNS_STATE, topics.NOTIFIER_STATE):
            return self.flipped(self.state(topic))
        right = RIGHT.get(topic, ())
        good = encode(draw.choice(right if right and draw.random() < 0.8 else [*EXAMPLES.values(), *PARTS]))
        if kind < 6:
            return json.dumps(self.changed(json.loads(good)), ensure_ascii=draw.random() < 0.5).encode(
                "utf-8", "surrogatepass"
            )
        return good if kind < 8 else self.flipped(good)

    def changed(self, found: Any, depth: int = 0) -> Any:
        """A document with one value in it replaced or left out."""
        draw = self.draw
        if isinstance(found, dict) and found and (depth == 0 or draw.random() < 0.6):
            name = draw.choice([*found])
            if draw.random() < 0.1:
                return {each: value for each, value in found.items() if each != name}
            return found | {name: self.changed(found[name], depth + 1)}
        if isinstance(found, list) and found and draw.random() < 0.6:
            at = draw.randrange(len(found))
            return [*found[:at], self.changed(found[at], depth + 1), *found[at + 1 :]]
        return draw.choice(ODD)

    def state(self, topic: str) -> bytes:
        draw = self.draw
        head = changelog_record.encode_header(
            draw.choice((0, 1, 5, 2**31, 2**32 - 1)), {topics.SCORES: draw.choice((0, 2**62))}
        )
        if topic == topics.BASELINES:
            return head + Baseline.new(draw.choice(("workflow:nightly", "score:lido"))).pack()
        if topic == topics.RUNS_STATE:
            return head + Run.new("r1").pack()
        return head + SLOTS.pack(
            {draw.choice(("incident:a", "due:a:b", "timer:1:x:y", "decided:z")): draw.randbytes(9)}
        )

    def flipped(self, value: bytes) -> bytes:
        """With up to three bytes changed, or cut off."""
        draw, changed = self.draw, bytearray(value)
        if draw.random() < 0.2:
            return value[: draw.randrange(len(value) + 1)]
        for _ in range(draw.randrange(4)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        return bytes(changed)


async def run(role: Role, inputs: int, seed: int) -> Counter[str]:
    """Give the role that many records; how many of each topic. Raises what the role could not take."""
    made, given, offset = Maker(seed), Counter[str](), 0
    while given.total() < inputs:
        batch = made.batch(role.topics)
        try:
            records = batch.read(offset)
            if records:
                await role.take(batch.topic, records)
            if made.draw.random() < 0.1:
                await role.check()
        except BaseException as error:
            least = await shrunk(type(role), batch)
            note = f"alone it is enough to have {least!r:.3000}" if least else f"with all before it, {batch!r:.3000}"
            error.add_note(f"seed {seed}: {note}")
            raise
        offset += len(batch.records)
        given[batch.topic] += len(batch.records)
    await role.check()
    return given


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="records a role")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    logging.disable(logging.CRITICAL)
    aiokafka_patches.read_past_bad_records()
    aiokafka_patches.keep_parsed_records()
    for role in ROLES:
        print(role.__name__, dict(asyncio.run(run(role(), asked.inputs, asked.seed))), flush=True)


if __name__ == "__main__":
    main()

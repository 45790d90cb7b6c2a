"""What stock Faust 0.15.3 does that breaks the promise, on Apache Kafka, beside what the product does there.

Each test shows the flaw first: should a later Faust not have it any more, the test says so, and our cure may go.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from stream_detector.delivery.worker import make_app
from stream_detector.devstack.apache import Apache
from stream_detector.devstack.owned import Owned, start_owned
from stream_detector.devstack.ports import free_port
from stream_detector.kafka.end_offsets import EndOffsets, read_topic
from stream_detector.kafka.topics import ALERTS, BASELINES, BY_NAME, COMPLETIONS, DEAD_LETTERS, owner_partition
from tests.drills.ledger import counted, recovered
from tests.drills.stage import until
from tests.integration.roles.events import completion
from tests.integration.roles.programs import run_program
from tests.integration.roles.watching import dead, ready

pytestmark = [pytest.mark.apache, pytest.mark.drill]
ROOT = Path(__file__).parents[3]
REFUSES_ALL = {"max.message.bytes": "60"}
"""A batch's head alone has 61 bytes."""


@dataclass
class Stock:
    """A worker of stock Faust, its topics `in`, `out` and a changelog, and what can be seen of it from outside."""

    broker: Apache
    prefix: str
    folder: Path
    workers: list[Owned] = field(default_factory=list)

    @property
    def changelog(self) -> str:
        return f"{self.prefix}stock-count-changelog"

    async def topics(self, **configs: dict[str, str]) -> None:
        wanted = {"in": self.prefix + "in", "out": self.prefix + "out", "changelog": self.changelog}
        await make(self.broker, {name: configs.get(kind, {}) for kind, name in wanted.items()})

    def start(self, scenario: str, **environ: str) -> Owned:
        command = [sys.executable, "-m", "tests.integration.delivery.stock_program"]
        command += [scenario, self.broker.address, self.prefix]
        log = self.folder / f"{scenario}-{len(self.workers)}.log"
        variables = {**os.environ, "TMPDIR": str(self.folder), **environ}
        worker = start_owned(scenario, command, log_path=log, environ=variables, cwd=ROOT)
        self.workers.append(worker)
        return worker

    async def publish(self, *values: bytes, key: bytes | None = None) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.broker.address) as producer:
            for value in values:
                await producer.send_and_wait(self.prefix + "in", value, key=key)

    async def committed(self) -> int:
        async with AIOKafkaConsumer(
            bootstrap_servers=self.broker.address, group_id=f"{self.prefix}stock", enable_auto_commit=False
        ) as consumer:
            return await consumer.committed(TopicPartition(self.prefix + "in", 0)) or 0

    async def commits(self, offset: int) -> None:
        async def done() -> bool:
            return await self.committed() >= offset

        await until(done, f"the commit of {offset}", lambda: self.workers[-1].last_lines(20))

    async def values(self, topic: str) -> list[bytes]:
        """What a reader of committed records sees."""
        async with AIOKafkaConsumer(
            bootstrap_servers=self.broker.address, isolation_level="read_committed", auto_offset_reset="earliest"
        ) as consumer:
            tp = TopicPartition(topic, 0)
            consumer.assign([tp])
            end, found = (await consumer.end_offsets([tp]))[tp], []
            while await consumer.position(tp) < end:
                found += [record.value for record in (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])]
            return found

    async def said(self) -> dict[str, Any]:
        """The JSON line of the scenario."""
        found: list[dict[str, Any]] = []

        async def done() -> bool:
            lines = self.workers[-1].log_path.read_text().splitlines()
            found[:] = [json.loads(line) for line in lines if line.startswith("{")]
            return bool(found)

        await until(done, "its word", lambda: self.workers[-1].last_lines(20))
        return found[-1]


async def make(broker: Apache, wanted: dict[str, dict[str, str]]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs=config) for name, config in wanted.items()])

        async def listed() -> bool:
            return wanted.keys() <= set(await admin.list_topics())

        await until(listed, "the topics")
    finally:
        await admin.close()


async def limit(broker: Apache, topic: str, config: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=config)])
    finally:
        await admin.close()


@pytest.fixture
async def stock(apache: Apache, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Stock]:
    made = Stock(apache, f"{topic_prefix}s.", tmp_path)
    yield made
    for worker in made.workers:
        worker.kill()


@pytest.fixture
def broker(apache: Apache) -> Apache:
    """These are about Apache Kafka alone."""
    return apache


async def test_a_delivery_that_failed_is_committed_all_the_same_by_stock_faust_and_never_here(stock, play, producer):
    await stock.topics(out=REFUSES_ALL)
    worker = stock.start("forwards")
    await stock.publish(b"1", b"2", b"3")
    await stock.commits(3)
    assert worker.alive() and await stock.values(stock.prefix + "out") == []

    settings, names = play.settings, {"key": b"nightly"}
    first = play.start("detector")
    await ready(play, first)
    await limit(stock.broker, settings.topic(ALERTS), BY_NAME[ALERTS].config() | REFUSES_ALL)
    for number in range(3):
        await producer.send_and_wait(settings.topic(COMPLETIONS), completion(number, status="failure"), **names)
    await dead(play, first)
    assert first.child.process.returncode == 70 and "delivery: MessageSizeTooLargeError" in first.child.last_lines(3)
    await limit(stock.broker, settings.topic(ALERTS), BY_NAME[ALERTS].config())
    second = play.start("detector")
    await play.drained("detector", alive=lambda: second.alive)
    assert len([record async for record in read_topic(settings, ALERTS)]) == 1, "nothing was committed, so it is found"


async def test_state_that_was_not_written_is_committed_all_the_same_by_stock_faust_and_never_here(
    stock, play, producer
):
    await stock.topics(changelog=REFUSES_ALL)
    worker = stock.start("counts")
    await stock.publish(b"1", b"2", key=b"k")
    await stock.commits(2)
    assert worker.alive() and await stock.values(stock.changelog) == []

    settings = play.settings
    first = play.start("detector")
    await ready(play, first)  # its claims are written
    await limit(stock.broker, settings.topic(BASELINES), BY_NAME[BASELINES].config() | REFUSES_ALL)
    for number in range(3):
        await producer.send_and_wait(settings.topic(COMPLETIONS), completion(number), key=b"nightly")
    await dead(play, first)
    assert "checkpoint: MessageSizeTooLargeError" in first.child.last_lines(3)
    assert await play.committed("detector") == 0
    await limit(stock.broker, settings.topic(BASELINES), BY_NAME[BASELINES].config())
    second = play.start("detector")
    await play.drained("detector", alive=lambda: second.alive)
    assert counted((await recovered(settings))["workflow:nightly"], "workflow:nightly") == 3


async def test_a_flush_of_stock_faust_returns_with_messages_unsent(stock):
    """After 100 ms without progress; ours awaits each future (test_batch_producer, test_checkpoint)."""
    await stock.topics()
    stock.start("flushes")
    assert (await stock.said())["unsent"] == 2


async def test_an_event_that_a_defect_meets_is_gone_in_stock_faust_and_kept_here(stock, play, producer):
    await stock.topics()
    stock.start("raises")
    await stock.publish(b"1", b"bad", b"2")
    await stock.commits(3)
    assert await stock.values(stock.prefix + "out") == [b"1", b"2"], "and nothing says that one is missing"

    settings = play.settings
    detector = play.start("detector", change="defective-step")
    for number in range(3):
        event = completion(number, **({"labels": {"harm": "step"}} if number == 1 else {}))
        await producer.send_and_wait(settings.topic(COMPLETIONS), event, key=b"nightly")
    await play.drained("detector", alive=lambda: detector.alive)
    (letter,) = [record async for record in read_topic(settings, DEAD_LETTERS)]
    assert json.loads(letter.value)["execution_id"] == "x1"
    assert counted((await recovered(settings))["workflow:nightly"], "workflow:nightly") == 2


async def test_take_of_stock_faust_drops_a_whole_batch_for_one_bad_value(stock):
    await stock.topics()
    stock.start("takes")
    await stock.publish(b"1", b"2", b"13", b"4")
    await stock.commits(4)
    await stock.publish(b"5", b"6", b"7", b"8")
    await stock.commits(8)
    assert await stock.values(stock.prefix + "out") == [b"5", b"6", b"7", b"8"]


async def test_take_of_stock_faust_ends_silently_at_a_value_that_it_cannot_decode_and_ours_goes_on(
    stock, play, producer
):
    await stock.topics()
    worker = stock.start("takes", EVENTS="9")
    await stock.publish(b"1", b"2", b"3", b"4")
    await stock.commits(4)
    await stock.publish(b"{", b"5", b"6", b"7", b"8")
    await stock.said()
    assert worker.alive() and await stock.values(stock.prefix + "out") == [b"1", b"2", b"3", b"4"]
    assert await stock.committed() == 5, "what came behind is read, and nobody works on it"

    settings = play.settings
    for number in range(8):
        value = b"{" if number == 4 else completion(number)
        await producer.send_and_wait(settings.topic(COMPLETIONS), value, key=b"nightly")
    detector = play.start("detector")
    await play.drained("detector", alive=lambda: detector.alive)
    assert [record.value async for record in read_topic(settings, DEAD_LETTERS)] == [b"{"]
    assert counted((await recovered(settings))["workflow:nightly"], "workflow:nightly") == 7


async def test_a_commit_of_stock_faust_jumps_over_what_is_not_done(stock):
    await stock.topics()
    stock.start("jumps")
    await stock.publish(b"slow", b"quick")
    await stock.commits(2)  # `slow` has not been done, and never will be
    assert stock.workers[0].alive()


async def test_a_commit_of_stock_faust_passes_one_gap_at_a_time_and_ours_all(stock, play):
    """Each transaction of a producer ends with a marker, which takes an offset and is no message."""
    await stock.topics()
    await transactions(stock.broker, stock.prefix + "in", [b"x"] * 10)
    stock.start("gaps", EVENTS="10")
    assert (await stock.said())["committed"]["in"] == 1, "of 20 offsets"

    settings = play.settings
    await transactions(
        stock.broker, settings.topic(COMPLETIONS), [completion(number) for number in range(10)], key=b"nightly"
    )
    detector = play.start("detector", checkpoint_interval_s="2")
    home = TopicPartition(settings.topic(COMPLETIONS), owner_partition("nightly", settings.partitions))
    committed: list[int] = []
    async with EndOffsets(settings) as ends:

        async def done() -> bool:
            committed.append((await ends.committed("detector"))[home])
            return committed[-1] > 0

        await until(done, "the first commit", play.last_words)
    assert committed[-1] == 20, "the first commit passes every record and every marker"
    assert detector.alive


async def transactions(broker: Apache, topic: str, values: list[bytes], key: bytes = b"k") -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.address, transactional_id=topic) as producer:
        for value in values:
            async with producer.transaction():
                await producer.send(topic, value, key=key)


async def test_exactly_once_of_stock_faust_sends_outside_of_its_transaction(stock):
    await stock.topics()
    worker = stock.start("exactly_once")
    await stock.publish(b"1", b"2")

    async def sent() -> bool:
        return len(await stock.values(stock.prefix + "out")) == 2

    await until(sent, "what a reader of committed records must not see", lambda: worker.last_lines(20))
    worker.kill()
    assert await stock.committed() == 0
    stock.start("exactly_once")

    async def twice() -> bool:
        return await stock.values(stock.prefix + "out") == [b"1", b"2", b"1", b"2"]

    await until(twice, "both again", lambda: worker.last_lines(20))


async def test_a_window_of_stock_faust_writes_720_times_for_one_event_and_ours_once(stock, play, producer):
    await stock.topics()
    await make(stock.broker, {f"{stock.prefix}stock-sum-changelog": {}})
    stock.start("windows")
    await stock.publish(b"1", key=b"k")
    await stock.commits(1)
    assert len(await stock.values(f"{stock.prefix}stock-sum-changelog")) == 720

    settings = play.settings
    for number in range(50):
        await producer.send_and_wait(settings.topic(COMPLETIONS), completion(number), key=b"nightly")
    detector = play.start("detector")
    await play.drained("detector", alive=lambda: detector.alive)
    written = [record async for record in read_topic(settings, BASELINES) if record.key == b"workflow:nightly"]
    assert len(written) == 1, "50 events of one key within one checkpoint"


async def test_stock_faust_makes_tasks_for_every_message_and_ours_for_a_chunk(stock, play, producer):
    await stock.topics()
    await stock.publish(*[b"x"] * 1_000)
    stock.start("tasks", EVENTS="1000")
    assert (await stock.said())["tasks"] >= 4_000

    settings = play.settings
    for number in range(1_000):
        await producer.send(settings.topic(COMPLETIONS), completion(number), key=b"nightly")
    await producer.flush()
    made = await asyncio.to_thread(run_program, "tasks_program", settings, "1000")
    assert made["applied"] == 1_000
    assert made["tasks"] < 1_000


async def test_the_reader_of_stock_faust_sleeps_a_second_whenever_its_buffer_is_full(stock):
    """Ours goes on as soon as there is room: test_back_pressure."""
    await stock.topics()
    await stock.publish(*[bytes(100_000)] * 120)
    stock.start("pressure", EVENTS="120")
    assert (await stock.said())["slept"] >= 2


async def test_stock_faust_serves_its_tables_to_the_network_and_ours_serves_none(stock, play):
    await stock.topics()
    port = free_port()
    worker = stock.start("web", WEB_PORT=str(port))
    await stock.publish(*[b"1"] * 7, key=b"secret-key")
    await stock.commits(7)
    assert ("0.0.0.0", port) in listening(worker.pid)
    assert await asyncio.to_thread(read_page, f"http://127.0.0.1:{port}/table/count/secret-key/") == b"7"

    detector = play.start("detector")
    await ready(play, detector)
    assert listening(detector.child.pid) == {("127.0.0.1", detector.port)}
    assert detector.answers("/table/baselines/") == 404


def read_page(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def listening(pid: int) -> set[tuple[str, int]]:
    """Addresses of the TCP sockets (IPv4) that a process listens on."""
    inodes, found = set(), set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            inodes.add(link.readlink().name)
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
            address, port = fields[1].split(":")
            found.add((socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(port, 16)))
    return found


CHANGED = {
    "topic_allow_declare": (True, False),  # it would make its changelogs with one replica and eight partitions
    "topic_replication_factor": (1, 1),
    "topic_partitions": (8, 8),
    "table_standby_replicas": (1, 0),  # a standby that becomes active, or the other way, makes two writers
    "producer_request_timeout": (1200.0, 60.0),
    "web_enabled": (True, False),
    "broker_max_poll_records": (None, 2000),
    "broker_max_poll_interval": (1000.0, 604_800.0),  # who reads nothing for so long, as with no database, leaves
}
"""Setting -> what stock Faust has, and ours. Replicas and partitions are never used: `setup` makes the topics."""


@pytest.mark.parametrize("name", CHANGED)
def test_a_default_of_stock_faust_that_endangers_the_promise_is_changed(make_settings, name):
    stock, ours = faust.App("stock").conf, make_app("detector", make_settings(broker="127.0.0.1:1")).conf
    assert (getattr(stock, name), getattr(ours, name)) == CHANGED[name]

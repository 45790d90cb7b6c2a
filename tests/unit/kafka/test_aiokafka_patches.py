"""What is changed in aiokafka, each part by itself, and that another version is noticed before anything is changed."""

import ast
import asyncio
import logging
import re
from pathlib import Path
from types import SimpleNamespace

import aiokafka
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.fetch import FetchRequest_v11, FetchResponse_v11
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords

from stream_detector.kafka import aiokafka_patches, fetch_codec
from stream_detector.kafka.aiokafka_patches import AiokafkaError, FetchState

PLACE = TopicPartition("scores", 0)


@pytest.fixture(autouse=True)
def stock(monkeypatch):
    """aiokafka as it is, before and after."""
    for name, send in aiokafka_patches._SEND.items():
        monkeypatch.setattr(AIOKafkaConnection, name, send)
    monkeypatch.setattr(FetchRequest_v11, "encode", FetchRequest_v11.encode)
    monkeypatch.setattr(FetchResponse_v11, "decode", FetchResponse_v11.decode)
    monkeypatch.setattr(PartitionRecords, "_consumer_record", PartitionRecords._consumer_record)


def test_private_parts_of_aiokafka_are_used_in_this_one_file():
    root = Path(__file__).parents[3]
    private = {
        name for stub in root.glob("stubs/**/*.pyi") for name in re.findall(r"\b(_[a-z]\w+)[:(]", stub.read_text())
    }
    assert "_coordinator" in private
    used = {
        (path.name, node.attr)
        for path in (root / "stream_detector").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in private
        if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    }
    assert {name for name, _ in used} == {"aiokafka_patches.py"}


def test_the_tested_version_is_the_one_that_is_locked():
    assert aiokafka.__version__ == aiokafka_patches.TESTED_VERSION


def test_another_version_is_logged_and_patched(monkeypatch, caplog):
    monkeypatch.setattr(aiokafka, "__version__", "0.14.7")
    with caplog.at_level(logging.WARNING, "stream_detector"):
        aiokafka_patches.install()
    assert caplog.messages == ["aiokafka 0.14.7 is installed; stream_detector was tested with 0.14.0"]
    assert FetchRequest_v11.encode is fetch_codec.encode


def test_a_part_that_is_not_there_is_named_before_anything_is_patched(monkeypatch):
    monkeypatch.delattr(GroupCoordinator, "_do_heartbeat")
    monkeypatch.delattr(AIOKafkaAdminClient, "_send_request")
    before = AIOKafkaConnection.send, FetchRequest_v11.encode
    with pytest.raises(AiokafkaError, match=r"has no GroupCoordinator\._do_heartbeat, AIOKafkaAdminClient\._send_requ"):
        aiokafka_patches.install()
    assert (AIOKafkaConnection.send, FetchRequest_v11.encode) == before


class Writer:
    """Its transport is closed, as uvloop's is after a reset; what is written raises as there."""

    def __init__(self, closed):
        self.transport = SimpleNamespace(is_closing=lambda: closed)
        self.closed, self.written = closed, b""

    def write(self, data):
        if self.closed:
            raise RuntimeError("the handler is closed")
        self.written += data

    def close(self):
        self.closed = True


@pytest.fixture
async def connection():
    connection = AIOKafkaConnection("broker.example", 9092)
    connection._reader = SimpleNamespace(at_eof=lambda: False)
    connection._read_task = SimpleNamespace(done=lambda: True, cancel=lambda: None)
    yield connection
    connection._reader = None  # nothing to close


async def test_what_is_closed_raises_what_aiokafka_expects(connection):
    connection._writer = Writer(closed=True)
    with pytest.raises(RuntimeError):
        connection._send_sasl_token(b"token", expect_response=False)
    aiokafka_patches.install()
    connection._writer = Writer(closed=True)
    with pytest.raises(KafkaConnectionError, match="No connection to broker"):
        connection._send_sasl_token(b"token", expect_response=False)
    assert not connection.connected()


async def test_what_is_open_is_written_to(connection):
    aiokafka_patches.install()
    aiokafka_patches.install()  # once more changes nothing
    connection._writer = writer = Writer(closed=False)
    writer.drain = lambda: "drained"
    assert connection._send_sasl_token(b"token", expect_response=False) == "drained"
    assert writer.written == b"\0\0\0\x05token"


def test_fetches_go_through_the_codec():
    aiokafka_patches.install()
    answers = [("scores", [(0, 0, 7, 7, 0, [], -1, b"records")])]
    assert FetchResponse_v11.decode(FetchResponse_v11.SCHEMA.encode([3, 0, 0, answers])).topics == answers
    assert FetchRequest_v11.encode is fetch_codec.encode
    assert FetchResponse_v11.decode is fetch_codec.decode


def records_of(*values: bytes) -> list:
    """Records as aiokafka gives them to a consumer."""
    batch = aiokafka_patches.new_compressed_batch(1 << 16)
    for value in values:
        batch.append(timestamp=1000, key=b"lido", value=value, headers=[("mode", b"backfill")])
    parsed = PartitionRecords(PLACE, MemoryRecords(bytes(batch._build())), [], 0, None, None, True, 0)
    return list(parsed)


def test_parsed_records_are_given_as_they_are():
    assert type(records_of(b"{}")[0]) is aiokafka.ConsumerRecord
    aiokafka_patches.keep_parsed_records()
    first, second = records_of(b"{}", b"[]")
    assert type(first) is not aiokafka.ConsumerRecord
    assert (first.offset, first.timestamp, first.key, first.value) == (0, 1000, b"lido", b"{}")
    assert (second.offset, list(second.headers)) == (1, [("mode", b"backfill")])


def test_a_compressed_batch_is_compressed():
    batch = aiokafka_patches.new_compressed_batch(1 << 20)
    batch.append(timestamp=None, key=None, value=b"x" * 100_000)
    built = bytes(batch._build())
    assert len(built) < 1000
    assert built[22] & DefaultRecordBatch.CODEC_MASK == DefaultRecordBatch.CODEC_ZSTD, "the batch's attributes"


@pytest.fixture
async def consumer():
    """Not started: nothing asks a broker."""
    made = AIOKafkaConsumer(bootstrap_servers="broker.example:9092")
    yield made
    made._closed = True


async def test_what_fetches_have_reported_is_read_and_nothing_of_others(consumer):
    assert aiokafka_patches.fetch_state(consumer, *PLACE) is None, "nothing is assigned"
    consumer.assign([PLACE])
    assert aiokafka_patches.fetch_state(consumer, *PLACE) == FetchState(-1, None, None)
    state = consumer._subscription.subscription.assignment.state_value(PLACE)
    state.seek(7)
    state.highwater, state.lso = 12, 11
    assert aiokafka_patches.fetch_state(consumer, *PLACE) == FetchState(7, 12, 11)
    assert aiokafka_patches.fetch_state(consumer, "scores", 1) is None


async def test_fetch_options_are_those_that_the_fetcher_is_made_with(consumer, monkeypatch):
    seen = {}
    monkeypatch.setattr("aiokafka.consumer.consumer.Fetcher", lambda *args, **options: seen.update(options))
    monkeypatch.setattr(consumer._client, "bootstrap", lambda: asyncio.sleep(0))
    aiokafka_patches.set_fetch_options(consumer, isolation_level="read_committed", max_wait_ms=200)
    await consumer.start()
    assert (seen["isolation_level"], seen["fetch_max_wait_ms"]) == ("read_committed", 200)


class Coordinator(GroupCoordinator):
    """aiokafka's own, asked for what it does with the answers and errors; not started."""

    def __init__(self, answers):
        self._subscription = SubscriptionState()
        self._answers = iter(answers)
        self.generation, self.rejoins = 3, 0

    async def _do_heartbeat(self):
        return next(self._answers)

    def request_rejoin(self):
        self.rejoins += 1


async def test_heartbeats_that_are_answered_and_errors_are_reported():
    coordinator, now = Coordinator([True, False]), iter([100.0, 200.0])
    consumer, answered, errors = SimpleNamespace(_coordinator=coordinator), [], []

    async def on_error(error):
        errors.append(error)

    aiokafka_patches.watch_coordinator(consumer, answered.append, on_error, lambda: next(now))
    assert await coordinator._do_heartbeat()
    assert not await coordinator._do_heartbeat()
    error = ValueError("a defect")
    await coordinator._push_error_to_user(error)
    assert (answered, errors) == ([100.0], [error])
    aiokafka_patches.rejoin(consumer)
    assert (aiokafka_patches.generation(consumer), coordinator.rejoins) == (3, 1)


async def test_a_task_that_has_ended_is_named():
    async def defect():
        raise AssertionError("no metadata")

    async def in_order():
        pass

    broken, ended, cancelled = map(asyncio.ensure_future, (defect(), in_order(), in_order()))
    cancelled.cancel()
    await asyncio.wait([broken, ended, cancelled])
    consumer = SimpleNamespace(
        _coordinator=SimpleNamespace(_coordination_task=ended), _client=SimpleNamespace(_sync_task=cancelled)
    )
    producer = SimpleNamespace(client=SimpleNamespace(_sync_task=ended))
    assert aiokafka_patches.find_ended_task(consumer, producer) == ""
    producer.client._sync_task = broken
    found = aiokafka_patches.find_ended_task(consumer, producer)
    assert found == "the task of the producer's metadata refresh has ended: AssertionError('no metadata')"

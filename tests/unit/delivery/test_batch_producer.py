"""What a role sends: whole batches, in order, each delivery awaited. The producer is a fake of three methods."""

import asyncio
import random
from types import SimpleNamespace

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from stream_detector.delivery import batch_producer as module
from stream_detector.delivery.batch_producer import LARGE_BYTES, MAX_IN_FLIGHT, BatchProducer, Sent
from stream_detector.events import RefusedError


class Batch:
    """As aiokafka's BatchBuilder: `append` answers None when it is full."""

    def __init__(self, room: int) -> None:
        self.records: list[bytes] = []
        self._room = room

    def append(self, *, timestamp, key, value, headers=None):
        if len(self.records) == self._room:
            return None
        self.records.append(value)
        return object()

    def record_count(self) -> int:
        return len(self.records)


class Producer:
    """Keeps what is sent; a test acknowledges it."""

    def __init__(self, room: int = 2, refuse: Exception | None = None) -> None:
        self.sent: list[tuple[str, int, list[bytes], asyncio.Future]] = []
        self._room, self._refuse_event = room, refuse

    def create_batch(self) -> Batch:
        return Batch(self._room)

    async def send_batch(self, batch, topic, *, partition):
        await asyncio.sleep(0)
        if self._refuse_event:
            raise self._refuse_event
        future = asyncio.get_running_loop().create_future()
        records = batch.records if isinstance(batch, Batch) else [batch._builder]
        self.sent.append((topic, partition, records, future))
        return future


@pytest.fixture
def failures():
    return []


def make(producer, failures, **more):
    return BatchProducer(lambda: producer, failures.append, **more)


async def _until(condition):
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("never happened")


async def test_batches_of_a_partition_leave_in_the_order_of_their_events(failures, monkeypatch):
    monkeypatch.setattr(module, "MAX_IN_FLIGHT", 1)
    producer = Producer()
    batch_producer = make(producer, failures)
    for number in range(5):
        batch_producer.put("alerts", 0, b"k", b"%d" % number)
    first = batch_producer.dispatch()
    batch_producer.put("alerts", 0, b"k", b"5")
    later = batch_producer.dispatch()
    batch_producer.put("alerts", 0, b"k", b"6")
    assert batch_producer.dispatch() is later, "what is put while something is on its way fills one batch"
    await _until(lambda: len(producer.sent) == 3)
    for _, _, _, future in producer.sent:
        future.set_result(SimpleNamespace(offset=0))
    await first
    await _until(lambda: len(producer.sent) == 4)
    assert not later.done()
    producer.sent[3][3].set_result(SimpleNamespace(offset=0))
    await later
    assert batch_producer.pending_bytes == 0
    assert [value for _, _, values, _ in producer.sent for value in values] == [b"%d" % number for number in range(7)]


async def test_so_many_dispatches_go_out_before_the_first_is_acknowledged(failures):
    producer = Producer()
    batch_producer = make(producer, failures)
    for number in range(MAX_IN_FLIGHT + 3):
        batch_producer.put("alerts", 0, b"k", b"%d" % number)
        batch_producer.dispatch()
    await _until(lambda: len(producer.sent) == MAX_IN_FLIGHT)
    producer.sent[0][3].set_result(SimpleNamespace(offset=0))
    await _until(lambda: len(producer.sent) == MAX_IN_FLIGHT + 2)  # a batch has room for two
    values = [value for _, _, sent, _ in producer.sent for value in sent]
    assert values == [b"%d" % number for number in range(MAX_IN_FLIGHT + 3)]


async def test_it_is_done_when_every_batch_is_acknowledged(failures):
    producer = Producer()
    batch_producer = make(producer, failures)
    batch_producer.put("alerts", 0, b"k", b"a")
    batch_producer.put("alerts", 1, b"k", b"b")
    done = batch_producer.dispatch()
    await _until(lambda: len(producer.sent) == 2)
    assert batch_producer.pending_bytes > 0
    producer.sent[0][3].set_result(SimpleNamespace(offset=0))
    await asyncio.sleep(0)
    assert not done.done()
    producer.sent[1][3].set_result(SimpleNamespace(offset=0))
    await done
    assert (batch_producer.pending_bytes, failures) == (0, [])


async def test_nothing_put_is_nothing_sent(failures):
    assert make(Producer(), failures).dispatch() is None


async def test_a_delivery_that_fails_is_reported_and_never_counts_as_done(failures):
    producer, error = Producer(), OSError("broker away")
    batch_producer = make(producer, failures)
    batch_producer.put("alerts", 0, b"k", b"a")
    done = batch_producer.dispatch()
    await _until(lambda: producer.sent)
    producer.sent[0][3].set_exception(error)
    await _until(lambda: failures)
    assert failures == [error]
    assert not done.done()


async def test_a_producer_that_takes_nothing_is_reported(failures):
    error = ValueError("too large")
    batch_producer = make(Producer(refuse=error), failures)
    batch_producer.put("alerts", 0, b"k", b"a")
    done = batch_producer.dispatch()
    await _until(lambda: failures)
    assert failures == [error]
    assert not done.done()


async def test_the_cause_of_an_alert_is_reported_once_it_is_acknowledged(failures):
    reported = []
    producer = Producer()
    batch_producer = make(producer, failures, on_acked=lambda topic, stamps, now_s: reported.append((topic, stamps)))
    batch_producer.put("alerts", 0, b"k", b"a", caused_at_ms=11)
    batch_producer.put("alerts", 0, b"k", b"b", caused_at_ms=12)
    batch_producer.put("rekeyed", 0, b"k", b"c")
    done = batch_producer.dispatch()
    await _until(lambda: len(producer.sent) == 2)
    assert reported == []
    for _, _, _, future in producer.sent:
        future.set_result(SimpleNamespace(offset=0))
    await done
    assert reported == [("alerts", [11, 12])]


async def test_a_large_record_goes_alone_and_compressed_in_its_place(failures):
    producer = Producer(room=9)
    batch_producer = make(producer, failures)
    for value in (b"1", bytes(LARGE_BYTES), b"2", b"3"):
        batch_producer.put("t", 0, b"k", value)
    batch_producer.dispatch()
    await _until(lambda: len(producer.sent) == 3)
    before, (large,), after = [records for _, _, records, _ in producer.sent]
    assert (before, after) == ([b"1"], [b"2", b"3"])
    assert len(large.build()) < LARGE_BYTES / 100


async def test_x10_what_is_too_large_for_our_topics_is_refused_and_nothing_is_put(failures):
    batch_producer = make(Producer(), failures)
    noise = random.Random(1).randbytes(module.MOST_BYTES + 1)
    with pytest.raises(
        RefusedError, match=r"too_large: 7340\d{3} bytes with its key and headers; rekeyed takes at most"
    ):
        batch_producer.put("rekeyed", 0, b"k", b"v", [("trace", noise)])
    assert batch_producer.dispatch() is None and batch_producer.pending_bytes == 0
    batch_producer.put("rekeyed", 0, b"k", b"v", [("trace", bytes(30_000_000))])
    assert batch_producer.dispatch() is not None, "compressed it is small"


async def test_x10_what_the_broker_does_not_take_is_replaced_until_it_does(failures):
    producer, replaced = Producer(), []

    def replace(record):
        replaced.append(record)
        return Sent("dead-letters", 1, record.key, record.value[: len(record.value) // 2], [])

    batch_producer = make(producer, failures, replace_too_large=replace)
    batch_producer.put("rekeyed", 0, b"k", random.Random(1).randbytes(LARGE_BYTES + 1))
    acknowledged = batch_producer.dispatch()
    for number in range(3):
        await _until(lambda number=number: len(producer.sent) == number + 1)
        topic, partition, _, future = producer.sent[-1]
        assert (topic, partition) == (("rekeyed", 0) if number == 0 else ("dead-letters", 1))
        if number < 2:
            future.set_exception(MessageSizeTooLargeError())
        else:
            future.set_result(SimpleNamespace(offset=0))
    await acknowledged
    assert [record.topic for record in replaced] == ["rekeyed", "dead-letters"] and not failures
    assert batch_producer.pending_bytes == 0

"""What a role sends: whole batches, in order, each delivery awaited. The producer is a fake of three methods."""

import asyncio

import pytest

from stream_detector.stream import outbox as module
from stream_detector.stream.outbox import LARGE_BYTES, UNDER_WAY, Outbox


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
        self._room, self._refuse = room, refuse

    def create_batch(self) -> Batch:
        return Batch(self._room)

    async def send_batch(self, batch, topic, *, partition):
        await asyncio.sleep(0)
        if self._refuse:
            raise self._refuse
        future = asyncio.get_running_loop().create_future()
        records = batch.records if isinstance(batch, Batch) else [batch._builder]
        self.sent.append((topic, partition, records, future))
        return future


@pytest.fixture
def failures():
    return []


def make(producer, failures, **more):
    return Outbox(lambda: producer, failures.append, **more)


async def _until(condition):
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("never happened")


async def test_batches_of_a_partition_leave_in_the_order_of_their_events(failures, monkeypatch):
    monkeypatch.setattr(module, "UNDER_WAY", 1)
    producer = Producer()
    outbox = make(producer, failures)
    for number in range(5):
        outbox.put("alerts", 0, b"k", b"%d" % number)
    first = outbox.dispatch()
    outbox.put("alerts", 0, b"k", b"5")
    later = outbox.dispatch()
    outbox.put("alerts", 0, b"k", b"6")
    assert outbox.dispatch() is later, "what is put while something is on its way fills one batch"
    await _until(lambda: len(producer.sent) == 3)
    for _, _, _, future in producer.sent:
        future.set_result(None)
    await first
    await _until(lambda: len(producer.sent) == 4)
    assert not later.done()
    producer.sent[3][3].set_result(None)
    await later
    assert outbox.pending_bytes == 0
    assert [value for _, _, values, _ in producer.sent for value in values] == [b"%d" % number for number in range(7)]
    outbox.stop()


async def test_so_many_dispatches_go_out_before_the_first_is_acknowledged(failures):
    producer = Producer()
    outbox = make(producer, failures)
    for number in range(UNDER_WAY + 3):
        outbox.put("alerts", 0, b"k", b"%d" % number)
        outbox.dispatch()
    await _until(lambda: len(producer.sent) == UNDER_WAY)
    producer.sent[0][3].set_result(None)
    await _until(lambda: len(producer.sent) == UNDER_WAY + 2)  # a batch has room for two
    outbox.stop()


async def test_it_is_done_when_every_batch_is_acknowledged(failures):
    producer = Producer()
    outbox = make(producer, failures)
    outbox.put("alerts", 0, b"k", b"a")
    outbox.put("alerts", 1, b"k", b"b")
    done = outbox.dispatch()
    await _until(lambda: len(producer.sent) == 2)
    assert outbox.pending_bytes > 0
    producer.sent[0][3].set_result(None)
    await asyncio.sleep(0)
    assert not done.done()
    producer.sent[1][3].set_result(None)
    await done
    assert (outbox.pending_bytes, failures) == (0, [])
    outbox.stop()


async def test_nothing_put_is_nothing_sent(failures):
    assert make(Producer(), failures).dispatch() is None


async def test_a_delivery_that_fails_is_told_and_never_counts_as_done(failures):
    producer, error = Producer(), OSError("broker away")
    outbox = make(producer, failures)
    outbox.put("alerts", 0, b"k", b"a")
    done = outbox.dispatch()
    await _until(lambda: producer.sent)
    producer.sent[0][3].set_exception(error)
    await _until(lambda: failures)
    assert failures == [error]
    assert not done.done()
    outbox.stop()


async def test_a_producer_that_takes_nothing_is_told(failures):
    error = ValueError("too large")
    outbox = make(Producer(refuse=error), failures)
    outbox.put("alerts", 0, b"k", b"a")
    done = outbox.dispatch()
    await _until(lambda: failures)
    assert failures == [error]
    assert not done.done()
    outbox.stop()


async def test_the_cause_of_an_alert_is_told_once_it_is_acknowledged(failures):
    told = []
    producer = Producer()
    outbox = make(producer, failures, on_acked=lambda topic, stamps, now_s: told.append((topic, stamps)))
    outbox.put("alerts", 0, b"k", b"a", caused_at_ms=11)
    outbox.put("alerts", 0, b"k", b"b", caused_at_ms=12)
    outbox.put("rekeyed", 0, b"k", b"c")
    done = outbox.dispatch()
    await _until(lambda: len(producer.sent) == 2)
    assert told == []
    for _, _, _, future in producer.sent:
        future.set_result(None)
    await done
    assert told == [("alerts", [11, 12])]
    outbox.stop()


async def test_a_large_record_goes_alone_and_compressed_in_its_place(failures):
    producer = Producer(room=9)
    outbox = make(producer, failures)
    for value in (b"1", bytes(LARGE_BYTES), b"2", b"3"):
        outbox.put("t", 0, b"k", value)
    outbox.dispatch()
    await _until(lambda: len(producer.sent) == 3)
    before, (large,), after = [records for _, _, records, _ in producer.sent]
    assert (before, after) == ([b"1"], [b"2", b"3"])
    assert len(large.build()) < LARGE_BYTES / 100
    outbox.stop()

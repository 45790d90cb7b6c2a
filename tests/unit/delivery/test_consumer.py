"""Which chunks are applied: those that continue what was applied, and no other."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    InvalidSessionTimeoutError,
    KafkaConnectionError,
    KafkaError,
)
from faust.types import TP

from stream_detector.delivery import consumer as module
from stream_detector.delivery.consumer import RECORD_BYTES, BatchConsumer, Chunk, InlineConsumerThread
from stream_detector.delivery.task import Position, Tasks
from stream_detector.kafka.topics import COMPLETIONS

TP0, CHANGELOG = TP(COMPLETIONS, 0), TP("baselines", 0)


class Refused(Exception):
    pass


class Consumer(BatchConsumer):
    """The real decisions, without Faust around them."""

    def __init__(self) -> None:
        self.tasks, self._rewinds, self.era, self.in_flight_bytes = Tasks(), Counter(), 0, 0
        self._room_freed, self._short_since = asyncio.Event(), {}
        self._unfinished, self._delivered_until = Counter(), {}
        self.sought: list[int] = []
        self._thread = SimpleNamespace(seek=lambda tp, offset: self.sought.append(offset))
        self.partition = SimpleNamespace(replay_until={})
        table = SimpleNamespace(data=SimpleNamespace(owned_partition={0: self.partition}.get))
        self.app = SimpleNamespace(fail=self._fail, topic_prefix="", tables={"baselines": table})
        self.highwater: int | None = 1000
        self.tasks.of(0).positions[TP0] = Position(10, 10)

    def _fail(self, why):
        raise Refused(why)

    def _fetch_state(self, tp):
        return SimpleNamespace(highwater=self.highwater)

    def assignment(self):
        return {TP0}

    def fetched(self, first: int, count: int = 5, *, next_offset: int | None = None) -> Chunk:
        records = [SimpleNamespace(offset=first + n, value=b"12345678") for n in range(count)]
        return Chunk(TP0, records, next_offset or first + count, self._rewinds[TP0], self.era)

    @property
    def at(self) -> int:
        return self.tasks.position(TP0).next


@pytest.fixture
async def consumer():
    return Consumer()


def test_chunks_in_a_row_are_applied(consumer):
    for first in (10, 15, 20):
        chunk = consumer.fetched(first)
        assert consumer.is_next(chunk)
        consumer.advance(chunk)
    assert (consumer.at, consumer.sought) == (25, [])


def test_a_chunk_behind_one_that_was_thrown_away_is_fetched_again(consumer):
    """Faust empties the agents' queues when it resumes after a rebalance, with the position already behind."""
    assert not consumer.is_next(consumer.fetched(15))
    assert consumer.sought == [10]
    chunk = consumer.fetched(10)
    assert consumer.is_next(chunk)
    consumer.advance(chunk)
    assert consumer.at == 15


def test_a_gap_that_is_still_there_is_a_gap_of_the_topic(consumer):
    """Compaction and transaction markers leave some."""
    assert not consumer.is_next(consumer.fetched(17))
    again = consumer.fetched(17)
    assert consumer.is_next(again)
    consumer.advance(again)
    assert consumer.at == 22
    assert not consumer.is_next(consumer.fetched(30)), "the next gap is looked at anew"


def test_a_chunk_fetched_before_a_rewind_is_not_used(consumer):
    before = consumer.fetched(20)
    assert not consumer.is_next(consumer.fetched(15))
    assert not consumer.is_next(before)
    assert consumer.sought == [10]


def test_markers_behind_the_last_record_are_passed(consumer):
    chunk = consumer.fetched(10, next_offset=17)
    assert consumer.is_next(chunk)
    consumer.advance(chunk)
    assert consumer.at == 17


def test_nothing_is_applied_once_the_partition_is_given_up(consumer):
    chunk = consumer.fetched(10)
    consumer.tasks.clear()
    assert not consumer.is_next(chunk)


def test_a_chunk_of_an_earlier_assignment_moves_nothing(consumer):
    """A recorder may still be writing it when the partition comes back."""
    chunk = consumer.fetched(10)
    consumer.tasks.clear()
    consumer.era += 1
    consumer.tasks.of(0).positions[TP0] = Position(10, 10)
    consumer.advance(chunk)
    consumer.release(chunk)
    assert (consumer.at, consumer.in_flight_bytes) == (10, 0)


def test_nor_is_it_applied(consumer):
    """An agent that waited with it has it still when the partition has come back and begins at the same offset."""
    chunk = consumer.fetched(10)
    consumer.era += 1
    assert not consumer.is_next(chunk)


class Reading(Consumer):
    """With what one fetch brings, of a source and of a changelog."""

    def __init__(self, *, flow: bool = True, rebalancing: bool = False, active: bool = True) -> None:
        super().__init__()
        self.fetched_until, self.positions, self.delivered = {}, {TP0: 15, CHANGELOG: 15}, []
        self.recovered: list[int] = []
        partition = SimpleNamespace(apply_changelog=lambda records: self.recovered.append(records[0].offset))
        table = SimpleNamespace(data=SimpleNamespace(get_or_create=lambda number: partition))
        recovery = SimpleNamespace(active_tps={CHANGELOG} if active else set(), active_offsets={}, in_recovery=False)
        self.app.tables = SimpleNamespace(_changelogs={CHANGELOG.topic: table}, recovery=recovery)
        self.app.rebalancing, self.app.batch_producer = rebalancing, SimpleNamespace(pending_bytes=0)
        self.flow_active, self.can_resume_flow = True, asyncio.Event()
        self._flow = flow

    def assignment(self):
        return {TP0, CHANGELOG}

    def fetch_position(self, tp):
        return self.positions[tp]

    def _get_active_partitions(self):
        return {TP0, CHANGELOG}

    async def _getmany(self, wanted, timeout_s):
        self.flow_active = self._flow
        return {tp: self.fetched(10).records for tp in wanted}

    async def _deliver(self, chunk):
        self.delivered.append((chunk.records[0].offset, chunk.next))


async def test_a_fetch_goes_to_the_agents_and_into_the_store():
    reading = Reading()
    await reading._drain_once()
    assert (reading.delivered, reading.recovered, reading.sought) == ([(10, 15)], [10], [])
    assert not reading.fetched_until


async def test_what_a_rebalance_keeps_from_its_use_is_fetched_again():
    """The fetch position is behind it: a changelog's records would pass for recovered."""
    reading = Reading(flow=False)
    await reading._drain_once()
    assert (reading.delivered, reading.recovered, reading.sought) == ([], [], [10, 10])


async def test_what_was_fetched_before_somebody_sought_is_not_used():
    reading = Reading()
    asyncio.get_running_loop().call_soon(reading.positions.update, dict.fromkeys((TP0, CHANGELOG), 3))
    await reading._drain_once()
    assert (reading.delivered, reading.recovered, reading.sought) == ([], [], [])


async def test_a_standby_is_read_by_nobody():
    reading = Reading(active=False)
    await reading._drain_once()
    assert (reading.delivered, reading.recovered, reading.sought) == ([(10, 15)], [], [])


def test_a_topic_made_anew_is_refused_with_what_to_do(consumer):
    with pytest.raises(Refused, match="the topic was recreated"):
        consumer.is_next(consumer.fetched(0))


def test_a_topic_that_ends_before_what_the_state_has_of_it_is_refused(consumer, monkeypatch):
    """Kafka deletes the committed offsets with the topic: then only the state remembers."""
    now = 100.0
    monkeypatch.setattr(module, "_clock", lambda: now)
    consumer.tasks.of(0).positions[TP0] = Position(0, None)
    consumer.partition.replay_until = {COMPLETIONS: 50}
    consumer.highwater = 60
    assert consumer.is_next(consumer.fetched(0)), "a replay"
    consumer.highwater = 5
    assert not consumer.is_next(consumer.fetched(0)), "a new leader may answer so for a moment"
    consumer.highwater = 60
    assert consumer.is_next(consumer.fetched(0))
    consumer.highwater = 5
    assert not consumer.is_next(consumer.fetched(0))
    now += module.SHORT_FOR_S + 1
    with pytest.raises(Refused, match="has offset 5, but 50 was already applied"):
        consumer.is_next(consumer.fetched(0))


def test_an_empty_topic_where_there_was_one_is_refused_without_any_record(consumer, monkeypatch):
    now = 100.0
    monkeypatch.setattr(module, "_clock", lambda: now)
    consumer.highwater = None
    assert not consumer.is_truncated(TP0), "nothing is known yet"
    consumer.highwater = 0
    assert consumer.is_truncated(TP0)
    now += module.SHORT_FOR_S + 1
    with pytest.raises(Refused, match="recreated"):
        consumer.is_truncated(TP0)


def test_memory_is_counted_by_bytes(consumer):
    chunk = consumer.fetched(10)
    assert chunk.n_bytes == 5 * (8 + RECORD_BYTES)
    consumer.in_flight_bytes = chunk.n_bytes
    consumer.release(chunk)
    assert consumer.in_flight_bytes == 0


@pytest.mark.parametrize(
    ("undone", "fetched", "stands"),
    [
        (0, 13, 13),  # 10 to 12 were markers of transactions: no chunk brings them, and nothing is left to read
        (1, 13, 10),  # fetched, and an agent has it
        (0, -1, 10),  # nothing was fetched yet
    ],
)
async def test_a_partition_stands_where_its_agents_have_got_to_and_markers_are_no_work(
    consumer, undone, fetched, stands
):
    async def ends(partitions):
        return dict.fromkeys(partitions, 13)

    consumer._thread._consumer = SimpleNamespace(end_offsets=ends)
    consumer.app.tables = SimpleNamespace(recovery=SimpleNamespace(in_recovery=False))
    consumer.app.rebalancing = False
    consumer.fetch_position = lambda tp: fetched
    consumer._unfinished[TP0] = undone
    assert await consumer.standing() == [(TP0, stands, 13)]


async def test_while_the_broker_is_away_nobody_stands(consumer):
    async def ends(partitions):
        raise KafkaConnectionError

    consumer._thread._consumer = SimpleNamespace(end_offsets=ends)
    consumer.app.tables = SimpleNamespace(recovery=SimpleNamespace(in_recovery=False))
    consumer.app.rebalancing = False
    assert await consumer.standing() == []


def test_what_holds_no_records_behind_the_last_one_is_passed_once_that_is_applied(consumer):
    """Aborted transactions at the end of a topic."""
    chunk = consumer.fetched(10)
    consumer._delivered_until[TP0] = chunk.next
    consumer.fetch_position = lambda tp: 40
    consumer.skip_gap(TP0)
    assert consumer.at == 10, "the chunk is not applied yet"
    consumer.advance(chunk)
    consumer.skip_gap(TP0)
    assert consumer.at == 40


def test_a_chunk_that_was_thrown_away_is_no_gap(consumer):
    consumer._delivered_until[TP0] = 15
    consumer.fetch_position = lambda tp: 15
    consumer.skip_gap(TP0)
    assert consumer.at == 10


class Member(InlineConsumerThread):
    """What becomes of the group's troubles, without a group."""

    def __init__(self) -> None:
        self.rejoined = 0
        self._consumer = SimpleNamespace(_coordinator=SimpleNamespace(request_rejoin=self._rejoin))
        self.app = SimpleNamespace(fail=self._fail, role="detector", conf=SimpleNamespace(id="here.detector"))

    def _rejoin(self):
        self.rejoined += 1

    def _fail(self, why):
        raise Refused(why)


@pytest.mark.parametrize(
    "error", [KafkaError("unexpected"), GroupCoordinatorNotAvailableError(), RuntimeError("a defect")]
)
async def test_a_member_of_a_troubled_group_joins_again(monkeypatch, error):
    monkeypatch.setattr(module, "REJOIN_AFTER_S", 0.0)
    member = Member()
    await member._group_troubled(error)
    assert member.rejoined == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (GroupAuthorizationFailedError("here.detector"), "Read on group here.detector.*acls --role detector"),
        (InvalidSessionTimeoutError(), "InvalidSessionTimeout"),
    ],
)
async def test_where_joining_again_cannot_help_it_ends_and_says_why(error, said):
    with pytest.raises(Refused, match=said):
        await Member()._group_troubled(error)


async def test_a_task_of_the_library_that_has_ended_is_named():
    async def defect():
        raise AssertionError("no metadata")

    async def in_order():
        pass

    broken, ended, cancelled = map(asyncio.ensure_future, (defect(), in_order(), in_order()))
    cancelled.cancel()
    await asyncio.wait([broken, ended, cancelled])
    member = Member()
    member._consumer._coordinator._coordination_task = ended
    member._consumer._client = SimpleNamespace(_sync_task=cancelled)
    member.app.producer = SimpleNamespace(_producer=SimpleNamespace(client=SimpleNamespace(_sync_task=ended)))
    assert member.find_ended_task() == ""
    member.app.producer._producer.client._sync_task = broken
    assert member.find_ended_task() == "the producer's renewal of metadata has ended: AssertionError('no metadata')"

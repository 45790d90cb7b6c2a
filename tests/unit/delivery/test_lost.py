"""X16: what Kafka deleted before it was read is counted exactly and reported once; a mere gap in offsets never is."""

from types import SimpleNamespace

import pytest
from aiokafka.consumer.subscription_state import TopicPartitionState
from faust.types import TP
from prometheus_client import REGISTRY

from stream_detector.delivery.checkpoint import Checkpoint
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.processor import Positions
from stream_detector.kafka import aiokafka_patches
from stream_detector.kafka.aiokafka_patches import FetchState
from stream_detector.kafka.commit_note import MOST, OffsetRange, read_note, with_lost
from stream_detector.kafka.topics import SCORES

TP0 = TP("p." + SCORES, 0)


def counted() -> float:
    labels = {"topic": SCORES, "partition": "0"}
    return REGISTRY.get_sample_value("stream_detector_records_lost_total", labels) or 0.0


class Worker:
    """Positions and their checkpoint; the group keeps what is committed, as Kafka does."""

    def __init__(self, committed: int | None = 100, **start) -> None:
        self.fetched, self.reset = 100, None
        self.commits, self.outcome, self.topic_prefix, self.settings = {}, True, "p.", None
        self.positions = Positions(lambda: self, lambda number, source: 0, self.fail, "p.")
        self.positions.start(TP0, start.pop("next_offset", 100), committed, **start)
        self.tasks, self.group, self.state_tables = self.positions.tasks, self, []

    def fetch_state(self, tp):
        return FetchState(self.fetched, 10_000, 10_000, self.reset)

    def fetch_from(self, tp, offset):
        self.fetched = offset

    def fail(self, why):
        raise SystemExit(why)

    def before_checkpoint(self, task): ...

    def owns_partitions(self):
        return True

    async def commit_offsets(self, offsets):
        if self.outcome:
            self.commits |= offsets
        return self.outcome

    def chunk(self, first: int, next_offset: int) -> Chunk:
        records = [SimpleNamespace(offset=n, value=b"{}") for n in range(first, next_offset)]
        found = Chunk(TP0, records, next_offset, self.positions.rewinds[TP0], self.positions.assignment)
        self.positions.note_delivered(found)
        self.fetched = next_offset
        return found

    def applied(self, first: int, next_offset: int) -> None:
        """A chunk comes, as often as it has to be fetched, and is applied."""
        chunk = self.chunk(first, next_offset)
        if not self.positions.is_next(chunk):
            self.positions.release(chunk)
            chunk = self.chunk(first, next_offset)
            assert self.positions.is_next(chunk)
        self.positions.mark_applied(chunk)
        self.positions.release(chunk)

    async def checkpoint(self) -> None:
        await Checkpoint(self)()  # type: ignore[arg-type]

    @property
    def noted(self) -> list[tuple[int, int]]:
        commit = self.commits.get(TP0)
        return [tuple(lost) for lost in read_note(commit.metadata).lost] if commit else []


@pytest.fixture
async def worker():
    return Worker()


async def test_x16_what_lies_below_the_start_of_the_log_is_counted_and_reported_once_it_is_committed(worker, caplog):
    before = counted()
    worker.reset = (100, 700)
    worker.applied(700, 705)
    assert counted() == before and not caplog.records, "a crash now would report it after the restart"
    await worker.checkpoint()
    assert counted() == before + 600
    assert "scores-0: 600 records (offsets 100 to 699) were deleted from Kafka" in caplog.text
    assert worker.noted == [(100, 700)]
    worker.applied(705, 710)
    await worker.checkpoint()
    assert counted() == before + 600 and len(caplog.records) == 1
    assert worker.commits[TP0].offset == 710 and worker.noted == [(100, 700)], "it is still noted with the next commit"


@pytest.mark.parametrize("reset", [None, (20, 60)], ids=["no reset", "an earlier reset"])
async def test_x16_a_gap_of_compaction_or_transactions_is_no_loss(worker, reset):
    before, worker.reset = counted(), reset
    worker.applied(400, 405)
    worker.fetched = 500
    worker.positions.skip_gap(TP0)
    await worker.checkpoint()
    assert (counted(), worker.commits[TP0].offset, worker.noted) == (before, 500, [])


async def test_x16_a_gap_beside_a_loss_is_not_counted_with_it(worker):
    """400 to 449 were markers: the log begins at 400, its first record is 450."""
    before, worker.reset = counted(), (100, 400)
    worker.applied(450, 455)
    await worker.checkpoint()
    assert counted() == before + 300 and worker.noted == [(100, 400)]


async def test_x16_what_was_fetched_before_it_was_deleted_is_applied_and_not_lost(worker):
    before = counted()
    held = worker.chunk(100, 500)  # an agent has it, for as long as PostgreSQL is away
    worker.reset = (500, 700)
    behind = worker.chunk(700, 705)
    assert worker.positions.is_next(held)
    worker.positions.mark_applied(held)
    worker.positions.release(held)
    assert not worker.positions.is_next(behind), "it is fetched again first"
    worker.applied(700, 705)
    await worker.checkpoint()
    assert counted() == before + 200 and worker.noted == [(500, 700)]


async def test_x16_a_topic_of_which_nothing_is_left_brings_no_chunk(worker):
    before, worker.reset, worker.fetched = counted(), (100, 700), 700
    worker.positions.skip_gap(TP0)
    await worker.checkpoint()
    assert counted() == before + 600 and worker.noted == [(100, 700)]


async def test_x16_a_chunk_that_is_given_up_reports_nothing_yet(worker):
    """The recorder gives one up where its partitions are taken away; whoever gets them counts."""
    before, worker.reset = counted(), (100, 700)
    for _ in range(2):
        worker.positions.release(worker.chunk(700, 705))
    await worker.checkpoint()
    assert counted() == before and not worker.commits


async def test_x16_a_commit_that_is_refused_reports_nothing_and_the_next_owner_reports_it(worker):
    before, worker.reset, worker.outcome = counted(), (100, 700), False
    worker.applied(700, 705)
    await worker.checkpoint()
    assert counted() == before
    successor = Worker()
    successor.reset = (100, 800)  # more was deleted meanwhile
    successor.applied(800, 805)
    await successor.checkpoint()
    assert counted() == before + 700 and successor.noted == [(100, 800)]


async def test_x16_a_group_whose_offsets_the_broker_has_forgotten_goes_by_its_state():
    before = counted()
    away = Worker(committed=None, next_offset=700, known=150)
    await away.checkpoint()
    assert counted() == before + 550 and away.noted == [(150, 700)]


@pytest.mark.parametrize("known", [0, 700, 900], ids=["first start", "nothing lost", "read further"])
async def test_x16_a_first_start_on_a_topic_with_a_past_is_no_loss(known):
    before = counted()
    new = Worker(committed=None, next_offset=700, known=known)
    await new.checkpoint()
    assert (counted(), new.noted) == (before, [])


async def test_x16_a_restart_keeps_what_was_noted_and_does_not_report_it_again(caplog):
    before = counted()
    restarted = Worker(note=with_lost("", [OffsetRange(40, 60)]))
    restarted.applied(100, 110)
    await restarted.checkpoint()
    assert counted() == before and not caplog.records
    assert restarted.noted == [(40, 60)]


def test_x16_the_note_stays_below_what_a_broker_takes():
    note = ""
    for number in range(100):
        note = with_lost(note, [OffsetRange(2**47 + number * 10, 2**47 + number * 10 + 5)])
    assert len(note) < 4096
    assert len(read_note(note).lost) == MOST and read_note(note).lost[-1].first == 2**47 + 990


async def test_x16_where_the_broker_sends_a_fetch_is_remembered(monkeypatch):
    monkeypatch.setattr(TopicPartitionState, "await_reset", TopicPartitionState.await_reset)
    monkeypatch.setattr(TopicPartitionState, "reset_to", TopicPartitionState.reset_to)
    aiokafka_patches.remember_resets()
    aiokafka_patches.remember_resets()  # a second role in one process
    state = TopicPartitionState(None)
    state.await_reset(-2)
    state.reset_to(30)
    assert "last_reset" not in vars(state), "a first position is no loss"
    state.seek(100)
    state.await_reset(-2)
    state.reset_to(700)
    assert vars(state)["last_reset"] == (100, 700)
    state.await_reset(-2)
    state.reset_to(0)
    assert vars(state)["last_reset"] == (100, 700), "a topic that ends before the position is another case"

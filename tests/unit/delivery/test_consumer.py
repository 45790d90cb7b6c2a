"""Where what was fetched goes: to the agents, into the store, or back."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError
from faust.types import TP

from stream_detector.delivery import step_reader
from stream_detector.delivery.checkpoint import Commit
from stream_detector.delivery.consumer import BatchConsumer
from stream_detector.delivery.processor import Positions
from stream_detector.delivery.small_steps import FIRST_RECORDS, SET_ASIDE, SmallSteps
from stream_detector.delivery.step_reader import StepReader
from stream_detector.kafka.aiokafka_patches import FetchState
from stream_detector.kafka.commit_note import StartNote as Note
from stream_detector.kafka.topics import COMPLETIONS, DEAD_LETTERS

TP0, CHANGELOG = TP(COMPLETIONS, 0), TP("baselines", 0)


def record(offset):
    return SimpleNamespace(offset=offset, key=None, value=b"1", headers=(), timestamp=1)


class NoNotes:
    async def read(self, offsets):
        return {}

    async def write(self, noted):
        return True


class Reading(BatchConsumer):
    """The real decisions, without Faust around them; one fetch brings five records of a source and of a changelog."""

    def __init__(self, *, flow: bool = True, rebalancing: bool = False, active: bool = True) -> None:
        self.fetched_until, self.at, self.delivered = {}, {TP0: 15, CHANGELOG: 15}, []
        self.recovered: list[int] = []
        self._skip_gaps_at_s = 0.0
        self.brings: set[TP] = {TP0, CHANGELOG}
        self.sought: list[int] = []
        self._thread = SimpleNamespace(seek=lambda tp, offset: self.sought.append(offset), most_records=None)
        self._thread.fetch_committed = self.answer_committed
        self._commits, self._commits_of_assignment, self.asked = {}, -1, 0
        partition = SimpleNamespace(apply_changelog=lambda records: self.recovered.append(records[0].offset))
        self.partition = partition
        self.app = SimpleNamespace(
            positions=Positions(lambda: self, lambda number, source: 0, pytest.fail),
            tables_by_changelog={CHANGELOG.topic: SimpleNamespace(get_or_create=lambda number: partition)},
            recovery=SimpleNamespace(active_tps={CHANGELOG} if active else set(), active_offsets={}, in_recovery=False),
            rebalancing=rebalancing,
            batch_producer=SimpleNamespace(pending_bytes=0),
            role="detector",
            settings=SimpleNamespace(topic=str),
            topic_prefix="",
            partitions={DEAD_LETTERS: 1},
            waiting_for="",
            pass_over=self.pass_over,
            send_to_dlq=lambda record, headers, place, number, error: self.letters.append((record, error)),
            dispatch=lambda number: None,
        )
        self.passed_over: list[tuple[str, int]] = []
        self.letters, self.applies, self.committed = [], True, list[tuple[int, Note]]()
        self.steps = SmallSteps(NoNotes())
        self.app.positions.start(TP0, 10, 10)
        self.flow_active, self.can_resume_flow = True, asyncio.Event()
        self._flow = flow
        self.checkpoints, self.most = 0, list[int | None]()

    async def pass_over(self, source, chunk):
        self.passed_over.append((source, chunk.next_offset))
        return self.applies

    async def answer_committed(self, sources):
        self.asked += 1
        if self.asked == 1:
            raise KafkaError
        return {tp: Commit(7, "") for tp in sources}

    @property
    def is_stopping(self):
        return False

    async def commit_and_end_transactions(self):
        self.checkpoints += 1
        position = self.app.positions.tasks.find_position(TP0)
        if position is not None and position.next_offset != position.committed:
            self.committed.append((position.next_offset, self.steps.at(TP0, position.next_offset)))
            self.steps.passed({TP0: position.next_offset})
            position.committed = position.next_offset

    def assignment(self):
        return {TP0, CHANGELOG}

    def fetch_state(self, tp):
        return FetchState(self.at[tp], 1000, None)

    def _get_active_partitions(self):
        return {TP0, CHANGELOG}

    async def _getmany(self, wanted, timeout_s):
        self.flow_active = self._flow
        self.most.append(self.member.most_records)
        found = wanted & self.brings
        if found & self.steps.again:
            n = min(5, self.member.most_records)
            self.at[TP0] += n
            return {TP0: [record(self.at[TP0] - n + number) for number in range(n)]}
        return {tp: [record(10 + n) for n in range(5)] for tp in found}

    async def deliver(self, chunk):
        self.delivered.append((chunk.records[0].offset, chunk.next_offset))
        if chunk.tp in self.steps.again and self.applies:
            self.app.positions.mark_applied(chunk)


async def test_a_fetch_goes_to_the_agents_and_into_the_store():
    reading = Reading()
    await reading._drain_once()
    assert (reading.delivered, reading.recovered, reading.sought) == ([(10, 15)], [10], [])
    assert not reading.unused


async def test_a_partition_that_brings_nothing_passes_its_markers_while_another_brings_records():
    """A lone marker of a transaction, or an aborted one: else the group's commits stay before the end."""
    reading = Reading()
    other = TP(COMPLETIONS, 1)
    reading.app.positions.start(other, 3, 3)
    reading.at[other] = 4
    reading._get_active_partitions = lambda: {TP0, CHANGELOG, other}
    await reading._drain_once()
    assert reading.delivered == [(10, 15)]
    assert reading.app.positions.tasks.find_position(other).next_offset == 4
    assert reading.app.positions.tasks.find_position(TP0).next_offset == 10, "its records are not applied yet"


class Notes:
    """Of a process that starts here for the `starts`th time; a rebalance may come while one is written."""

    def __init__(self, starts: int) -> None:
        self.starts, self.written, self.meanwhile = starts, list[Note](), lambda: None
        self.set_aside: list[int] = []

    async def read(self, offsets):
        size = FIRST_RECORDS if self.starts > 2 else 0
        return {tp: Note(starts=self.starts - 1, size=size, is_read=self.starts > 2) for tp in offsets}

    async def write(self, noted):
        self.written += [note for _, note in noted.values()]
        self.meanwhile()
        return True

    def note_passed(self, noted): ...

    def note_set_aside(self, tp, offset):
        self.set_aside.append(offset)


async def reading_again(starts: int = 2) -> tuple[Reading, Notes]:
    """At record 10 of 1,000; what goes to the agents is applied at once, and committed by the next checkpoint."""
    reading, notes = Reading(), Notes(starts)
    reading.brings, reading._get_active_partitions = {TP0}, lambda: {TP0}
    reading.steps = SmallSteps(notes)
    reading.step_reader = StepReader(reading.app, reading, reading.steps)
    await reading.steps.begin({TP0: 10})
    notes.written.clear()
    reading.at[TP0] = 10
    return reading, notes


async def test_x10_a_first_start_reads_as_much_as_ever_and_notes_nothing_more():
    reading, notes = await reading_again(starts=1)
    await reading._drain_once()
    assert reading.most == [None] and not notes.written and not reading.checkpoints


async def test_x10_a_second_start_reads_a_few_records_and_commits_them():
    reading, notes = await reading_again()
    await reading._drain_once()
    assert reading.most == [FIRST_RECORDS] and reading.delivered == [(10, 15)]
    assert notes.written == [Note(starts=2, size=FIRST_RECORDS, is_read=True)]
    assert reading.committed == [(15, Note(starts=2, size=2 * FIRST_RECORDS))]
    await reading._drain_once()
    assert reading.most == [FIRST_RECORDS, 2 * FIRST_RECORDS]


async def test_x10_a_third_start_notes_the_place_of_each_record_before_it_is_fetched():
    reading, notes = await reading_again(starts=3)
    await reading._drain_once()
    assert reading.most == [1] and reading.delivered == [(10, 11)]
    assert notes.written == [Note(starts=3, size=FIRST_RECORDS, is_read=True)]
    assert reading.committed == [(11, Note(starts=3, size=FIRST_RECORDS - 1))]


async def test_x10_what_ended_the_process_three_times_is_not_applied():
    reading, notes = await reading_again(starts=SET_ASIDE)
    await reading._drain_once()
    ((record, why),) = reading.letters
    assert reading.delivered == [] and record.offset == 10 and (why.stage, why.reason) == ("step", "step_failed")
    assert reading.committed == [(11, Note(starts=3, size=FIRST_RECORDS - 1))]
    assert [note.is_read for note in notes.written] == [True, False], "its fetch did not kill"
    assert reading.passed_over == [(COMPLETIONS, 11)] and notes.set_aside == [10]


async def test_x10_what_cannot_be_passed_over_now_is_not_set_aside():
    """PostgreSQL is away, say, and the process is asked to stop."""
    reading, _ = await reading_again(starts=SET_ASIDE)
    reading.applies = False
    await reading._drain_once()
    assert not reading.letters and not reading.committed


async def test_x10_nothing_is_set_aside_before():
    reading, _ = await reading_again(starts=SET_ASIDE - 1)
    await reading._drain_once()
    assert not reading.letters and reading.delivered == [(10, 11)]


async def test_x10_a_fourth_end_was_in_the_fetch_whose_batch_is_refused(monkeypatch):
    refused = []
    monkeypatch.setattr(step_reader.aiokafka_patches, "refuse_batch", lambda *place: refused.append(place))
    reading, _ = await reading_again(starts=SET_ASIDE + 1)
    await reading._drain_once()
    assert refused == [(COMPLETIONS, 0, 10)] and reading.delivered == [(10, 11)] and not reading.letters


@pytest.mark.parametrize("starts", [2, 3])
async def test_x10_a_rebalance_while_a_record_is_noted_or_fetched_leaves_it_unread(starts):
    reading, notes = await reading_again(starts)
    notes.meanwhile = reading.app.positions.revoke_all
    getmany = reading._getmany

    async def revoked(*wanted):
        fetched = await getmany(*wanted)
        reading.app.positions.revoke_all()
        return fetched

    reading._getmany = revoked
    await reading._drain_once()
    assert reading.delivered == [] and reading.committed == []


async def test_x10_a_record_is_no_reason_while_a_service_is_away():
    reading, notes = await reading_again(starts=3)
    reading.app.waiting_for = "PostgreSQL"
    reading.applies = False
    notes.meanwhile = lambda: len(notes.written) > 1 and reading.app.positions.revoke_all()
    await reading._drain_once()
    assert [note.is_read for note in notes.written] == [True, False]


async def test_x10_a_partition_that_was_begun_again_and_has_no_records_lets_the_others_read():
    reading, notes = await reading_again()
    other = TP(COMPLETIONS, 1)
    reading.app.positions.start(other, 1_000, 1_000)
    reading.at[other] = 1_000
    await reading.steps.begin({other: 1_000})
    notes.written.clear()
    reading._get_active_partitions = lambda: {TP0, other}
    await reading._drain_once()
    assert reading.most == [None] and reading.delivered == [(10, 15)] and not notes.written
    reading.at[other], reading._skip_gaps_at_s = 1_001, 0.0  # a marker of a transaction, a moment later
    await reading._drain_once()
    assert reading.app.positions.tasks.find_position(other).next_offset == 1_001


async def test_what_a_rebalance_keeps_from_its_use_is_fetched_again():
    """The fetch position is behind it: a changelog's records would pass for recovered."""
    reading = Reading(flow=False)
    await reading._drain_once()
    assert (reading.delivered, reading.recovered, reading.sought) == ([], [], [10, 10])


async def test_what_was_fetched_before_somebody_sought_is_not_used():
    reading = Reading()
    asyncio.get_running_loop().call_soon(reading.at.update, dict.fromkeys((TP0, CHANGELOG), 3))
    await reading._drain_once()
    assert (reading.delivered, reading.recovered, reading.sought) == ([], [], [])


async def test_a_standby_is_read_by_nobody():
    reading = Reading(active=False)
    await reading._drain_once()
    assert (reading.delivered, reading.recovered, reading.sought) == ([(10, 15)], [], [])


@pytest.mark.parametrize("is_away", [False, True])
async def test_progress_names_each_partition_and_nobody_stands_while_the_broker_is_away(is_away):
    async def end_offsets(partitions):
        if is_away:
            raise KafkaConnectionError
        return dict.fromkeys(partitions, 13)

    reading = Reading()
    reading._thread = SimpleNamespace(kafka_consumer=SimpleNamespace(end_offsets=end_offsets))
    reading.at[TP0] = 12
    assert await reading.read_progress() == ([] if is_away else [(TP0, 12, 13)])


async def test_recovery_knows_what_is_committed_and_does_without_where_the_broker_does_not_answer():
    reading = Reading()
    await reading._drain_once()
    assert reading.partition.committed == {}
    await reading._drain_once()
    assert reading.asked == 1, "once for each assignment"
    reading.app.positions.assignment += 1
    await reading._drain_once()
    await reading._drain_once()
    assert (reading.asked, reading.partition.committed) == (2, {TP0.topic: 7})

"""Of a checkpoint all changes are recovered, or none, wherever the log ends."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.journaled_partition import BATCH_BYTES, PAGE, JournaledPartition
from stream_detector.kafka.topics import NOTIFIER_IN
from stream_detector.notify.state.slotted_store import SlottedStore
from stream_detector.roles.notifier import SLOTS
from tests.unit.delivery.snapshots import take_snapshot
from tests.unit.delivery.state.test_partition import Written

TEXT: Codec[str] = Codec(str.encode, lambda _, packed: packed.decode())
BIG = "x" * (BATCH_BYTES // 3)


class Log:
    """A changelog partition, whose batches are in it whole."""

    def __init__(self) -> None:
        self.batches: list[list[Written]] = []

    def append(self, records) -> int:
        base = sum(map(len, self.batches))
        self.batches.append([Written(base + n, key, value) for n, (key, value) in enumerate(records)])
        return base

    def owner(self, *, batches: int | None = None) -> JournaledPartition:
        """Who has read so many of the batches and claimed the partition."""
        partition = JournaledPartition(TEXT)
        if known := [record for batch in self.batches[:batches] for record in batch]:
            partition.apply_changelog(known)
        partition.finish_recovery(-1)
        if batches is None:
            partition.confirm_claim(self.append([partition.claim_record()]))
        return partition

    def checkpoint(self, partition, at: int) -> None:
        """As `Checkpoint` does it: journal, records, watermarks, each in batches of what fits."""
        records, rest = take_snapshot(partition, {NOTIFIER_IN: at})
        for some in (partition.journal_records(records), records, rest):
            batch, room = [], BATCH_BYTES
            for key, value in some:
                room -= len(key) + len(value)
                if room < 0 and batch:
                    partition.confirm_write(self.append(batch), len(batch))
                    batch, room = [], BATCH_BYTES - len(key) - len(value)
                batch.append((key, value))
            if batch:
                partition.confirm_write(self.append(batch), len(batch))


def content(partition: JournaledPartition) -> dict[str, str]:
    return {key: partition.get(key) for key in partition.keys()}  # noqa: SIM118


def test_a_checkpoint_that_fits_into_a_batch_needs_no_journal() -> None:
    log = Log()
    partition = log.owner()
    partition.put("a", "1")
    partition.put("b", "2")
    log.checkpoint(partition, 1)
    assert [len(batch) for batch in log.batches] == [1, 2]
    assert not [r for batch in log.batches for r in batch if r.key.startswith(PAGE)]
    assert content(log.owner()) == {"a": "1", "b": "2"}


sizes = st.sampled_from(["", "y", BIG])
checkpoints = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 9), sizes), min_size=1),
    min_size=1,
    max_size=5,
)


@given(checkpoints)
def test_wherever_a_crash_comes_the_next_owner_has_whole_checkpoints(made) -> None:
    log = Log()
    partition = log.owner()
    wanted, states, ends = dict[str, str](), [dict[str, str]()], [1]
    for number, changed in enumerate(made):
        for key, (value, size) in changed.items():
            wanted[key] = f"{number} {value}{size}"
            partition.put(key, wanted[key])
        log.checkpoint(partition, number)
        states.append(dict(wanted))
        ends.append(len(log.batches))
    for batches in range(1, len(log.batches) + 1):
        before = sum(end <= batches for end in ends) - 1
        found = content(log.owner(batches=batches))
        assert found in states[before : before + 2], "the last whole one, or the next if its journal is whole"


@given(checkpoints)
def test_what_a_torn_checkpoint_left_is_mended_by_the_next_owner_for_good(made) -> None:
    """The log is cut at each place, goes on from there, and is compacted: only the last record of each key is left."""
    log = Log()
    partition = log.owner()
    for number, changed in enumerate(made):
        for key, (value, size) in changed.items():
            partition.put(key, f"{number} {value}{size}")
        log.checkpoint(partition, number)
    for batches in range(1, len(log.batches) + 1):
        cut = Log()
        cut.batches = log.batches[:batches]
        again = cut.owner()
        after = content(again)
        cut.checkpoint(again, 99)
        last = {record.key: record for batch in cut.batches for record in batch}
        compacted = Log()
        compacted.batches = [sorted(last.values(), key=lambda record: record.offset)]
        assert content(compacted.owner(batches=1)) == after


def test_a_late_write_of_a_former_owner_counts_for_nothing_and_is_written_over() -> None:
    log = Log()
    zombie = log.owner()
    zombie.put("a", "old")
    zombie.put("new", "old")
    late = take_snapshot(zombie, {NOTIFIER_IN: 1})[0]
    owner = log.owner()
    owner.put("a", "good")
    log.checkpoint(owner, 2)
    log.append(late)
    third = log.owner()
    assert content(third) == {"a": "good"}
    assert third.dirty == {"a", "new"}
    log.checkpoint(third, 3)
    last = {record.key: record for batch in log.batches for record in batch}
    compacted = Log()
    compacted.batches = [sorted(last.values(), key=lambda record: record.offset)]
    assert content(compacted.owner(batches=1)) == {"a": "good"}


def test_a_journal_is_not_taken_over_what_was_written_after_it() -> None:
    log = Log()
    partition = log.owner()
    for key in "abcd":
        partition.put(key, f"1{BIG}")
    log.checkpoint(partition, 1)
    assert any(r.key.startswith(PAGE) for batch in log.batches for r in batch)
    partition.put("a", "2")
    log.checkpoint(partition, 2)
    assert log.owner().get("a") == "2"


def test_what_the_policy_changes_while_a_checkpoint_is_encoded_is_of_the_next_one() -> None:
    partition = JournaledPartition(SLOTS)
    partition.finish_recovery(-1)
    memory = SlottedStore({}, partition.encode_now, partition.put)
    for number in range(3):
        memory[f"due:{number}"] = b"before"
    snapshot = partition.begin_snapshot({NOTIFIER_IN: 1})
    memory["due:0"], memory["due:3"] = b"after", b"after"
    del memory["due:1"]
    snapshot.encode_for(float("inf"))
    again = JournaledPartition(SLOTS)
    again.apply_changelog([Written(n, key, value) for n, (key, value) in enumerate(snapshot.records)])
    slots = {name: slot for name in [*again.keys()] if (slot := again.get(name)) is not None}
    assert dict(SlottedStore(slots)) == {f"due:{number}": b"before" for number in range(3)}
    assert len(partition.dirty) == 3


def test_pages_are_not_given_back_and_watermarks_come_last() -> None:
    partition = Log().owner()
    for key in "abcd":
        partition.put(key, BIG)
    partition.watermarks["alerts/1"], partition.watermarks_changed = 7, True
    records, rest = take_snapshot(partition, {NOTIFIER_IN: 1})
    pages = partition.journal_records(records)
    assert len(pages) == 2 and len(rest) == 1
    partition.mark_dirty(pages + records + rest)
    assert partition.dirty == set("abcd") and partition.watermarks_changed


@pytest.mark.parametrize("late", [True, False])
def test_watermarks_are_recovered_unless_a_former_owner_wrote_them(late: bool) -> None:
    log = Log()
    first = log.owner()
    first.watermarks["alerts/1"], first.watermarks_changed = 5, True
    second = log.owner() if late else first
    second.watermarks["alerts/1"], second.watermarks_changed = 9, True
    log.checkpoint(second, 1)
    if late:
        log.append(take_snapshot(first, {NOTIFIER_IN: 1})[1])
    assert log.owner().watermarks == {"alerts/1": 9}

"""One partition's state: what a checkpoint takes, what recovery brings back, and who may write."""

import tracemalloc
from dataclasses import replace
from typing import NamedTuple

import pytest

from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.contents import CLAIM_KEY, WATERMARKS_KEY, Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.kafka.topics import COMPLETIONS, SCORES
from tests.unit.delivery.snapshots import take_snapshot

KEPT = 100
TEXT: Codec[list[str]] = Codec(
    lambda value: ",".join(value).encode(), lambda _, packed: packed.decode().split(","), max_unpacked=KEPT
)


class Written(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes | None


class Log:
    """A changelog partition."""

    def __init__(self) -> None:
        self.records: list[Written] = []

    def append(self, records):
        base = len(self.records)
        self.records += [Written(base + n, key, value) for n, (key, value) in enumerate(records)]
        return base

    def owner(self, *, seen: int | None = None) -> StatePartition:
        """A new owner that has read everything (or the first `seen` records) and claimed the partition."""
        partition = StatePartition(TEXT)
        if known := self.records[:seen]:
            partition.apply_changelog(known)
        partition.finish_recovery(-1)
        partition.confirm_claim(self.append([partition.claim_record()]))
        return partition

    def checkpoint(self, partition, **positions):
        records, watermarks = take_snapshot(partition, {COMPLETIONS: 0} | positions)
        for some in (records, watermarks):
            if some:
                partition.confirm_write(self.append(some), len(some))


def at(offset: int) -> dict[str, int]:
    return {COMPLETIONS: offset}


def test_what_a_checkpoint_wrote_is_recovered():
    log = Log()
    partition = log.owner()
    partition.put("a", ["1"])
    partition.put("b", ["2"])
    partition.watermarks["scores/3"] = 9
    partition.watermarks_changed = True
    log.checkpoint(partition, **at(5))
    again = log.owner()
    assert {key: again.get(key) for key in again.keys()} == {"a": ["1"], "b": ["2"]}  # noqa: SIM118
    assert again.watermarks == {"scores/3": 9}
    assert (again.epoch, again.owned, again.is_clean()) == (2, True, True)
    assert (
        again.applied_offset("a", COMPLETIONS),
        again.applied_offset("a", SCORES),
        again.applied_offset("?", COMPLETIONS),
    ) == (5, 0, 0)
    assert again.replay_until == at(5)


def test_a_key_stays_bytes_until_it_is_touched():
    log = Log()
    partition = log.owner()
    partition.put("a", ["1"])
    log.checkpoint(partition)
    again = log.owner()
    assert not again.live
    assert again.get("a") is again.get("a")
    assert list(again.live) == ["a"]


def test_many_live_values_go_back_to_bytes_after_they_are_written():
    partition = Log().owner()
    for number in range(KEPT + 1):
        partition.put(f"k{number}", ["x"])
    take_snapshot(partition, at(1))
    assert len(partition.live) == KEPT and "k0" not in partition.live
    assert partition.get("k0") == ["x"]


def test_of_a_table_that_keeps_nothing_unpacked_what_is_written_goes_at_once():
    partition = StatePartition(Codec(TEXT.pack, TEXT.unpack, max_unpacked=0))
    partition.owned = True
    partition.put("a", ["1"])
    partition.put("b", ["1"])
    snapshot = partition.begin_snapshot(at(1))
    partition.encode_now("a")
    assert list(partition.live) == ["b"] and partition.get("a") == ["1"]
    partition.put("a", ["2"])
    snapshot.encode_for(float("inf"))
    assert partition.live == {"a": ["2"]}
    assert (partition.get("b"), partition.get("a")) == (["1"], ["2"])
    snapshot.undo()
    again, _ = take_snapshot(partition, at(1))
    assert sorted(changelog_record.payload_of(value) for _, value in again) == [b"1", b"2"]
    assert not partition.live


def test_what_is_not_written_stays_live():
    partition = Log().owner()
    for number in range(KEPT + 1):
        partition.put(f"k{number}", ["x"])
    snapshot = partition.begin_snapshot(at(1))
    partition.put("k0", ["y"])
    snapshot.encode_for(float("inf"))
    assert partition.live["k0"] == ["y"]


def test_a_snapshot_holds_what_was_then_however_late_it_is_encoded():
    partition = Log().owner()
    for key in ("changed", "put", "deleted", "gone", "still"):
        partition.put(key, ["1"])
    partition.delete("gone")
    snapshot = partition.begin_snapshot(at(1))
    assert not partition.is_clean() and set(partition.keys()) == {"changed", "put", "deleted", "still"}
    partition.get("changed").append("2")
    partition.dirty.add("changed")
    partition.put("put", ["2"])
    partition.delete("deleted")
    partition.put("gone", ["2"])
    snapshot.encode_for(float("inf"))
    before = {key: changelog_record.payload_of(value) for key, value in snapshot.records}
    assert before == {b"changed": b"1", b"put": b"1", b"deleted": b"1", b"gone": b"", b"still": b"1"}
    after = {key: changelog_record.payload_of(value) for key, value in take_snapshot(partition, at(2))[0]}
    assert after == {b"changed": b"1,2", b"put": b"2", b"deleted": b"", b"gone": b"2"}


@pytest.mark.parametrize("encoded", [0, 1, 3])
def test_a_snapshot_that_is_undone_is_taken_again(encoded):
    partition = Log().owner()
    for key in ("a", "b", "c"):
        partition.put(key, ["1"])
    take_snapshot(partition, at(1))
    partition.delete("a")
    partition.put("b", ["2"])
    partition.put("c", ["2"])
    partition.watermarks_changed = True
    snapshot = partition.begin_snapshot(at(2))
    for key in sorted(partition.unencoded)[:encoded]:
        snapshot.encode(key)
    snapshot.undo()
    assert not partition.unencoded and set(partition.keys()) == {"b", "c"}
    records, watermarks = take_snapshot(partition, at(3))
    found = {key: changelog_record.payload_of(value) for key, value in records}
    assert found == {b"a": b"", b"b": b"2", b"c": b"2"} and len(watermarks) == 1


def test_nothing_is_taken_twice():
    partition = Log().owner()
    partition.put("a", ["1"])
    assert [key for key, _ in take_snapshot(partition, at(1))[0]] == [b"a"]
    assert take_snapshot(partition, at(2)) == ([], [])


def test_what_was_not_written_is_taken_again():
    partition = Log().owner()
    partition.put("a", ["1"])
    partition.put("b", ["2"])
    partition.delete("b")
    partition.watermarks_changed = True
    records, watermarks = take_snapshot(partition, at(1))
    partition.mark_dirty(records + watermarks)
    assert not partition.is_clean()
    records, watermarks = take_snapshot(partition, at(2))
    assert {key: changelog_record.payload_of(value) for key, value in records} == {b"a": b"1", b"b": b""}
    assert [key for key, _ in watermarks] == [WATERMARKS_KEY]


def test_a_deleted_key_is_gone_also_after_recovery_and_can_come_back():
    log = Log()
    partition = log.owner()
    partition.put("a", ["1"])
    log.checkpoint(partition)
    partition.delete("a")
    assert partition.get("a") is None
    log.checkpoint(partition, **at(3))
    assert (list(partition.keys()), list(log.owner().keys())) == ([], [])
    partition.put("a", ["2"])
    log.checkpoint(partition, **at(4))
    assert log.owner().get("a") == ["2"]


def test_a_deleted_key_remembers_what_it_had_applied_while_that_may_be_replayed():
    log = Log()
    partition = log.owner()
    partition.put("a", ["1"])
    partition.delete("a")
    log.checkpoint(partition, **at(8))
    again = log.owner()
    assert again.applied_offset("a", COMPLETIONS) == 8
    again.put("b", ["1"])
    log.checkpoint(again, **at(8))
    assert again.applied_offset("a", COMPLETIONS) == 0, "nothing below is replayed any more"


def test_while_replaying_a_key_is_never_written_with_less_than_it_has():
    log = Log()
    partition = log.owner()
    partition.put("ahead", ["1"])
    log.checkpoint(partition, **at(10))  # and the process dies before the commit: 4 is committed
    again = log.owner()
    again.put("ahead", ["1", "2"])  # changed by another source meanwhile
    again.put("new", ["3"])
    log.checkpoint(again, **at(6), **{SCORES: 1})
    third = log.owner()
    assert (third.applied_offset("ahead", COMPLETIONS), third.applied_offset("ahead", SCORES)) == (10, 1)
    assert third.applied_offset("new", COMPLETIONS) == 6
    assert third.replay_until == {COMPLETIONS: 10, SCORES: 1}


def test_a_part_kept_over_a_rebalance_knows_what_it_wrote_without_a_commit():
    partition = Log().owner()
    partition.put("a", ["1"])
    take_snapshot(partition, at(10))
    assert partition.replay_until == at(10)
    assert partition.applied_offset("a", COMPLETIONS) == 10


def test_of_two_that_read_the_same_end_one_alone_owns():
    log = Log()
    first, second = log.owner(), log.owner(seen=0)
    assert (first.owned, second.owned) == (True, False)
    assert first.epoch == second.epoch, "so the second must not write"


def test_the_larger_epoch_wins_whatever_the_offset():
    log = Log()
    zombie = log.owner()
    zombie.put("a", ["old"])
    late = take_snapshot(zombie, at(2))[0]
    owner = log.owner()
    owner.put("a", ["new"])
    log.checkpoint(owner, **at(5))
    log.append(late)
    again = log.owner()
    assert again.get("a") == ["new"]
    assert again.dirty == {"a"}, "written again, before compaction keeps the late one"
    log.checkpoint(again, **at(5))
    log.records = [max((r for r in log.records if r.key == key), default=None) for key in (b"a", CLAIM_KEY)]
    assert log.owner().get("a") == ["new"]


def test_a_late_write_does_not_bring_back_a_deleted_key():
    log = Log()
    zombie = log.owner()
    zombie.put("a", ["old"])
    late = take_snapshot(zombie, at(2))[0]
    owner = log.owner()
    owner.put("a", ["old"])
    owner.delete("a")
    log.checkpoint(owner, **at(5))
    log.append(late)
    again = log.owner()
    assert again.get("a") is None
    records, _ = take_snapshot(again, at(5))
    assert [(key, changelog_record.payload_of(value)) for key, value in records] == [(b"a", b"")]


def test_an_owner_writes_again_what_a_former_one_wrote_behind_its_back():
    log = Log()
    zombie = log.owner()
    zombie.put("a", ["old"])
    zombie.watermarks_changed = True
    late = [record for records in take_snapshot(zombie, at(2)) for record in records]
    owner = log.owner()
    owner.put("a", ["new"])
    owner.put("b", ["new"])
    log.checkpoint(owner, **at(5))
    first = log.append(late)
    owner.put("b", ["newer"])
    records, _ = take_snapshot(owner, at(6))
    base = log.append(records)
    assert not owner.confirm_write(base, len(records))
    assert owner.read_offset == first - 1, "recovery must read what is not ours"
    assert owner.note_foreign_writes([(r.key, r.value) for r in log.records[first:base]])
    assert (owner.dirty, owner.watermarks_changed) == ({"a"}, True)


def test_an_owner_that_a_later_one_has_followed_is_reported():
    log = Log()
    owner = log.owner()
    later = log.owner()
    assert not owner.note_foreign_writes([(CLAIM_KEY, log.records[-1].value)])
    assert later.epoch > owner.epoch


def test_recovery_goes_on_where_it_was_interrupted():
    log = Log()
    partition = log.owner()
    for number in range(4):
        partition.put(f"k{number}", [str(number)])
        log.checkpoint(partition, **at(number))
    again = StatePartition(TEXT)
    again.apply_changelog(log.records[:2])
    assert again.read_offset == 1
    again.apply_changelog(log.records[2:])
    again.finish_recovery(-1)
    assert sorted(again.keys()) == ["k0", "k1", "k2", "k3"]
    assert again.end_offset == 5


def test_records_that_nobody_of_ours_wrote_are_passed_over():
    partition = StatePartition(TEXT)
    partition.apply_changelog([Written(0, b"a", None), Written(1, None, b"x")])
    assert (list(partition.keys()), partition.read_offset) == ([], 1)


def test_the_end_is_not_moved_back_by_a_broker_that_answers_one_too_low():
    partition = StatePartition(TEXT)
    partition.apply_changelog([Written(41, b"a", changelog_record.encode_header(1, {}) + b"x")])
    partition.finish_recovery(0)  # the embedded broker's ListOffsets counts batches
    assert partition.end_offset == 42


UNREADABLE = {
    "one byte": b"\x07",
    "nothing": b"",
    "a tombstone": None,
    "a later version": b"\x09\1\0\0\0\0x",
    "an epoch that nobody has": b"\1\xff\xff\xff\xff\0x",
    "more positions than bytes": b"\1\1\0\0\0\x09x",
    "a source that is not there": b"\1\1\0\0\0\1\xff" + bytes(8) + b"x",
    "a position that nobody has": b"\1\1\0\0\0\1\0" + b"\x7f" * 8 + b"x",
    "a payload that the first look refuses": b"\1\1\0\0\0\0\xff",
}


def checked(packed: bytes) -> None:
    if packed[0] > 127:
        raise ValueError("not text")


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("key", [b"a", b"new", b"\xff", CLAIM_KEY, WATERMARKS_KEY], ids=repr)
def test_x10_an_unreadable_record_is_left_out_and_the_last_readable_value_stands(key, value, caplog):
    log = Log()
    partition = log.owner()
    partition.put("a", ["1"])
    partition.watermarks, partition.watermarks_changed = {"scores/1": 5}, True
    log.checkpoint(partition, **at(3))
    log.append([(key, value)])
    again = StatePartition(replace(TEXT, check=checked))
    again.name = "baselines"
    again.apply_changelog(log.records)
    again.finish_recovery(-1)
    assert (again.get("a"), again.get("new"), again.watermarks) == (["1"], None, {"scores/1": 5})
    assert again.replay_until == {COMPLETIONS: 3} and again.epoch == partition.epoch + 1
    if key not in (CLAIM_KEY, WATERMARKS_KEY) or value != UNREADABLE["a payload that the first look refuses"]:
        assert f"at offset {len(log.records) - 1} cannot be read" in caplog.text
    again.confirm_claim(log.append([again.claim_record()]))
    if key == b"a":
        assert again.dirty == {"a"}, "else compaction would keep the one that nobody can read"
    log.checkpoint(again, **at(3))
    assert log.owner().get("a") == ["1"]


@pytest.mark.parametrize("key", [b"\xff", b"\0\xff"], ids=repr)
def test_x10_a_deletion_whose_key_is_no_text_is_left_out_like_a_value(key, caplog):
    """It has no payload to be looked at; the keys were listed later, which ended the detector."""
    log = Log()
    partition = log.owner()
    partition.put("a", ["1"])
    log.checkpoint(partition, **at(3))
    log.append([(key, b"\1\1\0\0\0\0")])
    again = log.owner()
    assert set(again.keys()) == {"a"} and again.left_out == 1
    assert f"at offset {len(log.records) - 2} cannot be read" in caplog.text


def test_x10_a_value_that_only_a_whole_look_finds_unreadable_has_the_one_before(caplog):
    log = Log()
    partition = log.owner()
    partition.put("a", ["1"])
    log.checkpoint(partition)
    head = changelog_record.encode_header(partition.epoch, {})
    log.append([(b"a", head + b"\xff"), (b"b", head + b"\xfe")])
    again = StatePartition(TEXT)
    again.apply_changelog(log.records)
    again.finish_recovery(-1)
    assert again.unreadable_keys() == {b"a", b"b"}
    again.take_last_readable({b"a", b"b"}, [(record.key, record.value or b"") for record in log.records])
    assert (again.get("a"), again.get("b"), again.dirty) == (["1"], None, {"a", "b"})


def test_x10_a_stray_record_of_a_larger_epoch_ends_no_owner(caplog):
    log = Log()
    partition = log.owner()
    partition.put("a", ["1"])
    log.checkpoint(partition)
    stray = (b"a", changelog_record.encode_header(77, {}) + b"stray")
    log.append([stray])
    assert partition.note_foreign_writes([stray, (b"\xff", b"\x07"), (b"x", b"")])
    log.checkpoint(partition)
    assert log.owner().get("a") == ["1"], "what its owner writes behind it counts"


def test_x10_one_value_that_cannot_be_written_ends_no_checkpoint(caplog):
    log = Log()
    partition = log.owner()
    partition.put("a", ["1"])
    partition.put("b", ["2"])
    log.checkpoint(partition)
    partition.put("a", [None])  # `pack` raises
    partition.put("b", ["3"])
    log.checkpoint(partition)
    assert (log.owner().get("a"), log.owner().get("b")) == (["1"], ["3"])
    assert "cannot be read" in caplog.text


def test_what_was_applied_before_its_topic_got_more_partitions_is_not_applied_again():
    """The owner died between a part of its checkpoint and the commit, at 10; then the topic got more partitions."""
    log, both = Log(), {COMPLETIONS: 14}
    partition = log.owner()
    partition.put("a", ["1"])
    partition.put("b", ["1"])
    log.checkpoint(partition, **{COMPLETIONS: 10})
    partition.put("a", ["1", "13"])
    records, _ = take_snapshot(partition, both)
    log.append(records)  # of `b`, whose event 12 is applied, nothing was written
    partition = StatePartition(TEXT)
    partition.apply_changelog(log.records)
    partition.finish_recovery(-1)
    partition.begin_passing_on(COMPLETIONS, 3, 10)
    claim = partition.claim_records()
    assert [key for key, _ in claim] == [CLAIM_KEY, WATERMARKS_KEY], "known before anything else is written"
    assert partition.confirm_claim(log.append(claim), len(claim))
    assert not partition.was_applied_at_home("b", COMPLETIONS, 12)
    partition.put("b", ["1", "12"])
    partition.put("a", [*partition.get("a"), "of another source"])
    log.checkpoint(partition, **{COMPLETIONS: 40})  # passed on up to there, and not applied
    again = log.owner()
    again.begin_passing_on(COMPLETIONS, 3, 10)
    again.claim_records()
    assert again.was_applied_at_home("a", COMPLETIONS, 13)
    assert not again.was_applied_at_home("b", COMPLETIONS, 12), "its own position tells, which was kept"
    assert not again.was_applied_at_home("a", COMPLETIONS, 14)
    assert not again.was_home and not again.watermarks, "from there on there is nothing to look for"


def test_where_everything_was_committed_nothing_is_looked_for():
    log = Log()
    partition = log.owner()
    partition.put("a", ["1"])
    log.checkpoint(partition, **{COMPLETIONS: 10})
    partition = log.owner()
    partition.begin_passing_on(COMPLETIONS, 3, 10)
    assert [key for key, _ in partition.claim_records()] == [CLAIM_KEY] and not partition.was_home
    partition.put("a", ["1", "2"])
    records, _ = take_snapshot(partition, {COMPLETIONS: 12, SCORES: 7})
    assert changelog_record.positions_of(records[0][1]) == {SCORES: 7}, "what was only passed on is no position"


def test_a_source_that_was_passed_on_is_so_ever_after():
    partition = StatePartition(TEXT)
    partition.watermarks = {f"{COMPLETIONS}/3": 7, f"{SCORES}/11": 2}
    assert partition.is_passed_on(COMPLETIONS, 3)
    assert not partition.is_passed_on(COMPLETIONS, 2)
    partition.begin_passing_on(COMPLETIONS, 3, 0)
    assert not partition.unnamed
    assert (partition.read_partitions(COMPLETIONS), partition.read_partitions(SCORES)) == (4, 12)


def deleted_once(log, *, committed):
    """Key `a` was deleted at position 5, `b` lives; then a recovery that knows what is committed."""
    partition = log.owner()
    for key in "ab":
        partition.put(key, ["1"])
    log.checkpoint(partition, **at(4))
    partition.delete("a")
    log.checkpoint(partition, **at(5))
    again = StatePartition(TEXT)
    again.committed = committed
    again.apply_changelog(log.records)
    return again


@pytest.mark.parametrize(("committed", "is_forgotten"), [({}, False), (at(4), False), (at(5), True), (at(9), True)])
def test_a_deleted_key_is_forgotten_once_its_events_are_committed(committed, is_forgotten):
    again = deleted_once(Log(), committed=committed)
    assert (len(again.forgotten), b"a" in again.packed) == (int(is_forgotten), not is_forgotten)
    again.finish_recovery(-1)
    assert (again.get("a"), again.get("b")) == (None, ["1"])
    assert again.applied_offset("a", COMPLETIONS) == (0 if is_forgotten else 5), "only events from there may come again"
    assert not again.forgotten, "recovery is over"


@pytest.mark.parametrize("committed", [{}, at(9)])
def test_what_a_former_owner_wrote_late_does_not_bring_a_forgotten_key_back(committed):
    log = Log()
    former = log.owner()
    former.put("a", ["old"])
    log.checkpoint(former, **at(1))
    former.put("a", ["old", "late"])
    late, _ = take_snapshot(former, at(2))
    owner = log.owner()
    owner.delete("a")
    log.checkpoint(owner, **at(3))
    log.append(late)
    again = StatePartition(TEXT)
    again.committed = committed
    again.apply_changelog(log.records)
    again.finish_recovery(-1)
    assert again.get("a") is None and again.dirty == {"a"}
    again.confirm_claim(log.append([again.claim_record()]))
    log.checkpoint(again, **at(9))
    assert changelog_record.is_deleted(log.records[-1].value or b""), "before compaction keeps the late one"


def test_a_forgotten_key_that_comes_again_is_there():
    log = Log()
    again = deleted_once(log, committed=at(9))
    again.finish_recovery(-1)
    again.confirm_claim(log.append([again.claim_record()]))
    again.put("a", ["2"])
    log.checkpoint(again, **at(10))
    third = StatePartition(TEXT)
    third.committed = at(10)
    third.apply_changelog(log.records)
    assert len(third.forgotten) == 1
    third.finish_recovery(-1)
    assert third.get("a") == ["2"]


def test_a_million_forgotten_keys_take_little():
    partition = StatePartition(TEXT)
    partition.committed = at(9)
    head = changelog_record.encode_header(1, at(5))
    tracemalloc.start()
    try:
        for first in range(0, 50_000, 1_000):
            partition.apply_changelog([Written(n, b"workflow:build-%d" % n, head) for n in range(first, first + 1_000)])
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(partition.forgotten) == 50_000 and used < 50_000 * 20


def test_the_last_readable_value_of_a_key_may_be_that_it_was_deleted():
    log = Log()
    partition = log.owner()
    partition.take_last_readable([b"a"], [(b"a", changelog_record.encode_header(1, {}))])
    assert partition.get("a") is None and "a" not in set(partition.keys())

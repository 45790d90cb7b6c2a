"""One partition's state: what a checkpoint takes, what recovery brings back, and who may write."""

from typing import NamedTuple

import pytest

from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.partition import CLAIM_KEY, WATERMARKS_KEY, Codec, StatePartition
from stream_detector.kafka.topics import COMPLETIONS, SCORES

KEPT = 100
TEXT: Codec[list[str]] = Codec(
    lambda value: ",".join(value).encode(), lambda _, packed: packed.decode().split(","), kept=KEPT
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
        part = StatePartition(TEXT)
        if known := self.records[:seen]:
            part.recover(known)
        part.recovered(-1)
        part.claimed_at(self.append([part.claim()]))
        return part

    def checkpoint(self, part, **positions):
        records, watermarks = part.take({COMPLETIONS: 0} | positions)
        for some in (records, watermarks):
            if some:
                part.acknowledged(self.append(some), len(some))


def at(offset: int) -> dict[str, int]:
    return {COMPLETIONS: offset}


def test_what_a_checkpoint_wrote_is_recovered():
    log = Log()
    part = log.owner()
    part.put("a", ["1"])
    part.put("b", ["2"])
    part.watermarks["scores/3"] = 9
    part.watermarks_changed = True
    log.checkpoint(part, **at(5))
    again = log.owner()
    assert {key: again.get(key) for key in again.keys()} == {"a": ["1"], "b": ["2"]}  # noqa: SIM118
    assert again.watermarks == {"scores/3": 9}
    assert (again.epoch, again.owned, again.clean()) == (2, True, True)
    assert (again.applied("a", COMPLETIONS), again.applied("a", SCORES), again.applied("?", COMPLETIONS)) == (5, 0, 0)
    assert again.replay_until == at(5)


def test_a_key_stays_bytes_until_it_is_touched():
    log = Log()
    part = log.owner()
    part.put("a", ["1"])
    log.checkpoint(part)
    again = log.owner()
    assert not again.live
    assert again.get("a") is again.get("a")
    assert list(again.live) == ["a"]


def test_many_live_values_go_back_to_bytes_after_they_are_written():
    part = Log().owner()
    for number in range(KEPT + 1):
        part.put(f"k{number}", ["x"])
    part.take(at(1))
    assert len(part.live) == KEPT and "k0" not in part.live
    assert part.get("k0") == ["x"]


def test_of_a_table_that_keeps_nothing_unpacked_what_is_written_goes_at_once():
    part = StatePartition(Codec(TEXT.pack, TEXT.unpack, kept=0))
    part.owned = True
    part.put("a", ["1"])
    part.put("b", ["1"])
    snapshot = part.freeze(at(1))
    part.settle("a")
    assert list(part.live) == ["b"] and part.get("a") == ["1"]
    part.put("a", ["2"])
    snapshot.finish()
    assert part.live == {"a": ["2"]}
    assert (part.get("b"), part.get("a")) == (["1"], ["2"])
    snapshot.undo()
    again, _ = part.take(at(1))
    assert sorted(changelog_record.payload_of(value) for _, value in again) == [b"1", b"2"]
    assert not part.live


def test_what_is_not_written_stays_live():
    part = Log().owner()
    for number in range(KEPT + 1):
        part.put(f"k{number}", ["x"])
    snapshot = part.freeze(at(1))
    part.put("k0", ["y"])
    snapshot.finish()
    assert part.live["k0"] == ["y"]


def test_a_snapshot_holds_what_was_then_however_late_it_is_encoded():
    part = Log().owner()
    for key in ("changed", "put", "deleted", "gone", "still"):
        part.put(key, ["1"])
    part.delete("gone")
    snapshot = part.freeze(at(1))
    assert not part.clean() and set(part.keys()) == {"changed", "put", "deleted", "still"}
    part.get("changed").append("2")
    part.dirty.add("changed")
    part.put("put", ["2"])
    part.delete("deleted")
    part.put("gone", ["2"])
    snapshot.finish()
    before = {key: changelog_record.payload_of(value) for key, value in snapshot.records}
    assert before == {b"changed": b"1", b"put": b"1", b"deleted": b"1", b"gone": b"", b"still": b"1"}
    after = {key: changelog_record.payload_of(value) for key, value in part.take(at(2))[0]}
    assert after == {b"changed": b"1,2", b"put": b"2", b"deleted": b"", b"gone": b"2"}


@pytest.mark.parametrize("encoded", [0, 1, 3])
def test_a_snapshot_that_is_undone_is_taken_again(encoded):
    part = Log().owner()
    for key in ("a", "b", "c"):
        part.put(key, ["1"])
    part.take(at(1))
    part.delete("a")
    part.put("b", ["2"])
    part.put("c", ["2"])
    part.watermarks_changed = True
    snapshot = part.freeze(at(2))
    for key in sorted(part.waiting)[:encoded]:
        snapshot.encode(key)
    snapshot.undo()
    assert not part.waiting and set(part.keys()) == {"b", "c"}
    records, watermarks = part.take(at(3))
    found = {key: changelog_record.payload_of(value) for key, value in records}
    assert found == {b"a": b"", b"b": b"2", b"c": b"2"} and len(watermarks) == 1


def test_nothing_is_taken_twice():
    part = Log().owner()
    part.put("a", ["1"])
    assert [key for key, _ in part.take(at(1))[0]] == [b"a"]
    assert part.take(at(2)) == ([], [])


def test_what_was_not_written_is_taken_again():
    part = Log().owner()
    part.put("a", ["1"])
    part.put("b", ["2"])
    part.delete("b")
    part.watermarks_changed = True
    records, watermarks = part.take(at(1))
    part.give_back(records + watermarks)
    assert not part.clean()
    records, watermarks = part.take(at(2))
    assert {key: changelog_record.payload_of(value) for key, value in records} == {b"a": b"1", b"b": b""}
    assert [key for key, _ in watermarks] == [WATERMARKS_KEY]


def test_a_deleted_key_is_gone_also_after_recovery_and_can_come_back():
    log = Log()
    part = log.owner()
    part.put("a", ["1"])
    log.checkpoint(part)
    part.delete("a")
    assert part.get("a") is None
    log.checkpoint(part, **at(3))
    assert (list(part.keys()), list(log.owner().keys())) == ([], [])
    part.put("a", ["2"])
    log.checkpoint(part, **at(4))
    assert log.owner().get("a") == ["2"]


def test_a_deleted_key_remembers_what_it_had_applied_while_that_may_be_replayed():
    log = Log()
    part = log.owner()
    part.put("a", ["1"])
    part.delete("a")
    log.checkpoint(part, **at(8))
    again = log.owner()
    assert again.applied("a", COMPLETIONS) == 8
    again.put("b", ["1"])
    log.checkpoint(again, **at(8))
    assert again.applied("a", COMPLETIONS) == 0, "nothing below is replayed any more"


def test_while_replaying_a_key_is_never_written_with_less_than_it_has():
    log = Log()
    part = log.owner()
    part.put("ahead", ["1"])
    log.checkpoint(part, **at(10))  # and the process dies before the commit: 4 is committed
    again = log.owner()
    again.put("ahead", ["1", "2"])  # changed by another source meanwhile
    again.put("new", ["3"])
    log.checkpoint(again, **at(6), **{SCORES: 1})
    third = log.owner()
    assert (third.applied("ahead", COMPLETIONS), third.applied("ahead", SCORES)) == (10, 1)
    assert third.applied("new", COMPLETIONS) == 6
    assert third.replay_until == {COMPLETIONS: 10, SCORES: 1}


def test_a_part_kept_over_a_rebalance_knows_what_it_wrote_without_a_commit():
    part = Log().owner()
    part.put("a", ["1"])
    part.take(at(10))
    assert part.replay_until == at(10)
    assert part.applied("a", COMPLETIONS) == 10


def test_of_two_that_read_the_same_end_one_alone_owns():
    log = Log()
    first, second = log.owner(), log.owner(seen=0)
    assert (first.owned, second.owned) == (True, False)
    assert first.epoch == second.epoch, "so the second must not write"


def test_the_larger_epoch_wins_whatever_the_offset():
    log = Log()
    zombie = log.owner()
    zombie.put("a", ["old"])
    late = zombie.take(at(2))[0]
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
    late = zombie.take(at(2))[0]
    owner = log.owner()
    owner.put("a", ["old"])
    owner.delete("a")
    log.checkpoint(owner, **at(5))
    log.append(late)
    again = log.owner()
    assert again.get("a") is None
    records, _ = again.take(at(5))
    assert [(key, changelog_record.payload_of(value)) for key, value in records] == [(b"a", b"")]


def test_an_owner_writes_again_what_a_former_one_wrote_behind_its_back():
    log = Log()
    zombie = log.owner()
    zombie.put("a", ["old"])
    zombie.watermarks_changed = True
    late = [record for records in zombie.take(at(2)) for record in records]
    owner = log.owner()
    owner.put("a", ["new"])
    owner.put("b", ["new"])
    log.checkpoint(owner, **at(5))
    first = log.append(late)
    owner.put("b", ["newer"])
    records, _ = owner.take(at(6))
    base = log.append(records)
    assert not owner.acknowledged(base, len(records))
    assert owner.read_offset == first - 1, "recovery must read what is not ours"
    assert owner.others_wrote([(r.key, r.value) for r in log.records[first:base]])
    assert (owner.dirty, owner.watermarks_changed) == ({"a"}, True)


def test_an_owner_that_a_later_one_has_followed_is_told():
    log = Log()
    owner = log.owner()
    later = log.owner()
    assert not owner.others_wrote([(CLAIM_KEY, log.records[-1].value)])
    assert later.epoch > owner.epoch


def test_recovery_goes_on_where_it_was_interrupted():
    log = Log()
    part = log.owner()
    for number in range(4):
        part.put(f"k{number}", [str(number)])
        log.checkpoint(part, **at(number))
    again = StatePartition(TEXT)
    again.recover(log.records[:2])
    assert again.read_offset == 1
    again.recover(log.records[2:])
    again.recovered(-1)
    assert sorted(again.keys()) == ["k0", "k1", "k2", "k3"]
    assert again.end == 5


def test_records_that_nobody_of_ours_wrote_are_passed_over():
    part = StatePartition(TEXT)
    part.recover([Written(0, b"a", None), Written(1, None, b"x")])
    assert (list(part.keys()), part.read_offset) == ([], 1)


def test_the_end_is_not_moved_back_by_a_broker_that_answers_one_too_low():
    part = StatePartition(TEXT)
    part.recover([Written(41, b"a", changelog_record.head(1, {}) + b"x")])
    part.recovered(0)  # the embedded broker's ListOffsets counts batches
    assert part.end == 42

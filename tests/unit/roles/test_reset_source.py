"""X16: what `reset-source` writes: the state without the position of one source partition, and with everything else."""

from types import SimpleNamespace
from typing import Any

import pytest

from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.contents import CLAIM_KEY, WATERMARKS_KEY, Codec, Records
from stream_detector.delivery.state.journaled_partition import JournaledPartition
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.kafka.topics import BASELINES, COMPLETIONS, NOTIFIER_IN, NOTIFIER_STATE, SCORES
from stream_detector.roles.restore.new_broker import RestoreError
from stream_detector.roles.restore.reset_source import RoleReset, _position_in_state, _take_out, _target

TEXT: Codec[bytes] = Codec(bytes, lambda _, packed: packed, max_unpacked=0)


def head(epoch: int, **positions: int) -> bytes:
    return changelog_record.encode_header(epoch, {name.replace("_", "-"): at for name, at in positions.items()})


def read(records: Records, kind: Any = StatePartition) -> StatePartition[bytes]:
    partition: StatePartition[bytes] = kind(TEXT)
    partition.apply_changelog(
        [SimpleNamespace(offset=number, key=key, value=value) for number, (key, value) in enumerate(records)]
    )
    partition.finish_recovery(-1)
    return partition


LOG: Records = [
    (CLAIM_KEY, head(1) + b"-"),
    (b"workflow:a", head(1, workflow_completions=400, scores=7) + b"old"),
    (b"workflow:a", head(1, workflow_completions=520, scores=9) + b"a"),
    (b"workflow:b", head(1, scores=9) + b"b"),
    (b"workflow:gone", head(1, workflow_completions=510)),
    (WATERMARKS_KEY, head(1) + changelog_record.encode_watermarks({"workflow-completions/2": 77, "scores/2": 5})),
]


def taken_out(
    log: Records, topic: str, number: int, source_number: int, kind: Any = StatePartition, name: str = BASELINES
) -> Records:
    reset = RoleReset("detector", 0)
    _take_out(reset, name, number, read(log, kind), topic, source_number)
    assert len(reset.writes) <= 1
    if reset.writes:
        assert reset.ends == {(name, number): len(log)}, "the claim must lie right behind what was read"
        assert reset.writes[name, number][0][0] == CLAIM_KEY
    return reset.writes.get((name, number), [])


def test_x16_the_position_is_gone_although_the_log_still_has_records_that_name_it() -> None:
    before = read(LOG)
    assert before.replay_until == {COMPLETIONS: 520, SCORES: 9}
    after = read([*LOG, *taken_out(LOG, COMPLETIONS, 2, 2)])
    assert after.replay_until == {SCORES: 9}
    assert {key: changelog_record.payload_of(value) for key, value in after.packed.items()} == {
        b"workflow:a": b"a",
        b"workflow:b": b"b",
    }
    assert after.applied_offset("workflow:a", COMPLETIONS) == after.applied_offset("workflow:gone", COMPLETIONS) == 0
    assert after.applied_offset("workflow:a", SCORES) == after.applied_offset("workflow:b", SCORES) == 9
    assert after.watermarks == {"scores/2": 5}
    assert after.epoch > before.epoch and _position_in_state({BASELINES: {2: after}}, COMPLETIONS, 2) == 0


def test_x16_it_can_be_done_again_wherever_it_was_interrupted() -> None:
    writes = taken_out(LOG, COMPLETIONS, 2, 2)
    for count in range(1, len(writes)):
        log = [*LOG, *writes[:count]]
        assert _position_in_state({BASELINES: {2: read(log)}}, COMPLETIONS, 2) == 520, "the role still refuses"
        again = read([*log, *taken_out(log, COMPLETIONS, 2, 2)])
        assert again.replay_until.get(COMPLETIONS, 0) == 0 and again.watermarks == {"scores/2": 5}
        assert again.applied_offset("workflow:a", COMPLETIONS) == 0 and len(again.packed) == 2


def test_x16_other_partitions_lose_the_watermark_of_this_one_alone() -> None:
    writes = taken_out(LOG, COMPLETIONS, 1, 2)
    assert [key for key, _ in writes] == [CLAIM_KEY, WATERMARKS_KEY]
    after = read([*LOG, *writes])
    assert after.replay_until == {COMPLETIONS: 520, SCORES: 9} and after.watermarks == {"scores/2": 5}


@pytest.mark.parametrize(("topic", "number", "source_number"), [(SCORES, 0, 1), ("score-runs", 2, 2)])
def test_x16_nothing_is_written_where_nothing_names_it(topic: str, number: int, source_number: int) -> None:
    assert taken_out(LOG, topic, number, source_number) == []


def test_x16_the_state_of_the_notifier_too() -> None:
    log = [(CLAIM_KEY, head(4) + b"-"), (b"7", head(4, notifier_in=900) + b"slot")]
    after = read([*log, *taken_out(log, NOTIFIER_IN, 0, 0, JournaledPartition, NOTIFIER_STATE)], JournaledPartition)
    assert after.replay_until == {}
    assert changelog_record.payload_of(after.packed[b"7"]) == b"slot"


def test_x16_a_claim_of_an_owner_changes_no_position() -> None:
    for kind in (StatePartition, JournaledPartition):
        partition = read(LOG[:4], kind)
        assert read([*LOG[:4], partition.claim_record()], kind).replay_until == {COMPLETIONS: 520, SCORES: 9}


@pytest.mark.parametrize("to", ["", "-1", "4", "21", "last", "\u0661\u0662", "1.5"])
def test_x16_an_offset_that_the_log_does_not_hold_is_refused(to: str) -> None:
    place: Any = SimpleNamespace(topic="scores", partition=0)
    with pytest.raises(RestoreError, match="holds the offsets 5 to 20"):
        _target(to, 5, 20, place)
    assert [_target(good, 5, 20, place) for good in ("earliest", "latest", "5", "20")] == [5, 20, 5, 20]

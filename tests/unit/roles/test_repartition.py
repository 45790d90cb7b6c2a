"""Which keys move, what is written of them, and what the recorder makes of it."""

from types import SimpleNamespace

import pytest

from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.detect import Baseline
from stream_detector.events.headers import MOVED
from stream_detector.kafka import topics
from stream_detector.roles.recorder import _baseline, _state_record
from stream_detector.roles.restore.new_broker import owner_id
from stream_detector.roles.restore.repartition import _Ground, _strays
from stream_detector.roles.run_table import stored_key

HEAD = changelog_record.encode_header(7, {topics.COMPLETIONS: 5})


def partition_of(**values: bytes) -> StatePartition[bytes]:
    partition = StatePartition(Codec(bytes, lambda _, packed: packed, max_unpacked=0))
    partition.packed = {name.replace("__", ":").encode(): value for name, value in values.items()}
    return partition


def test_only_keys_that_another_partition_owns_move():
    n = 8
    partition = partition_of(
        workflow__nightly=HEAD + b"x", score__lido=HEAD + b"x", workflow__gone=HEAD, own=HEAD + b"x"
    )
    number = topics.owner_partition("nightly", n)
    assert topics.owner_partition("lido", n) != number
    assert _strays(topics.BASELINES, number, partition, n) == {b"score:lido": topics.owner_partition("lido", n)}


@pytest.mark.parametrize("run_id", ["daily", "~daily", "~~daily", "roster~daily", "~roster~daily"])
def test_a_run_is_owned_by_its_id_however_it_is_stored(run_id):
    assert owner_id(topics.RUNS_STATE, stored_key(run_id)) == run_id


def test_a_value_names_what_the_group_has_read_of_its_new_partition():
    counts = {topics.COMPLETIONS: 8, topics.SCORES: 4, topics.SCORE_RUNS: 8, topics.ACTIONS: 8}
    committed = {(topics.COMPLETIONS, 6): 10, (topics.COMPLETIONS, 2): 7, (topics.SCORES, 2): 3, (topics.REKEYED, 6): 4}
    ground = _Ground(8, counts, committed | {(topics.RUN_PARTS, 6): -1})
    assert ground.positions(6) == {topics.COMPLETIONS: 10, topics.REKEYED: 4}
    assert ground.watermarks(6) == {f"{topics.COMPLETIONS}/2": 7, f"{topics.SCORES}/2": 3}
    assert ground.watermarks(2) == {f"{topics.COMPLETIONS}/6": 10, f"{topics.SCORES}/2": 3}, "scores are passed on"


def test_where_a_key_was_the_recorder_keeps_the_record_and_deletes_no_baseline():
    def record(value, headers=()):
        return SimpleNamespace(key=b"workflow:nightly", value=value, headers=headers, offset=1)

    moved = record(HEAD, [MOVED])
    assert _baseline(moved) is None
    assert _state_record(moved).owner_epoch == 7
    assert _baseline(record(HEAD)).packed is None
    packed = Baseline.new("workflow:nightly").pack()
    assert (_baseline(record(HEAD + packed)).packed, _baseline(record(HEAD + packed)).owner_epoch) == (packed, 7)

"""What a worker owns of one partition number."""

from faust.types import TP

from stream_detector.stream.shard import Position, Shards
from stream_detector.stream.topics import ALERTS, COMPLETIONS, SCORES


def test_a_position_is_ours_until_the_partitions_are_given_up():
    shards = Shards()
    tp = TP("p." + COMPLETIONS, 2)
    shards.of(2).positions[tp] = Position(7, None)
    assert shards.position(tp) == Position(7, None)
    assert shards.position(TP("p." + SCORES, 2)) is None
    assert shards.position(TP("p." + COMPLETIONS, 1)) is None
    shards.disown()
    assert shards.position(tp) is None
    assert list(shards) == []


def test_state_names_only_the_sources_that_it_is_made_from():
    shard = Shards().of(0)
    shard.positions[TP("p." + COMPLETIONS, 0)] = Position(7, 7)
    shard.positions[TP("p." + ALERTS, 0)] = Position(9, 9)
    assert shard.by_source("p.") == {COMPLETIONS: 7}


def test_a_shard_is_committed_when_each_position_is():
    shard = Shards().of(0)
    assert shard.committed
    shard.positions[TP("a", 0)] = Position(7, 7)
    assert shard.committed
    shard.positions[TP("b", 0)] = Position(0, None)
    assert not shard.committed

"""What a worker owns of one partition number."""

from faust.types import TP

from stream_detector.delivery.task import Position, Tasks
from stream_detector.kafka.topics import ALERTS, COMPLETIONS, SCORES


def test_a_position_is_ours_until_the_partitions_are_given_up():
    tasks = Tasks()
    tp = TP("p." + COMPLETIONS, 2)
    tasks.get_or_create(2).positions[tp] = Position(7, None)
    assert tasks.find_position(tp) == Position(7, None)
    assert tasks.find_position(TP("p." + SCORES, 2)) is None
    assert tasks.find_position(TP("p." + COMPLETIONS, 1)) is None
    tasks.clear()
    assert tasks.find_position(tp) is None
    assert list(tasks) == []


def test_state_names_only_the_sources_that_it_is_made_from():
    task = Tasks().get_or_create(0)
    task.positions[TP("p." + COMPLETIONS, 0)] = Position(7, 7)
    task.positions[TP("p." + ALERTS, 0)] = Position(9, 9)
    assert task.state_positions("p.") == {COMPLETIONS: 7}


def test_a_task_is_committed_when_each_position_is():
    task = Tasks().get_or_create(0)
    assert task.is_committed
    task.positions[TP("a", 0)] = Position(7, 7)
    assert task.is_committed
    task.positions[TP("b", 0)] = Position(0, None)
    assert not task.is_committed

"""How a role is judged from what the broker answered; the broker's answers are given, the clock is turned by hand."""

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError

from stream_detector.kafka.describe import DescribedGroup
from stream_detector.kafka.group_monitor import FRESH_S, STANDS_S, Finding, GroupMonitor, Progress
from stream_detector.settings import Settings

TP0, TP1 = TopicPartition("scores", 0), TopicPartition("scores", 1)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def monitor(clock: Clock) -> GroupMonitor:
    return GroupMonitor(Settings(broker="127.0.0.1:1"), clock)


def answered(monitor: GroupMonitor, clock: Clock, found: DescribedGroup | Exception) -> Finding:
    monitor._note_answer()
    monitor._groups["recorder"] = clock(), found
    return monitor.role("recorder")


def test_x3_an_answer_older_than_10_s_counts_for_nothing(monitor: GroupMonitor, clock: Clock) -> None:
    assert monitor.kafka().state == "unknown"
    assert answered(monitor, clock, DescribedGroup("Stable", 1)).state == "ok"
    clock.now_s += FRESH_S
    assert (monitor.kafka().state, monitor.role("recorder").state) == ("ok", "ok")
    clock.now_s += 0.1
    assert (monitor.kafka().state, monitor.role("recorder").state) == ("away", "unknown")


def test_x3_a_group_without_members_is_away_at_once_and_a_forbidden_one_unknown(
    monitor: GroupMonitor, clock: Clock
) -> None:
    assert answered(monitor, clock, DescribedGroup("Empty", 0)).state == "away"
    found = answered(monitor, clock, GroupAuthorizationFailedError("g"))
    assert found.state == "unknown" and "Describe on group stream-detector.recorder" in found.reason


def test_x3_members_of_the_embedded_broker_prove_nothing(monitor: GroupMonitor, clock: Clock) -> None:
    monitor._is_embedded = True
    assert answered(monitor, clock, DescribedGroup("Stable", 1)).state == "unknown"


def test_x3_a_rebalance_that_does_not_end_is_behind(monitor: GroupMonitor, clock: Clock) -> None:
    monitor._rebalances_since_s["recorder"] = clock()
    assert answered(monitor, clock, DescribedGroup("PreparingRebalance", 1)).state == "ok"
    clock.now_s += FRESH_S + 1
    assert answered(monitor, clock, DescribedGroup("PreparingRebalance", 1)).state == "behind"


def test_x3_who_has_something_to_read_must_commit() -> None:
    progress = Progress(got_on_s=0.0)
    progress.note({}, {TP0: 5}, 50.0)
    assert progress.find(100.0, 10.0).state == "ok", "nothing to read: no commit is due"
    progress.note({TP0: 1}, {TP0: 5}, 51.0)
    progress.note({TP0: 3}, {TP0: 5}, 59.0)
    assert progress.find(59.0, 10.0).state == "ok"
    assert progress.find(61.5, 10.0) == Finding("behind", "3 records to read, and nothing committed for 12 s")
    progress.note({TP0: 900_000}, {TP0: 6}, 62.0)
    assert progress.find(70.0, 10.0).state == "ok", "far behind, and getting on"


def test_x3_one_partition_that_stands_while_others_get_on_is_behind() -> None:
    progress = Progress(got_on_s=0.0)
    for second in range(int(STANDS_S) + 3):
        progress.note({TP0: 1, TP1: 9}, {TP0: second, TP1: 4}, float(second))
    found = progress.find(STANDS_S + 2, 10.0)
    assert found.state == "behind" and "scores-1: 9 records" in found.reason

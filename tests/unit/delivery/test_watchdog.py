"""A loop that stands; time in which the whole process stood does not count."""

import pytest

from stream_detector.delivery import watchdog
from stream_detector.delivery.watchdog import LOOK_EVERY_S, Watchdog


@pytest.fixture
def clock(monkeypatch):
    """What the monotonic clock says; `clock[0]` sets it."""
    now = [100.0]
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: now[0])
    return now


def test_a_loop_that_comes_round_stands_for_no_time(clock):
    dog = Watchdog("detector", 5)
    for _ in range(100):
        clock[0] += LOOK_EVERY_S
        dog.beat()
        assert dog.blocked_s(clock[0]) == 0


def test_one_that_does_not_stands_since_its_last_beat(clock):
    dog = Watchdog("detector", 5)
    for number in range(1, 10):
        clock[0] += LOOK_EVERY_S
        assert dog.blocked_s(clock[0]) == pytest.approx(number * LOOK_EVERY_S)


def test_a_process_that_was_stopped_has_not_hung(clock):
    dog = Watchdog("detector", 5)
    clock[0] += LOOK_EVERY_S
    dog.blocked_s(clock[0])
    clock[0] += 3600
    assert dog.blocked_s(clock[0]) == 0
    clock[0] += LOOK_EVERY_S
    assert dog.blocked_s(clock[0]) == LOOK_EVERY_S

"""The limit of a running execution comes from the key's own longest executions."""

from math import log
from random import Random

import pytest
from librt.strings import BytesWriter

from stream_detector.detect.statistics.level import Q
from stream_detector.detect.statistics.limit import BLOCK, BLOCKS, LEAST, Longest, limit_s
from stream_detector.detect.statistics.readings import on_grid, remember


def limit_of(durations: list[float]) -> float:
    longest, readings = Longest(), b""
    for duration_s in durations:
        longest.add(duration_s)
        readings = remember(readings, on_grid(log(duration_s + Q)), keep=True)
    return limit_s(longest, readings)


def test_there_is_none_before_ten_executions() -> None:
    assert [limit_of([100.0] * n) > 0 for n in (0, 1, 9, 10)] == [False, False, False, True]


def test_where_all_take_the_same_time_it_is_at_least_two_and_a_half_times_that() -> None:
    assert limit_of([100.0] * 60) == pytest.approx(LEAST * 100.0, rel=0.01)


def test_x30_where_the_longest_is_below_one_and_a_half_times_it_is_at_most_three_times() -> None:
    random = Random(1)
    for _ in range(20):
        durations = [100.0 * random.uniform(0.7, 1.45) for _ in range(110)]
        usual = sorted(durations[-76:])[38]
        if max(durations[-110:]) < 1.49 * usual:
            assert limit_of(durations) <= 3.01 * usual


def test_one_long_execution_raises_it_for_two_or_three_blocks() -> None:
    before = limit_of([100.0] * 100)
    assert limit_of([100.0] * 100 + [1000.0] + [100.0] * 10) > 1000.0
    assert limit_of([100.0] * 100 + [1000.0] + [100.0] * (BLOCK * BLOCKS)) == pytest.approx(before)


def test_what_is_slower_of_late_has_a_higher_one() -> None:
    random = Random(3)
    usual = [100.0 * random.lognormvariate(0.0, 0.6) for _ in range(120)]
    slower = sorted(usual)[100]  # beyond most, and the longest stays the same
    assert limit_of(usual + [slower] * 12) > 1.05 * limit_of(usual + sorted(usual)[54:66])


def test_longest_packs_into_seven_bytes_and_continues() -> None:
    random = Random(2)
    one, other = Longest(), Longest()
    for _ in range(3 * BLOCK + 5):
        duration_s = random.lognormvariate(3.0, 1.0)
        one.add(duration_s)
        other.add(duration_s)
        w = BytesWriter()
        other.pack(w)
        packed = w.getvalue()
        other = Longest()
        assert len(packed) == 7 and other.fill(b"x" + packed, 1) == 8
        assert (one.reading, one.runs) == (other.reading, other.runs)

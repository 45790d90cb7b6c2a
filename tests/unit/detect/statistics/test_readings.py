"""What a series remembers: the last 12 readings, and 64 older ones, oldest first."""

import pytest

from stream_detector.detect.statistics.readings import OLDER, RECENT, beyond, numbers, older, on_grid, remember


def remembered(count: int, keep: bool = True) -> bytes:
    readings = b""
    for reading in range(count):
        readings = remember(readings, reading, keep)
    return readings


@pytest.mark.parametrize("count", [1, RECENT, RECENT + 1, RECENT + OLDER, RECENT + OLDER + 1, 500])
def test_the_newest_are_kept_in_order(count):
    assert numbers(remembered(count)) == list(range(max(count - RECENT - OLDER, 0), count))


def test_what_is_not_kept_leaves_with_the_last_12():
    assert numbers(remembered(100, keep=False)) == list(range(100 - RECENT, 100))


def test_the_older_ones_are_those_before_the_last_12():
    assert numbers(older(remembered(RECENT))) == []
    assert numbers(older(remembered(RECENT + 3))) == [0, 1, 2]


def test_beyond_counts_what_lies_at_the_cut_too():
    readings = b""
    for reading in (1, 2, 2, 3):
        readings = remember(readings, reading, keep=True)
    assert [beyond(readings, cut, above=True) for cut in (0, 2, 3, 4)] == [4, 3, 1, 0]
    assert [beyond(readings, cut, above=False) for cut in (0, 1, 2, 3)] == [0, 1, 3, 4]


def test_the_grid_is_a_thousandth_of_a_log_unit():
    assert (on_grid(1.2345), on_grid(-1.2345), on_grid(27.7)) == (1234, -1234, 27700)

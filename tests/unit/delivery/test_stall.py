"""A partition that has something to read and does not get on."""

from faust.types import TP

from stream_detector.delivery.stall import StallDetector

TP0, TP1 = TP("scores", 0), TP("scores", 1)


def test_a_partition_that_stands_with_lag_is_reported_after_a_while():
    progress = StallDetector(60.0)
    assert progress.find_stalled([(TP0, 5, 9), (TP1, 3, 3)], 0.0) == ""
    assert progress.find_stalled([(TP0, 5, 9), (TP1, 3, 3)], 60.0) == ""
    assert (
        progress.find_stalled([(TP0, 5, 9), (TP1, 3, 3)], 61.0) == "scores-0 made no progress at offset 5 of 9 for 61 s"
    )


def test_one_that_moves_or_has_nothing_to_read_is_well():
    progress = StallDetector(60.0)
    for number in range(200):
        assert progress.find_stalled([(TP0, number, 1000), (TP1, 3, 3)], number * 5.0) == ""
    assert progress.find_stalled([(TP1, 3, 9)], 1005.0) == "", "it has stood for long, but had nothing to read"


def test_time_without_the_partition_does_not_count():
    progress = StallDetector(60.0)
    progress.find_stalled([(TP0, 5, 9)], 0.0)
    progress.find_stalled([], 100.0)
    assert progress.find_stalled([(TP0, 5, 9)], 200.0) == ""

"""Thirty daily buckets, their saturation and late executions."""

import pytest

from stream_detector.detect.statistics.days import Days
from tests.unit.detect.events_of import bytes_of


def test_a_closed_day_counts_at_most_65535_and_keeps_its_shares():
    days = Days()
    for number in range(100_000):
        days.add(10, number % 4 == 0, 2.0)
    assert days.totals().counted == 100_000
    days.add(11, False, 4.0)
    totals = days.totals()
    assert (totals.counted, totals.timed) == (65_536, 65_536)
    assert totals.failures == round(25_000 * 65_535 / 100_000)
    days.add(10, True, 9.0)
    assert days.totals() == totals


def test_a_late_execution_finds_its_day_or_makes_it():
    days = Days()
    for day in (10, 12, 15):
        days.add(day, False, 10.0)
    days.add(12, True, 20.0)
    days.add(13, True, 0.0)
    days.add(11, False, 40.0)
    totals = days.totals()
    assert (totals.counted, totals.failures, totals.timed, totals.mean) == (6, 2, 5, 18.0)
    assert totals.squares == pytest.approx(sum((x - 18.0) ** 2 for x in (10, 10, 10, 20, 40)))
    copy = Days()
    packed = b"--" + bytes_of(days)
    assert (copy.fill(packed, 2), copy.totals()) == (len(packed), totals)


def test_an_execution_of_30_days_ago_finds_no_bucket():
    days = Days()
    days.add(100, False, 1.0)
    days.add(70, False, 1.0)
    assert days.totals().counted == 1
    days.add(71, False, 1.0)
    assert days.totals().counted == 2


def test_each_day_leaves_after_30():
    days = Days()
    for day in range(100, 160):
        days.add(day, day == 130, 1.0)
    assert (days.totals().counted, days.totals().failures) == (30, 1)
    days.add(160, False, 1.0)
    assert (days.totals().counted, days.totals().failures) == (30, 0)


@pytest.mark.parametrize("untimed", [0, 1, 300])
@pytest.mark.parametrize("failures", [0, 300])
def test_counts_above_255_come_back_as_they_were(failures, untimed):
    days, copy = Days(), Days()
    for number in range(600):
        days.add(10, number < failures, 0.0 if number < untimed else 2.0)
    days.add(11, False, 2.0)
    packed = bytes_of(days)
    assert (copy.fill(packed, 0), copy.totals()) == (len(packed), days.totals())
    assert (copy.totals().counted, copy.totals().failures, copy.totals().timed) == (601, failures, 601 - untimed)

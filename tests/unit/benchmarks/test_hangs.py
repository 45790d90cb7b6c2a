"""The benchmark of hangs finds those that it puts in, and none in a history without."""

import random

from benchmarks.hangs import HANGS, WARM, count


def test_a_steady_series_has_its_hangs_found_at_the_limit_and_no_false_alarm() -> None:
    rng = random.Random(3)
    series = [(1.7e9 + 3600.0 * number, rng.lognormvariate(0.0, 0.2)) for number in range(6 * HANGS)]
    counted = count(series, rng)
    assert counted.runs + counted.hangs == len(series) - WARM and counted.hangs > 2
    assert len(counted.found_at) == counted.hangs and counted.false == 0
    assert all(2.0 < ratio < 4.5 for ratio in counted.found_at)


def test_what_is_longer_than_all_before_it_is_a_false_alarm() -> None:
    series = [(1.7e9 + 3600.0 * number, 100.0 if number == WARM + 5 else 1.0) for number in range(WARM + 20)]
    counted = count(series, random.Random(0))
    assert counted.false == 1

"""Hour of the day and weekend: learned from the first reading on, used after three weeks where they explain much."""

from datetime import timedelta
from math import log
from random import Random

import pytest

from stream_detector.detect.statistics.level import Level
from stream_detector.detect.statistics.rhythm import LEARNED_MS, Rhythm
from tests.unit.detect.events_of import START, bytes_of
from tests.unit.detect.test_robust import ROBUST, feed, found, run, workflow

HOUR_MS = 3_600_000
MONDAY_MS = 1_767_571_200_000
"""2026-01-05 00:00 UTC."""


def usual_s(at_ms: int) -> float:
    """Twice as long at night, half as long at weekends."""
    night = at_ms // HOUR_MS % 24 < 6
    weekend = (at_ms - MONDAY_MS) // (24 * HOUR_MS) % 7 >= 5
    return 100.0 * (2.0 if night else 1.0) * (0.5 if weekend else 1.0)


def followed(days: int, usual=usual_s, spread: float = 0.05) -> tuple[Level, int]:
    random, level = Random(5), Level()
    for hour in range(days * 24):
        at_ms = MONDAY_MS + hour * HOUR_MS
        level.update(usual(at_ms) * random.lognormvariate(0.0, spread), at_ms)
    return level, MONDAY_MS + days * 24 * HOUR_MS


def test_the_rhythm_is_used_after_three_weeks():
    level, _ = followed(21)
    assert not level.rhythm.used
    level, _ = followed(23)
    assert level.rhythm.used


def test_each_time_of_the_week_is_expected_as_it_usually_is():
    level, end_ms = followed(70)
    for hour in range(0, 7 * 24, 5):
        at_ms = end_ms + hour * HOUR_MS
        low, usual, high = level.expected_range(at_ms)
        assert usual == pytest.approx(usual_s(at_ms), rel=0.2), hour
        assert low < usual < high


def test_a_workflow_without_a_rhythm_is_judged_as_if_this_were_not_here():
    level, end_ms = followed(70, usual=lambda at_ms: 100.0)
    assert not level.rhythm.used
    assert {level.expected_range(end_ms + hour * HOUR_MS) for hour in range(24)} == {level.expected_range(end_ms)}


def test_a_rhythm_that_is_gone_is_let_go():
    level, end_ms = followed(40)
    random = Random(6)
    for hour in range(200 * 24):
        level.update(150.0 * random.lognormvariate(0.0, 0.3), end_ms + hour * HOUR_MS)
    assert not level.rhythm.used


def test_offsets_fade_in_and_saturate():
    rhythm, at_ms = Rhythm(), MONDAY_MS
    for day in range(4000):
        rhythm.learn(0.0 if day else 1000.0, at_ms + day * 24 * HOUR_MS, 24 * HOUR_MS, 1e6, day)
    assert max(map(abs, rhythm.offsets)) <= 0x7FFF
    copy = Rhythm()
    packed = bytes_of(rhythm)
    assert (copy.fill(b"12" + packed, 2), bytes_of(copy)) == (2 + len(packed), packed)


@pytest.mark.parametrize(("days", "weekend"), [(4, False), (5, True), (6, True), (7, False)])
def test_saturday_and_sunday_are_the_weekend(days, weekend):
    rhythm = Rhythm()
    rhythm.offsets[-1] = 10_000
    assert rhythm.offset(MONDAY_MS + days * 24 * HOUR_MS) == (1.0 if weekend else 0.0)


def test_three_weeks_are_of_event_time():
    assert timedelta(weeks=3) // timedelta(milliseconds=1) == LEARNED_MS


def test_a_night_that_is_always_slow_is_no_anomaly_and_a_slow_day_is():
    """What is usual at night, at noon, is told; without the rhythm it would be an ordinary reading."""
    baseline, random, noon = workflow(), Random(5), START.replace(hour=12)
    history = [
        run(n, (200.0 if at.hour < 6 else 100.0) * random.lognormvariate(0.0, 0.05), at=at)
        for n in range(70 * 24)
        for at in [noon + timedelta(hours=n)]
    ]
    feed(baseline, history, ROBUST)
    late = noon + timedelta(days=70)
    told = found(feed(baseline, [run(99_999, 200.0, at=late)], ROBUST))
    told = [one for one in told if one.detector != "missed_run"]  # of the hour that is left out
    assert [(one.anomaly_type, one.state) for one in told] == [("UnusualExecutionTime", "opened")]
    assert log(told[0].metrics.baseline_value) == pytest.approx(log(100.0), abs=0.2)

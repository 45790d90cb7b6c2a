"""The level's numbers on one seeded series: a constant that moves is a change of every baseline, and is seen here."""

from random import Random

import pytest

from stream_detector.detect.statistics.level import POINT_FROM, SHIFT_FROM, Level
from stream_detector.detect.statistics.series import Series
from tests.unit.detect.events_of import bytes_of


@pytest.fixture(scope="module")
def followed():
    random, level, surprises = Random(11), Level(), []
    for n in range(600):
        at_ms = n * (300_000 if n % 2 else 7_200_000) + n * 3_600_000
        usual = 50.0 * random.lognormvariate(0, 0.2) * (1.6 if 400 <= n < 420 else 1.0)
        assessment = level.update(usual * (8 if n in (150, 300, 450) else 1), at_ms)
        if assessment:
            surprises += [
                (n, one.runs, one.beyond, pytest.approx(one.score, abs=1e-5))
                for one in (assessment.point, assessment.shift)
                if one is not None and one.score > 1.7
            ]
    return level, surprises


def test_spikes_and_the_slow_down_surprise(followed):
    assert followed[1] == [
        (150, 1, 0, 3.599021),
        (256, 1, 2, 1.737415),
        (300, 1, 0, 3.611022),
        (367, 1, 0, 2.228777),
        (400, 1, 2, 1.899384),
        (402, 1, 1, 1.701365),
        (407, 12, 2, 2.157689),
        (408, 12, 2, 2.666786),
        (409, 12, 2, 2.019115),
        (410, 12, 2, 2.700890),
        (411, 12, 2, 2.057462),
        (412, 12, 3, 2.600242),
        (442, 12, 5, 2.097255),
        (450, 1, 0, 2.933616),
        (598, 1, 1, 2.090908),
    ]


def test_what_is_learned(followed):
    level = followed[0]
    assert level.level == pytest.approx(3.9184531971589642)
    assert level.variance == pytest.approx(0.06160338861545453)
    assert level.slow_mean == pytest.approx(-0.07168078891885275)
    assert level.last_score == pytest.approx(1.6085862239726618)
    assert level.rhythm.mean == pytest.approx(3.919534476970697)
    assert level.rhythm.left == pytest.approx(0.05835178154154697)


def steady(count: int, gap_ms: int = 3_600_000) -> Level:
    """About 100 s, a few percent either way, always the same."""
    random, level = Random(2), Level()
    for n in range(count):
        level.update(100.0 * random.lognormvariate(0, 0.03), n * gap_ms)
    return level


@pytest.mark.parametrize("side", [1, -1])
def test_lone_and_lasting_look_the_same_on_either_side(side):
    level = steady(300)
    at_ms = level.newest_ms
    for n in range(1, 13):
        assessment = level.update(100.0 * 1.1**side, at_ms + n * 3_600_000, always=True)
    assert assessment is not None and assessment.shift is not None
    assert assessment.shift.z * side > SHIFT_FROM
    assert assessment.shift.beyond == 0 and assessment.shift.remembered == 64
    assert assessment.z * side > 0


def test_a_reading_within_one_and_a_half_sigma_is_not_looked_at():
    level = steady(300)
    sigma, at_ms = level.variance**0.5, level.newest_ms + 3_600_000
    copy = Level()
    copy.fill(bytes_of(level), 0)
    assert level.update((level.expected + 0.02) * 2.718281828 ** (sigma * (POINT_FROM - 0.01)) - 0.02, at_ms) is None
    assessment = copy.update((copy.expected + 0.02) * 2.718281828 ** (sigma * (POINT_FROM + 0.01)) - 0.02, at_ms)
    assert assessment is not None and assessment.point is not None and assessment.shift is None


def test_a_lone_surprise_is_less_the_younger_the_series_is_and_after_another():
    young, old = steady(40), steady(400)
    sizes = []
    for level in (young, old):
        for later_ms in (3_600_000, 7_200_000):
            assessment = level.update(300.0, level.newest_ms + later_ms)
            assert assessment is not None and assessment.point is not None
            sizes.append(assessment.point.score)
    assert sizes[0] < sizes[2] - 0.4
    assert sizes[1] < sizes[0] and sizes[3] < sizes[2]


def test_a_shift_that_is_over_is_not_told_by_its_memory():
    """The mean of the last 12 is still high when the last four are back: the median of those decides."""
    level = steady(300)
    at_ms = level.newest_ms
    for n in range(1, 13):
        level.update(115.0, at_ms + n * 3_600_000)
    for n in range(13, 18):
        assessment = level.update(99.0, at_ms + n * 3_600_000, always=True)
    assert assessment is not None
    assert assessment.shift is None


def test_a_slow_mean_tells_of_what_twelve_do_not():
    level, random = steady(400), Random(3)
    at_ms, found = level.newest_ms, set()
    for n in range(1, 120):
        assessment = level.update(103.0 * random.lognormvariate(0, 0.03), at_ms + n * 60_000)
        if assessment is not None and assessment.shift is not None:
            found.add(assessment.shift.runs)
    assert 80 in found


def test_readings_that_come_fast_are_kept_far_apart():
    level = steady(1000, gap_ms=60_000)
    assert len(level.readings) <= 2 * 76
    hours = 1000 / 60
    assert level.kept_s >= (hours - 1) * 3600


def test_a_constant_has_no_z_and_no_division_by_zero():
    level = Level()
    for n in range(1000):
        assessment = level.update(5.0, n * 60_000, always=True)
        assert assessment is not None and assessment.point is None and assessment.shift is None
    assert level.variance < 1e-12


def test_a_series_that_looks_and_finds_nothing_scores_0():
    """A slow mean is looked at and the last four lie on the other side: neither surprise is there."""
    series, random = Series(), Random(3)
    for n in range(400):
        series.score(100.0 * random.lognormvariate(0, 0.03), n * 3_600_000)
    for n in range(400, 420):
        series.score(110.0, n * 3_600_000)
    assert series.score(series.level.expected * 0.999, 420 * 3_600_000) >= 0.0
    assert [series.score(series.level.expected * 0.995, n * 3_600_000) for n in range(421, 424)][-1] == 0.0

"""A Page-Hinkley test that is taken apart and rebuilt at each value is river's own."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from river.drift import PageHinkley

from stream_detector.detect.statistics.page_hinkley import ALLOWANCE, LEAST, LIMIT, START, Drift, fields_of, rebuild


def steady(random: Random) -> Iterator[float]:
    while True:
        yield random.gauss(15.0, 0.3)


def wandering(random: Random) -> Iterator[float]:
    x = 15.0
    while True:
        x += random.gauss(0.0, 0.4)
        yield x


def jumping(random: Random) -> Iterator[float]:
    x = 0.0
    while True:
        x = random.uniform(-1e9, 1e9) if random.random() < 0.02 else x
        yield x + random.gauss(0.0, 0.2)


def alike(random: Random) -> Iterator[float]:
    while True:
        yield random.choice((0.0, 0.0, 0.0, 7.0))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("series", [steady, wandering, jumping, alike])
def test_rebuilt_at_each_value_it_is_an_undisturbed_one(series: Callable[[Random], Iterator[float]], seed: int) -> None:
    river = PageHinkley(min_instances=LEAST, delta=ALLOWANCE, threshold=LIMIT)
    fields, fired = START, 0
    for _, x in zip(range(3000), series(Random(seed)), strict=False):
        river.update(x)
        test = rebuild(fields)
        test.update(x)
        assert test.drift_detected == river.drift_detected
        assert fields_of(test) == fields_of(river), "each number to the last bit"
        fired += river.drift_detected
        fields = START if river.drift_detected else fields_of(test)  # as river does before its next value
    assert series is steady or fired > 5


def test_river_remembers_nothing_else() -> None:
    """A later river with a field more would lose it at each score: `Fields` and the packed layout must then grow."""
    test, fresh = PageHinkley(), PageHinkley()
    for x in (1.0, 2.0, 900.0, 3.0):
        test.update(x)
    changed = {name for name, value in vars(test).items() if value != vars(fresh)[name] and not callable(value)}
    ours = {"_x_mean", "_sum_increase", "_sum_decrease", "_min_increase", "_max_decrease", "_drift_detected"}
    assert changed <= ours | {"_test_drift"}
    assert {name for name, value in vars(test._x_mean).items() if value != vars(fresh._x_mean)[name]} <= {"n", "_mean"}


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_drift_starts_again_from_the_score_that_ended_it(direction: float) -> None:
    drift = Drift()
    scores = [7.5 + direction * 0.4 * n for n in range(4)]
    found = [drift.update(score, 0.5) for score in scores]
    assert found[:3] == [None] * 3
    assert found[3] == pytest.approx(sum(scores[:3]) / 3)
    assert (drift.fields.n, drift.fields.mean) == (1, scores[3] / 0.5)


def test_a_test_that_fires_within_a_threshold_of_the_mean_continues() -> None:
    drift = Drift()
    for n in range(40):
        assert drift.update(7.5 + (n % 2) * 0.3, 0.5) is None
    assert drift.fields.n == 40

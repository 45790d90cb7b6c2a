"""X8, W15: confidence ranks. A larger z, or the same z on more readings, never has less; it is never 1."""

from math import log10, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_detector.detect import Baseline, ScoreBaseline
from stream_detector.detect.config import ScoreRule
from stream_detector.detect.rules import (
    consecutive_failures,
    performance_degradation,
    spike_in_failures,
    timing,
    unusual_execution_time,
)
from stream_detector.detect.statistics import tails
from tests.unit.detect.events_of import entity, feed, score
from tests.unit.detect.test_reported import anomalies_of

FOUND_BY_Z = {
    "unusual": lambda z, n: unusual_execution_time.find_by_z("w", 9.0, mean=1.0, spread=1.0, n=n, z=z, gate=2.0),
    "slower": lambda z, n: performance_degradation.find_by_z("w", 9.0, mean=1.0, spread=1.0, n=n, z=z, gate=2.0),
    "spike": lambda z, n: spike_in_failures.find_by_z("w", recent_failures=5, failures=1, n=n, z=z, gate=2.0),
    "end": lambda z, n: timing.recovered(
        timing.End("unusual_execution_time", "UnusualExecutionTime", "", "w"), 9.0, 1.0, z, n
    ),
}


@pytest.mark.parametrize("rule", FOUND_BY_Z)
@given(st.floats(0.01, 1e3), st.floats(0.0, 50.0), st.integers(2, 5000), st.integers(0, 5000))
def test_x8_a_larger_z_or_more_readings_never_have_less(rule, z, more_z, n, more_n):
    def confidence(z: float, n: int) -> float:
        return FOUND_BY_Z[rule](z, n).confidence

    assert 0.0 <= confidence(z, n) < 1.0
    assert confidence(z + more_z, n) >= confidence(z, n) - 1e-9
    if z > 1.0:  # below the mean's own uncertainty more readings make an ordinary reading more ordinary
        assert confidence(z, n + more_n) >= confidence(z, n) - 1e-9


@pytest.mark.parametrize(("z", "expected"), [(2.0, 0.55), (3.0, 0.69), (10.0, 0.91), (-10.0, 0.91)])
def test_x8_the_figures_of_the_contract_on_30_readings(z, expected):
    assert round(FOUND_BY_Z["unusual"](z, 30).confidence, 2) == expected


def test_x8_the_tails_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    for n in (2, 3, 10, 30, 1000):
        for z in (0.1, 1.0, 3.0, 12.0):
            exact = -log10(2 * stats.t.sf(z / (1 + 1 / n) ** 0.5, n - 1))
            assert tails.t_tail(z, n) == pytest.approx(exact, rel=1e-9)
    for count, mean in ((3, 1.0), (30, 10.0), (300, 90.0)):
        assert tails.poisson_tail(count, mean) == pytest.approx(-stats.poisson.logsf(count - 1, mean) / 2.302585092994)
    for z in (0.0, 2.0, 29.0, 31.0):
        assert tails.normal_tail(z) == pytest.approx(-stats.norm.logsf(z) / 2.302585092994, rel=1e-6)


def test_x8_a_reading_beyond_all_numbers_has_the_most():
    assert tails.t_tail(1e200, 30) == tails.t_tail(-1e300, 5) > tails.t_tail(1e9, 30)


@given(st.floats(-1.0, 1e9), st.floats(0.0, 1e9))
def test_x8_whatever_the_tail_it_is_below_1_and_ranks(tail, more):
    assert 0.0 <= tails.confidence(tail) <= tails.confidence(tail + more) < 1.0


def test_x8_a_longer_streak_or_one_of_a_workflow_that_fails_less_has_more():
    def of(length, rate):
        return consecutive_failures.find_streak("w", length, rate).confidence

    assert of(3, 0.5) < of(5, 0.5) < of(5, 0.1) < of(5, 0.0) < 1.0
    assert of(3, 1.0) == 0.0


def test_x8_a_score_ranks_among_its_own_past_changes():
    baseline = entity()
    values = [5.0 + 0.1 * (n % 2) for n in range(4)]
    feed(baseline, [score(f"{value:g}", day) for day, value in enumerate(values)])
    (young,) = feed(baseline, [score("7.5", 4)])[0].anomalies
    assert young.metrics.confidence == tails.UNKNOWN
    feed(baseline, [score(f"{7.5 + 0.1 * (day % 2):g}", day) for day in range(5, 50)])
    (grown,) = feed(baseline, [score("9.5", 50)])[0].anomalies
    assert grown.metrics.confidence == pytest.approx(log10(31) / (1 + log10(31)))
    (again,) = feed(baseline, [score("7.6", 51)])[0].anomalies
    assert again.metrics.confidence < grown.metrics.confidence


def test_x8_the_past_changes_survive_packing_and_are_30_at_most():
    baseline = entity()
    feed(baseline, [score(f"{5 + day * 0.01:g}", day) for day in range(60)])
    again = Baseline.unpack(baseline.key, baseline.pack())
    assert isinstance(again, ScoreBaseline)
    assert again.changes == baseline.changes and len(again.changes) == 30
    assert again.pack() == baseline.pack()


def test_x8_an_entity_of_the_former_version_has_no_past_changes_yet():
    former = bytes.fromhex("02020001") + bytes(16) + bytes(8)
    drift = Baseline.new("score:lido").pack()[28:]
    baseline = Baseline.unpack("score:lido", former + drift)
    assert isinstance(baseline, ScoreBaseline) and baseline.changes == ()


@pytest.mark.parametrize("profile", ["classic", "robust"])
def test_x8_a_real_history_has_at_least_20_different_values(profile):
    values = {round(one.metrics.confidence, 3) for one in anomalies_of(profile)}
    assert len(values) >= 20 and max(values) < 1.0 and min(values) >= 0.0


def test_x8_the_relative_rule_ranks_by_the_size_of_the_change_too():
    from decimal import Decimal as D

    from stream_detector.detect.rules.significant_score_change import find_change

    found = find_change("w", D(100), D(150), ScoreRule(D("0.1"), relative=True), D(1), [1.0] * 29 + [60.0])
    assert found is not None and found.confidence == pytest.approx(log10(31 / 2) / (1 + log10(31 / 2)))


def test_x8_a_tail_of_very_many_executions_ends_and_stays_near_its_limit():
    """Its series has more terms than are added; by chance alone every second day has as many or more."""
    assert tails.poisson_tail(200_000, 199_999.0) == pytest.approx(log10(2.0), abs=0.02)


@pytest.mark.parametrize("size", [1e6, 1e8, 1e12])
def test_x8_a_beta_tail_of_very_many_ends_and_is_a_tail(size):
    """So near to its middle the continued fraction takes more terms the more there are, up to 500."""
    tail = tails._log_beta_tail(size, size, 1.0 + 0.1 / sqrt(size))
    assert 0.0 < -tail < 100.0

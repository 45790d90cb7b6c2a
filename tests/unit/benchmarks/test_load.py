"""The load is what the benchmarks say it is, and the reference job means what it says."""

import statistics
import time

import msgspec
import pytest

from benchmarks import load, reference
from benchmarks.measure import Figures
from benchmarks.throughput import main, ratio, spread
from stream_detector.events.decode import decode_completion


def test_every_event_is_a_valid_completion_of_264_bytes():
    now_ms = round(time.time() * 1000)
    for workflow, value in load.events(5_000, keys=100):
        assert len(value) == load.EVENT_BYTES
        assert decode_completion(value, (), now_ms).workflow_id == workflow


def test_the_same_arguments_give_the_same_durations():
    first, second = ([msgspec.json.decode(value)["duration_s"] for _, value in load.events(1_000)] for _ in range(2))
    assert first == second


def test_keys_spread_over_all_partitions():
    assert {load.partition_of(workflow) for workflow, _ in load.events(500)} == set(range(load.PARTITIONS))


def test_the_reference_job_is_mean_and_sample_variance_beyond_three_sigma():
    values = [10.0, 11.0, 9.5, 10.5, 9.0, 10.2]
    state = (0, 0.0, 0.0)
    for value in values:
        state = reference.learn(*state, value)
    count, mean, squares = state
    assert (count, mean) == (6, pytest.approx(statistics.fmean(values)))
    assert squares / (count - 1) == pytest.approx(statistics.variance(values))
    sigma = statistics.stdev(values)
    assert reference.judge(*state, mean + 3.01 * sigma) and reference.judge(*state, mean - 3.01 * sigma)
    assert not reference.judge(*state, mean + 2.99 * sigma)
    assert not reference.judge(reference.LEAST_READINGS - 1, mean, squares, 1e9)


def test_the_expected_alerts_are_about_the_outliers():
    outliers = 20_000 // load.OUTLIER_EVERY
    found = reference.expected_alerts(value for _, value in load.events(20_000, keys=200))
    assert outliers <= len(found) < 20_000 * 0.02


def test_ratios_are_taken_within_a_round_and_speed_is_a_median():
    runs = {
        "a": [Figures(100, 1, 1), Figures(100, 2, 1), Figures(100, 4, 1)],
        "b": [Figures(10, 1, 1), Figures(10, 2, 1), Figures(10, 1, 1)],
    }
    assert ratio(runs, "a", "b") == 10.0
    assert spread(runs["a"])["events_per_s"] == 50
    assert (spread(runs["a"])["least"], spread(runs["a"])["most"]) == (25, 100)


def test_an_unknown_system_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--systems", "ours,other"])
    assert ended.value.code == 2
    assert "other" in capsys.readouterr().err

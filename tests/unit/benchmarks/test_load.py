"""The load is what the benchmarks say it is, and the reference job means what it says."""

import logging
import statistics
import time

import msgspec
import pytest

from benchmarks import history, latency, load, reference
from benchmarks.measure import Figures
from benchmarks.orders import Orders
from benchmarks.throughput import QUICK, compared, main, ratios, spread
from stream_detector.detect import Baseline
from stream_detector.events.decode import decode_completion

pytestmark = pytest.mark.drill


@pytest.mark.parametrize("shape", [load.PLAIN, load.DETAILED, load.Shape(200), load.Shape(1000), load.Shape(10_000)])
def test_every_event_is_a_valid_completion_of_its_shape(shape):
    now_ms = round(time.time() * 1000)
    for workflow, value in load.events(2_000, keys=100, shape=shape):
        event = decode_completion(value, (), now_ms)
        assert len(value) == shape.n_bytes and event.workflow_id == workflow
        assert (len(event.steps), len(event.resources)) == (shape.steps, shape.resources)


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
    outliers = 20_000 // load.PLAIN.outlier_every
    found = reference.expected_alerts(value for _, value in load.events(20_000, keys=200))
    assert outliers <= len(found) < 20_000 * 0.02


@pytest.mark.parametrize("profile", ["classic", "robust"])
@pytest.mark.parametrize("shape", [load.PLAIN, load.DETAILED])
def test_with_a_history_every_event_is_judged_and_few_are_anomalies(profile, shape):
    kinds = history.learned(profile, shape)
    assert {Baseline.unpack("workflow:w", packed).status for packed in kinds} == {"normal"}
    values = list(load.events(4_000, keys=800, shape=shape))
    found = history.expected_alerts(iter(values), profile=profile, kinds=kinds)
    assert 4_000 // shape.outlier_every <= len(found) < 4_000 * 0.05
    assert len(history.expected_alerts(iter(values), profile=profile)) < len(found)  # five executions teach too little


def test_ratios_are_taken_within_a_round_and_speed_is_a_median():
    def run(events, seconds):
        return Figures(events, seconds, 1, events // 2, seconds / 4, 1)

    ours, theirs = [run(100, 1), run(100, 2), run(100, 4)], [run(10, 1), run(10, 2), run(10, 1)]
    found = ratios(ours, theirs)
    assert (found[""], found["_warm"], found["_cpu"]) == (10.0, 10.0, 10.0)
    assert spread(ours)["events_per_s"] == 50 and spread(ours)["warm_events_per_s"] == 100
    assert (spread(ours)["least"], spread(ours)["most"]) == (25, 100)


def test_a_percentile_that_only_one_has_alerts_enough_for_has_no_ratio():
    ours, theirs = {"p50_ms": 5.0, "p99_ms": 20.0, "p99.9_ms": 30.0}, {"p50_ms": 10.0, "p99_ms": 30.0}
    found = latency.ratios({"10000": {"ours_full": ours, "kafka_streams": theirs}, "1000": {"ours_full": ours}})
    assert found == {"10000": {"ratio_ours_full_p50": 2.0, "ratio_ours_full_p99": 1.5}}


def test_the_ratios_that_are_asked_for_come_first():
    runs = {name: [Figures(10, 1, 1, 5, 1, 1)] for name in (*QUICK, "ours_classic")}
    assert list(compared(runs))[:3] == ["ratio_kafka_streams", "ratio_quix", "ratio_faust"]
    assert "ratio_classic_quix_warm_cpu" in compared(runs)


def test_the_second_half_is_measured_by_itself(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("benchmarks.orders.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("benchmarks.orders.time.process_time", lambda: now[0] / 2)
    orders = Orders("broker", "", "source", "alerts", "group", 100, 4, "")
    for at_s, count in ((1.0, 0), (3.0, 40), (5.0, 30), (8.0, 30)):
        now[0] = at_s
        orders.started()
        done = orders.handled(count)
    assert done and not orders.handled(0)
    assert (orders.took_s, orders.cpu_s) == (7.0, 3.5)
    assert orders.half == (30, 3.0, 1.5)


def test_an_unknown_system_is_wrong_usage(capsys):
    level = logging.getLogger("aiokafka").level
    with pytest.raises(SystemExit) as ended:
        main(["--systems", "ours,other"])
    assert ended.value.code == 2
    assert "other" in capsys.readouterr().err
    assert logging.getLogger("aiokafka").level == level, "quiet for whatever runs afterwards in this process"

"""Resources (W13) and patterns (W12): the steps of an execution and the rate of arrival."""

from datetime import timedelta

import pytest

from stream_detector.detect import Baseline, Config, step
from stream_detector.detect.statistics.resources import MOST, Resources
from stream_detector.events import Resource, Step
from tests.unit.detect.events_of import CLASSIC, START, bytes_of, feed, found, kinds, run, workflow

BOTH = pytest.mark.parametrize("config", [CLASSIC, Config(profile="robust")], ids=["classic", "robust"])


def uses(number: int, used: float, limit: float | None = 4.0, name: str = "memory", **more):
    return run(number, None, resources={name: Resource(used, limit, "GiB")}, **more)


def exhausted(anomalies):
    return [one for one in anomalies if one.anomaly_type == "ResourceExhaustion"]


@BOTH
@pytest.mark.parametrize(("used", "severity"), [(3.59, None), (3.6, "warning"), (3.91, "warning"), (3.92, "critical")])
def test_w13_a_share_of_the_limit(config, used, severity):
    told = found(feed(workflow(), [uses(0, used)], config))
    assert [one.severity for one in told] == ([severity] if severity else [])


def test_w13_says_what_was_used_of_what():
    (one,) = found(feed(workflow(), [uses(0, 3.8)]))
    assert one.description == "nightly used 95 % of its memory limit (3.8 of 4 GiB)"
    assert (one.metrics.current_value, one.metrics.unit, one.metrics.z_score) == (0.95, "ratio", None)
    assert one.gates == ["95 % of the limit reaches 90 %"]
    assert [item.kind for item in one.affected_entities] == ["workflow", "execution", "resource"]


def test_w13_is_one_incident_a_resource_until_it_is_used_less():
    life = found(feed(workflow(), [uses(0, 3.8), uses(1, 3.9), uses(2, 3.95), *(uses(n, 2.0) for n in (3, 4, 5, 6))]))
    assert [(one.state, one.severity) for one in life] == [
        ("opened", "warning"),
        ("ongoing", "warning"),
        ("ongoing", "critical"),
        ("resolved", "info"),
    ]
    assert {one.incident_id for one in life} == {life[0].id}
    two = run(9, None, resources={"memory": Resource(4.0, 4.0), "disk": Resource(9.5, 10.0)})
    assert len({one.incident_id for one in found(feed(workflow(), [two]))}) == 2


@BOTH
def test_w13_a_rise_beyond_three_deviations(config):
    steady = [uses(n, 2.0 + 0.01 * (n % 2)) for n in range(20)]
    rising = [uses(20, 2.011), uses(21, 2.012), uses(22, 2.6)]
    told = found(feed(workflow(), steady + rising, config))
    assert kinds(told) == [("ResourceExhaustion", "warning", "opened")]
    assert told[0].description == "nightly used 2.6 of 4 GiB of memory, rising, usually 50 %"
    assert told[0].metrics.z_score is not None and told[0].metrics.z_score > 3
    assert found(feed(workflow(), [*steady, uses(20, 2.6)], config)) == []


@BOTH
def test_w13_below_half_of_the_limit_a_rise_is_no_exhaustion(config):
    steady = [uses(n, 1.0 + 0.01 * (n % 2)) for n in range(20)]
    assert found(feed(workflow(), [*steady, uses(20, 1.011), uses(21, 1.012), uses(22, 1.3)], config)) == []


def test_w13_without_a_limit_only_the_rise_is_told():
    steady = [uses(n, 100.0 + n % 2, None) for n in range(20)]
    told = found(feed(workflow(), [*steady, uses(20, 101.1, None), uses(21, 101.2, None), uses(22, 140.0, None)]))
    assert told[0].description == "nightly used 140 GiB of memory, rising, usually 100.6 GiB"
    assert told[0].metrics.unit == "GiB"
    rises, less = [(20, 101.1), (21, 121.1), (22, 141.1)], [(30, 100.0), (31, 100.0), (32, 100.0)]
    ended = found(feed(workflow(), [*steady, *(uses(n, used, None) for n, used in rises + less)]))
    assert ended[-1].state == "resolved"
    assert (ended[-1].metrics.direction, ended[-1].metrics.deviation < 0) == ("down", True)


def test_w13_a_forecast_of_the_limit():
    told = found(feed(workflow(), [uses(n, 1.0 + 0.1 * n) for n in range(25)]))
    first = told[0]
    assert first.description.startswith("nightly reaches its memory limit in about ")
    assert first.metrics.z_score is not None and 0.3 < first.metrics.confidence < 0.5
    assert first.metrics.current_value < 0.9
    assert "rises in a row are 3 or more" in first.gates[0]


def test_w13_a_rise_that_is_far_from_everything_is_nothing():
    assert found(feed(workflow(), [uses(n, 1.0 + 0.001 * n) for n in range(40)])) == []


def test_what_each_resource_gate_said():
    gates: list[str] = []
    step(workflow(), uses(0, 3.8), CLASSIC, explain=gates)
    assert "memory: 95 % of the limit reaches 90 %" in gates
    gates.clear()
    step(workflow(), uses(0, 1.0), CLASSIC, explain=gates)
    assert "memory: not full, not rising, not forecast to reach its limit" in gates


@pytest.mark.parametrize(("more", "is_rise"), [(2e-8, False), (1e-7, True)])
def test_a_reading_that_four_bytes_hold_no_better_is_no_rise(more, is_rise):
    """In proportion to what was used: a tenth of a millionth of it."""
    resources = Resources()
    resources.learn(-1, "memory", None, 0.5)
    known = resources.baseline_at(resources.place("memory"))
    assert known is not None and known.is_rise(0.5 + more) is is_rise


def test_at_most_16_resources_and_24_bytes_each():
    resources = Resources()
    for number in range(20):
        resources.learn(-1, f"r{number}", None, 1.0)
    assert (resources.place("r15"), resources.place("r16"), resources.baseline_at(-1)) == (15, -1, None)
    packed = bytes_of(resources)
    assert len(packed) == 1 + 24 * MOST
    copy = Resources()
    assert (copy.fill(packed, 0), bytes_of(copy)) == (len(packed), packed)


def staged(number: int, build_s: float = 40.0, test_s: float = 60.0, *names: str, **more):
    steps = [Step("build", "success", build_s), Step("test", "success", test_s), *(Step(name) for name in names)]
    return run(number, None, steps=steps, **more)


@BOTH
def test_w12_a_sequence_that_was_not_seen(config):
    baseline = workflow()
    assert found(feed(baseline, [staged(n) for n in range(29)] + [staged(29, 40, 60, "early")], config)) == []
    (one,) = found(feed(baseline, [staged(30, 40, 60, "deploy")], config))
    assert kinds([one]) == [("PatternDeviation", "info", "opened")]
    assert one.description == "nightly ran other steps than its last executions: new deploy"
    assert (one.metrics.current_value, one.metrics.baseline_value, one.metrics.direction) == (3.0, 2.0, "up")
    assert found(feed(baseline, [staged(31, 40, 60, "deploy")], config)) == []
    assert found(feed(baseline, [staged(n) for n in range(32, 35)], config)) == []
    gates: list[str] = []
    steps = [Step("test", "success", 60.0), Step("build", "success", 40.0)]
    (order,) = step(baseline, run(35, None, steps=steps), config, explain=gates).anomalies
    assert order.description == "nightly ran its steps in another order: moved build"
    assert gates[-1] == order.gates[-1]
    assert step(baseline, run(36, None, steps=steps), config).anomalies == ()


def test_w12_a_failed_execution_may_stop_early():
    baseline = workflow()
    feed(baseline, [staged(n) for n in range(30)])
    assert found(feed(baseline, [run(30, None, "failure", steps=[Step("build", "failure", 40.0)])])) == []


@BOTH
def test_w12_a_share_of_the_time_that_is_not_usual(config):
    baseline = workflow()
    feed(baseline, [staged(n, 40.0 + n % 3, 60.0) for n in range(40)], config)
    (one,) = found(feed(baseline, [staged(40, 80.0, 20.0)], config))
    assert one.description == "step build took 80 % of nightly's time, usually 41 %"
    assert (one.metrics.unit, one.metrics.direction) == ("ratio", "up")
    assert found(feed(baseline, [staged(41, 0.0, 0.0)], config)) == []


def test_w12_steps_are_learned_first_and_says_so():
    gates: list[str] = []
    step(workflow(), staged(0), CLASSIC, explain=gates)
    assert gates[-1] == "learning: 0 successful executions with steps, 30 are learned first"


def arrivals(per_day: list[int]):
    return [
        run(day * 10_000 + n, None, at=START + timedelta(days=day, seconds=60 * n))
        for day, count in enumerate(per_day)
        for n in range(count)
    ]


@BOTH
def test_w12_a_volume_spike_is_reported_once_a_day(config):
    told = found(feed(workflow(), arrivals([10, 20, 12, 11, 10, 9, 10, 600]), config))
    assert [one.description for one in told] == [
        "nightly has run 64 times today already; its busiest of 7 days before had 20"
    ]
    assert found(feed(workflow(), arrivals([10, 20, 12, 11, 10, 10, 600]), config)) == []
    assert found(feed(workflow(), arrivals([40, 300, 40, 40, 40, 40, 40, 600]), config)) == []


def test_resources_and_patterns_survive_packing():
    baseline = workflow()
    feed(baseline, [staged(n, resources={"cpu": Resource(0.1 * n, 9.0)}) for n in range(40)])
    copy = Baseline.unpack(baseline.key, baseline.pack())
    event = staged(40, 90.0, 10.0, "deploy", resources={"cpu": Resource(8.9, 9.0)})
    assert step(copy, event, CLASSIC) == step(baseline, event, CLASSIC)
    assert copy.pack() == baseline.pack()

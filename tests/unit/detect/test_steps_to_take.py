"""X7, W16: investigation steps name what changed since before the incident began, and nothing that did not."""

from datetime import timedelta

import pytest

from stream_detector.detect import Baseline, Config
from stream_detector.events import Anomaly, Completion, Step
from tests.unit.detect.events_of import START, entity, feed, found, run, score, workflow

CLASSIC, ROBUST = Config(profile="classic"), Config(profile="robust")
BOTH = pytest.mark.parametrize("config", [CLASSIC, ROBUST], ids=["classic", "robust"])
BEGIN = 60


def execution(number: int, steps: dict[str, float], status: str = "success", **labels: str) -> Completion:
    """Six hours after the one before; it took as long as its steps, and a little more or less each time."""
    some = 1.0 + 0.02 * (number % 5 - 2)
    failed = labels.pop("failed", "")
    return run(
        number,
        sum(steps.values()) * some,
        status,
        at=START + timedelta(hours=6 * number),
        steps=[Step(name, "failure" if name == failed else "success", took * some) for name, took in steps.items()],
        labels=labels,
    )


USUAL = {"checkout": 10.0, "build": 60.0, "test": 30.0}
SLOW = USUAL | {"test": 130.0}


def told(events: list[Completion], config: Config = ROBUST) -> list[Anomaly]:
    baseline, anomalies = workflow(), []
    for event in events:
        anomalies += found(feed(baseline, [event], config))
        baseline = Baseline.unpack(baseline.key, baseline.pack())
    return anomalies


def usual(count: int = BEGIN, **labels: str) -> list[Completion]:
    return [execution(n, USUAL, commit="a" * 12, **labels) for n in range(count)]


@BOTH
@pytest.mark.parametrize("after", [3, 11])
def test_x7_what_is_compared_with_was_there_before_the_incident_began(config, after):
    """Of a lasting shift, each later message too: the last good one is not one that is slow itself."""
    anomalies = told([*usual(), *(execution(BEGIN + n, SLOW, commit="b" * 12) for n in range(after + 1))], config)
    slow = [one for one in anomalies if one.severity != "info" and one.execution_id >= f"x{BEGIN}"]
    assert slow
    for one in slow:
        steps = one.investigation_steps
        assert steps[0].startswith("Look at step test, which grew most: 2 m "), one.execution_id
        assert ", usually 30" in steps[0] or ", usually 29" in steps[0]
        compared = next(step for step in steps if step.startswith("Compare with"))
        assert int(compared.split(" x")[1].split()[0]) < BEGIN
        assert any(f"from {'a' * 12} to {'b' * 12}" in step for step in steps)


@BOTH
def test_x7_failures_are_compared_with_what_was_before_them(config):
    broken = [
        execution(BEGIN + n, USUAL, "success" if n % 3 == 1 else "failure", commit="b" * 12, failed="test")
        for n in range(9)
    ]
    anomalies = [one for one in told(usual() + broken, config) if one.anomaly_type == "SpikeInFailures"]
    assert anomalies
    for one in anomalies:
        assert one.investigation_steps[0] == "Read the log of the failed step test"
        assert any(f"from {'a' * 12} to {'b' * 12}" in step for step in one.investigation_steps)
        assert not any("grew" in step or "shrank" in step for step in one.investigation_steps)


def steps_of(last: Completion, config: Config = ROBUST) -> list[str]:
    return [step for one in told([*usual(), last], config) for step in one.investigation_steps]


def test_x7_a_step_that_did_not_change_is_never_named():
    slow = execution(BEGIN, USUAL)
    slow = run(BEGIN, 400.0, at=slow.finished_at, steps=slow.steps)
    text = " ".join(steps_of(slow))
    assert "No single step stands out: look at what lies between them" in text
    assert not any(f"step {name}" in text for name in USUAL)


def test_x7_all_steps_alike_are_none_of_them():
    text = " ".join(steps_of(execution(BEGIN, {name: 1.15 * took for name, took in USUAL.items()} | {"checkout": 11})))
    assert "grew" not in text
    double = " ".join(steps_of(execution(BEGIN, {name: 3 * took for name, took in USUAL.items()})))
    assert "Look at step build, which grew most" in double


def test_x7_a_new_step_is_named_where_it_accounts_for_the_time():
    steps = steps_of(execution(BEGIN, USUAL | {"scan": 100.0}))
    assert any(step.startswith("Look at step scan, which is new: 1 m 3") for step in steps)
    assert not any("grew" in step for step in steps)


def test_x7_nothing_shrank_where_something_failed_or_was_added():
    added = steps_of(execution(BEGIN, {"checkout": 1.0, "cached": 1.0}))
    failed = steps_of(execution(BEGIN, {"checkout": 1.0, "build": 2.0, "test": 0.5}, "failure", failed="build"))
    for steps in (added, failed):
        assert steps and not any("shrank" in step for step in steps)
    gone = steps_of(execution(BEGIN, {"checkout": 1.0, "build": 2.0}))
    assert "See why step test did not run" in gone
    fast = steps_of(execution(BEGIN, {"checkout": 10.0, "build": 2.0, "test": 1.0}))
    assert any(step.startswith("Look at step build, which shrank most") for step in fast)


def test_x7_a_label_whose_value_is_new_in_most_executions_is_not_named():
    before = [
        execution(n, USUAL, build=str(1900 + n), image="base:9", branch="main" if n % 2 else f"feature-{n}")
        for n in range(BEGIN)
    ]
    (one,) = told([*before, execution(BEGIN, SLOW, build="1960", image="base:10", branch="feature-60")])[:1]
    new = next(step for step in one.investigation_steps if step.startswith("New since then"))
    assert new == "New since then: image = base:10"


@BOTH
def test_x7_a_volume_spike_asks_who_started_them(config):
    quiet = [run(n, 60.0, at=START + timedelta(hours=2 * n)) for n in range(120)]
    storm = [
        run(
            1000 + n, 60.0, at=START + timedelta(days=11, seconds=60 * n), labels={"trigger": "schedule", "commit": "c"}
        )
        for n in range(70)
    ]
    (one,) = [one for one in told(quiet + storm, config) if one.detector == "pattern_deviation"]
    assert one.investigation_steps[0].startswith("See who or what started the executions of today")
    assert one.investigation_steps[1].startswith("The last of them has trigger = schedule")
    assert not any("Compare" in step or "grew" in step for step in one.investigation_steps)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["7.0", "7.1", "7.0", "7.1", "7.2", "6.2"], "None of its last 4 moves was as large"),
        (
            ["7.0", "8.0", "8.1", "8.0", "8.1", "7.1"],
            "It last moved as much 4 scores ago: compare with what was found then",
        ),
        (["7.0", "7.1", "7.0", "8.0", "7.0"], "It last moved as much in the score before this one: "),
        (["7.0", "7.1", "7.0", "8.0"], None),
    ],
)
def test_x7_a_score_says_when_it_last_moved_as_much(values, words):
    scores = [score(value, day) for day, value in enumerate(values)]
    (last,) = found(feed(entity(), scores)[-1:])
    said = [step for step in last.investigation_steps if "moved as much" in step or "was as large" in step]
    assert [step.startswith(words or "-") for step in said] == ([True] if words else [])


@BOTH
def test_x7_a_streak_that_ends_within_a_spike_is_not_all_well(config):
    letters = "FFFSFFSFF"
    broken = [execution(BEGIN + n, USUAL, "failure" if one == "F" else "success") for n, one in enumerate(letters)]
    over = [one for one in told(usual() + broken, config) if one.state == "resolved"]
    streak = next(one for one in over if "in a row" in one.description)
    assert streak.investigation_steps == ["This has ended, but another incident of nightly is still open: see that one"]
    fixed = [execution(BEGIN + n, USUAL, "success" if n > 2 else "failure") for n in range(30)]
    ends = [one for one in told(usual() + fixed, config) if one.state == "resolved"]
    assert ends[-1].investigation_steps == [f"Nothing to do: execution {ends[-1].execution_id} is back to normal"]


def test_x7_time_within_the_steps_is_not_looked_for_between_them():
    """Of a build whose duration is that of its tests, more of them than have a usual time."""
    many = {f"test {n}": 1.0 for n in range(40)}
    before = [execution(n, many) for n in range(BEGIN)]
    longer = execution(BEGIN, many | {"test 39": 200.0})
    (one,) = told([*before, longer])[:1]
    assert one.investigation_steps[0] == "Look at step test 39, which took 3 m 12 s; its usual time is not known"
    spread = execution(BEGIN, many | {f"test {n}": 12.0 for n in range(32, 40)})
    (one,) = told([*before, spread])[:1]
    assert not any("stands out" in step or "Look at step" in step for step in one.investigation_steps)


def test_x7_an_unusual_time_that_ends_within_a_slow_down_is_not_back_to_normal():
    events = [*usual(), execution(BEGIN, SLOW | {"test": 400.0})]
    events += [execution(BEGIN + 1 + n, SLOW | {"test": 90.0}) for n in range(120)]
    ends = [one for one in told(events) if one.state == "resolved"]
    superseded = [one for one in ends if one.end_reason == "superseded"]
    assert any(one.end_reason == "new_normal" for one in ends) and superseded
    for one in superseded:
        assert one.investigation_steps == [
            "It has ended together with a level shift of this workflow: see the end of that one"
        ]


@BOTH
def test_x7_an_older_open_incident_is_why_the_last_good_execution_is_long_ago(config):
    letters = "FFFFFF" + "SF" * 3 + "SFFF"
    broken = [execution(BEGIN + n, USUAL, "failure" if one == "F" else "success") for n, one in enumerate(letters)]
    streaks = [one for one in told(usual() + broken, config) if one.anomaly_type == "ConsecutiveFailures"]
    first, last = [
        [step for step in one.investigation_steps if step.startswith("Compare with")]
        for one in streaks
        if one.state == "opened"
    ]
    assert first == [f"Compare with the last good execution x{BEGIN - 2} of 2026-01-15 12:00 UTC"]
    assert last[0].startswith(f"{first[0]}, before the incident that is open since 2026-01-1")


@BOTH
def test_x7_without_a_good_execution_the_step_is_about_what_is_known(config):
    never = [execution(n, USUAL, "failure", failed="test") for n in range(BEGIN)]
    slow = execution(BEGIN, SLOW, "failure", failed="test")
    anomalies = told([*never, slow], config)
    streak = next(one for one in anomalies if one.anomaly_type == "ConsecutiveFailures")
    assert "There is no good execution to compare with yet: look at how this workflow was set up" in (
        streak.investigation_steps
    )
    timing = next(one for one in anomalies if one.execution_id == slow.execution_id and one.metrics.unit == "s")
    assert "It has not succeeded in the last 30 days: no good execution is known to compare with" in (
        timing.investigation_steps
    )
    letters = "FFFFFSFFF"
    since = [execution(n, USUAL, "failure" if one == "F" else "success") for n, one in enumerate(letters)]
    last = [one for one in told(since, config) if one.anomaly_type == "ConsecutiveFailures"][-1]
    assert "No good execution from the time until then is known: compare with one that has succeeded since" in (
        last.investigation_steps
    )


def test_x7_a_drift_is_compared_with_where_it_began():
    values = ["5.0", "7.5", "7.1", "6.7", "6.3"]
    (drift,) = [
        one
        for one in found(feed(entity(), [score(value, day, run_id=f"r{day}") for day, value in enumerate(values)]))
        if one.anomaly_type == "PatternDeviation"
    ]
    assert "Compare them with those of 3 scores ago, not of the one before: it moved little by little" in (
        drift.investigation_steps
    )
    assert not any("moved as much" in step or "score before" in step for step in drift.investigation_steps)


def test_a_tiny_rate_and_the_end_of_a_spike_have_numbers_that_can_be_read():
    failing = [run(n, None, "failure" if n in (3, 5) else "success") for n in range(1200)]
    burst = [run(1200 + n, None, "failure" if n < 5 else "success") for n in range(60)]
    spikes = [one for one in told([*failing, *burst]) if one.anomaly_type == "SpikeInFailures"]
    end = next(one for one in spikes if one.end_reason == "recovered")
    assert "usually under 0.01 % fail" in end.description
    assert end.metrics.z_score is not None and -1.0 < end.metrics.z_score < 0.0


# -- the steps themselves ----------------------------------------------------------------------------------------------


def patterns(events: list[Completion]) -> list[str]:
    return [one.description for one in told(events) if one.anomaly_type == "PatternDeviation"]


def of_steps(number: int, names: list[str]) -> Completion:
    return run(number, None, steps=[Step(name, "success", 5.0) for name in names])


ALL = [f"step test {n}" for n in range(30)]


def test_a_set_of_steps_says_what_is_missing_and_new_and_is_reported_once():
    before = [of_steps(n, ALL) for n in range(40)]
    without = [name for name in ALL if name not in ("step test 1", "step test 7")] + ["lint"]
    assert patterns([*before, *(of_steps(40 + n, without) for n in range(10))]) == [
        "nightly ran other steps than its last executions: missing step test 1, step test 7; new lint"
    ]


def test_the_same_steps_in_whatever_order_are_the_same_set():
    """As of tests that run in parallel: 118 against 118, ten times."""
    shuffled = [of_steps(n, [*ALL[n % 30 :], *ALL[: n % 30]]) for n in range(60)]
    assert patterns(shuffled) == []
    many = [f"step test {n}" for n in range(118)]
    assert patterns([of_steps(n, [*many[n % 118 :], *many[: n % 118]]) for n in range(60)]) == []


def test_a_step_that_moved_is_named_once():
    before = [of_steps(n, ALL) for n in range(40)]
    moved = [*ALL[1:], ALL[0]]
    assert patterns([*before, *(of_steps(40 + n, moved) for n in range(5))]) == [
        "nightly ran its steps in another order: moved step test 0"
    ]


def test_of_118_steps_one_more_is_said_by_their_number():
    many = [f"step test {n}" for n in range(118)]
    before = [of_steps(n, many) for n in range(40)]
    assert patterns([*before, of_steps(40, [*many, "lint"])]) == [
        "nightly ran other steps than its last executions: 119 steps, 118 before"
    ]


def test_where_most_executions_have_other_steps_another_set_says_nothing():
    changing = [of_steps(n, [*ALL[:5], f"only {n}"]) for n in range(100)]
    assert patterns(changing) == []


def test_a_step_without_duration_is_no_new_one():
    steps = [Step("build", "success", 40.0), Step("notify", "success")]
    assert patterns([run(n, None, steps=steps) for n in range(40)]) == []


def test_a_share_that_stays_is_reported_once():
    shares = [execution(n, USUAL) for n in range(60)]
    other = [execution(60 + n, {"checkout": 10.0, "build": 25.0, "test": 65.0}) for n in range(40)]
    assert len(patterns(shares + other)) == 1


@BOTH
def test_the_shift_of_a_step_is_not_reported_beside_that_of_the_execution(config):
    anomalies = told([*usual(), *(execution(BEGIN + n, SLOW) for n in range(10))], config)
    assert any(one.anomaly_type != "PatternDeviation" for one in anomalies)
    assert [one for one in anomalies if one.description.startswith("step ")] == []


def test_sequences_of_an_earlier_layout_are_learned_anew_and_say_nothing():
    baseline = workflow()
    feed(baseline, [of_steps(n, ALL) for n in range(40)], ROBUST)
    baseline.evidence.sets = baseline.evidence.names = b""
    packed = baseline.pack()
    again = Baseline.unpack(baseline.key, packed)
    assert found(feed(again, [of_steps(40, ALL[::-1])], ROBUST)) == []
    (one,) = found(feed(again, [of_steps(41, ALL[:-1])], ROBUST))
    assert one.description.endswith(": missing step test 29")

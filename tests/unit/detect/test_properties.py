"""What holds for every history: no error, no NaN, the same answer packed or not, classic by brute force."""

import math
from datetime import timedelta
from decimal import Decimal

from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from msgspec import UNSET

from stream_detector.detect import Baseline, Config, step
from stream_detector.events import Action, Completion, Resource, Score, Step
from tests.effort import examples
from tests.unit.detect.brute_force import JUDGED, Judge
from tests.unit.detect.events_of import START

PROFILES = st.sampled_from([Config(profile="classic"), Config(profile="robust")])
ODD = st.one_of(
    st.none(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(0, 1e12),
    st.sampled_from([0.0, 1e12, 5e-324, 1.0, 2.0]),
)
STATUS = st.sampled_from(["success", "success", "failure", "error", "timeout", "cancellation", "skip"])
WORD = st.text(st.characters(exclude_characters="nN", exclude_categories=["Cs"]), max_size=3)
"""Names without an n: a label that is called nan would look like one of our numbers. Lone surrogates are no JSON."""
TRIED = examples(15, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def histories(draw, durations=ODD):
    """Executions whose time mostly goes on, sometimes back, sometimes far."""
    at, events = START, []
    for number in range(draw(st.integers(1, 70))):
        at += timedelta(seconds=draw(st.sampled_from([0, 1, 60, 600, 600, 600, -30, -4000, 86_400, 31 * 86_400])))
        steps = draw(st.lists(st.builds(Step, WORD, STATUS, st.floats(0, 1e12)), max_size=2))
        used = st.builds(Resource, st.floats(0, 1e12), st.none() | st.floats(1e-9, 1e12))
        events.append(
            Completion(
                execution_id=str(draw(st.integers(0, number + 1))),
                workflow_id="w",
                status=draw(STATUS),
                started_at=at,
                finished_at=at,
                duration_s=draw(durations),
                steps=steps,
                resources=draw(st.dictionaries(st.sampled_from(["cpu", "disk"]), used, max_size=2)),
                labels=draw(st.dictionaries(st.sampled_from(["commit", "team"]), WORD, max_size=2)),
            )
        )
        if draw(st.integers(0, 9)) == 0:
            kind = draw(st.sampled_from(["resolve", "expected", "relearn", "retire", "acknowledge"]))
            events.append(Action(action_id=str(number), kind=kind, by="b", at=at, entity="workflow:w"))
    return events


@st.composite
def score_histories(draw):
    digits = st.decimals(Decimal("-1e12"), Decimal("1e12"), allow_nan=False, allow_infinity=False, places=3)
    small = st.integers(40, 90).map(lambda tenths: Decimal(tenths) / 10)
    at, events = START, []
    for _ in range(draw(st.integers(1, 40))):
        at += timedelta(seconds=draw(st.sampled_from([60, 86_400, 86_400, -60, -7200])))
        value = draw(st.one_of(digits, small, small))
        previous = draw(st.one_of(st.just(UNSET), st.just(UNSET), st.none(), small))
        run_id = draw(st.none() | st.integers(0, 9).map(str))
        events.append(
            Score(entity_id="e", entity_name="E", score=value, scored_at=at, previous_score=previous, run_id=run_id)
        )
    return events


def numbers_of(anomaly):
    metrics = anomaly.metrics
    numbers = [metrics.current_value, metrics.baseline_value, metrics.deviation, metrics.confidence]
    return numbers + [one for one in (metrics.z_score, metrics.threshold, anomaly.duration_s) if one is not None]


def check(anomaly):
    assert all(math.isfinite(number) for number in numbers_of(anomaly)), anomaly
    assert 0 <= anomaly.metrics.confidence <= 1
    assert anomaly.metrics.deviation == anomaly.metrics.current_value - anomaly.metrics.baseline_value or (
        anomaly.entity_kind == "score"
    )
    assert anomaly.investigation_steps and anomaly.gates and len(anomaly.affected_entities) >= 1
    assert "nan" not in " ".join([anomaly.description, *anomaly.gates, *anomaly.investigation_steps]).lower()


@TRIED
@given(histories(), PROFILES, st.booleans())
def test_no_history_makes_step_raise_or_give_nan(events, config, backfill):
    baseline = Baseline.new("workflow:w")
    for event in events:
        for anomaly in step(baseline, event, config, backfill=backfill, explain=[]).anomalies:
            check(anomaly)
        assert all(
            math.isfinite(one.value) and math.isfinite(one.std_dev) for one in baseline.named_baselines().values()
        )


@TRIED
@given(score_histories(), PROFILES)
def test_no_scores_make_step_raise_or_give_nan(events, config):
    baseline = Baseline.new("score:e")
    for event in events:
        for anomaly in step(baseline, event, config, explain=[]).anomalies:
            check(anomaly)


@TRIED
@given(histories(), PROFILES, st.data())
def test_prefix_and_rest_equal_the_whole(events, config, data):
    whole, parted = Baseline.new("workflow:w"), Baseline.new("workflow:w")
    for event in events:
        if data.draw(st.booleans()):
            parted = Baseline.unpack("workflow:w", parted.pack())
        assert step(parted, event, config) == step(whole, event, config)
    assert parted.pack() == whole.pack()


@TRIED
@given(score_histories(), PROFILES, st.data())
def test_prefix_and_rest_of_scores_equal_the_whole(events, config, data):
    whole, parted = Baseline.new("score:e"), Baseline.new("score:e")
    for event in events:
        if data.draw(st.booleans()):
            parted = Baseline.unpack("score:e", parted.pack())
        assert step(parted, event, config) == step(whole, event, config)
    assert parted.pack() == whole.pack()


@TRIED
@given(histories(), PROFILES)
def test_what_is_explained_is_what_is_judged(events, config):
    silent, spoken = Baseline.new("workflow:w"), Baseline.new("workflow:w")
    for event in events:
        assert step(silent, event, config) == step(spoken, event, config, explain=[])


@TRIED
@given(histories(st.one_of(st.none(), st.integers(1, 40).map(float), st.floats(1.0, 1000.0))))
def test_w20_classic_equals_brute_force_from_raw_history(events):
    baseline, judge = Baseline.new("workflow:w"), Judge()
    for event in events:
        if isinstance(event, Action):
            continue
        outcome = step(baseline, event, Config(profile="classic"))
        expected_kind, expected = judge.judge(event)
        assert outcome.kind == expected_kind
        opened = [one for one in outcome.anomalies if one.state != "resolved" and one.anomaly_type in JUDGED]
        assert sorted((one.anomaly_type, one.severity) for one in opened) == sorted(expected)


@TRIED
@given(st.lists(st.floats(1, 1e4), min_size=12, max_size=60), st.integers(-6, 6))
def test_classic_scales_with_the_unit(durations, power):
    """Powers of two scale floats exactly, so every z and every anomaly stays the same."""
    factor = 2.0**power
    pairs = []
    for scale in (1.0, factor):
        baseline = Baseline.new("workflow:w")
        seen = []
        for number, duration_s in enumerate(durations):
            at = START + timedelta(minutes=number)
            event = Completion(
                execution_id=str(number),
                workflow_id="w",
                status="success",
                started_at=at,
                finished_at=at,
                duration_s=duration_s * scale,
            )
            found = step(baseline, event, Config(profile="classic")).anomalies
            seen.append([(one.anomaly_type, one.severity, one.metrics.z_score) for one in found])
        pairs.append(seen)
    assert pairs[0] == pairs[1]

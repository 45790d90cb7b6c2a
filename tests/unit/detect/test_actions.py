"""What a person decided comes back as an event."""

from decimal import Decimal

import pytest

from stream_detector.detect import Baseline, key_of, step
from stream_detector.events import Action
from tests.unit.detect.events_of import (
    CLASSIC,
    HUNDRED_TEN,
    START,
    entity,
    feed,
    found,
    outcomes,
    run,
    runs,
    score,
    workflow,
)


def action(kind: str, number: int = 0, **more) -> Action:
    return Action(action_id=f"a{number}", kind=kind, by="ada", at=START, entity="workflow:nightly", **more)  # type: ignore[arg-type]


def test_resolve_closes_the_incident_and_the_next_telling_opens_another():
    baseline = workflow()
    (third,) = found(feed(baseline, outcomes("FFFF")))
    assert baseline.status == "anomalous"
    result = step(baseline, action("resolve", incident_id=third.incident_id), CLASSIC)
    assert (result.kind, result.anomalies, baseline.status) == ("applied", (), "learning")
    (fifth,) = found(feed(baseline, outcomes("F", 4)))
    assert (fifth.state, fifth.incident_id) == ("opened", fifth.id)


def test_resolve_leaves_other_incidents_and_without_one_named_closes_all():
    baseline = workflow()
    feed(baseline, outcomes("FFF"))
    step(baseline, action("resolve", 1, incident_id="another"), CLASSIC)
    assert len(baseline.incidents) == 1
    step(baseline, action("resolve", 2), CLASSIC)
    assert baseline.incidents == {}


@pytest.mark.parametrize("kind", ["expected", "not_an_anomaly"])
def test_feedback_raises_the_gate_by_a_quarter(kind):
    baseline = workflow()
    feed(baseline, runs(HUNDRED_TEN))
    gates: list[str] = []
    step(baseline, action(kind), CLASSIC, explain=gates)
    assert gates == [f"{kind} by ada: gates of this key are at 1.25 times their usual value"]
    copy = Baseline.unpack(baseline.key, baseline.pack())
    assert step(copy, run(50, 125.0), CLASSIC).anomalies == ()
    unusual, slower = step(baseline, run(50, 125.1), CLASSIC).anomalies
    assert unusual.gates[-1] == "|z| 2.51 is above 2.50"
    assert slower.gates[-1] == "2 m 5 s is above mean + 2.50 standard deviations: 2 m 5 s"


def test_feedback_raises_a_gate_eight_times_at_most():
    baseline = workflow()
    for number in range(12):
        step(baseline, action("expected", number), CLASSIC)
    assert baseline.threshold_multiplier == 3


def test_feedback_raises_a_score_threshold():
    baseline = entity()
    feed(baseline, [score("5")])
    step(baseline, action("expected"), CLASSIC)
    assert step(baseline, score("5.6", 1), CLASSIC).anomalies == ()
    assert len(step(baseline, score("6.225", 2), CLASSIC).anomalies) == 1


def test_relearn_empties_the_baseline_and_a_duplicate_action_changes_nothing():
    baseline = workflow()
    feed(baseline, [*runs(HUNDRED_TEN), *outcomes("FFF", 20)])
    step(baseline, action("expected", 1), CLASSIC)
    assert step(baseline, action("relearn", 2), CLASSIC).kind == "applied"
    assert (baseline.status, baseline.streak, baseline.feedbacks) == ("learning", 0, 0)
    assert baseline.named_baselines()["failure_rate"].window_size == 0
    feed(baseline, [run(30)])
    assert step(baseline, action("relearn", 2), CLASSIC).kind == "duplicate"
    assert baseline.named_baselines()["failure_rate"].window_size == 1


def test_retire_lets_the_key_be_forgotten_until_its_next_event():
    baseline, scored = workflow(), entity()
    for one, event in ((baseline, run(0)), (scored, score("5"))):
        step(one, action("retire"), CLASSIC)
        assert one.retired
        step(one, event, CLASSIC)
        assert not one.retired
    assert scored.previous == Decimal(5)


@pytest.mark.parametrize("kind", ["acknowledge", "silence"])
def test_acknowledge_and_silence_change_no_detection(kind):
    baseline = workflow()
    feed(baseline, outcomes("FFF"))
    before = baseline.pack()
    assert step(baseline, action(kind), CLASSIC).kind == "ignored"
    assert baseline.pack() == before


def test_key_of_every_event():
    assert key_of(run(0)) == "workflow:nightly"
    assert key_of(score("1")) == "score:lido"
    assert key_of(action("resolve")) == "workflow:nightly"

"""The fold over a history is the step, event by event: what replay and check-anomalies stand on."""

from stream_detector.detect.replay import Replayer
from stream_detector.events import Action
from tests.events_made import start
from tests.unit.detect.events_of import CLASSIC, HUNDRED_TEN, START, feed, found, outcomes, run, runs, score, workflow


def test_fold_says_what_step_says_for_each_key():
    one = [*runs(HUNDRED_TEN), run(20, 200.0)]
    other = [run(n, None, "failure", workflow_id="weekly") for n in range(3)]
    mixed = [event for pair in zip(one, [*other, *([score("5")] * 9)], strict=True) for event in pair]
    folding = Replayer(CLASSIC)
    folded = [(event, folding.apply(event)) for event in mixed]
    assert found(outcome for event, outcome in folded if event in one) == found(feed(workflow(), one))
    assert sum(len(outcome.anomalies) for _, outcome in folded) == 3


def test_an_action_without_an_entity_is_ignored():
    assert Replayer(CLASSIC).apply(Action(action_id="a", kind="silence", by="b", at=START)).kind == "ignored"


def test_the_last_event_has_its_outcome_and_every_gate():
    events, gates = outcomes("FFF"), []
    folding = Replayer(CLASSIC)
    for event in events:
        outcome = folding.apply(event, explain=gates)
    assert [one.anomaly_type for one in outcome.anomalies] == ["ConsecutiveFailures"]
    assert gates[-1] == "3 failures in a row; 3 and 5 are reported"
    backfilling = Replayer(CLASSIC)
    assert [backfilling.apply(event, backfill=True).kind for event in events][-1] == "backfilled"


def test_labels_are_counted_among_the_executions_of_the_hour_before():
    folding, image = Replayer(CLASSIC), {"image": "1.2"}
    for n in range(5):
        folding.apply(run(n, workflow_id="other", labels=image if n % 2 else {}))
    (alert,) = found(folding.apply(run(n, None, "failure", labels=image)) for n in range(5, 8))
    counts = folding.label_counts(alert)
    assert counts is not None
    assert (counts.executions, counts.labels) == (6, {"image": 4}), "not the two of an hour ago and more"
    (change,) = found(folding.apply(score(value, day)) for day, value in enumerate(["7.5", "5.8"]))
    assert folding.label_counts(change) is None, "a score is no execution"


def test_a_duplicate_score_leaves_its_run_as_it_is():
    folding = Replayer(CLASSIC)
    for _ in range(2):
        one = score("5", run_id="r")
        folding.gather(one, folding.apply(one), 0)
    assert len(folding.runs["r"].entities) == 1


def test_x30_a_start_changes_no_baseline_and_makes_none():
    folding = Replayer(CLASSIC)
    assert folding.apply(start()).kind == "started" and folding.baselines == {}
    for event in runs(HUNDRED_TEN):
        folding.apply(event)
    (key,) = folding.baselines
    before = folding.baselines[key].pack()
    assert folding.apply(start("next", key.partition(":")[2])).kind == "started"
    assert folding.baselines[key].pack() == before

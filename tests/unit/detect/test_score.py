"""Score changes S1 to S7, and their drift."""

from decimal import Decimal

import pytest

from stream_detector.detect import Config, ScoreRule, score_threshold_rules, step
from stream_detector.detect.runs import Run, apply_part, close, run_part_of
from stream_detector.events import Score
from stream_detector.events.decode import decode_anomaly, decode_run_part, decode_run_summary, decode_score
from stream_detector.events.encode import encode
from stream_detector.notify import subject as notify_subject
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.stages.render import message_about
from tests.unit.detect.events_of import CLASSIC, entity, feed, found, kinds, score


def changed(*values: str, config: Config = CLASSIC, **more) -> list:
    scores = [score(value, day, **more) for day, value in enumerate(values)]
    return [one for one in found(feed(entity(), scores, config)) if one.anomaly_type == "SignificantScoreChange"]


@pytest.mark.parametrize(("current", "fires"), [("5.5", True), ("5.49", False), ("4.5", True), ("4.51", False)])
def test_s01_s02_the_threshold_itself_counts(current, fires):
    assert bool(changed("5.0", current)) is fires


def test_s03_compared_as_decimals():
    assert 8.2 - 7.7 < 0.5
    (one,) = changed("7.7", "8.2")
    assert one.metrics.deviation == 0.5


def test_s03_twenty_digits_are_exact():
    assert changed("0.0000000000000000001", "0.5000000000000000001")
    assert not changed("0.0000000000000000001", "0.5000000000000000000")


def test_s05_a_first_score_is_never_an_anomaly():
    gates: list[str] = []
    assert feed(entity(), [score("9")], explain=gates)[0].anomalies == ()
    assert gates == ["no previous score: a first score is never an anomaly"]


def test_s05_null_says_first_and_absent_means_our_own_last_one():
    first, second, third = score("1"), score("9", 1, previous=None), score("1", 2)
    results = feed(entity(), [first, second, third])
    assert [len(result.anomalies) for result in results] == [0, 0, 1]


def test_s05_a_previous_score_of_its_own_is_believed():
    (one,) = found(feed(entity(), [score("5.8", previous=Decimal("7.5"))]))
    assert (one.metrics.baseline_value, one.metrics.deviation) == (7.5, -1.7)


def test_s04_s06_lido_falls():
    baseline = entity()
    results = feed(
        baseline, [score("7.5", 18, run_id="r1"), score("5.8", 21, run_id="r2", labels={"snapshot_space": "lido.eth"})]
    )
    (one,) = found(results)
    assert kinds([one]) == [("SignificantScoreChange", "critical", "opened")]
    metrics = one.metrics
    assert repr(metrics.deviation) == "-1.7"
    assert (metrics.baseline_value, metrics.current_value, metrics.direction, metrics.threshold) == (
        7.5,
        5.8,
        "down",
        0.5,
    )
    assert (metrics.z_score, metrics.confidence, metrics.unit) == (None, 0.5, "points")
    assert one.description == "Lido fell from 7.5 to 5.8 (-1.7)"
    assert one.labels == {"snapshot_space": "lido.eth"}
    assert [(item.kind, item.id) for item in one.affected_entities] == [("entity", "lido"), ("run", "r2")]
    assert one.investigation_steps == [
        "Look at the inputs of Lido's score of 2026-01-22 00:00 UTC",
        "Compare them with those of the score before, of 2026-01-19 00:00 UTC",
        "See whether other entities of run r2 moved too: then look at the run, not the entity",
    ]
    assert one.gates == ["a change of 1.7 reaches the threshold of 0.5"]


def test_s06_previous_is_the_last_score_however_old():
    assert (
        found(feed(entity(), [score("7.5"), score("5.8", 700, url="https://scores.example/lido")]))[
            0
        ].investigation_steps[-1]
        == "Open https://scores.example/lido"
    )


def test_s07_balancer_rises():
    (one,) = changed("5.0", "5.8", entity_name="Balancer")
    assert (repr(one.metrics.deviation), one.metrics.direction, one.severity) == ("0.8", "up", "warning")
    assert one.description == "Balancer rose from 5.0 to 5.8 (+0.8)"


@pytest.mark.parametrize(("current", "severity"), [("6.49", "warning"), ("6.5", "critical"), ("3.5", "critical")])
def test_three_thresholds_are_critical(current, severity):
    assert changed("5.0", current)[0].severity == severity


def test_a_relative_threshold_by_entity_type():
    config = Config(score_rules=score_threshold_rules("type=fund -> 10 %"))
    assert [len(changed("200", value, config=config, entity_type="fund")) for value in ("219.9", "220", "180")] == [
        0,
        1,
        1,
    ]
    assert changed("200", "200.5", config=config, entity_type="dao")
    assert changed("0", "0.01", config=config, entity_type="fund")
    assert not changed("0", "0", config=config, entity_type="fund")
    gates: list[str] = []
    feed(entity(), [score("200", entity_type="fund"), score("201", 1, entity_type="fund")], config, explain=gates)
    assert gates[-1] == "a change of 1 is below 20"


@pytest.mark.parametrize("threshold", ["0", "-1", "nan", "inf"])
def test_s09_a_threshold_is_positive_and_finite(threshold):
    with pytest.raises(ValueError, match="positive"):
        Config(score_threshold=Decimal(threshold))
    with pytest.raises(ValueError, match="positive"):
        ScoreRule(Decimal(threshold))


def test_a_profile_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="classic or robust"):
        Config(profile="plain")  # type: ignore[arg-type]


def test_an_older_score_never_becomes_the_previous():
    baseline = entity()
    results = feed(baseline, [score("5.0", 1), score("9.0", 0.99), score("9.0", 0.5), score("5.2", 2)])
    assert [result.kind for result in results] == ["applied", "applied", "late", "applied"]
    assert found(results) == []
    assert baseline.previous == Decimal("5.2")


def test_an_older_score_with_its_own_previous_is_judged_within_the_hour():
    baseline = entity()
    results = feed(
        baseline, [score("5.0", 1), score("9.0", 0.99, previous=Decimal(5)), score("9.0", 0.5, previous=Decimal(5))]
    )
    assert [len(result.anomalies) for result in results] == [0, 1, 0]


def test_late_says_why():
    gates: list[str] = []
    baseline = entity()
    feed(baseline, [score("5.0", 1)])
    feed(baseline, [score("9.0", 0.5)], explain=gates, record_ms=baseline.newest_ms)
    assert gates == ["scored 12.0 h before the newest score: neither evaluated nor kept as the previous"]


def test_the_same_run_counts_an_entity_once():
    results = feed(entity(), [score("5", run_id="r"), score("9", 1, run_id="r"), score("9", 2, run_id="s")])
    assert [result.kind for result in results] == ["applied", "duplicate", "applied"]


def test_without_a_run_entity_and_time_are_the_id():
    results = feed(entity(), [score("5"), score("9"), score("9", 1)])
    assert [result.kind for result in results] == ["applied", "duplicate", "applied"]


def test_backfilled_scores_are_learned_and_not_told():
    baseline = entity()
    assert feed(baseline, [score("5"), score("9", 1)], backfill=True)[1].kind == "backfilled"
    assert baseline.previous == 9


def test_drift_is_a_pattern_deviation():
    (one,) = found(feed(entity(), [score(v, day) for day, v in enumerate(("7.5", "7.1", "6.7", "6.3"))]))
    assert kinds([one]) == [("PatternDeviation", "info", "opened")]
    assert one.description == "Lido drifts down: 6.3 now, 7.1 on average since the last change"
    assert (one.metrics.current_value, one.metrics.direction, one.metrics.unit) == (6.3, "down", "points")
    assert one.metrics.deviation == pytest.approx(-0.8)


def test_drift_upwards_says_every_gate():
    gates: list[str] = []
    (one,) = found(feed(entity(), [score(v, day) for day, v in enumerate(("5", "5.4", "5.8", "6.2"))], explain=gates))
    assert one.metrics.direction == "up"
    assert one.gates == gates[-3:]


def test_a_score_that_goes_back_and_forth_does_not_drift():
    values = ["7.5", "7.9", "7.5", "7.1"] * 50
    assert found(feed(entity(), [score(v, day) for day, v in enumerate(values)])) == []


def test_a_significant_change_begins_the_drift_anew():
    values = ("7.5", "7.1", "6.7", "5.0", "4.9", "5.0", "4.9", "5.1")
    assert [one.anomaly_type for one in found(feed(entity(), [score(v, d) for d, v in enumerate(values)]))] == [
        "SignificantScoreChange"
    ]


def test_a_drift_under_a_relative_threshold():
    config = Config(score_rules=score_threshold_rules("type=fund -> 10 %"))
    scores = [score(v, day, entity_type="fund") for day, v in enumerate(("100", "92", "84", "76"))]
    assert kinds(found(feed(entity(), scores, config))) == [("PatternDeviation", "info", "opened")]


def test_an_event_of_another_kind_is_a_defect_of_the_caller():
    from tests.unit.detect.events_of import run

    with pytest.raises(TypeError, match="Completion does not belong to score keys"):
        step(entity(), run(0), CLASSIC)


def corrections(*scores: Score) -> list[tuple[str, bool]]:
    return [(outcome.kind, bool(outcome.correction)) for outcome in feed(entity(), scores)]


def test_s11_another_score_of_the_same_run_is_named_and_the_first_counts():
    baseline, gates = entity(), []
    first, again = score("5.8", run_id="r"), score("6.2", run_id="r")
    (outcome,) = feed(baseline, [score("7.5", -1, run_id="q"), first, again], explain=gates)[2:]
    assert outcome.kind == "duplicate" and not outcome.anomalies
    assert outcome.correction == (
        "the entity already has another score in this run: the first counts; publish a correction under a new run_id"
    )
    assert gates[-1].startswith("Lido already has the score 5.8 in this run, not 6.2: the first counts")
    assert baseline.previous == Decimal("5.8")
    assert run_part_of(again, outcome, failed=False) is None, "the part of the first stands"


@pytest.mark.parametrize(
    ("scores", "named"),
    [
        ([score("5.8", run_id="r"), score("5.80", run_id="r")], False),
        ([score("5.8", run_id="r"), score("6.2", 0.5, run_id="r")], True),
        ([score("5.8"), score("6.2")], True),
        ([score("5.8", run_id="r"), score("6.0", 1, run_id="s"), score("6.2", run_id="r")], False),
        ([score("5.8", 1, run_id="r"), score("7.0", 0.99, run_id="s"), score("7.0", 0.99, run_id="s")], False),
    ],
)
def test_s11_a_repeat_is_no_correction(scores: list[Score], named: bool):
    """Nor what cannot be known any more: of an earlier run's score, and of one that came late."""
    assert corrections(*scores)[-1] == ("duplicate", named)


@pytest.mark.parametrize(
    ("previous", "current", "shown"),
    [
        ("7.50", "5.80", "7.50 → 5.80 (-1.70)"),
        ("7", "5.8", "7.0 → 5.8 (-1.2)"),
        ("123456789012.3456", "123456789099.1234", "123456789012.3456 → 123456789099.1234 (+86.7778)"),
    ],
)
def test_s18_scores_keep_the_digits_of_their_producer_on_the_whole_way(previous: str, current: str, shown: str):
    sent = [
        decode_score(encode(score(previous, run_id="q")), (), -1),
        decode_score(encode(score(current, 1, run_id="r")), (), -1),
    ]
    outcomes = feed(entity(), sent)
    (anomaly,) = outcomes[1].anomalies
    assert anomaly.metrics.current_value == float(current)
    read = decode_anomaly(encode(anomaly))
    assert read == anomaly
    config = NotifyConfig(channels={"slack": True})
    assert shown in message_about("slack", read, config, "m").text
    run = Run.new("r")
    part = run_part_of(sent[1], outcomes[1], failed=False)
    apply_part(run, decode_run_part(encode(part)), 1)
    (summary,) = close(run, 2)
    (change,) = decode_run_summary(encode(summary)).anomalies
    assert [str(change.previous), str(change.current)] == [previous, current]
    whole = notify_subject.Run(run_id="r", ended_at=summary.ended_at, anomalies=(change,))
    assert shown in message_about("slack", whole, config, "m").text

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from stream_detector.detect.baseline import Baseline
from stream_detector.detect.config import Config
from stream_detector.detect.replay import Replayer
from stream_detector.detect.step import step
from stream_detector.devstack.demo import DATA, DemoEvent, demo_events, demo_note
from stream_detector.events import Anomaly, Completion, Score, ScoreRun
from stream_detector.events.anomaly_types import TYPES
from stream_detector.events.decode import decode_completion, decode_score, decode_score_run
from stream_detector.events.ids import score_key
from stream_detector.events.inputs import key_of
from stream_detector.events.times import epoch_ms
from stream_detector.events.variant import workflow_key

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
WEEK_MS = 7 * 86_400_000
DECODE = {"workflow-completions": decode_completion, "scores": decode_score, "score-runs": decode_score_run}


def decoded(event: DemoEvent) -> object:
    return DECODE[event.topic](event.value, (), epoch_ms(NOW))


def test_every_event_is_valid_keyed_by_its_id_and_in_order() -> None:
    events = list(demo_events(NOW))
    assert Counter(event.topic for event in events) == {"workflow-completions": 396, "scores": 4998, "score-runs": 120}
    assert [event.timestamp_ms for event in events] == sorted(event.timestamp_ms for event in events)
    for event in events:
        assert event.key == key_of(decoded(event))  # type: ignore[arg-type]


def test_it_ends_within_the_last_seven_days_whenever_it_runs() -> None:
    for hours in range(0, 8 * 24, 11):
        now = NOW + timedelta(hours=hours)
        newest = {event.topic: event.timestamp_ms for event in demo_events(now)}
        for newest_ms in newest.values():
            assert epoch_ms(now) - WEEK_MS < newest_ms <= epoch_ms(now)


def test_it_spans_at_most_60_days_shifted_by_whole_weeks() -> None:
    builds = [decoded(event) for event in demo_events(NOW) if event.topic == "workflow-completions"]
    ends = [build.finished_at for build in builds if isinstance(build, Completion)]
    assert max(ends) - min(ends) <= timedelta(days=60)
    later = [event.timestamp_ms for event in demo_events(NOW + timedelta(weeks=2))]
    assert [ms - 2 * WEEK_MS for ms in later] == [event.timestamp_ms for event in demo_events(NOW)]


def test_a_build_is_one_execution_with_its_tests_as_steps() -> None:
    build = next(decoded(event) for event in demo_events(NOW) if event.topic == "workflow-completions")
    assert isinstance(build, Completion)
    assert build.steps[0].name.startswith("test ")
    assert build.duration_s is not None
    assert abs(build.duration_s - sum(step.duration_s or 0 for step in build.steps)) < 1e-6
    assert (build.status == "failure") == any(step.status == "failure" for step in build.steps)


def test_each_score_run_starts_and_completes_with_its_count() -> None:
    scores: Counter[str] = Counter()
    expected: dict[str, int | None] = {}
    for event in demo_events(NOW):
        if event.topic == "scores":
            scores[decode_score(event.value, (), epoch_ms(NOW)).run_id or ""] += 1
        run = decoded(event) if event.topic == "score-runs" else None
        if isinstance(run, ScoreRun) and run.status == "completed":
            expected[run.run_id] = run.expected
    assert expected == scores
    assert len(scores) == 60


def test_it_holds_something_of_each_type_that_the_classic_rules_find() -> None:
    baselines: dict[str, Baseline] = {}
    found: Counter[str] = Counter()
    for event in map(decoded, demo_events(NOW)):
        if isinstance(event, Completion | Score):
            key = workflow_key(event.workflow_id) if isinstance(event, Completion) else score_key(event.entity_id)
            baseline = baselines.setdefault(key, Baseline.new(key))
            outcome = step(baseline, event, Config(profile="classic", score_threshold=Decimal("0.5")))
            found.update(anomaly.anomaly_type for anomaly in outcome.anomalies if anomaly.severity != "info")
    assert set(found) >= {
        "ConsecutiveFailures",
        "SpikeInFailures",
        "UnusualExecutionTime",
        "PerformanceDegradation",
        "SignificantScoreChange",
    }


def test_it_shows_all_seven_types_a_resolved_one_and_a_new_normal() -> None:
    replayer = Replayer(Config(profile="robust", score_threshold=Decimal("0.5")))
    found: list[Anomaly] = []
    for event in map(decoded, demo_events(NOW)):
        if isinstance(event, Completion | Score):
            found += replayer.apply(event).anomalies
    assert {str(anomaly.anomaly_type) for anomaly in found if anomaly.state == "opened"} == set(TYPES)
    ends = Counter(anomaly.end_reason for anomaly in found if anomaly.state == "resolved")
    assert ends["recovered"] >= 2 and ends["new_normal"] >= 1
    injected = [anomaly for anomaly in found if anomaly.labels.get("demo") == "injected"]
    kinds = {str(anomaly.anomaly_type) for anomaly in injected}
    assert {"PerformanceDegradation", "ResourceExhaustion"} <= kinds
    real = {str(anomaly.anomaly_type) for anomaly in found if anomaly.labels.get("demo") == "dates shifted"}
    assert len(real) >= 4, "most of it is found in what really happened"


def test_what_was_added_is_labelled_and_nothing_else_is_changed() -> None:
    with_label: Counter[str] = Counter()
    for event in map(decoded, demo_events(NOW)):
        if isinstance(event, Completion):
            with_label[event.labels["demo"]] += 1
            assert (event.labels["demo"] == "injected") or not event.resources
    assert with_label == {"injected": 206, "dates shifted": 190}
    assert "206 builds" in demo_note() and "demo: injected" in demo_note()


def test_the_same_week_gives_the_same_events_and_another_one_other_ids() -> None:
    first = next(iter(demo_events(NOW)))
    assert first == next(iter(demo_events(NOW + timedelta(minutes=5))))
    assert first.value != next(iter(demo_events(NOW + timedelta(weeks=1)))).value


def test_it_names_its_sources_and_says_that_dates_are_shifted() -> None:
    for word in ("shifted by whole weeks", "396", "4998", "MIT", "CC BY 4.0", "FiveThirtyEight", "Prado Lima"):
        assert word in demo_note()
    assert "Attribution 4.0" in (DATA / "README.md").read_text("utf-8")
    assert "MIT License" in (DATA / "LICENSE-MIT.txt").read_text("utf-8")
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 1_000_000

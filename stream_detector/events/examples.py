"""One example of each event, for the schemas and the documentation; tests hold them to the decoders."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from stream_detector.events.action import Action
from stream_detector.events.anomaly import Affected, Anomaly, Metrics
from stream_detector.events.completion import Completion, Resource, Step
from stream_detector.events.ids import derived_id, score_key
from stream_detector.events.movement import Movement
from stream_detector.events.notification import Notification
from stream_detector.events.run_summary import RunSummary, SummaryAnomaly
from stream_detector.events.score import Score
from stream_detector.events.score_run import ScoreRun
from stream_detector.events.source_census import SourceCensus, SourceCount
from stream_detector.events.start import Start

_RUN = "run-2026-01-22"
_STARTED = datetime(2026, 1, 22, 0, 0, tzinfo=UTC)
_ENDED = datetime(2026, 1, 22, 0, 5, tzinfo=UTC)
_SCORED = datetime(2026, 1, 22, 0, 3, 12, tzinfo=UTC)
_ANOMALY = derived_id("significant_score_change", score_key("lido"), _RUN, "lido", "")

COMPLETION = Completion(
    execution_id="nightly-4711",
    workflow_id="nightly",
    workflow_name="Nightly build",
    status="failure",
    started_at=_STARTED,
    finished_at=_ENDED,
    duration_s=298.4,
    attempt=2,
    steps=[Step("compile", "success", 121.2), Step("test", "failure", 177.2)],
    resources={"memory": Resource(3.1, 4.0, "GB")},
    labels={"team": "core", "branch": "main", "commit": "9d3c1f2"},
    url="https://ci.example.org/nightly/4711",
    variant="schedule",
    excerpt="FAILED tests/test_import.py::test_all\n1 failed, 211 passed in 177.2 s",
)
START = Start(
    state="started",
    execution_id="nightly-4711",
    workflow_id="nightly",
    workflow_name="Nightly build",
    attempt=2,
    queued_at=_STARTED - timedelta(seconds=40),
    started_at=_STARTED,
    limit_s=3600.0,
    labels={"team": "core", "branch": "main", "commit": "9d3c1f2"},
    url="https://ci.example.org/nightly/4711",
    variant="schedule",
    source="ci.example.org",
)
SCORE = Score(
    entity_id="lido",
    entity_name="Lido",
    entity_type="dao",
    score=Decimal("5.8"),
    previous_score=Decimal("7.5"),
    run_id=_RUN,
    scored_at=_SCORED,
    labels={"snapshot_space": "lido-snapshot.eth"},
)
SCORE_RUN = ScoreRun(run_id=_RUN, status="completed", at=_ENDED, expected=120)
ANOMALY = Anomaly(
    schema_version=1,
    id=_ANOMALY,
    incident_id=_ANOMALY,
    state="opened",
    detected_at=_SCORED,
    anomaly_type="SignificantScoreChange",
    severity="critical",
    description="Lido went down by 1.7 points, from 7.5 to 5.8.",
    entity_id="lido",
    entity_name="Lido",
    entity_kind="score",
    run_id=_RUN,
    metrics=Metrics(
        current_value=5.8,
        baseline_value=7.5,
        deviation=-1.7,
        z_score=None,
        confidence=0.5,
        unit="points",
        direction="down",
        threshold=0.5,
    ),
    affected_entities=[Affected("entity", "lido", "Lido"), Affected("run", _RUN)],
    investigation_steps=["Compare the inputs of this score with those of the run before."],
    gates=["change of 1.7 points, threshold 0.5"],
    detector="significant_score_change",
    profile="classic",
    labels={"snapshot_space": "lido-snapshot.eth"},
)
RUN_SUMMARY = RunSummary(
    schema_version=1,
    id=derived_id("run_summary", _RUN, "1"),
    run_id=_RUN,
    status="completed",
    started_at=_STARTED,
    ended_at=_ENDED,
    duration_s=300.0,
    scored=120,
    failures=0,
    expected=120,
    anomaly_count=1,
    anomalies=[
        SummaryAnomaly(
            id=_ANOMALY,
            entity_id="lido",
            entity_name="Lido",
            previous=Decimal("7.5"),
            current=Decimal("5.8"),
            delta=Decimal("-1.7"),
            direction="down",
            threshold=Decimal("0.5"),
        )
    ],
    movement=Movement(fell=4, rose=3, unchanged=113),
)
ACTION = Action(
    action_id="a1f0c9d2",
    kind="silence",
    entity="workflow:nightly",
    until=datetime(2026, 1, 23, 8, 0, tzinfo=UTC),
    by="sam@example.org",
    at=_ENDED,
    comment="runner is being replaced",
)
NOTIFICATION = Notification(
    schema_version=1,
    id=derived_id(_RUN, "slack", "delivered", "1"),
    channel="slack",
    outcome="delivered",
    reason="the provider accepted it",
    at=_ENDED,
    run_id=_RUN,
    severity="critical",
)

SOURCE_CENSUS = SourceCensus(
    schema_version=1,
    partition=3,
    sources={
        "jenkins": SourceCount(scheduled=40, missed=21, first_due_ms=1_769_048_400_000, newest_ms=1_769_047_261_000),
        "kafka": SourceCount(scheduled=2, missed=0, newest_ms=1_769_052_290_000),
    },
)

EXAMPLES: dict[str, Struct] = {
    "workflow-completion": COMPLETION,
    "workflow-start": START,
    "score": SCORE,
    "score-run": SCORE_RUN,
    "anomaly": ANOMALY,
    "run-summary": RUN_SUMMARY,
    "action": ACTION,
    "notification": NOTIFICATION,
    "source-census": SOURCE_CENSUS,
}
"""By the name of the contract."""

"""Events made for tests, with what a test does not care about filled in."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from stream_detector.events import (
    Action,
    Affected,
    Anomaly,
    Completion,
    Metrics,
    Notification,
    RunSummary,
    Score,
    ScoreRun,
    Start,
    SummaryAnomaly,
)
from stream_detector.store.rows import Row

NOON = datetime(2026, 1, 22, 12, 0, tzinfo=UTC)


def at_minute(minute: float) -> datetime:
    """Minutes after noon."""
    return NOON + timedelta(minutes=minute)


def row(event: Any, offset: int = 0, **place: Any) -> Row[Any]:
    """The event at an offset of partition 0."""
    return Row(
        event, **({"topic": "t", "partition": 0, "offset": offset, "record_ms": int(NOON.timestamp() * 1000)} | place)
    )


def completion(execution_id: str = "1", workflow_id: str = "nightly", **given: Any) -> Completion:
    """A success of 100 s that ended at noon."""
    finished_at = given.pop("finished_at", NOON)
    duration_s = given.pop("duration_s", 100.0)
    return Completion(
        execution_id=execution_id,
        workflow_id=workflow_id,
        finished_at=finished_at,
        started_at=finished_at - timedelta(seconds=duration_s or 0),
        duration_s=duration_s,
        **({"status": "success"} | given),
    )


def start(execution_id: str = "1", workflow_id: str = "nightly", **given: Any) -> Start:
    """A start 100 s before noon."""
    started_at = NOON - timedelta(seconds=100)
    return Start(
        **(
            {"state": "started", "execution_id": execution_id, "workflow_id": workflow_id, "started_at": started_at}
            | given
        )
    )


def score(entity_id: str = "lido", value: str = "7.5", **given: Any) -> Score:
    """A score at noon."""
    return Score(
        **(
            {"entity_id": entity_id, "entity_name": entity_id.title(), "score": Decimal(value), "scored_at": NOON}
            | given
        )
    )


def uuid(name: str) -> str:
    """The same id for the same name."""
    return str(uuid5(NAMESPACE_URL, name))


def anomaly(name: str = "a", **given: Any) -> Anomaly:
    """A warning of an unusual time of `nightly` at noon, an incident of its own."""
    numbers = {"current_value": 121.0, "baseline_value": 100.0, "deviation": 21.0, "z_score": 2.1, "confidence": 0.9}
    return Anomaly(
        **(
            {
                "schema_version": 1,
                "id": uuid(name),
                "incident_id": uuid(given.pop("incident", name)),
                "state": "opened",
                "detected_at": NOON,
                "anomaly_type": "UnusualExecutionTime",
                "severity": "warning",
                "description": f"{name} happened",
                "entity_id": "nightly",
                "entity_name": "Nightly",
                "entity_kind": "workflow",
                "execution_id": f"execution of {name}",
                "attempt": 1,
                "metrics": Metrics(**numbers, unit="s", direction="up", threshold=2.0),
                "affected_entities": [Affected("workflow", "nightly"), Affected("execution", f"execution of {name}")],
                "investigation_steps": ["Look at the step that grew"],
                "gates": ["|z| 2.10 is above 2.00"],
                "detector": "unusual_execution_time",
                "profile": "classic",
            }
            | given
        )
    )


def score_change(name: str = "lido", **given: Any) -> Anomaly:
    """Lido 7.5 -> 5.8 in run `r1`."""
    return anomaly(
        name,
        **(
            {
                "anomaly_type": "SignificantScoreChange",
                "severity": "critical",
                "entity_id": "lido",
                "entity_name": "Lido",
                "entity_kind": "score",
                "execution_id": None,
                "attempt": None,
                "run_id": "r1",
                "metrics": Metrics(
                    current_value=5.8, baseline_value=7.5, deviation=-1.7, z_score=None, confidence=1.0, unit="points",
                    direction="down", threshold=0.5,
                ),
                "affected_entities": [Affected("entity", "lido", "Lido"), Affected("run", "r1")],
                "detector": "significant_score_change",
                "labels": {"snapshot_space": "lido-snapshot.eth"},
            }
            | given
        ),
    )  # fmt: skip


def summary(run_id: str = "r1", **given: Any) -> RunSummary:
    """A run that scored two and found Lido."""
    change = SummaryAnomaly(
        id=uuid("lido"), entity_id="lido", entity_name="Lido", previous=Decimal("7.5"), current=Decimal("5.8"),
        delta=Decimal("-1.7"), direction="down", threshold=Decimal("0.5"),
    )  # fmt: skip
    return RunSummary(
        **(
            {
                "schema_version": 1,
                "id": uuid(f"summary {run_id} {given.get('part', 1)}"),
                "run_id": run_id,
                "status": "completed",
                "started_at": NOON,
                "ended_at": at_minute(5),
                "duration_s": 300.0,
                "scored": 2,
                "failures": 0,
                "expected": 2,
                "anomaly_count": 1,
                "anomalies": [change],
            }
            | given
        )
    )


def run_event(status: str, run_id: str = "r1", **given: Any) -> ScoreRun:
    """A run's own event at noon."""
    return ScoreRun(**({"run_id": run_id, "status": status, "at": NOON} | given))


def action(action_id: str, kind: str, **given: Any) -> Action:
    """A decision of ann at noon."""
    return Action(
        **({"action_id": action_id, "kind": kind, "by": "ann", "at": NOON, "entity": "workflow:nightly"} | given)
    )


def notification(notification_id: str, **given: Any) -> Notification:
    """A message delivered to the inbox at noon."""
    return Notification(
        **(
            {
                "schema_version": 1,
                "id": notification_id,
                "channel": "inbox",
                "outcome": "delivered",
                "reason": "severity warning is sent",
                "at": NOON,
                "title": "Something happened",
            }
            | given
        )
    )

"""From a finding to the anomaly that is published: ids, incident, affected entities, steps to take."""

from datetime import datetime

from stream_detector.detect.baseline import Baseline
from stream_detector.detect.config import Config
from stream_detector.detect.finding import Finding
from stream_detector.detect.incident import Incident
from stream_detector.events import Affected, Anomaly, Completion, Metrics, Score, State
from stream_detector.events.ids import SEPARATOR, derived_id


def event_id_of(event: Completion | Score) -> str:
    """Event id: execution and attempt; run and entity; entity and time where there is no run."""
    if isinstance(event, Completion):
        return f"{event.execution_id}{SEPARATOR}{event.attempt}"
    if event.run_id is not None:
        return f"{event.run_id}{SEPARATOR}{event.entity_id}"
    return f"{event.entity_id}{SEPARATOR}{event.scored_at.timestamp():.6f}"


def anomaly_id(finding: Finding, baseline: Baseline, event: Completion | Score) -> str:
    """The same event gives the same id however often it is judged."""
    return derived_id(finding.detector, baseline.key, event_id_of(event), finding.subject)


def of(
    finding: Finding,
    event: Completion | Score,
    config: Config,
    *,
    own_id: str,
    incident_id: str,
    state: State,
    steps: list[str],
    duration_s: float | None = None,
) -> Anomaly:
    """The anomaly of a finding. Its time is the event's own."""
    completion = isinstance(event, Completion)
    return Anomaly(
        schema_version=1,
        id=own_id,
        incident_id=incident_id,
        state=state,
        detected_at=event.finished_at if completion else event.scored_at,
        anomaly_type=finding.anomaly_type,
        severity=finding.severity,
        description=finding.description,
        entity_id=event.workflow_id if completion else event.entity_id,
        entity_name=name_of(event),
        entity_kind="workflow" if completion else "score",
        execution_id=event.execution_id if completion else None,
        attempt=event.attempt if completion else None,
        run_id=None if completion else event.run_id,
        metrics=Metrics(
            current_value=finding.current,
            baseline_value=finding.baseline,
            deviation=finding.deviation,
            z_score=finding.z,
            confidence=finding.confidence,
            unit=finding.unit,
            direction=finding.direction,
            threshold=finding.threshold,
        ),
        affected_entities=_affected(event, finding),
        investigation_steps=steps,
        gates=finding.gates,
        detector=finding.detector,
        profile=config.profile,
        duration_s=duration_s,
        labels=event.labels,
        url=event.url,
    )


def name_of(event: Completion | Score) -> str:
    """What people call it."""
    if isinstance(event, Completion):
        return event.workflow_name or event.workflow_id
    return event.entity_name


def _affected(event: Completion | Score, finding: Finding) -> list[Affected]:
    if isinstance(event, Score):
        run = [Affected("run", event.run_id)] if event.run_id is not None else []
        return [Affected("entity", event.entity_id, event.entity_name), *run]
    touched = [Affected("workflow", event.workflow_id, name_of(event)), Affected("execution", event.execution_id)]
    touched += [Affected("step", step.name) for step in event.steps if step.status in ("failure", "error", "timeout")][
        :10
    ]
    return touched


def lasted_s(incident: Incident, at: datetime) -> float:
    """From the opening record to `at`, in seconds; never negative."""
    return max(0.0, at.timestamp() - incident.opened_ms / 1000)

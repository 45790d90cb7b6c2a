"""From a finding to the anomaly that is published: ids, incident, affected entities, steps to take."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from stream_detector.detect import wording
from stream_detector.detect.baseline import Baseline
from stream_detector.detect.config import Config
from stream_detector.detect.finding import Finding, metrics_of
from stream_detector.detect.incident import Incident
from stream_detector.detect.rules.registry import RULES
from stream_detector.events import Affected, Anomaly, Completion, Score, State
from stream_detector.events.anomaly import ScorePair
from stream_detector.events.completion import FAILED
from stream_detector.events.excerpt import EXCERPT_OF_ANOMALY_BYTES, last_lines
from stream_detector.events.ids import SEPARATOR, derived_id

_MOST_STEPS = 10


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


def of_execution(anomalies: Sequence[Anomaly], event: Completion) -> Sequence[Anomaly]:
    """Those of one execution, of what its event led to: what had not come before it is about others."""
    return [each for each in anomalies if each.execution_id == event.execution_id] if anomalies else ()


def build_anomaly(
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
    whose = _execution_fields(event) if isinstance(event, Completion) else _score_fields(event)
    return Anomaly(
        **whose,
        schema_version=1,
        id=own_id,
        incident_id=incident_id,
        state=state,
        anomaly_type=finding.anomaly_type,
        severity=finding.severity,
        description=finding.description,
        metrics=metrics_of(finding),
        affected_entities=_affected(event, finding),
        investigation_steps=steps,
        gates=finding.gates,
        detector=finding.detector,
        profile=config.profile,
        duration_s=duration_s,
        end_reason=finding.end_reason,
        labels=event.labels,
        url=event.url,
        excerpt=_excerpt_of(event, state),
        scores=ScorePair(previous=finding.scores[0], current=finding.scores[1]) if finding.scores else None,
    )


def _excerpt_of(event: Completion | Score, state: State) -> str | None:
    """Shortened: the notifier keeps an anomaly until each channel has it, and a message shows a few lines."""
    if not isinstance(event, Completion) or event.excerpt is None or state == "resolved":
        return None
    return last_lines(event.excerpt, EXCERPT_OF_ANOMALY_BYTES) or None


def _execution_fields(event: Completion) -> dict[str, Any]:
    return {
        "detected_at": event.finished_at,
        "entity_id": event.workflow_id,
        "entity_name": wording.name_of(event),
        "entity_kind": "workflow",
        "execution_id": event.execution_id,
        "attempt": event.attempt,
        "variant": event.variant,
    }


def _score_fields(event: Score) -> dict[str, Any]:
    return {
        "detected_at": event.scored_at,
        "entity_id": event.entity_id,
        "entity_name": event.entity_name,
        "entity_kind": "score",
        "run_id": event.run_id,
    }


def _affected(event: Completion | Score, finding: Finding) -> list[Affected]:
    if isinstance(event, Score):
        run = [Affected("run", event.run_id)] if event.run_id is not None else []
        return [Affected("entity", event.entity_id, event.entity_name), *run]
    touched = [
        Affected("workflow", event.workflow_id, wording.name_of(event)),
        Affected("execution", event.execution_id),
    ]
    rule = RULES.get(finding.detector)
    if rule is not None and rule.subject_kind is not None:
        touched.append(Affected(rule.subject_kind, finding.subject))
    failed = [Affected("step", step.name) for step in event.steps if step.status in FAILED]
    return touched + failed[:_MOST_STEPS]


def lasted_s(incident: Incident, at: datetime) -> float:
    """From the opening record to `at`, in seconds; never negative."""
    return max(0.0, at.timestamp() - incident.opened_ms / 1000)

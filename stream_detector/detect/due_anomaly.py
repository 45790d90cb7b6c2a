"""The anomaly of what was due and did not come: it is about a key, since there is no event that it could be about."""

from typing import Any

from stream_detector.detect.statistics.tails import UNKNOWN
from stream_detector.events import Affected, Anomaly, Metrics
from stream_detector.events.times import from_epoch_ms
from stream_detector.events.variant import key_parts


def due_anomaly(key: str, name: str, execution_id: str | None, at_ms: int, **more: Any) -> Anomaly:
    """Of a workflow, or a variant of it.

    Args:
        key: the state key.
        name: what people call the workflow.
        execution_id: the execution that it is about, or the last one that came; None where none ever did.
        at_ms: when it was due, epoch ms.
        more: the other fields.
    """
    parts = key_parts(key)
    affected = [Affected("workflow", parts.entity_id, name)]
    if execution_id:
        affected.append(Affected("execution", execution_id))
    return Anomaly(
        schema_version=1,
        detected_at=from_epoch_ms(at_ms),
        entity_id=parts.entity_id,
        entity_name=name,
        entity_kind="workflow",
        variant=parts.variant,
        execution_id=execution_id or None,
        affected_entities=affected,
        **more,
    )


def above(current: float, usual: float, unit: str, confidence: float = UNKNOWN) -> Metrics:
    """The metrics of what is more than usual, without a statistic."""
    return Metrics(
        current_value=current,
        baseline_value=usual,
        deviation=current - usual,
        z_score=None,
        confidence=confidence,
        unit=unit,
        direction="up",
    )

"""One line about an anomaly or a run, for messages about several."""

from stream_detector.events import Anomaly
from stream_detector.events.ids import derived_id
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.rendering.alert import NO_Z_SCORE, alert_numbers, headline
from stream_detector.notify.rendering.escape import one_line
from stream_detector.notify.rendering.score_changes import (
    Changes,
    change_values,
    changes_of,
    entity_name,
    one_line_form,
)
from stream_detector.notify.rendering.words import duration, link_of
from stream_detector.notify.state.state_models import Line
from stream_detector.notify.subject import (
    NEW_NORMAL,
    RESOLVED,
    Subject,
    is_new_normal,
    is_of_the_clock,
    key_of_anomaly,
    message_id,
    severity_of,
)

DESCRIPTION_LIMIT = 160


def line_of(subject: Subject, config: NotifyConfig, now_s: float) -> Line:
    """Mark, severity, what and where, and the description; not yet escaped for a channel."""
    changes = changes_of(subject, config)
    facts, anomaly_type = _facts(subject, changes), ""
    if isinstance(subject, Anomaly):
        state = NEW_NORMAL if is_new_normal(subject) else str(subject.state)
        anomaly_type, happened_at = str(subject.anomaly_type), subject.detected_at
        title = " ".join(headline(subject))
        if is_new_normal(subject) or (subject.state == RESOLVED and is_of_the_clock(subject)):
            title += f": {one_line(subject.description, DESCRIPTION_LIMIT)}"
        elif subject.state == RESOLVED:
            title += f" after {duration(subject.duration_s)}" if subject.duration_s is not None else ""
        elif changes:
            title = one_line_form(changes.changes[0])
        elif description := one_line(subject.description, DESCRIPTION_LIMIT):
            title += f": {description}"
    else:
        assert changes is not None  # a run always has its changes
        first, state, happened_at = changes.changes[0], "run", subject.ended_at
        previous, current, delta = change_values(first)
        largest = f"{entity_name(first)}: {previous} → {current} ({delta})"
        many = len(changes.changes)
        title = f"⚠️ {largest}" if many == 1 else f"⚠️ {many:,} significant score changes, the largest {largest}"
        title += f"; {changes.remark}" if changes.remark else ""
    return Line(
        at_s=now_s,
        message_id=message_id(subject),
        severity=severity_of(subject),
        state=state,
        title=title,
        link=link_of(config.base_url, subject),
        anomaly_id=subject.id if isinstance(subject, Anomaly) else None,
        incident_id=subject.incident_id if isinstance(subject, Anomaly) else None,
        run_id=subject.run_id,
        entity=key_of_anomaly(subject) if isinstance(subject, Anomaly) else "",
        facts=facts,
        happened_s=happened_at.timestamp(),
        anomaly_type=anomaly_type,
        reading=_reading(subject) if isinstance(subject, Anomaly) else "",
        step=_first_step(subject) if isinstance(subject, Anomaly) else "",
    )


def _facts(subject: Subject, changes: Changes | None) -> tuple[str, str, str, str]:
    """Current, baseline, deviation and z-score; of a run those of its largest change."""
    if changes:
        previous, current, delta = change_values(changes.changes[0])
        return current, previous, delta, NO_Z_SCORE
    assert isinstance(subject, Anomaly)
    return alert_numbers(subject)


def _reading(anomaly: Anomaly) -> str:
    """The same where two rules judged the same value of the same execution against the same baseline."""
    if anomaly.execution_id is None:
        return ""
    numbers = anomaly.metrics
    values = (numbers.current_value, numbers.baseline_value, numbers.deviation)
    which = anomaly.entity_id, anomaly.execution_id, str(anomaly.attempt), anomaly.state
    return derived_id(*which, *map(repr, values), numbers.unit).replace("-", "")[:16]


def _first_step(anomaly: Anomaly) -> str:
    steps = anomaly.investigation_steps if anomaly.state != RESOLVED else []
    return one_line(steps[0], DESCRIPTION_LIMIT) if steps else ""

"""One line about an anomaly or a run, for messages about several."""

from stream_detector.events import Anomaly
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.rendering.alert import headline
from stream_detector.notify.rendering.escape import one_line
from stream_detector.notify.rendering.score_changes import change_values, changes_of, entity_name, one_line_form
from stream_detector.notify.rendering.words import duration, link_of
from stream_detector.notify.state.state_models import Line
from stream_detector.notify.subject import RESOLVED, Subject, message_id, severity_of, state_key

DESCRIPTION_LIMIT = 160


def line_of(subject: Subject, config: NotifyConfig, now_s: float) -> Line:
    """Mark, severity, what and where, and the description; not yet escaped for a channel."""
    changes = changes_of(subject, config)
    if isinstance(subject, Anomaly):
        state = str(subject.state)
        title = " ".join(headline(subject))
        if subject.state == RESOLVED:
            title += f" after {duration(subject.duration_s)}" if subject.duration_s is not None else ""
        elif changes:
            title = one_line_form(changes.changes[0])
        elif description := one_line(subject.description, DESCRIPTION_LIMIT):
            title += f": {description}"
    else:
        assert changes is not None  # a run always has its changes
        first, state = changes.changes[0], "run"
        previous, current, delta = change_values(first)
        largest = f"{entity_name(first)}: {previous} → {current} ({delta})"
        many = len(changes.changes)
        title = f"⚠️ {largest}" if many == 1 else f"⚠️ {many:,} significant score changes, the largest {largest}"
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
        entity=state_key(subject) if isinstance(subject, Anomaly) else "",
    )

"""One line about an anomaly or a run, for messages about several."""

from stream_detector.events import Anomaly
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.kept import Line
from stream_detector.notify.render.alert import headline
from stream_detector.notify.render.changes import changes_of, name_of, one_line_form, values
from stream_detector.notify.render.escape import one_line
from stream_detector.notify.render.words import anomaly_link, duration
from stream_detector.notify.subject import Subject, message_id, severity_of, state_key

DESCRIPTION_LIMIT = 160


def line_of(subject: Subject, config: NotifyConfig, now_s: float) -> Line:
    """Mark, severity, what and where, and the description; not yet escaped for a channel."""
    changes = changes_of(subject, config)
    if isinstance(subject, Anomaly):
        link, state = anomaly_link(config.base_url, subject), str(subject.state)
        title = " ".join(headline(subject))
        if subject.state == "resolved":
            title += f" after {duration(subject.duration_s)}" if subject.duration_s is not None else ""
        elif changes:
            title = one_line_form(changes.changes[0])
        elif description := one_line(subject.description, DESCRIPTION_LIMIT):
            title += f": {description}"
    else:
        assert changes is not None  # a run always has its changes
        first, state, link = changes.changes[0], "run", changes.link
        previous, current, delta = values(first)
        largest = f"{name_of(first)}: {previous} → {current} ({delta})"
        many = len(changes.changes)
        title = f"⚠️ {largest}" if many == 1 else f"⚠️ {many:,} significant score changes, the largest {largest}"
    return Line(
        at_s=now_s,
        message_id=message_id(subject),
        severity=severity_of(subject),
        state=state,
        title=title,
        link=link,
        anomaly_id=subject.id if isinstance(subject, Anomaly) else None,
        incident_id=subject.incident_id if isinstance(subject, Anomaly) else None,
        run_id=subject.run_id,
        entity=state_key(subject) if isinstance(subject, Anomaly) else "",
    )

"""The in-app inbox: one message an anomaly, as plain text; the page escapes it when it shows it."""

from stream_detector.notify.config import INBOX, NotifyConfig
from stream_detector.notify.message import Message
from stream_detector.notify.render.alert import alert, plain
from stream_detector.notify.render.changes import batch, changes_of, heading, one_line_form
from stream_detector.notify.subject import Run, Subject


def render_inbox(subject: Subject, config: NotifyConfig, message_id: str) -> Message:
    """W24, W27. A score change is headed by its one-line form."""
    changes = changes_of(subject, config)
    if isinstance(subject, Run):
        assert changes  # a run always has its changes
        return Message(
            id=message_id,
            channel=INBOX,
            severity=changes.severity,
            title=heading(config),
            text=batch(changes, config),
            link=changes.link,
            run_id=subject.run_id,
        )
    facts = alert(subject, config)
    return Message(
        id=message_id,
        channel=INBOX,
        severity=subject.severity,
        title=one_line_form(changes.changes[0]) if changes else facts.title,
        text=plain(facts),
        link=facts.link,
        incident_id=subject.incident_id,
        anomaly_id=subject.id,
        run_id=subject.run_id,
    )

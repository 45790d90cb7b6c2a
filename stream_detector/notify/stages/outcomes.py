"""Outcomes for the topic `notifications`: what became of each message on each channel, and why."""

from stream_detector.events import Notification, Outcome
from stream_detector.events.ids import derived_id
from stream_detector.notify.config import INBOX
from stream_detector.notify.message import Message
from stream_detector.notify.rendering.graphemes import cut
from stream_detector.notify.state.state_models import Line
from stream_detector.notify.subject import instant

REASON_LIMIT = TITLE_LIMIT = 1_000


def outcome_of_message(message: Message, outcome: Outcome, reason: str, at_s: float, tries: int) -> Notification:
    """The outcome of one message. The inbox's message is its outcome, with its text."""
    return Notification(
        schema_version=1,
        id=derived_id("notification", message.id, message.channel, outcome, str(tries)),
        channel=message.channel,
        outcome=outcome,
        reason=cut(reason, REASON_LIMIT, ""),
        at=instant(at_s),
        incident_id=message.incident_id,
        anomaly_id=message.anomaly_id,
        run_id=message.run_id,
        severity=message.severity,
        title=cut(message.title, TITLE_LIMIT, ""),
        body=message.text if message.channel == INBOX else "",
        link=message.link,
    )


def outcome_of_line(
    line: Line, channel: str, outcome: Outcome, reason: str, at_s: float, tries: int = 0
) -> Notification:
    """The outcome of one thing that was, or would have been, in a combined message."""
    return Notification(
        schema_version=1,
        id=derived_id("notification", line.message_id, channel, outcome, str(tries)),
        channel=channel,
        outcome=outcome,
        reason=cut(reason, REASON_LIMIT, ""),
        at=instant(at_s),
        incident_id=line.incident_id,
        anomaly_id=line.anomaly_id,
        run_id=line.run_id,
        severity=line.severity,
        title=cut(line.title, TITLE_LIMIT, ""),
        link=line.link,
    )

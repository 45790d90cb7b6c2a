"""What was published long after it happened, such as a history that is loaded: counted, and told in one message.

Nobody can act on it any more, and each by itself would bury what happens now. The record alone decides: its timestamp
less the event's own time. So what is old only because Kafka, a worker or a channel was away is sent as always.
"""

from datetime import timedelta
from urllib.parse import urlencode

from msgspec.structs import replace

from stream_detector.events import Anomaly, Notification
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.rendering.words import day_range, duration, mark_of, minute
from stream_detector.notify.stages.matching import silenced_in_run, stored_silences
from stream_detector.notify.stages.self_monitoring import send_notice
from stream_detector.notify.stages.verdict import Verdict, stops
from stream_detector.notify.state.keys import OLD, State, read, write
from stream_detector.notify.state.state_models import Notice, OldEvents
from stream_detector.notify.subject import (
    RESOLVED,
    Subject,
    instant,
    published_after_s,
    severity_of,
    severity_of_change,
)

LULL_S, LONGEST_S = 30.0, 300.0
"""The message waits until nothing more has come for the one, at most for the other."""
EVERY_S = 3_600.0


def is_old(subject: Subject, config: NotifyConfig) -> bool:
    """Whether it was published too long after it happened to be sent by itself. The end of what was sent never is."""
    if isinstance(subject, Anomaly) and subject.state == RESOLVED:
        return False
    return 0 < config.max_age_s < published_after_s(subject)


def count_old(state: State, channel: str, subject: Subject, now_s: float, config: NotifyConfig) -> Verdict:
    """Count it for the channel's next message about such, if it opens an incident: what goes on was counted then."""
    after_s = published_after_s(subject)
    why = f"published {duration(after_s)} after it happened, more than {duration(config.max_age_s)}"
    if isinstance(subject, Anomaly) and subject.state == "ongoing":
        return stops("suppressed", f"{why}: only openings are counted in one message an hour")
    old = read(state, OLD + channel, OldEvents) or OldEvents()
    counts = dict(old.counts)
    for severity in _severities(state, subject, now_s):
        counts[severity] = counts.get(severity, 0) + 1
    first_s, last_s = _span_of(subject)
    found = replace(
        old,
        counts=counts,
        first_s=min(first_s, old.first_s) if old.counts else first_s,
        last_s=max(last_s, old.last_s) if old.counts else last_s,
        published_s=max(last_s + after_s, old.published_s),
        since_s=old.since_s if old.counts else now_s,
        added_s=now_s,
    )
    write(state, OLD + channel, found)
    return stops("suppressed", f"{why}: counted in one message an hour")


def _span_of(subject: Subject) -> tuple[float, float]:
    """When it happened; of a run from its start, which is before all of its scores, to its end."""
    if isinstance(subject, Anomaly):
        return (subject.detected_at.timestamp(),) * 2
    first = subject.ended_at
    if not subject.named:
        first = first.replace(second=0, microsecond=0)
    elif subject.started_at is not None:
        first = min(first, subject.started_at)
    return first.timestamp(), subject.ended_at.timestamp()


def _severities(state: State, subject: Subject, now_s: float) -> list[str]:
    if isinstance(subject, Anomaly):
        return [severity_of(subject)]
    silenced = silenced_in_run(subject, stored_silences(state), now_s)
    return [severity_of_change(one) for one in subject.anomalies if one.id not in silenced]


def send_old(state: State, key: str, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Leave the message about what was counted under `key`, if the time of its channel has come.

    Returns:
        The outcome of the inbox's.
    """
    old = read(state, key, OldEvents)
    if old is None:
        return []
    channel = key.removeprefix(OLD)
    if not old.counts or not config.channels.get(channel):
        if now_s > old.sent_s + EVERY_S:
            del state[key]  # nothing came for an hour, or the channel was switched off
        return []
    if now_s < due_at_s(old):
        return []
    name = f"old events {channel} {old.since_s:.3f} {old.number}"
    outcomes = send_notice(state, _notice(old, config), name, now_s, config, only=(channel,), severity="info")
    write(state, key, OldEvents(sent_s=now_s, number=old.number + 1))
    return outcomes


def due_at_s(old: OldEvents) -> float:
    """When its message is due; never where nothing was counted."""
    if not old.counts:
        return float("inf")
    return max(min(old.added_s + LULL_S, old.since_s + LONGEST_S), old.sent_s + EVERY_S if old.number else 0.0)


def _notice(old: OldEvents, config: NotifyConfig) -> Notice:
    first, last = instant(old.first_s), instant(old.last_s)
    many = sum(old.counts.values())
    what = "1 anomaly" if many == 1 else f"{many:,} anomalies"
    words = {"from": f"{first:%Y-%m-%dT%H:%M:%SZ}", "to": f"{last + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"}
    # The filter of what is counted, so that the list behind the link has as many.
    words |= {"severity": ",".join(sorted(old.counts)), "state": "opened"}
    by = ", ".join(f"{count:,} {severity}" for severity, count in sorted(old.counts.items()))
    return Notice(
        title=f"{mark_of('info')} {what} of {day_range(first, last, instant(old.published_s))}, published only now; "
        "not sent one by one",
        text=f"{by}, between {minute(first)} and {minute(last)}. Each was published more than "
        f"{duration(config.max_age_s)} after it happened. All are stored and shown on the dashboard.",
        link=f"{config.base_url}/anomalies?{urlencode(words, safe=':,')}",
    )

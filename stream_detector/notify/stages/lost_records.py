"""What Kafka deleted before a role had read it, as one message a look, each record in one message alone."""

from collections.abc import Iterable
from typing import NamedTuple

from stream_detector.events import Notification
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.stages.self_monitoring import send_notice
from stream_detector.notify.state.keys import LOST, State, read, write
from stream_detector.notify.state.state_models import LossesReported, Notice

LISTED = 20
"""So many partitions are named in a message."""
_MEANS = {
    "detector": "They are in no baseline, and no anomaly was found in them.",
    "recorder": "They are not stored in PostgreSQL.",
    "notifier": "No message was sent about them.",
}
_WHAT_TO_DO = (
    "Publish them again if their source still has them (`stream-detector publish`), and set retention.ms of the topic "
    "above the longest outage."
)


class Loss(NamedTuple):
    """Offsets from `first` to before `end` of a partition, which a role cannot read any more."""

    role: str
    topic: str
    partition: int
    first: int
    end: int


def report_losses(
    state: State, role: str, losses: Iterable[Loss], now_s: float, config: NotifyConfig
) -> list[Notification]:
    """Notify everybody of those of a role that were in no message before.

    Args:
        state: of the notifier.
        role: whose losses these are.
        losses: everything that is known of now, in any order; ranges may overlap, and grow between two looks.
        now_s: the time of the message.
        config: which channels are on.
    """
    known = read(state, LOST + role, LossesReported) or LossesReported()
    until, new = dict(known.until), []
    for loss in sorted(losses):
        place = f"{loss.topic}/{loss.partition}"
        first = max(loss.first, until.get(place, 0))
        if first < loss.end:
            new.append(loss._replace(first=first))
            until[place] = loss.end
    if not new:
        return []
    write(state, LOST + role, LossesReported(until=until))
    count = sum(loss.end - loss.first for loss in new)
    notice = Notice(title=f"⚠️ Kafka deleted {_records(count)} before the {role} read them", text=_text(role, new))
    name = " ".join(f"{loss.topic}/{loss.partition}@{loss.end}" for loss in new)
    return send_notice(state, notice, f"lost {role} {name}", now_s, config)


def forget_losses(state: State, role: str, topic: str, partition: int, start: int) -> None:
    """A partition whose log starts below what was reported of it is another one: its offsets count anew."""
    known = read(state, LOST + role, LossesReported)
    place = f"{topic}/{partition}"
    if known is not None and start < known.until.get(place, 0):
        write(state, LOST + role, LossesReported(until={at: end for at, end in known.until.items() if at != place}))


def _text(role: str, losses: list[Loss]) -> str:
    lines = [
        f"{loss.topic}-{loss.partition}: {_records(loss.end - loss.first)} (offsets {loss.first} to {loss.end - 1})"
        for loss in losses[:LISTED]
    ]
    if len(losses) > LISTED:
        lines.append(f"and {len(losses) - LISTED} more; the log of the {role} has them")
    return "\n".join([*lines, _MEANS[role], _WHAT_TO_DO])


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count:,} records"

"""What raised, taken out of the state: nothing asks for it again, and its outcome is `failed` where that can be read.

These use as little as possible, since reading or rendering may be what raised.
"""

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from stream_detector.events import Anomaly, Notification, Outcome
from stream_detector.events.ids import derived_id
from stream_detector.notify.message import Delivered, Result
from stream_detector.notify.rendering.escape import one_line
from stream_detector.notify.stages import group_life
from stream_detector.notify.stages.flapping import END_OF_FLAPPING
from stream_detector.notify.stages.incidents import forget_notified
from stream_detector.notify.stages.outcomes import TITLE_LIMIT, outcome_of_line
from stream_detector.notify.stages.reminders import REPEAT
from stream_detector.notify.stages.silent_sources import LOOK
from stream_detector.notify.state.keys import (
    AWAY,
    DUE,
    FLAP,
    HELD,
    LINE,
    OLD,
    PENDING,
    PENDING_BUCKET,
    RATE,
    REMINDER,
    State,
    channel_of_bucket,
    keys_of,
    read,
    read_if_sound,
    write,
)
from stream_detector.notify.state.state_models import (
    Due,
    Flap,
    Group,
    Line,
    Pending,
    PendingBucket,
    RateWindow,
)
from stream_detector.notify.subject import RESOLVED, instant


def failure_words(error: Exception) -> str:
    """The reason of the outcome. What the error itself says may hold anything, so it is in the log alone."""
    return f"the notifier failed with {type(error).__name__}; its log has the details"


def set_aside_timer(state: State, key: str, error: Exception, now_s: float) -> list[Notification]:
    """A reminder, or the end of what flapped."""
    state.pop(key, None)
    kind, _, what = key.split(":", 2)[-1].partition(":")
    if kind == END_OF_FLAPPING:
        flap = read_if_sound(state, FLAP + what, Flap)
        state.pop(FLAP + what, None)
        ending, channels = (flap.ending, flap.notified) if flap else (None, [])
        return [_failed(key, channel, error, now_s, ending) for channel in channels] if ending else []
    if kind == REPEAT:
        channel = what.partition(":")[0]
        reminder = read_if_sound(state, REMINDER + what, Pending)
        state.pop(REMINDER + what, None)
        return [_failed(key, channel, error, now_s, reminder.anomaly if reminder else None)]
    if kind == LOOK:
        return []  # the next census looks again
    _forget_unsound_group(state, what)
    return [_failed(key, group_life.channel_of_group(what), error, now_s)]


def set_aside_pending(state: State, key: str, error: Exception, now_s: float) -> list[Notification]:
    """An anomaly that waited for others."""
    pending = read_if_sound(state, key, Pending)
    state.pop(key, None)
    channel = _channel_of_entry(key.removeprefix(PENDING))
    if pending is None:
        return [_failed(key, channel, error, now_s)]
    if pending.group:
        _forget_unsound_group(state, pending.group)
    forget_notified(state, pending.anomaly.incident_id, channel)
    return [_failed(key, channel, error, now_s, pending.anomaly)]


def set_aside_held(state: State, key: str, error: Exception, now_s: float) -> list[Notification]:
    """A line that waited for a digest."""
    line = read_if_sound(state, key, Line)
    state.pop(key, None)
    channel = _channel_of_entry(key.removeprefix(HELD))
    if line is None:
        return [_failed(key, channel, error, now_s)]
    return [outcome_of_line(line, channel, "failed", failure_words(error), now_s, tries=1)]


def set_aside_old(state: State, key: str, error: Exception, now_s: float) -> list[Notification]:
    """The count of what was published long after it happened."""
    state.pop(key, None)
    return [_failed(key, key.removeprefix(OLD), error, now_s)]


def set_aside_away(state: State, error: Exception, now_s: float) -> list[Notification]:
    """That nobody processed events for a while."""
    state.pop(AWAY, None)
    return []


def set_aside_due(
    state: State, key: str, error: Exception, now_s: float, answer: Result | None = None
) -> list[Notification]:
    """A delivery.

    Args:
        answer: what the channel answered, if it was asked: what it has taken is delivered.
    """
    message_id, _, channel = key.removeprefix(DUE).rpartition(":")
    entry = read_if_sound(state, key, Due)
    state.pop(key, None)
    outcome: Outcome = "delivered" if isinstance(answer, Delivered) else "failed"
    reason = failure_words(error)
    outcomes = [_failed(key, channel, error, now_s, entry.anomaly if entry else None, outcome)]
    ids = {entry.anomaly.incident_id} if entry and entry.anomaly and entry.anomaly.state != RESOLVED else set()
    for name in keys_of(state, f"{LINE}{message_id}:{channel}:"):
        if line := read_if_sound(state, name, Line):
            outcomes.append(outcome_of_line(line, channel, outcome, reason, now_s, tries=1))
            ids |= {line.incident_id} if line.incident_id else set()
        state.pop(name, None)
    for incident_id in ids if outcome == "failed" and not (entry and entry.note) else ():
        forget_notified(state, incident_id, channel)
    return outcomes


def mend_buckets(state: State, now_s: float) -> dict[str, Exception]:
    """Where the state of a channel's group wait or rate limit cannot be read, begin a new one: what waits there stays.

    Returns:
        Their keys, and why they could not be read.
    """
    found: dict[str, Exception] = {}
    for key in keys_of(state, PENDING_BUCKET):
        if error := _why_unsound(state, key, PendingBucket):
            found[key] = error
            waiting = sorted(keys_of(state, f"{PENDING}{key.removeprefix(PENDING_BUCKET)}:"))
            write(state, key, PendingBucket(next_number=_number_after(waiting), ready_at_s=now_s))
    for key in keys_of(state, RATE):
        if error := _why_unsound(state, key, RateWindow):
            found[key] = error
            held = sorted(keys_of(state, f"{HELD}{key.removeprefix(RATE)}:"))
            rate = RateWindow(held=len(held), next_number=_number_after(held), limit=1)  # its digest goes at once
            write(state, key, replace(rate, held_from_s=now_s, held_last_s=now_s))
    return found


def _channel_of_entry(name: str) -> str:
    """The channel of what waits in a bucket, of `bucket:number`."""
    return channel_of_bucket(name.rpartition(":")[0])


def _why_unsound(state: State, key: str, kind: type[Struct]) -> Exception | None:
    try:
        read(state, key, kind)
    except msgspec.MsgspecError as error:
        return error
    return None


def _number_after(keys: list[str]) -> int:
    return int(keys[-1].rpartition(":")[2]) + 1 if keys else 0


def _failed(
    key: str,
    channel: str,
    error: Exception,
    now_s: float,
    anomaly: Anomaly | None = None,
    outcome: Outcome = "failed",
) -> Notification:
    return Notification(
        schema_version=1,
        id=derived_id("notification", key, outcome, "set aside"),
        channel=channel,
        outcome=outcome,
        reason=failure_words(error),
        at=instant(now_s),
        incident_id=anomaly.incident_id if anomaly else None,
        anomaly_id=anomaly.id if anomaly else None,
        run_id=anomaly.run_id if anomaly else None,
        severity=anomaly.severity if anomaly else None,
        title=one_line(anomaly.description, TITLE_LIMIT) if anomaly else "",
    )


def _forget_unsound_group(state: State, name: str) -> None:
    """Else whatever joins the group by a facet would raise, too."""
    if name in state and read_if_sound(state, name, Group) is None:
        del state[name]

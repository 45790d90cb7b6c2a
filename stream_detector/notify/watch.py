"""What people must know about ourselves: a channel that is dead, an input topic on which nothing comes any more."""

from msgspec.structs import replace

from stream_detector.events import Notification
from stream_detector.notify.config import INBOX, NotifyConfig
from stream_detector.notify.kept import Due, Health, Notice, Quiet
from stream_detector.notify.message import Delivered, Result
from stream_detector.notify.record import of_message
from stream_detector.notify.render.several import render_notice
from stream_detector.notify.render.words import duration, minute
from stream_detector.notify.send import due_key, several_id
from stream_detector.notify.state import HEALTH, QUIET, State, read, write
from stream_detector.notify.subject import instant

DEAD_AFTER = 5
"""Answers in a row that were no delivery."""


def heed(state: State, channel: str, result: Result, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Note how a channel answered. When it is dead, say so once, through another one and in the inbox."""
    key = HEALTH + channel
    health = read(state, key, Health)
    if isinstance(result, Delivered):
        if health is None:
            return []
        del state[key]
        if not health.told:
            return []
        lasted = duration(max(1.0, now_s - health.since_s))
        notice = Notice(title=f"✅ Channel {channel} delivers again", text=f"It was away for {lasted}.", resolved=True)
        return tell(state, notice, f"channel {channel} {health.since_s:.3f} back", now_s, config, only=(INBOX,))
    health = health or Health(failures=0, since_s=now_s)
    health = replace(health, failures=health.failures + 1)
    said: list[Notification] = []
    if health.failures >= DEAD_AFTER and not health.told:
        health = replace(health, told=True)
        others = [name for name, on in config.channels.items() if on and name not in (channel, INBOX)]
        well = [name for name in others if not _fails(state, name)]
        notice = Notice(
            title=f"🔕 Channel {channel} does not deliver",
            text=f"Its last answer: {result.reason}\nMessages to it are tried again for 24 h after they were due; "
            f"`stream-detector notify test {channel}` tries it now.",
        )
        only = (INBOX, *(well or others)[:1])
        said = tell(state, notice, f"channel {channel} {health.since_s:.3f}", now_s, config, only=only)
    write(state, key, health)
    return said


def watch(state: State, topic: str, end: int, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Note the end of an input topic (the sum over its partitions). When nothing has come for so long as the settings
    say, tell everybody once, and once more when events come again. A topic that never had an event is not missed.
    """
    after_s = config.quiet_after_s.get(topic, 0.0)
    key = QUIET + topic
    known = read(state, key, Quiet)
    if after_s <= 0 or end <= 0:
        return []
    if known is None or end != known.end:
        write(state, key, Quiet(end=end, at_s=now_s))
        if known is None or not known.told:
            return []
        notice = Notice(
            title=f"✅ Events come again on {topic}",
            text=f"There was none for {duration(now_s - known.at_s)}.",
            resolved=True,
        )
        return tell(state, notice, f"quiet {topic} {known.end} over", now_s, config)
    if known.told or now_s < known.at_s + after_s:
        return []
    write(state, key, replace(known, told=True))
    notice = Notice(
        title=f"🔕 No event on {topic} for {duration(now_s - known.at_s)}",
        text=f"The last one came before {minute(instant(known.at_s))}. Nothing can be detected in what does not "
        "arrive: look at whoever publishes to it.",
    )
    return tell(state, notice, f"quiet {topic} {known.end}", now_s, config)


def tell(
    state: State,
    notice: Notice,
    name: str,
    now_s: float,
    config: NotifyConfig,
    *,
    only: tuple[str, ...] | None = None,
) -> list[Notification]:
    """Leave a notice for every channel that is on; never grouped, silenced or limited. Returns that of the inbox."""
    message_id = several_id("notice", name)
    severity = "info" if notice.resolved else "critical"
    said = []
    for channel, on in config.channels.items():
        if not on or (only is not None and channel not in only):
            continue
        if channel == INBOX:
            message = render_notice(INBOX, notice, severity, config, message_id)  # type: ignore[arg-type]
            said.append(of_message(message, "delivered", "a notice about ourselves", now_s, 0))
            continue
        entry = Due(
            message_id=message_id,
            channel=channel,
            severity=severity,  # type: ignore[arg-type]
            first_at_s=now_s,
            next_at_s=now_s,
            reason="a notice about ourselves",
            notice=notice,
        )
        write(state, due_key(message_id, channel), entry)
    return said


def _fails(state: State, channel: str) -> bool:
    health = read(state, HEALTH + channel, Health)
    return health is not None and health.failures >= DEAD_AFTER

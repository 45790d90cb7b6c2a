"""What people must know about ourselves: a channel that is dead, ids that cannot be compared."""

from collections.abc import Container

from msgspec.structs import replace

from stream_detector.events import Action, Notification
from stream_detector.events.id_patterns import UNIQUE_IDS_NOTICE
from stream_detector.notify.config import INBOX, NotifyConfig
from stream_detector.notify.message import LONGEST_WAIT_S, Delivered, Result, RetryAfter
from stream_detector.notify.message_lines import combined_message_id
from stream_detector.notify.rendering.words import duration
from stream_detector.notify.stages.outcomes import outcome_of_message
from stream_detector.notify.stages.render import render
from stream_detector.notify.state.decided_ids import is_decided, mark_decided
from stream_detector.notify.state.deliveries import store_delivery
from stream_detector.notify.state.keys import HEALTH, State, read_if_sound, write
from stream_detector.notify.state.state_models import ChannelHealth, Due, Notice

DEAD_AFTER = 5
"""Answers in a row that were no delivery."""
NEWS_S = 86_400.0
"""What the API has found is news for so long."""


def record_delivery_result(
    state: State, channel: str, result: Result, now_s: float, config: NotifyConfig, asked: str
) -> list[Notification]:
    """Note how a channel answered. When it is dead, say so once, through another one and in the inbox.

    Args:
        asked: names the delivery that it answered, the same after a crash. Where that answer alone shows that the
            channel is dead, no time of its failure is in the state yet, and the notice has its name from this.
    """
    key = HEALTH + channel
    health = read_if_sound(state, key, ChannelHealth)
    if isinstance(result, Delivered):
        state.pop(key, None)
        if health is None or not health.reported:
            return []
        lasted = duration(max(1.0, now_s - health.since_s))
        notice = Notice(title=f"✅ Channel {channel} delivers again", text=f"It was away for {lasted}.", resolved=True)
        return send_notice(state, notice, f"channel {channel} {health.since_s:.3f} back", now_s, config, only=(INBOX,))
    name = f"channel {channel} {asked}" if health is None else f"channel {channel} {health.since_s:.3f}"
    health = health or ChannelHealth(failures=0, since_s=now_s)
    asked_s = health.asked_s + (result.after_s if isinstance(result, RetryAfter) else 0.0)
    health = replace(health, failures=health.failures + 1, asked_s=asked_s)
    outcomes: list[Notification] = []
    if _does_not_deliver(health) and not health.reported:
        health = replace(health, reported=True)
        others = [name for name, on in config.channels.items() if on and name not in (channel, INBOX)]
        well = [name for name in others if not _is_dead(state, name)]
        notice = Notice(
            title=f"🔕 Channel {channel} does not deliver",
            text=f"Its last answer: {result.reason}\nMessages to it are tried again for 24 h after they were due; "
            f"`stream-detector notify test {channel}` tries it now.",
        )
        only = (INBOX, *(well or others)[:1])
        outcomes = send_notice(state, notice, name, now_s, config, only=only)
    write(state, key, health)
    return outcomes


def report_unique_ids(state: State, action: Action, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Once for each pattern: the API has found workflow ids that look unique per run. Nothing for any other action."""
    if dict(action.matchers) != UNIQUE_IDS_NOTICE or action.kind != "comment" or is_decided(state, action.action_id):
        return []
    mark_decided(state, action.action_id, now_s)
    if now_s - action.at.timestamp() > NEWS_S:
        return []  # the topic is read again from its start
    notice = Notice(
        title=f"⚠️ Workflow ids look unique per run: {action.entity.partition(':')[2]}",
        text=f"{action.comment or ''}\nNothing can be compared with what runs once, and each run takes memory. "
        "Sent once for this pattern; `stream-detector doctor` reports the count of each day.",
    )
    return send_notice(state, notice, f"unique ids {action.action_id}", now_s, config, severity="warning")


def send_notice(
    state: State,
    notice: Notice,
    name: str,
    now_s: float,
    config: NotifyConfig,
    *,
    only: Container[str] | None = None,
    severity: str = "",
    thread: str = "",
    reason: str = "a notice about ourselves",
) -> list[Notification]:
    """Leave a notice for every channel that is on; never grouped, silenced or limited. Returns that of the inbox.

    Args:
        severity: its severity; `info` for what is over and else `critical` where it is empty.
        thread: what it is about, where a later one changes its message.
        reason: why it is sent.
    """
    message_id = combined_message_id("notice", name)
    severity = severity or ("info" if notice.resolved else "critical")
    outcomes = []
    for channel, on in config.channels.items():
        if not on or (only is not None and channel not in only):
            continue
        entry = Due(
            message_id=message_id,
            channel=channel,
            severity=severity,
            first_at_s=now_s,
            next_at_s=now_s,
            reason=reason,
            notice=notice,
            thread=thread,
        )
        if channel == INBOX:
            outcomes.append(outcome_of_message(render(entry, config), "delivered", entry.reason, now_s, 0))
        else:
            store_delivery(state, entry)
    return outcomes


def _is_dead(state: State, channel: str) -> bool:
    health = read_if_sound(state, HEALTH + channel, ChannelHealth)
    return health is not None and _does_not_deliver(health)


def _does_not_deliver(health: ChannelHealth) -> bool:
    """After so many failures, or where the pauses that it asked for since its last delivery add up to 15 min (X13)."""
    return health.failures >= DEAD_AFTER or health.asked_s >= LONGEST_WAIT_S

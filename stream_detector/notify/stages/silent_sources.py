"""Of what nothing comes any more: a source of events, or a whole input topic. One message for the cause, and its end.

A source is silent when half of its workflows with a schedule, five at least, have missed a run and no event of it has
come since the first of them was due. The detector's census says how many have a schedule and when the newest event came
(`events.source_census`); its alerts say which runs are missed. Without a census no source counts as silent.
"""

from typing import NamedTuple

from msgspec.structs import replace

from stream_detector.events import Notification
from stream_detector.events.source_census import SourceCensus
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.rendering.missed_runs import away_notice, end_notice, silence_notice
from stream_detector.notify.rendering.words import duration, minute
from stream_detector.notify.stages import group_life
from stream_detector.notify.stages.incidents import forget_notified
from stream_detector.notify.stages.self_monitoring import NEWS_S, send_notice
from stream_detector.notify.state.keys import (
    AWAY,
    CENSUS,
    CLOCK,
    INCIDENT,
    JOINED,
    MISSED,
    REFERENCE,
    SILENT,
    TOPIC,
    State,
    channel_of_bucket,
    keys_of,
    read,
    timer_key,
    write,
)
from stream_detector.notify.state.state_models import (
    AwaySpan,
    CensusSeen,
    ClockRead,
    Incident,
    JoinedRuns,
    MissedRun,
    Notice,
    SilentSource,
    SourceSeen,
    TopicActivity,
)
from stream_detector.notify.subject import instant

LEAST_MISSED = 5
"""So many workflows of a source must be missed at least."""
STALE_S = 3 * 3_600.0
"""A census so much older than the newest one counts no more: each partition has one an hour."""
SETTLE_S = 5.0
"""So long after a census the others are there too."""
LOOK = "source"
"""The kind of the timer that ends this wait."""
AWAY_WAIT_S = 60.0
"""So long one detector's report waits for those of others about the same time."""
COMPLETIONS = "workflow-completions"
"""The topic of every source's events."""
_HEARD = f"{CENSUS}ends"
"""Under this is what the ends of missed runs say of their sources, in the form of a census."""


class Counted(NamedTuple):
    """What is known of a source now."""

    scheduled: int
    missed: int
    first_due_s: float
    newest_s: float
    runs: list[MissedRun]
    """Those missed since its newest event, of which alerts were read."""

    @property
    def is_silent(self) -> bool:
        """Whether that is one cause, and not several workflows that did not run."""
        return self.missed >= LEAST_MISSED and 0 < self.scheduled <= 2 * self.missed


# -- what the topic `clock` says -------------------------------------------------------------------------------------


def take_census(
    state: State, census: SourceCensus, at_s: float, now_s: float, config: NotifyConfig
) -> list[Notification]:
    """Note what one partition knows, and what follows from it.

    Args:
        at_s: when it was published, by its record.

    Returns:
        The outcomes of the inbox.
    """
    sources = {
        name: SourceSeen(
            scheduled=one.scheduled,
            missed=one.missed,
            first_due_s=one.first_due_ms / 1000,
            newest_s=one.newest_ms / 1000,
        )
        for name, one in census.sources.items()
    }
    write(state, f"{CENSUS}{census.partition}", CensusSeen(at_s=at_s, sources=sources))
    for name, one in sources.items():
        if one.missed:  # the other partitions report at the same time
            state[timer_key(now_s + SETTLE_S, LOOK, name)] = b"-"
    active = {key.removeprefix(SILENT) for key in keys_of(state, SILENT)}
    return [outcome for source in sorted(active) for outcome in look_at(state, source, now_s, config)]


def note_event(state: State, source: str, at_s: float, now_s: float) -> None:
    """An event of the source came then: the end of a missed run shows it before any census does."""
    known = read(state, _HEARD, CensusSeen) or CensusSeen(at_s=now_s, sources={})
    before = known.sources.get(source)
    if before is None or before.newest_s < at_s:
        seen = {name: one for name, one in known.sources.items() if one.newest_s > now_s - NEWS_S}
        seen[source] = SourceSeen(scheduled=0, missed=0, newest_s=at_s)
        write(state, _HEARD, CensusSeen(at_s=now_s, sources=seen))
        state[timer_key(now_s + SETTLE_S, LOOK, source)] = b"-"


def take_away(
    state: State, from_s: float, until_s: float, expected_runs: int, at_s: float, now_s: float
) -> list[Notification]:
    """Note that nobody processed events for a while. What other detectors report of the same time is added."""
    if now_s - at_s > NEWS_S or not expected_runs:
        return []  # the topic is read again, or nothing was missed by it
    known = read(state, AWAY, AwaySpan)
    span = AwaySpan(from_s=from_s, until_s=until_s, expected_runs=expected_runs, ready_at_s=now_s + AWAY_WAIT_S)
    if known:
        span = AwaySpan(
            from_s=min(from_s, known.from_s),
            until_s=max(until_s, known.until_s),
            expected_runs=known.expected_runs + expected_runs,
            ready_at_s=known.ready_at_s,
        )
    write(state, AWAY, span)
    return []


def send_away(state: State, now_s: float, config: NotifyConfig) -> list[Notification]:
    """The message about it, once it is time. Returns the outcome of the inbox's."""
    span = read(state, AWAY, AwaySpan)
    if span is None or now_s < span.ready_at_s:
        return []
    del state[AWAY]
    notice = away_notice(span.from_s, span.until_s, span.expected_runs)
    name = f"away {span.from_s:.3f} {span.until_s:.3f}"
    return send_notice(state, notice, name, now_s, config, severity="warning")


def clock_offset(state: State) -> int | None:
    """From where on the topic `clock` is to be read; None where it never was."""
    known = read(state, CLOCK, ClockRead)
    return known.next_offset if known else None


def note_clock_read(state: State, next_offset: int) -> None:
    """What lies before this offset of the topic `clock` is in the state."""
    write(state, CLOCK, ClockRead(next_offset=next_offset))


# -- silent sources --------------------------------------------------------------------------------------------------


def count_of(state: State, source: str) -> Counted:
    """Everything that is known of it now, from all partitions."""
    found = [one for key in keys_of(state, CENSUS) if (one := read(state, key, CensusSeen))]
    fresh_s = max((one.at_s for one in found), default=0.0) - STALE_S
    seen = [one.sources[source] for one in found if one.at_s >= fresh_s and source in one.sources]
    newest_s = max((one.newest_s for one in seen), default=0.0)
    runs = [run for run in missed_of(state, source) if run.due_s > newest_s]
    first_s = min((one.first_due_s for one in seen if one.missed), default=0.0)
    counted = sum(one.missed for one in seen)
    all_since = counted if first_s > newest_s else 0
    dues = [run.due_s for run in runs] + ([first_s] if all_since else [])
    return Counted(
        scheduled=sum(one.scheduled for one in seen),
        # A run that has been missed for longer is in the census too, and alerts may be ahead of it.
        missed=max(min(len(runs), counted), all_since),
        first_due_s=min(dues, default=0.0),
        newest_s=newest_s,
        runs=runs,
    )


def missed_of(state: State, source: str) -> list[MissedRun]:
    """The runs of a source that are missed now, in the order in which they were due."""
    found = (read(state, key, MissedRun) for key in keys_of(state, MISSED))
    return sorted((run for run in found if run and run.source == source and not run.is_over), key=lambda run: run.due_s)


def look_at(state: State, source: str, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Notify of a source that is silent now, or is not any more. Returns the outcomes of the inbox."""
    counted, known = count_of(state, source), read(state, SILENT + source, SilentSource)
    if known is None or known.over_s:
        if not counted.is_silent or _quiet_topic(state):
            return []
        return _begin(state, source, counted, now_s, config)
    if counted.newest_s > known.since_s:
        return _end(state, source, known, counted.newest_s, now_s, config)
    if counted.missed == 0 and not missed_of(state, source):
        return _end(state, source, known, 0.0, now_s, config)
    return []


def cause_of(state: State, source: str, due_s: float) -> str:
    """Why no message is sent about a run of the source that was due then; empty where one is."""
    if topic := _quiet_topic(state):
        return f"no events on {topic}: one message for all of it"
    silent = read(state, SILENT + source, SilentSource)
    if silent is None or due_s < silent.since_s or (silent.over_s and due_s > silent.over_s):
        return ""
    return f"no events from {source} since {minute(instant(silent.since_s))}: one message for all of its workflows"


def notify_also(state: State, source: str, channel: str, now_s: float, config: NotifyConfig) -> list[Notification]:
    """The channel hears of the silence too: a run was held there. Returns the outcome of the inbox's."""
    silent = read(state, SILENT + source, SilentSource)
    if silent is None or silent.over_s or channel in silent.channels:
        return []
    return _send_beginning(state, source, silent, [channel], now_s, config)


def _begin(state: State, source: str, counted: Counted, now_s: float, config: NotifyConfig) -> list[Notification]:
    silent = SilentSource(
        since_s=counted.newest_s or counted.first_due_s,
        first_due_s=counted.first_due_s,
        missed=counted.missed,
        scheduled=counted.scheduled,
    )
    channels = sorted({channel for run in counted.runs for channel in run.channels})
    return _send_beginning(state, source, silent, channels, now_s, config)


def _send_beginning(
    state: State, source: str, silent: SilentSource, channels: list[str], now_s: float, config: NotifyConfig
) -> list[Notification]:
    write(state, SILENT + source, replace(silent, channels=[*silent.channels, *channels]))
    name = _message_name(source, silent)
    _take_over(state, source, channels, name)
    names = [run.name for run in missed_of(state, source) if run.due_s >= silent.first_due_s]
    notice = replace(silence_notice(source, silent, names, now_s), link=_link(silent, config))
    why = "one message for a silent source"
    return send_notice(state, notice, name, now_s, config, only=channels, thread=name, reason=why)


def _end(
    state: State, source: str, silent: SilentSource, newest_s: float, now_s: float, config: NotifyConfig
) -> list[Notification]:
    silent = replace(silent, over_s=newest_s or now_s)
    write(state, SILENT + source, silent)
    still = [run.name for run in missed_of(state, source) if silent.since_s <= run.due_s <= silent.over_s]
    notice = replace(end_notice(source, silent, still, has_events=newest_s > 0), link=_link(silent, config))
    name, why = _message_name(source, silent), "the end of a silent source"
    return send_notice(state, notice, f"{name} over", now_s, config, only=silent.channels, thread=name, reason=why)


def _take_over(state: State, source: str, channels: list[str], thread: str) -> None:
    """The message about the source, and its end, stand for those about its runs: no end of theirs is sent there."""
    for key in keys_of(state, MISSED):
        run = read(state, key, MissedRun)
        if run is None or run.source != source:
            continue
        incident_id = key.removeprefix(MISSED)
        for channel in channels:
            forget_notified(state, incident_id, channel)
        if incident := read(state, INCIDENT + incident_id, Incident):
            left = {at: group for at, group in incident.groups.items() if channel_of_bucket(at) not in channels}
            write(state, INCIDENT + incident_id, replace(incident, groups=left))
        groups = [group for group in run.groups if group_life.channel_of_group(group) not in channels]
        if run.is_over and not groups:
            del state[key]
        else:
            write(state, key, replace(run, groups=groups))
    for key in keys_of(state, JOINED):
        bucket, _, of_source = key.removeprefix(JOINED).partition(":")
        channel, joined = channel_of_bucket(bucket), read(state, key, JoinedRuns)
        if of_source != source or channel not in channels or joined is None:
            continue
        if joined.group:  # where its message can be changed, it becomes the one about the source
            if reference := state.get(f"{REFERENCE}{channel}:{joined.group}"):
                state[f"{REFERENCE}{channel}:{thread}"] = reference
            group_life.delete_group(state, joined.group)
        del state[key]


def _message_name(source: str, silent: SilentSource) -> str:
    return f"silent {source} {silent.since_s:.3f}"


def _link(silent: SilentSource, config: NotifyConfig) -> str:
    return f"{config.base_url}/anomalies?type=PatternDeviation&from={instant(silent.first_due_s):%Y-%m-%dT%H:%M:%SZ}"


# -- quiet topics ----------------------------------------------------------------------------------------------------


def watch_topic(state: State, topic: str, end: int, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Look at the end of an input topic (the sum over its partitions). When nothing has come for so long as the
    settings say, notify everybody once, and once more when events come again. A topic that never had an event counts
    from when it is looked at first.
    """
    after_s = config.quiet_after_s.get(topic, 0.0)
    key = TOPIC + topic
    known = read(state, key, TopicActivity)
    if after_s <= 0:
        return []
    if known is None or end != known.end:
        write(state, key, TopicActivity(end=end, at_s=now_s))
        if known is None or not known.reported or known.has_cause:
            return []
        notice = Notice(
            title=f"✅ Events come again on {topic}" if known.end else f"✅ The first events came on {topic}",
            text=f"There was none for {duration(now_s - known.at_s)}.",
            resolved=True,
        )
        return send_notice(state, notice, f"quiet {topic} {known.end} over", now_s, config)
    if known.reported or now_s < known.at_s + after_s:
        return []
    has_cause = topic == COMPLETIONS and _is_explained(state)
    write(state, key, replace(known, reported=True, has_cause=has_cause))
    if has_cause:
        return []
    last = f"The last one came before {minute(instant(known.at_s))}." if end else "It has never had one."
    notice = Notice(
        title=f"🔕 No event on {topic} for {duration(now_s - known.at_s)}",
        text=f"{last} Nothing can be detected in what does not arrive: look at whoever publishes to it.",
    )
    return send_notice(state, notice, f"quiet {topic} {known.end}", now_s, config)


def _quiet_topic(state: State) -> str:
    """The topic of all sources, where people know that nothing comes on it; else empty."""
    known = read(state, TOPIC + COMPLETIONS, TopicActivity)
    return COMPLETIONS if known and known.reported and not known.has_cause else ""


def _is_explained(state: State) -> bool:
    """Whether a message about a silent source says it already: no other source had an event after that one's last."""
    found = (read(state, key, SilentSource) for key in keys_of(state, SILENT))
    since = [one.since_s for one in found if one and not one.over_s and one.channels]
    if not since:
        return False
    seen = (read(state, key, CensusSeen) for key in keys_of(state, CENSUS))
    newest_s = max((each.newest_s for one in seen if one for each in one.sources.values()), default=0.0)
    return newest_s <= max(since)

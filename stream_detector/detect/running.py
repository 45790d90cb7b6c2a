"""What starts and ends mean for the running executions of a workflow, and which of them are due (X30).

Pure, as `step` is: time is the arrival of events, or what the clock of the stream hands in. What is due is decided
before an event is judged, so it is the same whether the clock came by in between or not.
"""

from collections.abc import Sequence
from math import log
from typing import Final, NamedTuple

from mypy_extensions import i64

from stream_detector.detect import wording
from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.detect.codec.recent_ids import hash_of_id, is_recent
from stream_detector.detect.config import Config
from stream_detector.detect.finding import Finding
from stream_detector.detect.incident import Incident
from stream_detector.detect.rules import still_running, unusual_execution_time
from stream_detector.detect.rules.still_running import About
from stream_detector.detect.running_state import (
    CRITICAL,
    MOST,
    MOST_S,
    ONGOING,
    OPENED,
    OVER,
    QUIET,
    RESOLVED,
    WARNED,
    Execution,
    Running,
    UsualRun,
    seconds_of,
    whole_s,
)
from stream_detector.detect.statistics.level import Q
from stream_detector.detect.statistics.limit import LEAST_RUNS, limit_s
from stream_detector.detect.statistics.readings import numbers, on_grid, remember
from stream_detector.events import Anomaly, Completion, Start
from stream_detector.events.anomaly import EndReason
from stream_detector.events.completion import COUNTED, recorded_duration_s, with_start
from stream_detector.events.start import ends_again, started_as
from stream_detector.events.times import EARLIEST_MS, LATEST_MS, epoch_ms, from_epoch_ms

_LATER_ATTEMPTS: Final = 3
"""The end of one of so many later attempts is an end of this one."""
_LONGEST_S: Final = 1e12
_LOST_AFTER_S: Final = 86_400.0
_LEAST_MORE_S: Final = 30.0
"""A learned limit is so much more than the usual at least: an end that is sent again, or waited, is so late."""
_HOW: Final = {
    "success": "has ended well",
    "failure": "has ended with a failure",
    "error": "has ended with an error",
    "timeout": "was stopped by its own time limit",
    "cancellation": "was cancelled",
    "skip": "was skipped",
}


class Ended(NamedTuple):
    """What the end of an execution means: the event with the time of its start, the ends of what was reported, and
    whether that execution itself was reported as still running."""

    event: Completion
    anomalies: Sequence[Anomaly]
    was_reported: bool


def usual_run(baseline: WorkflowBaseline) -> UsualRun:
    """How long the executions of this workflow run, and the limit that follows."""
    running, readings = baseline.running or Running(), _readings(baseline)
    longest = running.longest
    multiplier = float(baseline.threshold_multiplier) if baseline.feedbacks else 1.0
    usual = UsualRun(readings, longest, multiplier * limit_s(longest, readings), running.capped)
    if usual.limit_s:
        usual.limit_s = max(usual.limit_s, usual.usual_s + _LEAST_MORE_S)
    return usual


def _readings(baseline: WorkflowBaseline) -> bytes:
    """As `Level` remembers them; of profile `classic`, which has no level, those of its last durations."""
    if baseline.level.n or not baseline.has_executions:
        return baseline.level.readings
    readings = b""
    for duration_s in baseline.history.recorded(baseline.history.within(baseline.newest_ms)):
        readings = remember(readings, on_grid(log(duration_s + Q)), True)
    return readings


def is_watched_first(event: Start, config: Config) -> bool:
    """Whether the start of a workflow of which nothing is known is worth a baseline: its limit is given."""
    config = config.for_execution(event)
    return config.has_clock and _given_s(event, config) > 0.0


def _given_s(event: Start, config: Config) -> float:
    """The limit of one start in seconds: 0 where it is to be learned, below 0 where it is never reported."""
    ruled_s = config.max_duration_s(event)
    if ruled_s == 0.0:
        return -1.0
    return event.limit_s or ruled_s or 0.0


def arrived_ms(own_ms: i64, record_ms: int | None) -> i64:
    """When an event arrived: by its record where that has a time that is believed, else by the event itself."""
    if record_ms is None or not EARLIEST_MS <= record_ms < LATEST_MS:
        return own_ms
    return record_ms


# -- starts ----------------------------------------------------------------------------------------------------------


def note_start(baseline: WorkflowBaseline, event: Start, config: Config, arrival_ms: int) -> list[Anomaly]:
    """Note that an execution runs; the end of an earlier attempt of it that was reported.

    Args:
        config: that of this execution; its clock is on.
    """
    start_ms = epoch_ms(event.started_at)
    if _has_ended(baseline, event, start_ms):
        return []
    running = baseline.running
    if running is None:
        running = baseline.running = _first(baseline)
    running.settle()
    running.robust = config.profile == "robust"
    found: list[Anomaly] = []
    known = running.find(event.execution_id)
    if known is not None and event.attempt <= known.attempt:
        _start_again(running, known, event, _given_s(event, config), start_ms, arrival_ms)
    else:
        if known is not None:
            found = _finish(baseline, running, known, start_ms, "superseded", "was started again as a new attempt")
        found += _add(baseline, running, event, config, start_ms, arrival_ms)
    refresh(baseline)
    return found


def _first(baseline: WorkflowBaseline) -> Running:
    """The first start of a workflow: its longest executions are those that are remembered."""
    running = Running()
    for reading in numbers(_readings(baseline)):
        running.longest.add(seconds_of(reading))
    return running


def _has_ended(baseline: WorkflowBaseline, event: Start, start_ms: i64) -> bool:
    """Whether the end of this execution, or of a later attempt of it, is known already."""
    ids, attempt = baseline.ids, event.attempt
    for each in range(attempt, attempt + _LATER_ATTEMPTS + 1):
        if is_recent(ids, hash_of_id(event.execution_id, each)):
            return True
    if not ends_again(event.execution_id):
        return False
    if baseline.running is None:  # nothing is known of which run ended last: none is older than that
        return start_ms <= baseline.newest_ms
    return baseline.running.has_ended(event.execution_id, start_ms // 1000)


def _start_again(
    running: Running, known: Execution, event: Start, given_s: float, start_ms: i64, arrival_ms: int
) -> None:
    """A start that comes twice is one; a later one of the same attempt is when it began after it had waited."""
    if event.attempt == known.attempt and known.stage == QUIET and start_ms > known.start_ms:
        known.start_ms, known.base_s = start_ms, running.base_of(start_ms, arrival_ms, known.limit_s)
        known.off = given_s < 0.0 or _waits(event)


def _waits(event: Start) -> bool:
    """Whether it waits to be started, for a free machine for example: some sources send a start of that too. Its time
    does not count yet; another start follows."""
    return event.queued_at is not None and event.started_at <= event.queued_at


def _add(
    baseline: WorkflowBaseline, running: Running, event: Start, config: Config, start_ms: i64, arrival_ms: int
) -> list[Anomaly]:
    """Watch one more; the end of what was reported of the one that gives its place to it."""
    if running.is_stale:
        running.take_limit(usual_run(baseline))
    given_s = _given_s(event, config)
    limit = max(given_s, 0.0)
    base_s = running.base_of(start_ms, arrival_ms, limit)
    one = Execution(event.execution_id, event.attempt, start_ms, base_s, limit)
    one.off = given_s < 0.0 or _waits(event)
    kept_s = max(running.forgotten_after_s(limit or running.limit_s), _LOST_AFTER_S)
    if float(arrival_ms - start_ms) > 1000.0 * min(kept_s, MOST_S):
        return []
    found = []
    if len(running.executions) >= MOST:
        oldest = min(running.executions, key=lambda each: (each.stage == QUIET, each.base_s))
        until_s = oldest.base_s + whole_s(running.forgotten_after_s(oldest.limit_s))
        if oldest.stage == QUIET or arrival_ms < 1000 * until_s:
            running.unwatched = min(running.unwatched + 1, 0xFF)
            return []
        if oldest.is_reported:
            found.append(_given_up(baseline, running, oldest, usual_run(baseline), i64(arrival_ms) // 1000))
        running.drop(oldest)
    labels = dict(event.labels)
    name = event.workflow_name or event.workflow_id
    running.share({"name": name, "labels": labels, "url": event.url, "source": event.source})
    running.executions.append(one)
    return found


def refresh(baseline: WorkflowBaseline) -> None:
    """Find anew when something of what runs is due next: something has come, ended, or been learned."""
    running = baseline.running
    if running is None:
        return
    due_s: i64 = 0
    if running.executions:
        if running.is_stale:
            running.take_limit(usual_run(baseline))
        for one in running.executions:
            at_s = _next_s(one, running)
            if at_s and (not due_s or at_s < due_s):
                due_s = at_s
    running.due_s = due_s
    baseline.set_due()


def _next_s(one: Execution, running: Running) -> i64:
    """When something of one execution is due next, epoch s; 0 for one that is over."""
    if one.stage == OVER:
        return 0
    limit = one.limit_s or running.limit_s
    if _may_report(one, limit):
        return one.due_s(CRITICAL if one.stage == WARNED else WARNED, limit)
    return one.base_s + whole_s(MOST_S if one.stage != QUIET else running.forgotten_after_s(limit))


def _may_report(one: Execution, limit: float) -> bool:
    return limit > 0.0 and one.stage < CRITICAL and not one.off and not one.closed


# -- what is due -----------------------------------------------------------------------------------------------------


def due_running(baseline: WorkflowBaseline, now_ms: int) -> list[Anomaly]:
    """Decide what was due up to now, in the order of its times; each is reported once."""
    running = baseline.running
    if running is None:
        return []
    running.settle()
    if not running.due_s or now_ms < running.due_s * 1000:
        return []
    usual = usual_run(baseline)
    running.take_limit(usual)
    found: list[Anomaly] = []
    for one in list(running.executions):
        found += _due_of(baseline, running, one, usual, now_ms)
    refresh(baseline)
    return sorted(found, key=lambda each: each.detected_at)


def _due_of(
    baseline: WorkflowBaseline, running: Running, one: Execution, usual: UsualRun, now_ms: int
) -> list[Anomaly]:
    found: list[Anomaly] = []
    while True:
        at_s = _next_s(one, running)
        if not at_s or now_ms < at_s * 1000:
            return found
        limit = one.limit_s or usual.limit_s
        if _may_report(one, limit):
            one.limit_s, is_first = limit, one.stage == QUIET
            one.stage = WARNED if is_first else CRITICAL
            one.fresh |= OPENED if is_first else ONGOING
            found.append(still_running.too_long(_about(baseline, running, one, usual), int(one.stage)))
        elif one.is_reported:
            found.append(_given_up(baseline, running, one, usual, one.base_s + whole_s(MOST_S)))
            one.stage = OVER
            one.fresh |= RESOLVED
        else:
            running.drop(one)
            return found


def _given_up(baseline: WorkflowBaseline, running: Running, one: Execution, usual: UsualRun, at_s: i64) -> Anomaly:
    how = "has not ended and is no longer watched"
    return still_running.ended(_about(baseline, running, one, usual), 1000 * int(at_s), "superseded", how)


def _about(baseline: WorkflowBaseline, running: Running, one: Execution, usual: UsualRun) -> About:
    return About(baseline.key, one, usual, running.about, "robust" if running.robust else "classic")


def before(baseline: WorkflowBaseline, arrival_ms: int) -> list[Anomaly]:
    """What an event sends before it is looked at: what the clock has found and not sent yet, and what was due."""
    found = unsent_running(baseline)
    if found:
        mark_running_sent(baseline)
    return found + due_running(baseline, arrival_ms)


def forget(baseline: WorkflowBaseline, now_ms: int) -> list[Anomaly]:
    """The clock was turned off: nothing of what runs is kept, and what was reported ends."""
    found = unsent_running(baseline)
    running = baseline.running
    if running is not None:
        for one in [one for one in running.executions if one.stage != OVER]:
            how = "is no longer watched, since the clock was turned off"
            found += _finish(baseline, running, one, now_ms, "superseded", how)
    baseline.running = None
    baseline.set_due()
    return found


def mark_running_unsent(baseline: WorkflowBaseline) -> None:
    """What `due_running` has just found is to be sent, once a checkpoint holds it."""
    if baseline.running is not None:
        for one in baseline.running.executions:
            one.unsent |= one.fresh
            one.fresh = 0


def unsent_running(baseline: WorkflowBaseline) -> list[Anomaly]:
    """What the clock has found and is still to be sent, with the same ids."""
    running = baseline.running
    if running is None or not running.has_unsent:
        return []
    usual = usual_run(baseline)
    found: list[Anomaly] = []
    for one in running.executions:
        about = _about(baseline, running, one, usual)
        if one.unsent & OPENED:
            found.append(still_running.too_long(about, WARNED))
        if one.unsent & ONGOING:
            found.append(still_running.too_long(about, CRITICAL))
        if one.unsent & RESOLVED:
            found.append(_given_up(baseline, running, one, usual, one.base_s + whole_s(MOST_S)))
    return sorted(found, key=lambda each: each.detected_at)


def mark_running_sent(baseline: WorkflowBaseline) -> None:
    """What was to be sent is acknowledged."""
    if baseline.running is not None:
        for one in baseline.running.executions:
            one.unsent = 0
        baseline.running.settle()


# -- ends ------------------------------------------------------------------------------------------------------------


def before_completion(
    baseline: WorkflowBaseline, event: Completion, config: Config, arrival_ms: int, backfill: bool
) -> Ended:
    """What was due before an execution came, and what ends by it; its workflow has had starts.

    Args:
        config: that of this execution.
    """
    if not config.has_clock:
        return Ended(event, forget(baseline, arrival_ms), False)
    found = before(baseline, arrival_ms)
    ended = note_end(baseline, event, config, arrival_ms, backfill)
    return ended._replace(anomalies=[*found, *ended.anomalies]) if found else ended


def note_end(baseline: WorkflowBaseline, event: Completion, config: Config, arrival_ms: int, backfill: bool) -> Ended:
    """Note that an execution has ended, whatever its status; its workflow has had starts.

    An end whose own times give no duration takes the time of its start from the running execution.
    """
    running = baseline.running
    assert running is not None
    running.settle()
    finished_ms, run = epoch_ms(event.finished_at), started_as(event.execution_id)
    is_again = run != event.execution_id
    if is_again:
        running.note_ended(run, finished_ms // 1000)
    if not backfill:
        running.note_delay((arrival_ms - finished_ms) / 1000)
    one = running.find(run)
    if one is not None and (event.attempt < one.attempt or (is_again and one.start_ms > finished_ms)):
        one = None
    anomalies: list[Anomaly] = []
    was_reported = False
    if one is None:
        running.unwatched = max(running.unwatched - 1, 0)
    elif event.attempt == one.attempt:
        event = with_start(event, from_epoch_ms(int(one.start_ms)))
        was_reported = one.stage != QUIET
        end_reason: EndReason = "recovered" if event.status == "success" else "superseded"
        anomalies = _finish(baseline, running, one, finished_ms, end_reason, _HOW[event.status])
    else:
        how = f"gave no end, and its attempt {event.attempt} has ended"
        anomalies = _finish(baseline, running, one, finished_ms, "superseded", how)
    if event.status == "success":
        anomalies += _give_up_lost(baseline, running, finished_ms, arrival_ms)
    _learn(running, event, config, one if was_reported else None)
    return Ended(event, anomalies, was_reported)


def _finish(
    baseline: WorkflowBaseline, running: Running, one: Execution, at_ms: int, end_reason: EndReason, how: str
) -> list[Anomaly]:
    """It runs no more: the end of what was reported of it."""
    found: list[Anomaly] = []
    if one.is_reported:
        about = _about(baseline, running, one, usual_run(baseline))
        found.append(still_running.ended(about, at_ms, end_reason, how))
    running.drop(one)
    return found


def without_reported(findings: list[Finding], explain: list[str] | None) -> list[Finding]:
    """The findings of an execution that was reported while it ran, but for that it took long."""
    kept = [one for one in findings if one.detector != unusual_execution_time.NAME or one.direction == "down"]
    if explain is not None and len(kept) < len(findings):
        explain.append("its duration is unusual, which was reported while it ran")
    return kept


def _give_up_lost(baseline: WorkflowBaseline, running: Running, finished_ms: i64, arrival_ms: int) -> list[Anomaly]:
    """Of what was reported a day ago, where a later execution has ended well: it was killed, or its end was lost.

    A job under cron that is killed sends no end; its next run goes well, and nobody should have to close the incident.
    """
    found: list[Anomaly] = []
    for one in [one for one in running.executions if one.stage in (WARNED, CRITICAL) and one.start_ms < finished_ms]:
        after_s = max(running.forgotten_after_s(one.limit_s), _LOST_AFTER_S)
        if arrival_ms >= 1000 * (one.base_s + whole_s(min(after_s, MOST_S))):
            how = "gave no end, and a later execution has ended well"
            found += _finish(baseline, running, one, arrival_ms, "superseded", how)
    return found


def _learn(running: Running, event: Completion, config: Config, reported: Execution | None) -> None:
    """One that was reported counts up to its limit: a single hang would else raise the limit far beyond the next one,
    and what takes longer from now on raises it by itself."""
    duration_s = recorded_duration_s(event, config.duration_from_times)
    if event.status in COUNTED and 0.0 < duration_s <= _LONGEST_S:
        running.learn(duration_s, reported.limit_s if reported is not None and not reported.closed else 0.0)


def explained(baseline: WorkflowBaseline) -> list[str]:
    """What is known of the limit of its executions, in words."""
    usual, running = usual_run(baseline), baseline.running
    count = len(running.executions) if running is not None else 0
    if usual.limit_s <= 0.0:
        return [f"{count} running; no limit is learned before {LEAST_RUNS} executions with a duration"]
    limit = wording.duration(usual.limit_s)
    return [f"{count} running; the learned limit is {limit}: usually {wording.duration(usual.usual_s)}"]


# -- decisions of people ---------------------------------------------------------------------------------------------


def open_incidents(baseline: WorkflowBaseline) -> list[Incident]:
    """The incidents of executions that run too long."""
    running = baseline.running
    if running is None:
        return []
    return [
        Incident(
            still_running.incident_id(one),
            1000 * int(one.due_s(WARNED, one.limit_s)),
            "critical" if one.stage == CRITICAL else "warning",
            True,
        )
        for one in running.executions
        if one.is_reported
    ]


def changed(baseline: WorkflowBaseline) -> None:
    """A decision has changed the key's gates, and the learned limit with them."""
    if baseline.running is not None:
        baseline.running.limit_s = 0.0
        refresh(baseline)


def close(baseline: WorkflowBaseline, incident_id: str | None) -> None:
    """A person has closed an incident, or all of them: nothing more is reported of these executions."""
    running = baseline.running
    if running is None:
        return
    for one in running.executions:
        if one.is_reported and (incident_id is None or still_running.incident_id(one) == incident_id):
            one.closed, one.unsent = True, 0
    refresh(baseline)

"""What was due by now: runs that did not come, executions that still run. As pure as `step`, which asks it first.

Two callers ask. The key's own next event: before it is judged, what was due before its arrival is decided. And the
clock, only to say it sooner: what it finds is marked as to be sent, and sent once a checkpoint holds it. Whoever asks
first, the answer is the same, with the same ids; nothing of it changes what `step` finds of events.
"""

from typing import Final

from msgspec.structs import replace
from mypy_extensions import i64

from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.detect.config import Config
from stream_detector.detect.incident import Incident
from stream_detector.detect.missed import (
    Arrival,
    close_missed,
    due_before,
    due_missed,
    excuse_missed,
    forget_missed,
    mark_missed_sent,
    mark_missed_unsent,
    note_run,
    open_missed,
    refresh_missed,
    unsent_missed,
    view_of,
)
from stream_detector.detect.rules import missed_run, still_running
from stream_detector.detect.rules.missed_run import describe
from stream_detector.detect.running import (
    Ended,
    arrived_ms,
    changed,
    due_running,
    mark_running_sent,
    mark_running_unsent,
    note_start,
    unsent_running,
)
from stream_detector.detect.running import before as before_running
from stream_detector.detect.running import before_completion as running_before
from stream_detector.detect.running import close as close_running
from stream_detector.detect.running import forget as forget_running
from stream_detector.detect.running import open_incidents as open_running
from stream_detector.events import Anomaly, Completion, Start
from stream_detector.events.start import started_as
from stream_detector.events.times import epoch_ms

TOO_LATE_MS: Final = 30 * 86_400_000
"""An event older than the key's newest by more than 30 days is not learned."""


def due(baseline: WorkflowBaseline, now_ms: int, config: Config, explain: list[str] | None = None) -> list[Anomaly]:
    """Decide all that was due up to now, in the order of its due times; each is reported once.

    Args:
        now_ms: by the clock that decides, epoch ms.
        config: that of the detector, whatever profile the key has.
        explain: what the key is expected to do is appended here in plain words.
    """
    found = _by_time(due_missed(baseline, now_ms, config), due_running(baseline, now_ms))
    if explain is not None:
        explain_times(baseline, config, explain)
    return found


def _by_time(missed: list[Anomaly], running: list[Anomaly]) -> list[Anomaly]:
    if missed and running:
        return sorted(missed + running, key=lambda each: each.detected_at)
    return missed or running


def explain_times(baseline: WorkflowBaseline, config: Config, explain: list[str]) -> None:
    """Append when the key usually runs, where a run is expected."""
    times = baseline.times
    view = view_of(baseline, config) if times is not None and times.due_s else None
    if times is not None and view is not None:
        explain.append(describe(view, times.given is not None, times.by_end))


def unsent(baseline: WorkflowBaseline, config: Config) -> list[Anomaly]:
    """What the clock has found and is still to be sent: the same ids and bytes each time."""
    return _by_time(unsent_missed(baseline, config), unsent_running(baseline))


def mark_unsent(baseline: WorkflowBaseline) -> None:
    """What `due` has just found is to be sent, once a checkpoint holds it."""
    mark_missed_unsent(baseline)
    mark_running_unsent(baseline)


def mark_sent(baseline: WorkflowBaseline) -> None:
    """What was to be sent is acknowledged."""
    mark_missed_sent(baseline)
    mark_running_sent(baseline)


def excuse(baseline: WorkflowBaseline, from_ms: int, to_ms: int, config: Config) -> int:
    """Nothing was taken in meanwhile: what was due then is not missing. Returns how many runs were expected in it."""
    return excuse_missed(baseline, from_ms, to_ms, config)


def open_incidents(baseline: WorkflowBaseline) -> list[tuple[tuple[str, int], Incident]]:
    """The incidents of what was due that are open, each under its rule; they are no part of `baseline.incidents`."""
    missed = [((missed_run.NAME, 0), one) for one in open_missed(baseline)]
    return [*missed, *(((still_running.NAME, 0), one) for one in open_running(baseline))]


def close(baseline: WorkflowBaseline, incident_id: str | None) -> None:
    """A person has closed an incident, or all of them."""
    close_missed(baseline, incident_id)
    close_running(baseline, incident_id)


def refresh(baseline: WorkflowBaseline) -> None:
    """After a decision of a person the key's gates are others, so something may be due at another time."""
    refresh_missed(baseline)
    changed(baseline)


def before_completion(
    baseline: WorkflowBaseline,
    event: Completion,
    config: Config,
    ids: bytes,
    finished_ms: i64,
    record_ms: int | None,
    backfill: bool,
) -> Ended:
    """What was due before an execution came, and what ends by it. Called before it is judged.

    Args:
        config: that of this execution.
        ids: of the last events before it.
    """
    came_ms = int(arrived_ms(finished_ms, record_ms))
    found = _missed_before(baseline, config, came_ms)
    running = baseline.running
    arrival = Arrival(event, int(finished_ms), came_ms, backfill, _is_late(baseline, finished_ms), False, ids)
    if config.has_clock:
        found += due_before(baseline, arrival, config)
    ended = Ended(event, found, False)
    if running is not None:
        is_known = running.find(started_as(event.execution_id)) is not None
        event, more, was_reported = running_before(baseline, event, config, came_ms, backfill)
        ended = Ended(event, [*found, *more], was_reported)
        arrival = replace(arrival, event=event, is_known=is_known)
    if config.has_clock:
        noted = note_run(baseline, arrival, config)
        if noted:
            ended = ended._replace(anomalies=[*ended.anomalies, *noted])
    return ended


def before_start(baseline: WorkflowBaseline, event: Start, config: Config, came_ms: int) -> list[Anomaly]:
    """What was due before an execution started, and what ends by it; the start is noted.

    Args:
        config: that of this execution.
        came_ms: when its event arrived, epoch ms.
    """
    found = _missed_before(baseline, config, came_ms)
    if not config.has_clock:
        return found + forget_running(baseline, came_ms) if baseline.running is not None else found
    start_ms = epoch_ms(event.started_at)
    arrival = Arrival(event, int(start_ms), came_ms, False, _is_late(baseline, start_ms), False, baseline.ids)
    found += due_before(baseline, arrival, config)
    found += before_running(baseline, came_ms)
    found += note_run(baseline, arrival, config)
    return found + note_start(baseline, event, config, came_ms)


def _missed_before(baseline: WorkflowBaseline, config: Config, came_ms: int) -> list[Anomaly]:
    """What an event sends of missed runs before anything else: what the clock has found, and ends where that is off."""
    found = unsent_missed(baseline, config)
    if found:
        mark_missed_sent(baseline)
    return found if config.has_clock else found + forget_missed(baseline, config, came_ms)


def _is_late(baseline: WorkflowBaseline, own_ms: i64) -> bool:
    return baseline.newest_ms - own_ms > TOO_LATE_MS

"""The start of one execution: what was due before it came. It is judged by its end."""

from stream_detector.detect import due, running
from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.detect.config import Config
from stream_detector.detect.outcome import STARTED, Outcome
from stream_detector.events import Start
from stream_detector.events.times import epoch_ms


def step_start(
    baseline: WorkflowBaseline,
    event: Start,
    config: Config,
    record_ms: int | None,
    backfill: bool,
    explain: list[str] | None,
) -> Outcome:
    """Note one start; the anomalies are of what was due before it, and the ends of such.

    Without a clock nothing is noted, and neither is a start of long ago (backfill).
    """
    config = config.for_execution(event)
    arrival_ms = int(running.arrived_ms(epoch_ms(event.started_at), record_ms))
    if backfill and config.has_clock:
        return STARTED
    found = due.before_start(baseline, event, config, arrival_ms)
    if explain is not None and config.has_clock:
        explain.extend(running.explained(baseline))
        due.explain_times(baseline, config, explain)
    return Outcome("started", found) if found else STARTED

"""What the recorder stores of when the next run of a workflow is due and how long it may take, to be listed by it."""

from stream_detector.detect import Baseline, WorkflowBaseline
from stream_detector.detect.running import usual_run
from stream_detector.detect.running_state import MOST_S
from stream_detector.events.times import from_epoch_ms
from stream_detector.store.rows import NEVER, ExpectedRun


def expected_run(baseline: Baseline) -> ExpectedRun | None:
    """When the next run is due, and since when one is missed; None where no times are known."""
    times = baseline.times if isinstance(baseline, WorkflowBaseline) else None
    if times is None or not (times.has_schedule or times.misses):
        return None
    misses = times.misses
    return ExpectedRun(
        from_epoch_ms(1000 * int(times.due_s)) if times.due_s else NEVER,
        from_epoch_ms(1000 * misses[0].due_s) if misses else None,
        times.source or None,
    )


def longest_limit_s(baseline: Baseline) -> float | None:
    """The longest that an execution of it may run now: learned, by a rule or given; None where none is limited."""
    running = baseline.running if isinstance(baseline, WorkflowBaseline) else None
    if running is None or not isinstance(baseline, WorkflowBaseline):
        return None
    limits = (MOST_S if one.off else one.limit_s for one in running.executions)
    return max(usual_run(baseline).limit_s, *limits, 0.0) or None

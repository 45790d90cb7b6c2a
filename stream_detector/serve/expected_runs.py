"""When the next run of a workflow is expected, read from its stored state and the rules in force."""

from typing import NamedTuple

from stream_detector.detect import Config
from stream_detector.detect.missed import view_of
from stream_detector.detect.statistics.schedule_text import ScheduleView
from stream_detector.events.variant import key_parts
from stream_detector.serve.stored_states import workflow_state
from stream_detector.timing_rules import OFF


class ExpectedRun(NamedTuple):
    """What is known of the times of one workflow or variant."""

    view: ScheduleView
    is_learned: bool
    missed_since_s: int
    """When the first of the runs was due that are missed now, epoch s; 0: none is."""
    missed: int
    """How many in a row."""
    is_retired: bool


def expected_run(key: str, packed: bytes, config: Config) -> ExpectedRun | None:
    """None where nothing is expected by the rules in force, or a later version wrote the state."""
    baseline = workflow_state(key, packed)
    if baseline is None or baseline.times is None:
        return None
    view, times = view_of(baseline, config), baseline.times
    workflow_id = key_parts(key).entity_id
    is_watched = config.for_key(workflow_id, times.labels).has_clock
    if view is None or not is_watched or config.expectation(workflow_id, times.labels) is OFF:
        return None
    misses = times.misses
    return ExpectedRun(view, times.given is None, misses[0].due_s if misses else 0, len(misses), times.retired)

"""The pure heart: score one event against its baseline, then learn it.

No clock, no I/O, no randomness: time comes from the event. The same function serves the live detector, the API's check,
replay and backtests; if two of them ever disagree, that is a defect.
"""

from stream_detector.detect.baseline import Baseline, ScoreBaseline, WorkflowBaseline
from stream_detector.detect.config import Config
from stream_detector.detect.outcome import Outcome
from stream_detector.detect.step_action import step_action
from stream_detector.detect.step_completion import step_completion
from stream_detector.detect.step_score import step_score
from stream_detector.detect.step_start import step_start
from stream_detector.events import Action, Completion, Score, Start
from stream_detector.events.ids import score_key
from stream_detector.events.variant import workflow_key


def step(
    baseline: Baseline,
    event: Completion | Start | Score | Action,
    config: Config,
    record_ms: int | None = None,
    backfill: bool = False,
    *,
    explain: list[str] | None = None,
) -> Outcome:
    """Judge and learn one event; `baseline` alone is changed. Never raises for a valid event of the baseline's kind.

    Args:
        record_ms: the timestamp of the event's record, epoch ms; before 2000, such as -1 for none, it is not believed.
            None where nothing is known of records: then no clock is found to be wrong.
        backfill: learned like any other, never alerted; the numbers are those that live events would have given.
        explain: every gate that was looked at is appended here in plain words, passed or not.
    """
    kind = type(event)
    if kind is Completion and isinstance(baseline, WorkflowBaseline):
        return step_completion(baseline, event, config, record_ms, backfill, explain)  # type: ignore[arg-type]
    if kind is Score and isinstance(baseline, ScoreBaseline):
        return step_score(baseline, event, config, record_ms, backfill, explain)  # type: ignore[arg-type]
    if kind is Start and isinstance(baseline, WorkflowBaseline):
        return step_start(baseline, event, config, record_ms, backfill, explain)  # type: ignore[arg-type]
    if kind is Action:
        return step_action(baseline, event, explain)  # type: ignore[arg-type]
    raise TypeError(f"{kind.__name__} does not belong to {baseline.key.partition(':')[0]} keys")


def key_of(event: Completion | Start | Score | Action) -> str:
    """State key that the event belongs to; empty for an action that names no entity."""
    if isinstance(event, Completion | Start):
        return workflow_key(event.workflow_id, event.variant)
    if isinstance(event, Score):
        return score_key(event.entity_id)
    return event.entity

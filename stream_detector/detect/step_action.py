"""Apply what a person decided: resolve, expected, not_an_anomaly, relearn, retire."""

from typing import Final

from stream_detector.detect import due
from stream_detector.detect.baseline import MOST_FEEDBACKS, Baseline, WorkflowBaseline
from stream_detector.detect.codec.recent_ids import hash_of_id, is_recent, remember
from stream_detector.detect.incident import remember_ended
from stream_detector.detect.outcome import APPLIED, DUPLICATE, IGNORED, Outcome
from stream_detector.events import Action

CHANGES_DETECTION: Final = ("resolve", "expected", "not_an_anomaly", "relearn", "retire")


def step_action(baseline: Baseline, event: Action, explain: list[str] | None) -> Outcome:
    """Change the baseline as decided; emits nothing, because the action itself is on a topic that everybody reads.

    - resolve: the named incident (all of them where none is named) is closed.
    - expected, not_an_anomaly: the same, and the key's gates rise by a quarter.
    - relearn: everything learned is forgotten, feedback too. retire: the same, and the key may be forgotten.
    - acknowledge, silence, comment, and edits of stored anomalies: change no detection.
    """
    if event.kind not in CHANGES_DETECTION:
        return IGNORED
    event_hash = hash_of_id(event.action_id)
    if is_recent(baseline.ids, event_hash):
        return DUPLICATE
    baseline.ids = remember(baseline.ids, event_hash)
    if event.kind in ("relearn", "retire"):
        baseline.clear()
        baseline.retired = event.kind == "retire"
    else:
        if isinstance(baseline, WorkflowBaseline):
            due.close(baseline, event.incident_id)
        open_now = baseline.incidents
        for place, incident in list(open_now.items()):
            if event.incident_id is None or incident.id == event.incident_id:
                del open_now[place]
                if event.kind == "resolve":  # what is wrong may last: it is not usual for that
                    remember_ended(baseline.former, place, incident)
        if event.kind != "resolve":
            baseline.feedbacks = min(baseline.feedbacks + 1, MOST_FEEDBACKS)
            if isinstance(baseline, WorkflowBaseline):
                due.refresh(baseline)
    if explain is not None:
        times = baseline.threshold_multiplier
        explain.append(f"{event.kind} by {event.by}: gates of this key are at {times} times their usual value")
    return APPLIED

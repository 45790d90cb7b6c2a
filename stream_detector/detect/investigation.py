"""Steps to take, from evidence: which step failed or grew, the last good execution, what changed since then."""

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding
from stream_detector.detect.rules.registry import RULES
from stream_detector.detect.statistics.evidence import Evidence
from stream_detector.events import Completion, Score
from stream_detector.events.anomaly_types import TYPES
from stream_detector.events.completion import FAILED
from stream_detector.events.times import epoch_ms

_MOST_LABELS = 3


def steps_for_completion(event: Completion, evidence: Evidence, found: Finding) -> list[str]:
    """What to look at for a finding of one execution, most telling first; never empty.

    Where it is about time, the step that grew comes before the step that failed.
    """
    steps = [*_failed_steps(event), *_grown_step(event, evidence)]
    if TYPES[found.anomaly_type].is_timing:
        steps.reverse()
    first_step = RULES[found.detector].first_step
    if first_step is not None:
        steps.insert(0, first_step(found))
    steps += _changes(event, evidence)
    steps.append(f"Open execution {event.execution_id}" + (f": {event.url}" if event.url else " and read its log"))
    return steps


def steps_for_end(event: Completion, evidence: Evidence, end: Finding) -> list[str]:
    """What to do about the end of an incident; never empty."""
    if end.end_reason != "new_normal":
        return [f"Nothing to do: execution {event.execution_id} is back to normal"]
    return [
        "Decide whether this is wanted: it was not seen to end, it became the usual",
        "If it is, there is nothing to do: detection judges by it from now on",
        *_changes(event, evidence),
    ]


def _failed_steps(event: Completion) -> list[str]:
    names = [step.name for step in event.steps if step.status in FAILED]
    if not names:
        return []
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [f"Read the log of the failed step {names[0]}{more}"]


def _grown_step(event: Completion, evidence: Evidence) -> list[str]:
    grown = [
        (step.duration_s - expected, step.name, step.duration_s, expected)
        for step in event.steps
        if step.duration_s and (expected := evidence.expected_step_s(step.name)) is not None
    ]
    if not grown:
        return []
    most, name, took, expected = max(grown, key=lambda step: abs(step[0]))
    if abs(most) <= 0.2 * expected:
        return [f"No single step stands out: the largest change is step {name}, {_against(took, expected)}"]
    return [f"Look at step {name}, which {'grew' if most > 0 else 'shrank'} most: {_against(took, expected)}"]


def _against(took: float, expected: float) -> str:
    return f"{wording.duration(took)}, usually {wording.duration(expected)}"


def _changes(event: Completion, evidence: Evidence) -> list[str]:
    if not evidence.good_ms:
        return ["There is no good execution to compare with yet: look at how this workflow was set up"]
    which = f"{evidence.good_id} of " if evidence.good_id else "of "
    steps = [f"Compare with the last good execution {which}{wording.instant(evidence.good_ms)}"]
    before, now = evidence.commit(), event.labels.get("commit", "")
    if before and now and not now.startswith(before):
        steps.append(f"The commit changed since then, from {before} to {now[:12]}: read that difference")
    new = evidence.new_labels(event.labels)
    if new:
        steps.append("New since then: " + ", ".join(f"{name} = {event.labels[name]}" for name in new[:_MOST_LABELS]))
    return steps


def steps_for_score(event: Score, previous_ms: int | None) -> list[str]:
    """What to look at for one score; never empty."""
    steps = [f"Look at the inputs of {event.entity_name}'s score of {wording.instant(epoch_ms(event.scored_at))}"]
    if previous_ms is not None:
        steps.append(f"Compare them with those of the score before, of {wording.instant(previous_ms)}")
    if event.run_id is not None:
        steps.append(
            f"See whether other entities of run {event.run_id} moved too: then look at the run, not the entity"
        )
    if event.url:
        steps.append(f"Open {event.url}")
    return steps

"""Steps to take, from evidence: which step failed or grew, the last good execution, what changed since then."""

from collections.abc import Sequence

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding
from stream_detector.detect.rules.pattern_deviation import ARRIVAL, CLOCK, DRIFT
from stream_detector.detect.rules.registry import RULES
from stream_detector.detect.statistics.evidence import Evidence, Good
from stream_detector.events import Completion, Score
from stream_detector.events.anomaly_types import TYPES
from stream_detector.events.completion import FAILED
from stream_detector.events.times import epoch_ms

_MOST_LABELS = 3
_LEAST_MOVES = 3
_GREW = 0.2
"""A step has changed by a fifth or more of its usual time, and accounts for a tenth of what the execution is off."""
_PART = 0.1
_HALF = 0.5
"""What is named instead of a step that changed accounts for half of what the execution is off."""
_DAY_MS = 86_400_000
"""Of a last good execution that is older, it is said why nothing since counts as one."""
_STARTERS = ("started_by", "actor", "user", "author", "trigger", "event", "schedule", "source")
"""Labels that say who or what started an execution."""


def steps_for_completion(
    event: Completion, evidence: Evidence, found: Finding, *, others_since_ms: int = 0, has_succeeded: bool = False
) -> list[str]:
    """What to look at for a finding of one execution, most telling first; never empty.

    Where it is about time, the step that changed comes before the step that failed; where it is not, only a step that
    grew so that it timed out is named.

    Args:
        others_since_ms: since when another incident has been open that began before this one; 0: there is none.
        has_succeeded: whether an execution of the last 30 days has.
    """
    first_step = RULES[found.detector].first_step
    first = first_step(found) if first_step is not None else None
    steps = [first] if first is not None else []
    if found.subject == ARRIVAL:
        return [*steps, *_starters(event), _open(event)]
    if found.subject == CLOCK:
        return steps
    failed = _failed_steps(event)
    if TYPES[found.anomaly_type].is_timing:
        steps += [*_changed_step(event, evidence, found), *failed]
    else:
        steps += failed
        if event.status == "timeout":
            steps += _grown_step(event, evidence)
    good = _good(evidence, found)
    if good.at_ms:
        steps += _changes(event, evidence, good, others_since_ms)
    else:
        steps.append(_nothing_good(has_succeeded, TYPES[found.anomaly_type].is_timing))
    steps.append(_open(event))
    return steps


def _good(evidence: Evidence, found: Finding) -> Good:
    """The last good execution before what was found began; of a time, before the shift that it may belong to."""
    return evidence.good_before(found.current) if TYPES[found.anomaly_type].is_timing else evidence.last_good


def _open(event: Completion) -> str:
    return f"Open execution {event.execution_id}" + (f": {event.url}" if event.url else " and read its log")


def _starters(event: Completion) -> list[str]:
    known = [f"{name} = {event.labels[name]}" for name in _STARTERS if event.labels.get(name)]
    return (
        [f"The last of them has {', '.join(known[:_MOST_LABELS])}: count the executions of today by that"]
        if known
        else []
    )


def steps_for_end(event: Completion, evidence: Evidence, end: Finding, *, others: bool) -> list[str]:
    """What to do about the end of an incident; never empty. `others`: another of its workflow is still open."""
    if end.end_reason == "superseded":
        return ["It has ended together with a level shift of this workflow: see the end of that one"]
    if end.end_reason != "new_normal":
        if others:
            name = wording.name_of(event)
            return [f"This has ended, but another incident of {name} is still open: see that one"]
        return [f"Nothing to do: execution {event.execution_id} is back to normal"]
    return [
        "Decide whether this is wanted: it was not seen to end, it became the usual",
        "If it is, there is nothing to do: detection judges by it from now on",
        *(_changes(event, evidence, _good(evidence, end)) if evidence.good_ms else []),
    ]


def _failed_steps(event: Completion) -> list[str]:
    names = [step.name for step in event.steps if step.status in FAILED]
    if not names:
        return []
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [f"Read the log of the failed step {names[0]}{more}"]


def _changed_step(event: Completion, evidence: Evidence, found: Finding) -> list[str]:
    """The step that accounts for an unusual time, or that none of them does; nothing without steps or their usual."""
    if found.direction == "up":
        named = _added_step(event, evidence, found) or _grown_step(event, evidence, found)
        return named or _no_step(event, evidence, found)
    if any(step.status in FAILED for step in event.steps) or _added(event, evidence):
        return []  # less was done, or something else: that a step took less explains nothing
    gone = evidence.missing(evidence.observe(event.steps)) if event.steps else []
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        return [f"See why step {gone[0]}{more} did not run"]
    shrunk = [(expected - took, name, took, expected) for name, took, expected in _timed(event, evidence)]
    return _named(shrunk, "shrank", found)


def _added(event: Completion, evidence: Evidence) -> list[tuple[float, str]]:
    """The steps that were not there before, with their durations in s."""
    if not evidence.sets:
        return []
    return [(step.duration_s or 0.0, step.name) for step in event.steps if not evidence.is_known(step.name)]


def _added_step(event: Completion, evidence: Evidence, found: Finding) -> list[str]:
    took, name = max(_added(event, evidence), default=(0.0, ""))
    if took <= _PART * abs(found.deviation):
        return []
    return [f"Look at step {name}, which is new: {wording.duration(took)}"]


def _grown_step(event: Completion, evidence: Evidence, found: Finding | None = None) -> list[str]:
    grown = [(took - expected, name, took, expected) for name, took, expected in _timed(event, evidence)]
    return _named(grown, "grew", found)


def _named(changed: list[tuple[float, str, float, float]], how: str, found: Finding | None) -> list[str]:
    if not changed:
        return []
    most, name, took, expected = max(changed)
    now, usually = wording.duration(took), wording.duration(expected)
    least = _PART * abs(found.deviation) if found is not None else 0.0
    if most <= _GREW * expected or most < least or now == usually:
        return []
    return [f"Look at step {name}, which {how} most: {now}, usually {usually}"]


def _no_step(event: Completion, evidence: Evidence, found: Finding) -> list[str]:
    """Where else the time was: in all of them, in one without a usual time, or between them."""
    timed = _timed(event, evidence)
    if not timed:
        return []
    took, expected = sum(took for _, took, _ in timed), sum(expected for _, _, expected in timed)
    known = {name for name, *_ in timed}
    longest, name = max(
        ((one.duration_s or 0.0, one.name) for one in event.steps if one.name not in known), default=(0.0, "")
    )
    if longest >= _HALF * found.deviation:
        return [f"Look at step {name}, which took {wording.duration(longest)}; its usual time is not known"]
    if took > (1.0 + _GREW) * expected:
        return [f"No single step stands out: together they took {wording.share(took / expected - 1.0)} more than usual"]
    between = found.current - sum(one.duration_s or 0.0 for one in event.steps)
    if between >= _HALF * found.deviation:
        return ["No single step stands out: look at what lies between them, such as waiting and set-up"]
    return []  # what they take differs from time to time, and the time is in them


def _timed(event: Completion, evidence: Evidence) -> list[tuple[str, float, float]]:
    """Name, duration and usual duration (s) of each step that has both."""
    return [
        (step.name, step.duration_s, expected)
        for step in event.steps
        if step.duration_s and (expected := evidence.expected_step_s(step.name)) is not None
    ]


def _nothing_good(has_succeeded: bool, is_timing: bool) -> str:
    """What to do where no good execution of before is known."""
    if has_succeeded:
        return "No good execution from the time until then is known: compare with one that has succeeded since"
    if is_timing:
        return "It has not succeeded in the last 30 days: no good execution is known to compare with"
    return "There is no good execution to compare with yet: look at how this workflow was set up"


def _changes(event: Completion, evidence: Evidence, good: Good, others_since_ms: int = 0) -> list[str]:
    """What to compare with, and what has changed since then."""
    which = f"{good.id} of " if good.id else "of "
    is_old = others_since_ms and epoch_ms(event.finished_at) - good.at_ms > _DAY_MS
    since = f", before the incident that is open since {wording.instant(others_since_ms)}" if is_old else ""
    steps = [f"Compare with the last good execution {which}{wording.instant(good.at_ms)}{since}"]
    before, now = good.commit, event.labels.get("commit", "")
    if before and now and not now.startswith(before):
        steps.append(f"The commit changed since then, from {before} to {now[:12]}: read that difference")
    new = evidence.new_labels(event.labels, good)
    if new:
        steps.append("New since then: " + ", ".join(f"{name} = {event.labels[name]}" for name in new[:_MOST_LABELS]))
    return steps


def steps_for_score(
    event: Score, found: Finding, previous_ms: int | None, moves: Sequence[float], drifted_over: int = 0
) -> list[str]:
    """What to look at for a finding of one score; never empty.

    Args:
        moves: the sizes of its moves before this score, the newest last.
        drifted_over: how many scores before this one a drift is compared with.
    """
    first_step = RULES[found.detector].first_step
    first = first_step(found) if first_step is not None else None
    if first is not None:
        return [first]
    moved = abs(found.deviation)
    steps = [f"Look at the inputs of {event.entity_name}'s score of {wording.instant(epoch_ms(event.scored_at))}"]
    if found.subject == DRIFT:
        # No single score is to blame, and a drift is no move that could be compared with moves.
        steps.append(
            f"Compare them with those of {drifted_over} scores ago, not of the one before: it moved little by little"
        )
        moves = ()
    elif previous_ms is not None:
        steps.append(f"Compare them with those of the score before, of {wording.instant(previous_ms)}")
    if event.run_id is not None:
        steps.append(
            f"See whether other entities of run {event.run_id} moved too: then look at the run, not the entity"
        )
    if len(moves) >= _LEAST_MOVES:
        # Moves are kept in single precision.
        as_much = [back for back, size in enumerate(reversed(moves), 1) if size >= moved * (1.0 - 1e-6)]
        if as_much:
            ago = "in the score before this one" if as_much[0] == 1 else f"{as_much[0]} scores ago"
            steps.append(f"It last moved as much {ago}: compare with what was found then")
        else:
            steps.append(f"None of its last {len(moves)} moves was as large")
    if event.url:
        steps.append(f"Open {event.url}")
    return steps

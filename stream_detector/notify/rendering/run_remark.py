"""What a message about a run adds where the run did not go as it should, moved as a whole, or has a follow-up."""

from stream_detector.events.movement import common_words
from stream_detector.events.run_summary import RUN_SILENCE_S
from stream_detector.notify.rendering.escape import name_line, one_line
from stream_detector.notify.rendering.words import duration, minute
from stream_detector.notify.subject import Run

NAME_LIMIT, ERROR_LIMIT, MISSING_LIMIT = 100, 200, 300
"""Characters of the run's id, of its error, and of what was not waited for."""


def run_remark(run: Run) -> str:
    """One line, not yet escaped; empty for a run that has all that it announced, and in which a few entities moved."""
    return ". ".join(filter(None, (_follow_up(run), _trouble(run), _common(run))))


def _name(run: Run) -> str:
    """What a producer called the run, or the minute of scores without one."""
    return f"run {name_line(run.run_id, NAME_LIMIT)}" if run.named else f"the scores of {minute(run.ended_at)}"


def _follow_up(run: Run) -> str:
    if run.revision == 1:
        return ""
    if run.reported_before:
        return f"Follow-up to the earlier message about {_name(run)}: published after its end"
    return f"Published after the end of {_name(run)}, which had no significant change until then"


def _common(run: Run) -> str:
    """Of the direction that most entities moved in, if one of the changes in the message did too."""
    directions = {change.direction for change in run.anomalies}
    return next((words for one in directions if run.movement and (words := common_words(run.movement, one))), "")


def _trouble(run: Run) -> str:
    head = ""
    if run.status == "failed":
        head = " failed"
    elif run.status == "timed_out":
        head = f" did not end within {duration(RUN_SILENCE_S)} after its last event"
    if run.error:
        head += f": {one_line(run.error, ERROR_LIMIT)}"
    is_short = run.expected is not None and run.scored < run.expected
    parts = [head] if head else []
    if head or is_short or run.failures:
        scored = f"{run.scored:,} of {run.expected:,}" if is_short else f"{run.scored:,}"
        parts.append(f"{scored} scored" + (f", {run.failures:,} failed" if run.failures else ""))
    if run.not_waited_for:
        parts.append(f"records not waited for: {one_line('; '.join(run.not_waited_for), MISSING_LIMIT)}")
    if not parts:
        return ""
    name = _name(run)
    return f"{name[:1].upper()}{name[1:]}{'' if head else ': '}{'; '.join(parts)}"

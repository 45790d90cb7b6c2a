"""What is said of an execution that runs."""

from stream_detector.detect.wording import duration
from stream_detector.events.variant import shown_name
from stream_detector.serve.running_limits import limit_of
from stream_detector.store.running import Running

_ORIGINS = {"start": "given with its start", "rule": "by MAX_DURATION_RULES", "learned": "learned"}


def running_subject(running: Running) -> str:
    """Which one it is, and since when it runs."""
    event = running.event
    attempt = f", attempt {event.attempt}," if event.attempt > 1 else ""
    name = shown_name(event.workflow_name or event.workflow_id, event.variant)
    since = f"{running.started_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"Execution {event.execution_id}{attempt} of {name} is running since {since}."


def running_words(running: Running) -> str:
    """For how long it has run, what is usual and what its limit is; that it has probably ended, where that is so."""
    (limit_s, origin), usual_s = limit_of(running), running.usual_s
    usual = f"usually takes {duration(usual_s)}" if usual_s else "has no usual duration yet"
    limit = f"limit {duration(limit_s)}, {_ORIGINS[origin]}" if limit_s and origin else "it has no limit"
    words = f"It has run for {duration(running.elapsed_s)}; its workflow {usual}; {limit}."
    if running.probably_ended:
        words += " It has probably ended without notice: its process was killed, or the event of its end was lost."
    return words

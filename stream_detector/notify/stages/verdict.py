"""What a stage of the policy answers: whether the message goes on, and why."""

from typing import NamedTuple

from stream_detector.events import Outcome
from stream_detector.notify.state.state_models import Silence
from stream_detector.notify.subject import instant


class Verdict(NamedTuple):
    """`outcome` None where `passed` is False: another message covers it, so there is no outcome of its own."""

    passed: bool
    reason: str
    outcome: Outcome | None = None


def passes(reason: str) -> Verdict:
    """It goes on to the next stage."""
    return Verdict(True, reason)


def stops(outcome: Outcome | None, reason: str) -> Verdict:
    """It ends here."""
    return Verdict(False, reason, outcome)


def silenced_reason(silence: Silence) -> str:
    """Who does not want to hear of it, and until when."""
    return f"silenced by {silence.by} until {instant(silence.until_s):%Y-%m-%d %H:%M} UTC"

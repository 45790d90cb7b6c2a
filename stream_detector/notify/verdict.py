"""What a stage of the policy answers: whether the message goes on, and why."""

from typing import NamedTuple

from stream_detector.events import Outcome


class Verdict(NamedTuple):
    """`outcome` None with `goes` False: another message will tell it, so there is no outcome of its own."""

    goes: bool
    reason: str
    outcome: Outcome | None = None


def passes(reason: str) -> Verdict:
    """It goes on to the next stage."""
    return Verdict(True, reason)


def stops(outcome: Outcome | None, reason: str) -> Verdict:
    """It ends here."""
    return Verdict(False, reason, outcome)

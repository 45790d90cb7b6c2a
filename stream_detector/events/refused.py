"""The one error of bad input."""

from typing import Literal

Stage = Literal["decode", "validate", "step", "store"]
Reason = Literal[
    "not_json",
    "not_utf8",
    "too_large",
    "too_deep",
    "wrong_type",
    "missing_field",
    "duplicate_field",
    "unknown_value",
    "out_of_range",
    "too_long",
    "bad_number",
    "bad_time",
    "no_zone",
    "future",
    "end_before_start",
    "nul_character",
    "bad_url",
    "unsupported_format",
    "null_value",
    "step_failed",
    "changed_duplicate",
    "rejected_by_store",
]
"""Bounded: it is a metric's label and a header of the dead letter."""


class RefusedError(ValueError):
    """One event cannot be used. It is written to `dead-letters`, and processing continues.

    Attributes:
        stage: where it was refused.
        reason: which of the bounded reasons.
        message: what is wrong and what to do, for the producer of the event; without the payload.
        place: of a payload's entry, how many that are read or refused stand before it; None where it is the payload's.
        entry: of a payload's entry, its own bytes, which are a payload by themselves; None where there are none.
    """

    place: int | None = None
    entry: bytes | None = None

    def __init__(self, stage: Stage, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.stage, self.reason, self.message = stage, reason, message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"

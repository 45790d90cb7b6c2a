"""Score v1: the score one entity got, as a decimal."""

from decimal import Decimal
from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from stream_detector.events.fields import Id, Instant, Labels, Name, Url

_PREVIOUS = "null: this is the first score. Absent: the last score of this entity on record."


class Score(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One score. Its state key is `score:<entity_id>`, its event id `run_id` + `entity_id`, or `entity_id` +
    `scored_at` without a run.

    `score` keeps the digits as published: 7.7 and 8.2 differ by exactly 0.5, which binary floats do not.
    """

    entity_id: Id
    entity_name: Name
    score: Decimal
    scored_at: Instant
    entity_type: Name | None = None
    previous_score: Annotated[Decimal | UnsetType | None, Meta(description=_PREVIOUS)] = UNSET
    run_id: Id | None = None
    labels: Labels = {}
    url: Url | None = None


class WrittenScore(Score, frozen=True, gc=False, kw_only=True):
    """A score with its numbers as they were written, so that text differs from a number and no digit is lost."""

    score: Raw  # type: ignore[assignment]
    previous_score: Raw | UnsetType = UNSET  # type: ignore[assignment]

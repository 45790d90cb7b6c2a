"""Run summary v1: how one scoring run ended and what it found."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from stream_detector.events.fields import Id, Instant, Name, Text
from stream_detector.events.movement import Movement

RUN_SILENCE_S = 900
"""A run without an end event is ended so long after its last part: `timed_out`."""


class SummaryAnomaly(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One score change of the run. Decimals are sent as JSON text, so that no digit is lost."""

    id: Id
    entity_id: Id
    entity_name: Name
    previous: Decimal
    current: Decimal
    delta: Decimal
    direction: Literal["up", "down"]
    threshold: Decimal


class RunSummary(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Summary of one score run; split into `parts` above 5,000 anomalies.

    What comes after the run's end makes further revisions: each counts the whole run and lists all of its anomalies.
    """

    schema_version: Literal[1]
    id: Id
    """UUIDv5 of run id and part, from revision 2 on of the revision too, so a repeated summary is recognised."""
    run_id: Id
    status: Literal["completed", "failed", "timed_out"]
    started_at: Instant | None = None
    ended_at: Instant
    """The time of the run's end event; at a time-out the newest `scored_at`."""
    duration_s: float | None = None
    scored: int
    """Distinct entities scored."""
    failures: int
    expected: int | None = None
    anomaly_count: int
    anomalies: list[SummaryAnomaly] = []
    part: Annotated[int, Meta(ge=1)] = 1
    parts: Annotated[int, Meta(ge=1)] = 1
    error: Text | None = None
    revision: Annotated[int, Meta(ge=1)] = 1
    """1: what was published before the run's end. Larger: with what came later; the largest counts."""
    new: list[Id] = []
    """From revision 2 on: the ids among `anomalies` that no earlier revision had. A follow-up is sent about them."""
    follow_up: Annotated[int, Meta(ge=0)] = 0
    """Counts the revisions that have something new; 0 where this one has nothing. The first 6 are sent."""
    not_waited_for: list[Text] = []
    """What was published before the end and not applied when the run was closed after RUN_END_WAIT_S, in words."""
    published_after_s: float | None = None
    """How long after their own times the run's score changes were published, at least; absent without a change."""
    movement: Movement | None = None
    """Of the entities with a previous score, how many fell or rose by half of their threshold or more, or changed by
    less; absent where none had one, and where an older version processed a part of the run."""

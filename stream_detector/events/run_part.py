"""Run part (internal, topic `run-parts`): what one score, or one run event, means for its run or the next."""

from typing import Literal

from msgspec import Struct, field

from stream_detector.events.anomaly import Anomaly
from stream_detector.events.fields import Id, Instant, Name, Text
from stream_detector.events.movement import Move


class EntityMembership(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The entities of one type that a run had, id to name, and those that failed without a type. Ordered by id."""

    run_id: Id
    entities: dict[str, str]
    failed: list[str] = []


class RunPart(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One entity's outcome within a run (`scored`, `failed`), or the run's own event (`run_started`, ...).

    A part of kind `run_closed` ends the run where it is read: the summary is made of the parts before it in the log.
    With `revision` 2 or more it ends a revision, of what came later. The first of each revision counts; a detector of
    a version without this kind ends itself there.

    A part of kind `roster` is the entity membership that a completed run passes on to the next one: its `run_id` names
    the memberships of one entity type.
    """

    run_id: Id
    kind: Literal["scored", "failed", "run_started", "run_completed", "run_failed", "roster", "run_closed"]
    at: Instant
    entity_id: str = ""
    """Empty for the run's own events."""
    entity_name: Name = ""
    entity_type: Name | None = None
    anomaly: Anomaly | None = None
    moved: Move | None = None
    """Of a `scored`; absent from what older versions wrote."""
    expected: int | None = None
    error: Text | None = None
    published_at: Instant | None = None
    """The timestamp of the record of the run's own event, or of that which ended the run of this membership."""
    membership: EntityMembership | None = field(default=None, name="roster")
    revision: int = 1
    """Of a `run_closed`: which revision of the summary it ends. Of a `roster`: which one passes it on."""
    not_waited_for: list[Text] = []
    """Of a `run_closed`: what was published before the run's end and not applied in time, in words."""

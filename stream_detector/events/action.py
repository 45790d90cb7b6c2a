"""Action v1: a decision of a person, as an event."""

from typing import Literal

from msgspec import Struct

from stream_detector.events.fields import Id, Instant, Labels, Name, StateKey, Text

ActionKind = Literal["acknowledge", "resolve", "silence", "expected", "not_an_anomaly", "comment", "relearn", "retire"]


class Action(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One decision by `by`. `entity` is a state key such as `workflow:nightly`; a silence by matcher has none."""

    action_id: Id
    kind: ActionKind
    by: Name
    at: Instant
    entity: StateKey = ""
    incident_id: Id | None = None
    matchers: Labels = {}
    until: Instant | None = None
    comment: Text | None = None

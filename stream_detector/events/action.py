"""Action v1: a decision of a person, as an event."""

from typing import Literal, get_args

from msgspec import Struct

from stream_detector.events.anomaly import Anomaly
from stream_detector.events.fields import Id, Instant, Labels, Name, StateKey, Text

DecisionKind = Literal[
    "acknowledge", "resolve", "silence", "expected", "not_an_anomaly", "comment", "relearn", "retire"
]
EditKind = Literal["create_anomaly", "update_anomaly", "delete_anomaly"]
"""What an operator changes in what is stored, by hand. It changes neither detection nor who is notified."""
ActionKind = DecisionKind | EditKind | Literal["rename"]
EDITS: tuple[EditKind, ...] = get_args(EditKind)


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
    new_id: Id | None = None
    """Of a rename: the workflow's id from now on."""
    anomaly_id: Id | None = None
    """Of an edit: the anomaly that is created, changed or deleted."""
    anomaly: Anomaly | None = None
    """Of an edit that creates or changes it: the whole anomaly as it is afterwards."""

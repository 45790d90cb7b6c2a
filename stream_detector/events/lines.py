"""What a line of a history is: raw as read, and checked."""

from typing import Literal, NamedTuple

from stream_detector.events.completion import Completion
from stream_detector.events.refused import RefusedError
from stream_detector.events.score import Score
from stream_detector.events.score_run import ScoreRun

Event = Completion | Score | ScoreRun
Kind = Literal["completion", "score", "score_run"]


INPUT_TOPICS: dict[Kind, str] = {
    "completion": "workflow-completions",
    "score": "scores",
    "score_run": "score-runs",
}
"""Where each kind is published; a test holds it to the list of all topics."""


class Record(NamedTuple):
    """One event's JSON as it stands in a file, or why a line holds none."""

    number: int
    kind: Kind | None
    value: bytes
    error: RefusedError | None = None


class Line(NamedTuple):
    """One line that was checked: exactly one of `event` and `error` is there."""

    number: int
    """Counted from 1, a table's header included. An event made of several lines carries the first one's."""
    kind: Kind | None
    value: bytes
    """The event's JSON; of a JSON line the very bytes."""
    event: Event | None
    error: RefusedError | None

    @property
    def key(self) -> bytes:
        """The id that decides the partition; only where there is an event."""
        return key_of(self.event) if self.event is not None else b""


def key_of(event: Event) -> bytes:
    """The id that a producer keys the event by, so that its owner gets it without a hop."""
    if isinstance(event, Completion):
        return event.workflow_id.encode()
    return (event.entity_id if isinstance(event, Score) else event.run_id).encode()

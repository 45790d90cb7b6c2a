"""The events that come in: of each its topic, the id that it is keyed by, and its CloudEvents type."""

from typing import Literal, NamedTuple

from stream_detector.events.completion import Completion
from stream_detector.events.score import Score
from stream_detector.events.score_run import ScoreRun
from stream_detector.events.start import Start

Event = Completion | Start | Score | ScoreRun
Kind = Literal["completion", "start", "score", "score_run"]


class Input(NamedTuple):
    """Where one kind of event is published and what it is called there."""

    event_type: type[Event]
    topic: str
    """Without the installation's prefix. A test holds it to the list of all topics."""
    cloudevents_type: str


INPUTS: dict[Kind, Input] = {
    "completion": Input(Completion, "workflow-completions", "stream_detector.workflow_completion.v1"),
    "start": Input(Start, "workflow-completions", "stream_detector.workflow_start.v1"),
    "score": Input(Score, "scores", "stream_detector.score.v1"),
    "score_run": Input(ScoreRun, "score-runs", "stream_detector.score_run.v1"),
}
INPUT_TOPICS: dict[Kind, str] = {kind: entry.topic for kind, entry in INPUTS.items()}
_KINDS: dict[type, Kind] = {entry.event_type: kind for kind, entry in INPUTS.items()}


def kind_of_event(event: Event) -> Kind:
    """Which kind the event is of."""
    return _KINDS[type(event)]


def key_of(event: Event) -> bytes:
    """The id that a producer keys the event by, so that its owner gets it without a hop."""
    if isinstance(event, Completion | Start):
        return event.workflow_id.encode()
    return (event.entity_id if isinstance(event, Score) else event.run_id).encode()

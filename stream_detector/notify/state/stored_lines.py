"""Lines of combined messages in the state, beside the delivery of their message."""

from collections.abc import Sequence

from stream_detector.notify.state.keys import LINE, State, keys_of, read, write
from stream_detector.notify.state.line_order import most_severe_first
from stream_detector.notify.state.state_models import Line


def store_lines(state: State, message_id: str, channel: str, lines: Sequence[Line]) -> None:
    """Keep the lines beside the delivery of their message."""
    for number, line in enumerate(lines):
        write(state, f"{LINE}{message_id}:{channel}:{number:06}", line)


def stored_lines(state: State, message_id: str, channel: str) -> list[Line]:
    """The lines of a combined message, the most severe first."""
    found = [read(state, key, Line) for key in sorted(keys_of(state, f"{LINE}{message_id}:{channel}:"))]
    return most_severe_first([line for line in found if line])


def incidents_in_message(state: State, message_id: str, channel: str) -> set[str]:
    """The incidents that a combined message shows."""
    found = (read(state, key, Line) for key in keys_of(state, f"{LINE}{message_id}:{channel}:"))
    return {line.incident_id for line in found if line and line.incident_id}


def delete_lines(state: State, message_id: str, channel: str) -> None:
    """Drop them."""
    for key in keys_of(state, f"{LINE}{message_id}:{channel}:"):
        del state[key]

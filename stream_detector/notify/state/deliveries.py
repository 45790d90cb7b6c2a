"""Deliveries in the state: left there by the stages before, due until they are settled."""

from collections.abc import Callable, Sequence

import msgspec

from stream_detector.events import Anomaly
from stream_detector.notify.state.keys import DUE, REFERENCE, State, due_key, keys_of, read, write
from stream_detector.notify.state.run_parts import run_key
from stream_detector.notify.state.state_models import Due, Line, Reference
from stream_detector.notify.state.stored_lines import store_lines
from stream_detector.notify.subject import Run, Subject, message_id, severity_of


def delivery_of(channel: str, subject: Subject, reason: str, now_s: float) -> Due:
    """The delivery of one anomaly or one run."""
    return Due(
        message_id=message_id(subject),
        channel=channel,
        severity=severity_of(subject),
        first_at_s=now_s,
        next_at_s=now_s,
        reason=reason,
        anomaly=subject if isinstance(subject, Anomaly) else None,
        run_id=run_key(subject) if isinstance(subject, Run) else subject.run_id or "",
        parts=subject.parts if isinstance(subject, Run) else 0,
        thread=subject.incident_id if isinstance(subject, Anomaly) else "",
    )


def store_delivery(state: State, entry: Due, lines: Sequence[Line] = ()) -> None:
    """Leave the delivery; the lines of a combined message lie beside it."""
    if entry.combined:
        store_lines(state, entry.message_id, entry.channel, lines)
    write(state, due_key(entry.message_id, entry.channel), entry)


def stored_deliveries(state: State, unsound: Callable[[str, Exception], None]) -> list[Due]:
    """Every delivery that is not settled. `unsound` is called with the key of each that cannot be read."""
    found = []
    for key in keys_of(state, DUE):
        try:
            entry = read(state, key, Due)
        except msgspec.MsgspecError as error:
            unsound(key, error)
            continue
        if entry:
            found.append(entry)
    return found


def message_reference(state: State, channel: str, thread: str) -> Reference | None:
    """What the provider calls the message about that incident or group."""
    return read(state, f"{REFERENCE}{channel}:{thread}", Reference) if thread else None

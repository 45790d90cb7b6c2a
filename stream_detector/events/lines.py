"""What a line of a history is: raw as read, and checked."""

from typing import NamedTuple

from stream_detector.events.inputs import Event, Kind, key_of
from stream_detector.events.refused import RefusedError


class Record(NamedTuple):
    """One event's JSON as it stands in a file, or why a line holds none."""

    number: int
    kind: Kind | None
    value: bytes
    error: RefusedError | None = None
    unknown: tuple[str, ...] = ()
    """The names of fields that are ignored."""
    is_foreign: bool = False
    """Whether it was made of another system's payload."""


class Line(NamedTuple):
    """One line that was checked: exactly one of `event` and `error` is there."""

    number: int
    """Counted from 1, a table's header included. An event made of several lines carries the first one's."""
    kind: Kind | None
    value: bytes
    """The event's JSON; of a JSON line the very bytes, but for a source's payload, which becomes our JSON."""
    event: Event | None
    error: RefusedError | None
    unknown: tuple[str, ...] = ()
    """The names of fields that are ignored."""
    is_foreign: bool = False
    """Whether it was made of another system's payload."""
    record_ms: int | None = None
    """The timestamp of its record, epoch ms, where the line has it: the file is then in the order of arrival."""

    @property
    def key(self) -> bytes:
        """The id that decides the partition; only where there is an event."""
        return key_of(self.event) if self.event is not None else b""

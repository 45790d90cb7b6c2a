"""The headers of a Kafka record, and of an HTTP request where it carries an event."""

from collections.abc import Iterable, Sequence
from typing import cast

from stream_detector.events.refused import Reason, RefusedError

Headers = Sequence[tuple[str, bytes | None]]
"""Names and values in their order; a name may come twice."""


def header_text(headers: Headers, name: str) -> str:
    """The first value with this name, in any case of letters; empty where there is none."""
    return next((shown(value) for each, value in headers if each.lower() == name), "")


UNREADABLE = "stream-detector-unreadable"


class UnreadableHeaders(tuple[tuple[str, bytes | None], ...]):
    """The headers of a record that is not as Kafka defines it: those that could be read, and one that says why."""

    __slots__ = ()

    def __new__(
        cls, reason: Reason, message: str, headers: Iterable[tuple[str, bytes | None]] = ()
    ) -> "UnreadableHeaders":
        """With why the record is refused, for whoever published it."""
        return super().__new__(cls, (*headers, (UNREADABLE, f"{reason} {message}".encode())))

    @property
    def refusal(self) -> RefusedError:
        """What is wrong with the record."""
        reason, _, message = shown(self[-1][1]).partition(" ")
        return RefusedError("decode", cast(Reason, reason), message)

    @property
    def own(self) -> tuple[tuple[str, bytes | None], ...]:
        """The record's own headers."""
        return tuple(self[:-1])


RESTORED = ("mode", b"restored")
"""Of a record that was made from what the database has, since the broker that had it is gone."""


MOVED = ("mode", b"moved")
"""Of an empty payload where a key was before its topic got more partitions: the key is not deleted, but elsewhere."""


def is_restored(headers: Headers) -> bool:
    """Whether the record has the header `mode: restored`."""
    return RESTORED in headers


def shown(value: bytes | None) -> str:
    """A value as text: what is not UTF-8 is replaced."""
    return (value or b"").decode("utf-8", "replace")

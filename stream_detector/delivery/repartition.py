"""Events on their way to the owner of their key.

A producer may key, hash or spread its records as it likes: whatever does not lie on its owner's partition goes on to
the topic `rekeyed`, with one header that says where it came from. Whoever passes events on sends them in order, so one
watermark per place of origin distinguishes a repeat (sent again after a crash) from a new event.
"""

from collections.abc import Container
from typing import NamedTuple

from stream_detector.events.headers import Headers, UnreadableHeaders

ORIGIN = "stream-detector-origin"


class Origin(NamedTuple):
    """Where a record came from before it was passed on."""

    topic: str
    """Without the installation's prefix."""
    partition: int
    offset: int
    timestamp_ms: int

    @property
    def place(self) -> str:
        """Key of its watermark."""
        return f"{self.topic}/{self.partition}"

    def header(self) -> tuple[str, bytes]:
        """As it travels."""
        return ORIGIN, f"{self.topic}/{self.partition}/{self.offset}/{self.timestamp_ms}".encode()


_LARGEST = (1 << 31) - 1, (1 << 63) - 1, (1 << 63) - 1
"""Of a partition, an offset and a timestamp as Kafka has them."""


def find_origin(headers: Headers) -> Origin | None:
    """The origin that the last such header names; None where there is none, or it is not one.

    >>> find_origin([("stream-detector-origin", b"scores/2/-7/1000")]) is None
    True
    """
    for name, value in reversed(headers):
        if name == ORIGIN and value is not None:
            try:
                topic, *numbers = value.decode("ascii").split("/")
                partition, offset, timestamp_ms = map(int, numbers)
            except ValueError:
                return None
            numbers_given = partition, offset, max(0, timestamp_ms)
            if all(0 <= number <= most for number, most in zip(numbers_given, _LARGEST, strict=True)):
                return Origin(topic, partition, offset, timestamp_ms)
            return None
    return None


def read_origin(headers: Headers, topics: Container[str]) -> Origin | None:
    """As `find_origin`; None for a record that was not passed on by a worker of this version.

    Args:
        topics: those that the role passes on, without the prefix; a later version may pass on others.

    >>> read_origin([Origin("scores", 2, 7, 1000).header()], ["scores"])
    Origin(topic='scores', partition=2, offset=7, timestamp_ms=1000)
    """
    origin = find_origin(headers)
    return origin if origin is not None and origin.topic in topics else None


def strip_origin(headers: Headers) -> Headers:
    """The record's own headers."""
    if isinstance(headers, UnreadableHeaders):
        return headers
    return [(name, value) for name, value in headers if name != ORIGIN]

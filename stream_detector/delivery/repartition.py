"""Events on their way to the owner of their key.

A producer may key, hash or spread its records as it likes: whatever does not lie on its owner's partition goes on to
the topic `rekeyed`, with one header that says where it came from. Forwarders send in order, so per place of origin one
watermark tells a repeat (after a crash of the forwarder) from news.
"""

from collections.abc import Sequence
from typing import NamedTuple

ORIGIN = "stream-detector-origin"

Headers = Sequence[tuple[str, bytes | None]]


class Origin(NamedTuple):
    """Where a forwarded record came from."""

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


def read_origin(headers: Headers) -> Origin | None:
    """The origin that the last such header names, None for a record that nobody forwarded.

    >>> origin_of([Origin("scores", 2, 7, 1000).header()])
    Origin(topic='scores', partition=2, offset=7, timestamp_ms=1000)
    """
    for name, value in reversed(headers):
        if name == ORIGIN and value is not None:
            topic, partition, offset, timestamp_ms = value.decode().split("/")
            return Origin(topic, int(partition), int(offset), int(timestamp_ms))
    return None


def strip_origin(headers: Headers) -> list[tuple[str, bytes | None]]:
    """The record's own headers."""
    return [(name, value) for name, value in headers if name != ORIGIN]

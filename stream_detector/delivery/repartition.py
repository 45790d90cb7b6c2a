"""Events on their way to the owner of their key.

A producer may key, hash or spread its records as it likes: whatever does not lie on its owner's partition goes on to
the topic `rekeyed`, with one header that says where it came from. Whoever passes events on sends them in order, so one
watermark per place of origin distinguishes a repeat (sent again after a crash) from a new event. Of a record with
several events each goes on by itself, with its index, and the watermark is (offset, index).
"""

from collections.abc import Container, Mapping
from typing import NamedTuple

from stream_detector.delivery.chunk import SourceRecord, UnfoldedRecord
from stream_detector.events.headers import Headers, UnreadableHeaders

ORIGIN = "stream-detector-origin"


class Origin(NamedTuple):
    """Where a record came from before it was passed on."""

    topic: str
    """Without the installation's prefix."""
    partition: int
    offset: int
    timestamp_ms: int
    event_index: int | None = None
    """Of a record with several events: which of them, counted from 0."""

    @property
    def place(self) -> str:
        """Key of its watermark."""
        return f"{self.topic}/{self.partition}"

    def header(self) -> tuple[str, bytes]:
        """As it travels."""
        index = "" if self.event_index is None else f"/{self.event_index}"
        return ORIGIN, f"{self.topic}/{self.partition}/{self.offset}/{self.timestamp_ms}{index}".encode()


def origin_of(source: str, number: int, record: SourceRecord) -> Origin:
    """Where a record lies that was read from a source topic, or an event of one with several."""
    index = record.index if type(record) is UnfoldedRecord else None
    return Origin(source, number, record.offset, record.timestamp, index)


_INDEX = "/index"
"""Ends the place, among the watermarks, of the index from which on events of the record at the watermark are not
applied. An earlier version, which knows no index, keeps it with the others."""


def index_place(place: str) -> str:
    """Key of the index of a watermark.

    >>> index_place("scores/2")
    'scores/2/index'
    """
    return place + _INDEX


def is_behind(watermarks: Mapping[str, int], place: str, offset: int, index: int) -> bool:
    """Whether the event was applied: its (offset, index) is less than that of the watermark.

    >>> [is_behind({"scores/2": 7, "scores/2/index": 3}, "scores/2", *at) for at in [(6, 9), (7, 2), (7, 3), (8, 0)]]
    [True, True, False, False]
    """
    first = watermarks.get(place, 0)
    return offset < first or (offset == first and index > -1 and index < watermarks.get(place + _INDEX, 0))


def advance_watermark(watermarks: dict[str, int], origin: Origin) -> bool:
    """False for an event that was passed on twice; else the watermark of its origin is behind it now."""
    place, offset, index = origin.place, origin.offset, origin.event_index
    if is_behind(watermarks, place, offset, -1 if index is None else index):
        return False
    if index is None:
        watermarks[place] = offset + 1
        watermarks.pop(place + _INDEX, None)
    else:
        watermarks[place], watermarks[place + _INDEX] = offset, index + 1
    return True


_LARGEST = (1 << 31) - 1, (1 << 63) - 1, (1 << 63) - 1, (1 << 31) - 1
"""Of a partition, an offset and a timestamp as Kafka has them, and of an index."""


def find_origin(headers: Headers) -> Origin | None:
    """The origin that the last such header names; None where there is none, or it is not one.

    >>> find_origin([("stream-detector-origin", b"scores/2/-7/1000")]) is None
    True
    """
    for name, value in reversed(headers):
        if name == ORIGIN and value is not None:
            try:
                topic, *numbers = value.decode("ascii").split("/")
                partition, offset, timestamp_ms, *index = map(int, numbers)
            except ValueError:
                return None
            given = partition, offset, max(0, timestamp_ms), *index
            if len(given) <= len(_LARGEST) and all(
                0 <= number <= most for number, most in zip(given, _LARGEST, strict=False)
            ):
                return Origin(topic, partition, offset, timestamp_ms, *index)
            return None
    return None


def read_origin(headers: Headers, topics: Container[str]) -> Origin | None:
    """As `find_origin`; None for a record that was not passed on by a worker of this version.

    Args:
        topics: those that the role passes on, without the prefix; a later version may pass on others.

    >>> read_origin([Origin("scores", 2, 7, 1000).header()], ["scores"])
    Origin(topic='scores', partition=2, offset=7, timestamp_ms=1000, event_index=None)
    """
    origin = find_origin(headers)
    return origin if origin is not None and origin.topic in topics else None


def strip_origin(headers: Headers) -> Headers:
    """The record's own headers."""
    if isinstance(headers, UnreadableHeaders):
        return headers
    return [(name, value) for name, value in headers if name != ORIGIN]

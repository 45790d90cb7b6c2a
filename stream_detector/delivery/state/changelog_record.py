"""What one changelog record holds: who wrote it, which events are in it, and the packed state.

Layout, little-endian: version u8 = 1, epoch u32, count u8, count times (source u8, position i64), then the payload.

- `epoch` counts the owners of the partition: each new owner claims a larger one than was ever seen there (see
  partition.py), so what a former owner writes late (a zombie between its check and its write) is recognised anywhere.
- `position`: every event of that source below it that concerns this key is in the payload, so a replayed event is
  applied exactly where it was not. It is written once for all keys of a checkpoint and costs no work per event.

An empty payload is a deleted key.
"""

import struct
from collections.abc import Mapping

from stream_detector.kafka import topics

SOURCES: tuple[str, ...] = (
    topics.COMPLETIONS,
    topics.SCORES,
    topics.SCORE_RUNS,
    topics.REKEYED,
    topics.RUN_PARTS,
    topics.ACTIONS,
    topics.NOTIFIER_IN,
)
"""Index of each source within a value. Append only: stored values refer to it."""

Positions = Mapping[str, int]
"""Source topic -> offset of the first event that is not in the state."""

_VERSION = 1
_LATER_VERSIONS = 14
_HEADER = struct.Struct("<BIB")
_POSITION = struct.Struct("<Bq")
_INDEX = {name: index for index, name in enumerate(SOURCES)}


_LARGEST_EPOCH, _LARGEST_POSITION = 1 << 31, 1 << 48
"""Beyond what owners or records can be counted to: nobody's program wrote it."""


class StateFormatError(Exception):
    """A changelog value that this program cannot read: of a later version, or of no worker at all."""


def merge_positions(one: Positions, other: Positions) -> dict[str, int]:
    """The larger position of each source.

    >>> merge_positions({"scores": 7}, {"scores": 3, "rekeyed": 1})
    {'scores': 7, 'rekeyed': 1}
    """
    merged = dict(one)
    for source, position in other.items():
        if position > merged.get(source, 0):
            merged[source] = position
    return merged


def reset_positions(positions: Positions, claim: bytes) -> dict[str, int]:
    """The positions after a claim: an owner's own names none, that of `reset-source` has 0 for a source that is none
    any more.

    >>> reset_positions({"scores": 7, "rekeyed": 1}, encode_header(3, {"scores": 0}))
    {'rekeyed': 1}
    """
    return {source: position for source, position in (dict(positions) | positions_of(claim)).items() if position}


def encode_header(epoch: int, positions: Positions) -> bytes:
    """The bytes before the payload, the same for all keys of one checkpoint.

    >>> value = encode_header(3, {"scores": 7}) + b"x"
    >>> epoch_of(value), positions_of(value), payload_of(value)
    (3, {'scores': 7}, b'x')
    """
    parts = [_POSITION.pack(_INDEX[name], position) for name, position in positions.items()]
    return _HEADER.pack(_VERSION, epoch, len(parts)) + b"".join(parts)


def epoch_of(value: bytes) -> int:
    """The owner's epoch, without reading the rest. Raises `StateFormatError` on an unknown version."""
    if len(value) < _HEADER.size:
        raise StateFormatError(f"{len(value)} bytes are no state")
    version, epoch, _ = _HEADER.unpack_from(value)
    if version != _VERSION:
        raise StateFormatError(f"state of version {version}; this program knows version {_VERSION}")
    return int(epoch)


def check_header(value: bytes) -> None:
    """Raises `StateFormatError` where the bytes before the payload are not as `encode_header` writes them."""
    epoch, count = epoch_of(value), value[_HEADER.size - 1]
    if epoch >= _LARGEST_EPOCH or len(value) < _HEADER.size + count * _POSITION.size:
        raise StateFormatError("no worker writes such a head")
    for number in range(count):
        index, position = _POSITION.unpack_from(value, _HEADER.size + number * _POSITION.size)
        if index >= len(SOURCES) or not 0 <= position < _LARGEST_POSITION:
            raise StateFormatError("its head names a source or a position that there is not")


def may_be_later(value: bytes) -> bool:
    """Whether a later version of this program may have written the value.

    >>> may_be_later(b"\\x02 a frame of later"), may_be_later(b"\\x02"), may_be_later(b"{} of somebody")
    (True, False, False)
    """
    return len(value) >= _HEADER.size and _VERSION < value[0] <= _VERSION + _LATER_VERSIONS


def header_of(value: bytes) -> bytes:
    """The bytes before the payload. Raises `StateFormatError` where there are too few."""
    try:
        return value[: _HEADER.size + value[_HEADER.size - 1] * _POSITION.size]
    except IndexError:
        raise StateFormatError(f"{len(value)} bytes are no state") from None


def is_deleted(value: bytes) -> bool:
    """True if there is no payload."""
    return len(value) == _HEADER.size + value[_HEADER.size - 1] * _POSITION.size


def positions_of(value: bytes) -> dict[str, int]:
    """Source topic -> offset of the first event that is not in the payload."""
    _, _, count = _HEADER.unpack_from(value)
    pairs = (_POSITION.unpack_from(value, _HEADER.size + n * _POSITION.size) for n in range(count))
    return {SOURCES[index]: position for index, position in pairs}


def payload_of(value: bytes) -> bytes:
    """The packed state; empty for a deleted key."""
    return value[_HEADER.size + value[_HEADER.size - 1] * _POSITION.size :]


def encode_watermarks(watermarks: Mapping[str, int]) -> bytes:
    """The payload of the watermarks' record.

    >>> decode_watermarks(encode_watermarks({"scores/2": 7}))
    {'scores/2': 7}
    """
    return "\n".join(f"{place} {offset}" for place, offset in watermarks.items()).encode() or b"-"


def decode_watermarks(payload: bytes) -> dict[str, int]:
    """Place that repartitioned events came from ("topic/partition") -> first offset not applied."""
    lines = (line.rsplit(" ", 1) for line in payload.decode().split("\n") if " " in line)
    return {place: int(offset) for place, offset in lines}

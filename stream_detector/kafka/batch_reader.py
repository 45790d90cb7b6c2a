"""A record batch read record by record, each by itself: one that is malformed is marked, and the next one is read.

aiokafka's parser gives up the whole fetch at the first record that it cannot read, and at each restart again. It reads
everything first, at the speed of C; only the batch that it fails at is read here (`aiokafka_patches`). Layout:
https://kafka.apache.org/documentation/#recordbatch.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode

from stream_detector.events.headers import Headers, UnreadableHeaders

_HEAD: Final = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and newest timestamp, producer,
its epoch, base sequence, number of records."""
_PREFIX: Final = struct.Struct(">qi")
_MAGIC_AT, _MAGIC = 16, 2
_CODEC, _LOG_APPEND_TIME = 0x07, 0x08
_DECODE: Final[dict[int, Callable[[bytes], bytes]]] = {
    0: bytes,
    1: gzip_decode,
    2: snappy_decode,
    3: lz4_decode,
    4: zstd_decode,
}
_NAME = "the name of a header is not UTF-8; send it as UTF-8"
_VARINT_BYTES = 10
_INT64 = 1 << 63


class ReadRecord(NamedTuple):
    """A record with the names of aiokafka's."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    checksum: None = None


class _MalformedError(Exception):
    """The bytes are no record."""


class _Bytes:
    """A place within bytes that moves on as they are read. Raises `_MalformedError` at their end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def varint(self) -> int:
        """A zigzag varint of at most 64 bits."""
        number = 0
        for position in range(_VARINT_BYTES):
            if self.at >= len(self.data):
                raise _MalformedError("it ends within a number")
            byte = self.data[self.at]
            self.at += 1
            number |= (byte & 0x7F) << (7 * position)
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
        raise _MalformedError("a number has more than 64 bits")

    def take(self, length: int) -> bytes:
        """The next bytes."""
        if length < 0 or self.at + length > len(self.data):
            raise _MalformedError("a length is beyond its end")
        self.at += length
        return self.data[self.at - length : self.at]

    def nullable(self) -> bytes | None:
        """Bytes after their length; None where that is negative."""
        length = self.varint()
        return None if length < 0 else self.take(length)


def find_batch(data: bytes, offset: int) -> tuple[int, int] | None:
    """Where the batch lies whose offsets reach to `offset`: its first byte, and the one behind it; None without one."""
    at = 0
    while at + _HEAD.size <= len(data):
        base, length = _PREFIX.unpack_from(data, at)
        end = at + _PREFIX.size + length
        if length < 0 or end > len(data):
            return None  # the fetch ends within a batch
        # An old message set begins with the offset of its last message.
        last = base + (_HEAD.unpack_from(data, at)[6] if data[at + _MAGIC_AT] == _MAGIC else 0)
        if last >= offset:
            return at, end
        at = end
    return None


def read_batch(batch: bytes, first: int) -> Iterator[ReadRecord]:
    """The records of one batch from the offset `first` on.

    What is malformed has `UnreadableHeaders`, which say why; its value is what there is of its bytes. Where the batch
    cannot be decompressed, or the length of a record is impossible, one such record stands for all that follow.
    """
    base, _, _, magic, _, attributes, last, first_ms, newest_ms, *_, count = _HEAD.unpack_from(batch)
    is_append_time = bool(attributes & _LOG_APPEND_TIME)
    kind = int(is_append_time)

    def unreadable(offset: int, why: str, value: bytes) -> ReadRecord:
        return ReadRecord(
            max(offset, first), newest_ms, kind, None, value, UnreadableHeaders("unsupported_format", why)
        )

    if magic != _MAGIC:
        yield unreadable(max(base, first), f"a message set of format {magic} cannot be read", batch)
        return
    last_offset = base + last
    try:
        body = _Bytes(_DECODE[attributes & _CODEC](batch[_HEAD.size :]))
    except Exception as error:  # whatever a codec raises
        why = f"a batch up to offset {last_offset} cannot be decompressed ({type(error).__name__})"
        yield unreadable(max(last_offset, first), why, batch)
        return
    for number in range(count):
        offset, began = base + number, body.at
        try:
            raw = body.take(body.varint())
        except _MalformedError as error:
            if last_offset >= first:
                yield unreadable(last_offset, f"the batch up to offset {last_offset}: {error}", body.data[began:])
            return
        try:
            record = _read(_Bytes(raw), base, first_ms)
        except _MalformedError as error:
            record = unreadable(offset, f"the record is malformed: {error}", raw)
        if not offset <= record.offset <= last_offset:
            record = unreadable(offset, "the record is malformed: its offset is not its own", raw)
        if is_append_time:
            record = record._replace(timestamp=newest_ms, timestamp_type=kind)
        if record.offset >= first:
            first = record.offset + 1
            yield record


def _read(raw: _Bytes, base: int, first_ms: int) -> ReadRecord:
    raw.take(1)  # attributes, unused
    timestamp = (first_ms + raw.varint() + _INT64) % (2 * _INT64) - _INT64  # 64 bits, as the parser has it
    offset = base + raw.varint()
    key, value = raw.nullable(), raw.nullable()
    headers: list[tuple[str, bytes | None]] = []
    is_text = True
    count = raw.varint()
    if not 0 <= count <= len(raw.data):
        raise _MalformedError("the number of headers is impossible")
    for _ in range(count):
        name, header = raw.take(raw.varint()), raw.nullable()
        try:
            headers.append((name.decode(), header))
        except UnicodeDecodeError:
            is_text = False
            headers.append((name.decode("utf-8", "backslashreplace"), header))
    given = headers if is_text else UnreadableHeaders("not_utf8", _NAME, headers)
    return ReadRecord(offset, timestamp, 0, key, value, given)

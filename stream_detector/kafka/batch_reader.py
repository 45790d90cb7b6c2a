"""A record batch read record by record, each by itself: one that is malformed is marked, and the next one is read.

aiokafka's parser gives up the whole fetch at the first record that it cannot read, and at each restart again. It reads
everything first, at the speed of C; only the batch that it fails at is read here (`aiokafka_patches`), and one that is
too large to be inflated at once. Layout: https://kafka.apache.org/documentation/#recordbatch.
"""

import struct
from collections.abc import Iterator
from hashlib import sha256
from typing import Final, NamedTuple

from stream_detector.events.dead_letter import CUT_BYTES, HEADER_BYTES, MOST_HEADERS, Whole, cut_dead_letter
from stream_detector.events.documents import MAX_BYTES
from stream_detector.events.headers import Headers, UnreadableHeaders
from stream_detector.kafka.inflate import WHOLE_BYTES, TooLargeError, in_pieces, room

_HEAD: Final = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and newest timestamp, producer,
its epoch, base sequence, number of records."""
_PREFIX: Final = struct.Struct(">qi")
_MAGIC_AT, _MAGIC = 16, 2
_CODEC, _LOG_APPEND_TIME = 0x07, 0x08
_NAME = "the name of a header is not UTF-8; send it as UTF-8"
_VARINT_BYTES = 10
_MOST_OFFSETS = 10_000_000
"""More than any batch has, so that a damaged head leads to no place behind the end of the topic."""
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
                self.need(1)
            byte = self.data[self.at]
            self.at += 1
            number |= (byte & 0x7F) << (7 * position)
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
        raise _MalformedError("a number has more than 64 bits")

    def take(self, length: int) -> bytes:
        """The next bytes."""
        if length < 0 or self.at + length > len(self.data):
            self.need(length)
        self.at += length
        return self.data[self.at - length : self.at]

    def nullable(self) -> bytes | None:
        """Bytes after their length; None where that is negative."""
        length = self.varint()
        return None if length < 0 else self.take(length)

    def need(self, length: int) -> None:
        """Have so many bytes at the place. Raises `_MalformedError` where there are fewer."""
        raise _MalformedError("it ends within a number" if length == 1 else "a length is beyond its end")


class _Stream(_Bytes):
    """The same within a batch as it is inflated: what was read is given up."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__(b"")
        self._pieces = pieces
        self.done = 0
        """Bytes that were given up."""

    @property
    def place(self) -> int:
        """How many bytes of the batch were read."""
        return self.done + self.at

    def need(self, length: int) -> None:
        left = [self.data[self.at :]]
        have = len(left[0])
        while length >= 0 and have < length:
            piece = next(self._pieces, None)
            if piece is None:
                break
            room.used += len(piece)
            left.append(piece)
            have += len(piece)
        self.done += self.at
        self.data, self.at = b"".join(left), 0
        if not 0 <= length <= have:
            super().need(length)

    def some(self, most: int) -> bytes:
        """The next bytes, as many as are there."""
        if self.at == len(self.data):
            self.need(1)
        return self.take(min(most, len(self.data) - self.at))

    def rest(self) -> bytes:
        """What is there behind the place, no more than a piece."""
        return self.data[self.at :]


class _Cut:
    """A record that is too large to be held: its parts are hashed, and the first bytes of each are kept."""

    def __init__(self, stream: _Stream, length: int) -> None:
        self._stream, self._end = stream, stream.place + length
        self._digest, self._bytes, self._left = sha256(), 0, 4 * CUT_BYTES

    def varint(self) -> int:
        number = self._stream.varint()
        if self._stream.place > self._end:
            raise _MalformedError("it ends within a number")
        return number

    def part(self, length: int) -> bytes:
        """One part, cut."""
        if length < 0 or self._stream.place + length > self._end:
            raise _MalformedError("a length is beyond its end")
        self._bytes += length
        kept: list[bytes] = []
        most = min(CUT_BYTES, self._left)
        while length:
            piece = self._stream.some(length)
            self._digest.update(piece)
            length -= len(piece)
            if most > 0:
                kept.append(piece[:most])
                most -= len(piece)
        found = b"".join(kept)
        self._left -= len(found)
        return found

    def read(self, base: int, first_ms: int) -> ReadRecord:
        """The record with what is kept of it, and why it is refused."""
        self._stream.take(1)
        timestamp, offset = _timestamp(first_ms, self.varint()), base + self.varint()
        key_bytes = self.varint()
        key = None if key_bytes < 0 else self.part(key_bytes)
        value_bytes = self.varint()
        value = None if value_bytes < 0 else self.part(value_bytes)
        headers: list[tuple[str, bytes | None]] = []
        for number in range(self.varint()):
            name = self.part(self.varint())
            text_bytes = self.varint()
            text = None if text_bytes < 0 else self.part(text_bytes)
            self._bytes += HEADER_BYTES
            if number < MOST_HEADERS:
                headers.append((name.decode("utf-8", "backslashreplace"), text))
        whole = Whole(self._bytes, self._digest.hexdigest(), None if value is None else value_bytes)
        why = f"{self._bytes} bytes with its headers; send at most {MAX_BYTES}{whole.note}"
        key, value, cut = cut_dead_letter(key, value, [*headers, *whole.headers()], CUT_BYTES)
        return ReadRecord(offset, timestamp, 0, key, value, UnreadableHeaders("too_large", why, cut))

    def skip(self) -> None:
        """To the end of the record."""
        while (left := self._end - self._stream.place) > 0:
            self._stream.some(left)


def find_batch(data: bytes, offset: int) -> tuple[int, int] | None:
    """Where the batch lies whose offsets reach to `offset`: its first byte, and the one behind it; None without one."""
    at = 0
    while at + _HEAD.size <= len(data):
        base, length = _PREFIX.unpack_from(data, at)
        end = at + _PREFIX.size + length
        if length < 0 or end > len(data):
            return None  # the fetch ends within a batch
        # An old message set begins with the offset of its last message.
        last = base + (max(0, _HEAD.unpack_from(data, at)[6]) if data[at + _MAGIC_AT] == _MAGIC else 0)
        if last >= offset:
            return at, end
        at = end
    return None


class _Head(NamedTuple):
    """What records take from the head of their batch."""

    base: int
    last_offset: int
    first_ms: int
    newest_ms: int
    is_append_time: bool
    n_records: int


def read_batch(batch: bytes, first: int) -> Iterator[ReadRecord]:
    """The records of one batch from the offset `first` on.

    What is malformed has `UnreadableHeaders`, which say why; its value is what there is of its bytes. So has what is
    too large to be held, with its first bytes. Where the batch cannot be decompressed any further, or the length of a
    record is impossible, one such record stands for all that follow.
    """
    base, _, _, magic, _, attributes, last, first_ms, newest_ms, *_, count = _HEAD.unpack_from(batch)
    head = _Head(base, base + last, first_ms, newest_ms, bool(attributes & _LOG_APPEND_TIME), count)
    if magic != _MAGIC:
        yield _unreadable(head, max(base, first), f"a message set of format {magic} cannot be read", batch)
        return
    body = _Stream(in_pieces(attributes & _CODEC, batch[_HEAD.size :]))
    for number in range(head.n_records):
        try:
            record = _next(body, head, number)
        except Exception as error:  # whatever a codec raises
            if head.last_offset >= first:
                what = f"the batch up to offset {head.last_offset}"
                if isinstance(error, _MalformedError):
                    yield _unreadable(head, head.last_offset, f"{what}: {error}", body.rest())
                else:
                    why = str(error) if isinstance(error, TooLargeError) else type(error).__name__
                    yield _unreadable(head, head.last_offset, f"{what} cannot be decompressed: {why}", batch)
            return
        if record.offset >= first:
            first = record.offset + 1
            yield record


def refused_batch(batch: bytes, first: int, why: str) -> ReadRecord:
    """The one record that stands for a whole batch from the offset `first` on, none of which is used."""
    base, *_ = _HEAD.unpack_from(batch)
    last = last_offset(batch)
    what = f"the batch of offsets {base} to {last}"
    return _unreadable(_Head(base, last, -1, -1, False, 0), max(last, first), f"{what} {why}", batch)


def last_offset(batch: bytes) -> int:
    """The last offset of a batch by its own head, if that can be."""
    base, _, _, magic, _, _, last, *_ = _HEAD.unpack_from(batch)
    is_possible = magic == _MAGIC and 0 <= last <= _MOST_OFFSETS
    return int(base) + (int(last) if is_possible else 0)


def _unreadable(head: _Head, offset: int, why: str, value: bytes) -> ReadRecord:
    return ReadRecord(
        offset, head.newest_ms, int(head.is_append_time), None, value, UnreadableHeaders("unsupported_format", why)
    )


def _next(body: _Stream, head: _Head, number: int) -> ReadRecord:
    """The record of that number. Raises `_MalformedError` where no further one can be found."""
    offset, length, raw = head.base + number, body.varint(), b""
    if length > WHOLE_BYTES:
        cut = _Cut(body, length)
        try:
            record = cut.read(head.base, head.first_ms)
        except _MalformedError as error:
            record = _unreadable(head, offset, f"the record is malformed: {error}", raw)
        cut.skip()
    else:
        raw = body.take(length)
        try:
            record = _parsed(_Bytes(raw), head)
        except _MalformedError as error:
            record = _unreadable(head, offset, f"the record is malformed: {error}", raw)
    if not offset <= record.offset <= head.last_offset:
        record = _unreadable(head, offset, "the record is malformed: its offset is not its own", raw)
    if head.is_append_time:
        record = record._replace(timestamp=head.newest_ms, timestamp_type=1)
    return record


def _timestamp(first_ms: int, delta: int) -> int:
    return (first_ms + delta + _INT64) % (2 * _INT64) - _INT64  # 64 bits, as the parser has it


def _parsed(raw: _Bytes, head: _Head) -> ReadRecord:
    raw.take(1)  # attributes, unused
    timestamp, offset = _timestamp(head.first_ms, raw.varint()), head.base + raw.varint()
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

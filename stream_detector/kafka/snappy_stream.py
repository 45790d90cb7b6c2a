"""A raw snappy block in pieces: no library has it, and such a block can be the whole of a batch.

Format: https://github.com/google/snappy/blob/main/format_description.txt. A copy may reach back as far as it likes;
what compresses works within 64 KiB. So the library is given a few elements at a time, and before them, as a literal,
the last 64 KiB that came out.
"""

from collections.abc import Iterator
from typing import Final

import cramjam

WINDOW_BYTES: Final = 1 << 16
_LONG_LITERAL = 60


def _tables() -> tuple[bytes, bytes]:
    """Of each tag: how many bytes its element has, and how many come of it; 0 where more than the tag says it."""
    sizes, lengths = bytearray(256), bytearray(256)
    for tag in range(256):
        kind, high = tag & 3, tag >> 2
        if kind == 0:
            sizes[tag], lengths[tag] = (high + 2, high + 1) if high < _LONG_LITERAL else (0, 0)
        elif kind == 1:
            sizes[tag], lengths[tag] = 2, 4 + (high & 7)
        else:
            sizes[tag], lengths[tag] = (3 if kind == 2 else 5), 1 + high
    return bytes(sizes), bytes(lengths)


_SIZES, _LENGTHS = _tables()


class SnappyFormatError(Exception):
    """The bytes are no snappy block, or one that reaches back further than any compressor does."""


def raw_pieces(block: bytes, piece_bytes: int) -> Iterator[bytes]:
    """What the block holds, in pieces of about that many bytes or of one literal. Raises `SnappyFormatError`."""
    length, at = _length(block)
    window, total = b"", 0
    while at < len(block):
        end, count = _elements(block, at, piece_bytes)
        total += count
        if end > len(block) or total > length:
            raise SnappyFormatError("it holds more than it says, or ends within an element")
        given = _varint(len(window) + count) + _literal(window) + block[at:end]
        try:
            piece = bytes(cramjam.snappy.decompress_raw(given))[len(window) :]
        except cramjam.DecompressionError as error:
            raise SnappyFormatError(str(error)) from None
        yield piece
        window, at = (window + piece)[-WINDOW_BYTES:], end
    if total != length:
        raise SnappyFormatError(f"{total} bytes instead of {length}")


def _elements(block: bytes, at: int, most: int) -> tuple[int, int]:
    """Where whole elements end from which at least `most` bytes come, or all that is left, and how many come."""
    sizes, lengths, total, end = _SIZES, _LENGTHS, 0, len(block)
    while at < end and total < most:
        tag = block[at]
        if size := sizes[tag]:
            at += size
            total += lengths[tag]
        else:
            width = (tag >> 2) - _LONG_LITERAL + 1
            count = int.from_bytes(block[at + 1 : at + 1 + width], "little") + 1
            at += 1 + width + count
            total += count
    return at, total


def _length(block: bytes) -> tuple[int, int]:
    length = at = 0
    while at < min(len(block), 5):
        length |= (block[at] & 0x7F) << (7 * at)
        at += 1
        if block[at - 1] < 0x80:
            return length, at
    raise SnappyFormatError("it has no length")


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _literal(data: bytes) -> bytes:
    """One element with these bytes."""
    return b"\xfc" + (len(data) - 1).to_bytes(4, "little") + data if data else b""
